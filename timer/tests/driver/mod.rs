//! The smallest runtime that timers can live in: one thread that polls a future, turns, and sleeps.

#![allow(dead_code, reason = "each test file uses the part it needs")]

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use filch_timer::{Clock, Handle, Hooks, Timers};

/// Nothing in these tests takes that long: a sleep without a wake ends in a panic.
const PATIENCE: Duration = Duration::from_secs(30);

/// One worker.
pub(crate) struct Driver {
    pub(crate) handle: Handle,
    pub(crate) timers: Arc<Timers>,
    parker: Arc<Parker>,
    /// How often the timers were turned.
    pub(crate) turns: AtomicUsize,
}

/// A driver whose clock cannot be paused.
pub(crate) fn real() -> Driver {
    Driver::new(Clock::new(), Hooks::default())
}

/// A driver whose clock stands still.
pub(crate) fn paused() -> Driver {
    let clock = Clock::pausable();
    clock.pause();
    Driver::new(clock, Hooks::default())
}

impl Driver {
    pub(crate) fn new(clock: Clock, hooks: Hooks) -> Driver {
        let mut drivers = Driver::workers(1, clock, hooks);
        drivers.remove(0)
    }

    /// The workers of one runtime.
    pub(crate) fn workers(number: usize, clock: Clock, hooks: Hooks) -> Vec<Driver> {
        let parkers: Vec<Arc<Parker>> = (0..number).map(|_| Arc::default()).collect();
        let timers: Vec<_> = parkers
            .iter()
            .map(|parker| Arc::new(Timers::new(clock.clone(), Waker::from(Arc::clone(parker)))))
            .collect();
        let handle = Handle::new(clock, timers.clone(), hooks);
        let workers = parkers.into_iter().zip(timers).enumerate();
        let driver = |(index, (parker, timers))| {
            let handle = handle.at(index);
            Driver {
                handle,
                timers,
                parker,
                turns: AtomicUsize::new(0),
            }
        };
        workers.map(driver).collect()
    }

    /// How often the sleeping thread was woken, by timers or by tasks.
    pub(crate) fn wakes(&self) -> usize {
        self.parker.wakes.load(Ordering::Relaxed)
    }

    /// The waker of the future that runs.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.parker))
    }

    /// One turn and its wakes.
    pub(crate) fn turn(&self) {
        let mut fired = Vec::new();
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.timers.turn(self.handle.clock().now(), &mut fired);
        fired.into_iter().for_each(Waker::wake);
    }

    /// Runs a future to its end.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _inside = self.handle.enter();
        let clock = self.handle.clock();
        let waker = self.waker();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            loop {
                self.turn();
                if self.parker.take() {
                    break;
                }
                let until = self.timers.park();
                match until {
                    Some(until) if clock.is_paused() && !clock.is_held() => clock.advance_to(until),
                    Some(until) if !clock.is_paused() => {
                        self.parker
                            .wait(until.saturating_duration_since(clock.now()).min(PATIENCE));
                    }
                    _ => assert!(self.parker.wait(PATIENCE), "nobody woke the driver"),
                }
                self.timers.unpark();
            }
        }
    }
}

#[derive(Default)]
struct Parker {
    token: Mutex<bool>,
    changed: Condvar,
    wakes: AtomicUsize,
}

impl Parker {
    fn take(&self) -> bool {
        std::mem::take(&mut *self.token.lock().unwrap())
    }

    /// Waits for the token and leaves it there; tells whether it came.
    fn wait(&self, timeout: Duration) -> bool {
        let token = self.token.lock().unwrap();
        let (token, _) = self
            .changed
            .wait_timeout_while(token, timeout, |token| !*token)
            .unwrap();
        *token
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        *self.token.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

/// A waker that counts its wakes.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn new() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Polls once, with a waker that nobody listens to.
pub(crate) fn now<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll(future, Waker::noop())
}

/// Runs futures at the same time.
pub(crate) async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// Runs `f`, which panics: the message, and the line of the panic.
pub(crate) fn panics(f: impl FnOnce()) -> (String, u32) {
    thread_local! {
        static LINE: Cell<Option<u32>> = const { Cell::new(None) };
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let ordinary = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            LINE.set(info.location().map(|location| location.line()));
            if !QUIET.get() {
                ordinary(info);
            }
        }));
    });
    QUIET.set(true);
    let payload = panic::catch_unwind(panic::AssertUnwindSafe(f)).expect_err("this must panic");
    QUIET.set(false);
    let message = payload.downcast_ref::<String>().cloned();
    let message = message.or_else(|| payload.downcast_ref::<&str>().map(|message| (*message).to_owned()));
    (
        message.expect("a panic with a message"),
        LINE.get().expect("a panic with a location"),
    )
}
