//! A barrier that can be broken.

use super::blocking::block_on;
use super::waiters::{Guarded, Step, Turn, Wait, Waitable, Waiters, Wakes};
use crate::shim::{Bug, seeded};
use std::fmt;

/// The barrier was reset while this task waited at it, or is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken(());

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken")
    }
}

impl std::error::Error for Broken {}

/// A task's having passed a [`BreakableBarrier`] together with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    index: usize,
}

impl Arrival {
    /// A number below that of the parties, another one for each of those who passed together: in the order in which they came.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether this is the one of them that came first.
    pub fn is_leader(&self) -> bool {
        self.index == 0
    }
}

/// Holds tasks up until `n` of them are there, and can be reset and broken: asyncio's `Barrier`.
///
/// A task that is dropped while it waits just leaves: the barrier then waits for another in its place. ([`Barrier`](crate::sync), Tokio's, has counted it.)
///
/// ```
/// use filch::sync::BreakableBarrier;
///
/// # filch::run(async {
/// let barrier = std::sync::Arc::new(BreakableBarrier::new(2));
/// let other = barrier.clone();
/// let task = filch::spawn(async move { other.wait().await.unwrap().index() });
/// let here = barrier.wait().await.unwrap().index();
/// assert_eq!(here + task.await.unwrap(), 1);
///
/// barrier.abort();
/// assert!(barrier.wait().await.is_err());
/// # });
/// ```
pub struct BreakableBarrier {
    parties: usize,
    state: Guarded<State>,
}

#[derive(Debug)]
struct State {
    broken: bool,
    /// Those who are there, and what they are told when they may go.
    waiters: Waiters<Result<Arrival, Broken>>,
}

impl State {
    fn let_go(&mut self, wakes: &mut Wakes, tell: impl Fn(usize) -> Result<Arrival, Broken>) {
        let mut index = 0;
        while let Some(told) = self.waiters.grant(wakes) {
            *told = tell(index);
            index += 1;
        }
    }
}

impl BreakableBarrier {
    /// A barrier for `parties` tasks.
    ///
    /// # Panics
    ///
    /// If `parties` is 0.
    #[track_caller]
    pub fn new(parties: usize) -> Self {
        assert!(parties > 0, "a barrier is for one task at least");
        Self {
            parties,
            state: Guarded::new(State {
                broken: false,
                waiters: Waiters::new(),
            }),
        }
    }

    /// Waits until all parties are there.
    ///
    /// # Errors
    ///
    /// If the barrier is broken, or is [reset](Self::reset) or [aborted](Self::abort) meanwhile.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped before all were there leaves; another has to come in its place.
    pub async fn wait(&self) -> Result<Arrival, Broken> {
        Wait::new(self, ()).await
    }

    /// Blocks this thread until all parties are there.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn wait_blocking(&self) -> Result<Arrival, Broken> {
        block_on("BreakableBarrier::wait_blocking", Wait::new(self, ()))
    }

    /// Empties the barrier and mends it if it was broken. Those who wait now get [`Broken`].
    pub fn reset(&self) {
        self.state.with(|state, wakes| {
            state.broken = false;
            if !seeded(Bug::ResetLeavesWaiters) {
                state.let_go(wakes, |_| Err(Broken(())));
            }
        });
    }

    /// Breaks the barrier: those who wait and those who come get [`Broken`], until it is [reset](Self::reset).
    pub fn abort(&self) {
        self.state.with(|state, wakes| {
            state.broken = true;
            state.let_go(wakes, |_| Err(Broken(())));
        });
    }

    /// How many have to come.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many are there.
    pub fn waiting(&self) -> usize {
        self.state.with(|state, _| state.waiters.waiting())
    }

    /// Whether the barrier is broken.
    pub fn is_broken(&self) -> bool {
        self.state.with(|state, _| state.broken)
    }
}

impl Waitable for BreakableBarrier {
    type Request = ();
    type Output = Result<Arrival, Broken>;

    fn look(&self, (): &mut (), turn: &mut Turn<'_>) -> Step<Self::Output> {
        self.state.with(|state, wakes| {
            if let Some(told) = state.waiters.redeem(&mut turn.ticket) {
                return Step::Done(told);
            }
            if turn.ticket.is_none() && state.broken {
                return Step::Done(Err(Broken(())));
            }
            if turn.ticket.is_some() || state.waiters.waiting() + 1 < self.parties {
                return state.waiters.wait(turn, || Err(Broken(())));
            }
            state.let_go(wakes, |index| Ok(Arrival { index }));
            let index = self.parties - 1;
            Step::Done(Ok(Arrival { index }))
        })
    }

    fn leave(&self, (): &mut (), ticket: u64) {
        let _left = self.state.with(|state, _| state.waiters.leave(ticket));
    }
}

impl fmt::Debug for BreakableBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakableBarrier")
            .field("parties", &self.parties)
            .field("waiting", &self.waiting())
            .field("broken", &self.is_broken())
            .finish()
    }
}
