//! Tokens that somebody borrows.

use super::blocking::block_on;
use super::waiters::{Guarded, Left, Step, Turn, Wait, Waitable, Waiters, Wakes};
use crate::shim::{Bug, seeded};
use crate::task::id::Id;
use crate::task::raw;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Who has a token of a [`CapacityLimiter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Borrower(Who);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Task(Id),
    Number(u64),
    /// Somebody outside of tasks, another one each time.
    Anonymous(u64),
}

impl From<Id> for Borrower {
    fn from(task: Id) -> Self {
        Self(Who::Task(task))
    }
}

impl From<u64> for Borrower {
    fn from(number: u64) -> Self {
        Self(Who::Number(number))
    }
}

/// This borrower has a token already, or waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlreadyBorrows(());

impl fmt::Display for AlreadyBorrows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this borrower has a token already, or waits for one")
    }
}

impl std::error::Error for AlreadyBorrows {}

/// There is no token to be had at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryBorrowError {
    /// All tokens are borrowed.
    NoTokens,
    /// This borrower has a token already, or waits for one.
    AlreadyBorrows,
}

impl fmt::Display for TryBorrowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTokens => f.write_str("all tokens are borrowed"),
            Self::AlreadyBorrows => AlreadyBorrows(()).fmt(f),
        }
    }
}

impl std::error::Error for TryBorrowError {}

/// The figures of a [`CapacityLimiter`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterStats {
    /// Tokens that there are, [`CapacityLimiter::UNLIMITED`] for no limit.
    pub total: usize,
    /// Tokens that are borrowed: more than `total` for a while, if that was lowered.
    pub borrowed: usize,
    /// Who has them, in the order of borrowing.
    pub borrowers: Vec<Borrower>,
    /// How many wait.
    pub waiting: usize,
}

/// A number of tokens, each borrowed by somebody: Trio's `CapacityLimiter`.
///
/// Unlike a semaphore's permits, tokens have an owner, so borrowing twice is an error and no deadlock, and their number can be changed at any time, to none and to no limit too.
/// Fair: whoever asks first is served first, and a token whose borrower-to-be is dropped goes to the next. Clones are handles to the same tokens.
///
/// ```
/// use filch::sync::CapacityLimiter;
///
/// # filch::run(async {
/// let limiter = CapacityLimiter::new(1);
/// let token = limiter.borrow_for(1).await.unwrap();
/// assert!(limiter.borrow_for(1).await.is_err(), "it has one");
/// assert!(limiter.try_borrow_for(2).is_err(), "there is no other");
/// limiter.set_total(2);
/// let second = limiter.borrow_for(2).await.unwrap();
/// assert_eq!(limiter.borrowed(), 2);
/// drop((token, second));
/// assert_eq!(limiter.borrowed(), 0);
/// # });
/// ```
#[derive(Clone)]
pub struct CapacityLimiter(Arc<Inner>);

#[derive(Debug)]
struct Inner(Guarded<State>);

#[derive(Debug)]
struct State {
    total: usize,
    borrowed: usize,
    /// The number of the next borrowing, and of the next anonymous borrower.
    next: u64,
    /// With the number of the borrowing, or nothing for those who wait.
    standing: HashMap<Borrower, Option<u64>>,
    waiters: Waiters<Borrower>,
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn lend(&mut self, borrower: Borrower) {
        let number = self.number();
        self.borrowed += 1;
        self.standing.insert(borrower, Some(number));
    }

    fn take_back(&mut self, borrower: Borrower, wakes: &mut Wakes) {
        self.borrowed -= 1;
        self.standing.remove(&borrower);
        self.lend_all(wakes);
    }

    /// Lends what there is to those who wait. So nobody waits while there is a token.
    fn lend_all(&mut self, wakes: &mut Wakes) {
        while self.borrowed < self.total {
            let Some(borrower) = self.waiters.grant(wakes).map(|borrower| *borrower) else {
                break;
            };
            self.lend(borrower);
        }
    }
}

impl CapacityLimiter {
    /// The number of tokens that is no limit.
    pub const UNLIMITED: usize = usize::MAX;

    /// A limiter with `total` tokens.
    pub fn new(total: usize) -> Self {
        Self(Arc::new(Inner(Guarded::new(State {
            total,
            borrowed: 0,
            next: 0,
            standing: HashMap::new(),
            waiters: Waiters::new(),
        }))))
    }

    /// How many tokens there are.
    pub fn total(&self) -> usize {
        self.0.0.with(|state, _| state.total)
    }

    /// Changes how many tokens there are. Those that are borrowed stay so; if there are too many, nobody gets one until enough came back.
    pub fn set_total(&self, total: usize) {
        self.0.0.with(|state, wakes| {
            state.total = total;
            if !seeded(Bug::TotalLendsNothing) {
                state.lend_all(wakes);
            }
        });
    }

    /// How many tokens are borrowed.
    pub fn borrowed(&self) -> usize {
        self.0.0.with(|state, _| state.borrowed)
    }

    /// The figures of this moment.
    pub fn stats(&self) -> LimiterStats {
        let (mut stats, mut borrowers) = self.0.0.with(|state, _| {
            let borrowers: Vec<(Option<u64>, Borrower)> = state
                .standing
                .iter()
                .filter(|(_, number)| number.is_some())
                .map(|(borrower, number)| (*number, *borrower))
                .collect();
            let stats = LimiterStats {
                total: state.total,
                borrowed: state.borrowed,
                borrowers: Vec::new(),
                waiting: state.waiters.waiting(),
            };
            (stats, borrowers)
        });
        borrowers.sort_unstable_by_key(|(number, _)| *number);
        stats.borrowers = borrowers.into_iter().map(|(_, borrower)| borrower).collect();
        stats
    }

    /// Who borrows if nobody else is named: the task, or somebody new outside of tasks.
    fn myself() -> Option<Borrower> {
        raw::current_id().map(Borrower::from)
    }

    fn token(&self, borrower: Borrower) -> Token {
        Token {
            limiter: self.clone(),
            borrower,
        }
    }

    /// Waits for a token for somebody new, on behalf of whom a task waits.
    pub(crate) async fn borrow_anonymously(&self) -> Token {
        match self.lend(None).await {
            Ok(token) => token,
            Err(AlreadyBorrows(())) => unreachable!("somebody new has none"),
        }
    }

    async fn lend(&self, borrower: Option<Borrower>) -> Result<Token, AlreadyBorrows> {
        let borrower = Wait::new(&*self.0, borrower).await?;
        Ok(self.token(borrower))
    }

    fn try_lend(&self, borrower: Option<Borrower>) -> Result<Token, TryBorrowError> {
        let borrower = self.0.0.with(|state, _| {
            if borrower.is_some_and(|borrower| state.standing.contains_key(&borrower)) {
                return Err(TryBorrowError::AlreadyBorrows);
            }
            if state.borrowed >= state.total {
                return Err(TryBorrowError::NoTokens);
            }
            let borrower = borrower.unwrap_or_else(|| Borrower(Who::Anonymous(state.number())));
            state.lend(borrower);
            Ok(borrower)
        })?;
        Ok(self.token(borrower))
    }

    /// Waits for a token for the current task. Outside of tasks each call is a borrower of its own.
    ///
    /// # Errors
    ///
    /// If the task has a token already, or waits for one.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue; a token that it had goes to the next.
    pub async fn borrow(&self) -> Result<Token, AlreadyBorrows> {
        self.lend(Self::myself()).await
    }

    /// Waits for a token for `borrower`: a task's id, or any number.
    ///
    /// # Errors
    ///
    /// If it has a token already, or waits for one.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue; a token that it had goes to the next.
    pub async fn borrow_for(&self, borrower: impl Into<Borrower>) -> Result<Token, AlreadyBorrows> {
        self.lend(Some(borrower.into())).await
    }

    /// Blocks this thread until it has a token. Outside of tasks each call is a borrower of its own.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    ///
    /// # Errors
    ///
    /// None: a thread's call is a borrower of its own.
    #[track_caller]
    pub fn borrow_blocking(&self) -> Result<Token, AlreadyBorrows> {
        block_on("CapacityLimiter::borrow_blocking", self.lend(None))
    }

    /// A token for the current task, if there is one.
    ///
    /// # Errors
    ///
    /// If there is none, or the task has one already or waits for one.
    pub fn try_borrow(&self) -> Result<Token, TryBorrowError> {
        self.try_lend(Self::myself())
    }

    /// A token for `borrower`, if there is one.
    ///
    /// # Errors
    ///
    /// If there is none, or `borrower` has one already or waits for one.
    pub fn try_borrow_for(&self, borrower: impl Into<Borrower>) -> Result<Token, TryBorrowError> {
        self.try_lend(Some(borrower.into()))
    }
}

impl Waitable for Inner {
    type Request = Option<Borrower>;
    type Output = Result<Borrower, AlreadyBorrows>;

    fn look(&self, borrower: &mut Option<Borrower>, turn: &mut Turn<'_>) -> Step<Self::Output> {
        self.0.with(|state, _| {
            if let Some(borrower) = state.waiters.redeem(&mut turn.ticket) {
                return Step::Done(Ok(borrower));
            }
            let before = turn.ticket;
            let borrower = *borrower.get_or_insert_with(|| Borrower(Who::Anonymous(state.number())));
            if before.is_none() {
                if state.standing.contains_key(&borrower) {
                    return Step::Done(Err(AlreadyBorrows(())));
                }
                if state.borrowed < state.total {
                    state.lend(borrower);
                    return Step::Done(Ok(borrower));
                }
            }
            let step = state.waiters.wait(turn, || borrower);
            if before != turn.ticket {
                state.standing.insert(borrower, None);
            }
            step
        })
    }

    fn leave(&self, _: &mut Option<Borrower>, ticket: u64) {
        let _left = self.0.with(|state, wakes| {
            let left = state.waiters.leave(ticket);
            match &left {
                Left::Granted(_) if seeded(Bug::TokenNotPassedOn) => {}
                Left::Granted(borrower) => state.take_back(*borrower, wakes),
                Left::Waiting(_, borrower) => {
                    state.standing.remove(borrower);
                }
                Left::Gone => {}
            }
            left
        });
    }
}

impl fmt::Debug for CapacityLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("CapacityLimiter")
            .field("total", &stats.total)
            .field("borrowed", &stats.borrowed)
            .field("waiting", &stats.waiting)
            .finish()
    }
}

/// A token of a [`CapacityLimiter`], which gets it back when this is dropped.
#[derive(Debug)]
#[must_use = "the token goes back at once if it is not kept"]
pub struct Token {
    limiter: CapacityLimiter,
    borrower: Borrower,
}

impl Token {
    /// Who has it.
    pub fn borrower(&self) -> Borrower {
        self.borrower
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let borrower = self.borrower;
        self.limiter.0.0.with(|state, wakes| state.take_back(borrower, wakes));
    }
}
