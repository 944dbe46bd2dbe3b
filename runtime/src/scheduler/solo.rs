//! A runtime without threads of its own: whoever calls `block_on` is its one worker meanwhile.

use crate::coop;
use crate::driver::wake_all;
use crate::park::Parker;
use crate::scheduler::shared::Shared;
use crate::scheduler::worker::{Context, Core, DRIVER_INTERVAL, Tick};
use crate::scope::ambient;
use crate::shim::{AtomicBool, Bug, Mutex, Ordering, fence, seeded};
use filch_timer::{Instant, sleep_until};
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::Duration;

/// The one core of a current_thread runtime, while nobody runs it.
pub(crate) struct Solo {
    core: Mutex<Option<Box<Core>>>,
    /// Further threads in `block_on`: whoever gives the core back wakes them, and one takes it.
    waiting: Mutex<Vec<Arc<Parker>>>,
}

impl Solo {
    pub(crate) fn new(core: Box<Core>) -> Self {
        Self {
            core: Mutex::new(Some(core)),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Runs `future` on this thread, and with it, if no other thread does, the whole runtime.
    pub(crate) fn block_on<F: Future>(&self, shared: &Arc<Shared>, mut future: Pin<&mut F>) -> F::Output {
        if let Some(seat) = self.take(shared) {
            return seat.drive(future);
        }
        let parker = Parker::new();
        self.waiting.lock().push(parker.clone());
        let leave = Leave(self, &parker);
        let waker = parker.waker();
        let mut cx = TaskContext::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = coop::with_budget(|| future.as_mut().poll(&mut cx)) {
                return output;
            }
            if let Some(seat) = self.take(shared) {
                drop(leave);
                return seat.drive(future);
            }
            parker.park();
        }
    }

    /// Drops all tasks, on this thread, and runs their clean-ups, for so long at most.
    /// Those of a closed runtime, that is.
    pub(crate) fn shutdown(&self, shared: &Arc<Shared>, limit: Option<Duration>) {
        if let Some(seat) = self.take(shared) {
            seat.context().enter(|context| {
                if let Some(deadline) = limit.and_then(|limit| Instant::now().checked_add(limit)) {
                    // It ends the park in time.
                    let mut alarm = pin!(sleep_until(deadline));
                    let _ = alarm.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
                    context.run_while(|| Instant::now() < deadline);
                    // Those that are left are told once more, and get no more than one poll.
                    shared.close();
                    ambient::with_heir(|| None, || context.run());
                }
                context.run();
            });
        }
        let mut ready = Vec::new();
        for remote in &shared.workers {
            remote.driver.shutdown(&mut ready);
        }
        wake_all(&mut ready);
    }

    fn take(&self, shared: &Arc<Shared>) -> Option<Seat<'_>> {
        let core = self.core.lock().take()?;
        let context = Context::new(shared.clone(), core);
        Some(Seat {
            solo: self,
            shared: shared.clone(),
            context: Some(context),
        })
    }
}

impl fmt::Debug for Solo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Solo").finish_non_exhaustive()
    }
}

/// A waiting thread, until it has its turn.
struct Leave<'a>(&'a Solo, &'a Arc<Parker>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().retain(|parker| !Arc::ptr_eq(parker, self.1));
        // This thread may have been woken to take the core and not have taken it.
        if self.0.core.lock().is_some() {
            self.0.waiting.lock().iter().for_each(|parker| parker.unpark());
        }
    }
}

/// The core, while a thread runs it. Comes back also when the future panics.
struct Seat<'a> {
    solo: &'a Solo,
    shared: Arc<Shared>,
    context: Option<Context>,
}

impl Seat<'_> {
    fn context(&self) -> &Context {
        self.context
            .as_ref()
            .expect("a seat has its context until it is dropped")
    }

    fn drive<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        let main = Arc::new(Main {
            woken: AtomicBool::new(true),
            shared: self.shared.clone(),
        });
        let waker = Waker::from(main.clone());
        let mut cx = TaskContext::from_waker(&waker);
        self.context().enter(|context| {
            loop {
                // Acquire: matches the Release in `wake_by_ref`, so that the poll sees what the waker's thread did before.
                if main.woken.swap(false, Ordering::Acquire) {
                    if let Poll::Ready(output) = coop::with_budget(|| future.as_mut().poll(&mut cx)) {
                        return output;
                    }
                }
                for _ in 0..DRIVER_INTERVAL {
                    let tick = context.tick();
                    if main.woken.load(Ordering::Relaxed) {
                        break;
                    }
                    if tick == Tick::Idle {
                        context.park(|| main.woken.load(Ordering::Relaxed));
                        break;
                    }
                }
            }
        })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let core = self.context.take().and_then(Context::into_core);
        *self.solo.core.lock() = core;
        if seeded(Bug::CoreGivenBackInSilence) {
            return;
        }
        self.solo.waiting.lock().iter().for_each(|parker| parker.unpark());
    }
}

/// The waker of the future that `block_on` runs.
struct Main {
    woken: AtomicBool,
    shared: Arc<Shared>,
}

impl Wake for Main {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: matches the exchange in `drive`. An exchange even when the mark is up: so this is true of each of several wakers.
        if !self.woken.swap(true, Ordering::Release) {
            if !seeded(Bug::MainWakeNoFence) {
                // Between the mark and the look at the sleeper; matches the one of the park's announcement. A thread that is awake looks at the
                // mark before it parks, and needs no system call.
                fence(Ordering::SeqCst);
            }
            if self.shared.idle.is_parked(0) {
                self.shared.workers[0].driver.unpark();
            }
        }
    }
}
