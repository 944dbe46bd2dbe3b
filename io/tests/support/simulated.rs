//! A runtime over a simulated network, on one thread: polls only who was woken, so a wake that is lost is noticed.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use filch_io::sim::Network;
use filch_io::{Enter, Handle, Hooks, Reactor};

pub(crate) struct Simulated {
    pub(crate) network: Network,
    pub(crate) handle: Handle,
    now: Cell<Instant>,
    start: Instant,
}

/// Nothing can go on, and nothing is under way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stuck;

impl Simulated {
    pub(crate) fn new(seed: u64) -> Simulated {
        let start = Instant::now();
        let network = Network::new(seed, start);
        let reactors = (0..3).map(|_| Reactor::simulated(&network)).collect();
        let handle = Handle::simulated(network.clone(), reactors, Hooks::default());
        let now = Cell::new(start);
        Simulated {
            network,
            handle,
            now,
            start,
        }
    }

    pub(crate) fn enter(&self) -> Enter {
        self.handle.enter()
    }

    /// How much time went by, in the simulation.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.get() - self.start
    }

    /// Runs `future` to its end.
    #[track_caller]
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        match self.run(future) {
            Ok(output) => output,
            Err(Stuck) => panic!("the future waits, and nothing is under way"),
        }
    }

    /// As `block_on`, unless it gets stuck.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> Result<T, Stuck> {
        let _inside = self.enter();
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut future = pin!(future);
        loop {
            let was_woken = woken.0.swap(false, Ordering::SeqCst);
            if was_woken {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Ok(output);
                }
            }
            if !self.turn() && !was_woken {
                let due = self.network.next_due().ok_or(Stuck)?;
                self.advance_to(due);
            }
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Moves the time.
    pub(crate) fn advance_to(&self, now: Instant) {
        self.now.set(now);
        self.network.advance_to(now);
    }

    /// Turns all reactors once. Did that wake anybody?
    pub(crate) fn turn(&self) -> bool {
        let mut ready = Vec::new();
        for reactor in self.handle.reactors() {
            reactor.turn(None, &mut ready).unwrap();
        }
        let any = !ready.is_empty();
        ready.into_iter().for_each(Waker::wake);
        any
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
