//! What the workers and the [watcher](super::watcher) know of each other: a worker's pulse, and the alarm.

use crate::alarm::Alarm;
use crate::shim::{AtomicBool, AtomicUsize, Bug, LOOK, Mutex, Ordering, ThreadHandle, fence, seeded};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What a worker polls in this time it keeps to itself: another one that is woken takes a tenth of that until it runs, and costs the processor more than that.
const KEPT: Duration = Duration::from_micros(100);

/// So many tasks are worth another worker's coming, however short they are.
const MANY: usize = 128;

/// So many are at least: one runs next.
const FEW: usize = 2;

/// A worker's sign of life, and what the watcher asks for.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Odd while a task is polled.
    beat: AtomicUsize,
    /// The driver waits for its turn.
    driver_due: AtomicBool,
    /// Somebody else should serve this worker's things.
    stuck: AtomicBool,
    /// Of a spare: a [`Duty`].
    duty: AtomicUsize,
    /// So many tasks in the queue are worth another worker's coming.
    surplus: AtomicUsize,
}

/// What a spare is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It has no thread.
    Rests,
    /// It was called, and its thread has not begun.
    Called,
    /// It polls tasks until it finds none.
    Works,
    /// It is to go after the poll that it is in: a worker is free again.
    Leaves,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            beat: AtomicUsize::new(0),
            driver_due: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            duty: AtomicUsize::new(Duty::Rests as usize),
            surplus: AtomicUsize::new(FEW),
        }
    }

    /// The begin or the end of a poll. Only the worker itself.
    #[inline]
    pub(crate) fn beat(&self) {
        // Relaxed, and no exchange: one writer, and the watcher only compares.
        self.beat
            .store(self.beat.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Odd while a task is polled, another number at each poll.
    pub(crate) fn count(&self) -> usize {
        self.beat.load(Ordering::Relaxed)
    }

    /// The number of polls so far.
    pub(crate) fn polls(&self) -> usize {
        self.beat.load(Ordering::Relaxed).div_ceil(2)
    }

    /// So many tasks in the queue are more than this worker should keep for itself.
    #[inline]
    pub(crate) fn surplus(&self) -> usize {
        // Relaxed, here and below: a hint.
        self.surplus.load(Ordering::Relaxed)
    }

    /// It polled so often in such a time, without a park. True if less is a surplus now: what is queued may have been kept from others.
    pub(crate) fn set_pace(&self, polls: usize, time: Duration) -> bool {
        self.set_surplus(worth(polls, time))
    }

    /// As [`set_pace`](Self::set_pace), for one of many short times between two parks.
    pub(crate) fn blend_pace(&self, polls: usize, time: Duration) {
        self.set_surplus(blend(self.surplus(), worth(polls, time)));
    }

    /// Nothing is known of its pace.
    pub(crate) fn forget_pace(&self) {
        self.set_surplus(FEW);
    }

    /// True if it is less than before.
    fn set_surplus(&self, is: usize) -> bool {
        let was = self.surplus();
        if was != is {
            self.surplus.store(is, Ordering::Relaxed);
        }
        is < was
    }

    /// Whether the watcher asks for a turn of the driver.
    #[inline]
    pub(crate) fn is_driver_due(&self) -> bool {
        self.driver_due.load(Ordering::Relaxed)
    }

    /// Asks for a turn of the driver.
    pub(crate) fn call_driver(&self) {
        self.driver_due.store(true, Ordering::Relaxed);
    }

    /// Asks others for help.
    pub(crate) fn call_help(&self) {
        // Release: matches the Acquire in `take_stuck`. What made the watcher call is seen by who comes.
        self.stuck.store(true, Ordering::Release);
    }

    /// The driver has its turn.
    #[inline]
    pub(crate) fn driver_turns(&self) {
        if self.is_driver_due() {
            self.driver_due.store(false, Ordering::Relaxed);
        }
    }

    /// Whether help was asked for. Behind a fence, see [`Idle`](super::idle::Idle).
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    pub(crate) fn duty(&self) -> Duty {
        // Relaxed, here and below: who has the spare's core is settled by the lock under which cores rest.
        match self.duty.load(Ordering::Relaxed) {
            duty if duty == Duty::Rests as usize => Duty::Rests,
            duty if duty == Duty::Called as usize => Duty::Called,
            duty if duty == Duty::Works as usize => Duty::Works,
            _ => Duty::Leaves,
        }
    }

    /// The beginning and the end of a spare's duty.
    pub(crate) fn set_duty(&self, duty: Duty) {
        // An exchange, since loom would let a `change_duty` win that came before a plain store.
        self.duty.swap(duty as usize, Ordering::Relaxed);
    }

    /// Sends a spare that works, or is about to, home.
    pub(crate) fn dismiss(&self) {
        if seeded(Bug::DismissBlindly) {
            return self.set_duty(Duty::Leaves);
        }
        // If it rests already, it stays at that.
        self.change_duty(Duty::Called, Duty::Leaves);
        self.change_duty(Duty::Works, Duty::Leaves);
    }

    /// A thread has a spare's core.
    pub(crate) fn take_up_duty(&self) {
        // It may have been sent home by now.
        self.change_duty(Duty::Called, Duty::Works);
        self.take_over();
    }

    fn change_duty(&self, from: Duty, to: Duty) {
        let (from, to) = (from as usize, to as usize);
        let _ = self
            .duty
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A thread has the core: the poll in which another gave it away is none of its own. Only the worker itself.
    pub(crate) fn take_over(&self) {
        if self.count() % 2 == 1 {
            self.beat();
        }
    }

    /// Takes on the help that was asked for.
    pub(crate) fn take_stuck(&self) -> bool {
        // Acquire: what the watcher saw, the rescuer sees, or it would take the worker for one that needs no help. Lowering it tells nobody anything.
        self.is_stuck() && self.stuck.swap(false, Ordering::Acquire)
    }
}

/// How many tasks take [`KEPT`], at a pace of so many in `time`.
fn worth(polls: usize, time: Duration) -> usize {
    let kept = KEPT.as_nanos().saturating_mul(polls as u128) / time.as_nanos().max(1);
    usize::try_from(kept).unwrap_or(MANY).clamp(FEW, MANY)
}

/// One more figure, which counts for a quarter.
fn blend(before: usize, new: usize) -> usize {
    (3 * before + new) / 4
}

/// The alarm, as the workers see it.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The alarm is set, or the watcher is looking.
    armed: AtomicBool,
    /// Some worker was found stuck at the last look.
    trouble: AtomicBool,
    /// There from the start of the watcher's thread to the end of the runtime.
    alarm: Mutex<Option<Arc<Alarm>>>,
    thread: Mutex<Thread>,
}

/// The watcher's thread.
enum Thread {
    /// It was not needed yet.
    Due(Start),
    Running(ThreadHandle),
    None,
}

type Start = Box<dyn FnMut(Arc<Alarm>) -> io::Result<ThreadHandle> + Send>;

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Due(_) => "Due",
            Self::Running(_) => "Running",
            Self::None => "None",
        })
    }
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            armed: AtomicBool::new(false),
            trouble: AtomicBool::new(false),
            alarm: Mutex::new(None),
            thread: Mutex::new(Thread::None),
        }
    }

    /// From now on there is a watcher; `start` starts its thread when it is needed first.
    pub(crate) fn install(&self, start: Start) {
        *self.thread.lock() = Thread::Due(start);
    }

    /// The runtime is over: sends the watcher home, and closes the alarm when it is gone.
    pub(crate) fn close(&self) {
        if let Some(alarm) = self.alarm.lock().take() {
            alarm.set(Duration::from_nanos(1));
        }
    }

    /// Waits for the watcher's thread, after [`close`](Self::close).
    pub(crate) fn join(&self) {
        let thread = std::mem::replace(&mut *self.thread.lock(), Thread::None);
        if let Thread::Running(thread) = thread {
            // It calls nothing of the program's that could panic.
            let _ = thread.join();
        }
    }

    /// A worker has left its park and is about to poll.
    pub(crate) fn started(&self) {
        if !seeded(Bug::StartedNoFence) {
            // Between the idle bit and the look at the mark; matches the one in `rest`.
            fence(Ordering::SeqCst);
        }
        self.arm();
    }

    /// True if this call armed what was not armed.
    pub(crate) fn arm(&self) -> bool {
        // A look first: it is armed nearly always. Relaxed: who runs and who rests is ordered by the fences, and the alarm is behind its lock.
        let arms = !self.armed.load(Ordering::Relaxed) && !self.armed.swap(true, Ordering::Relaxed);
        if arms {
            self.start_thread();
            self.set_alarm();
        }
        arms
    }

    /// Starts the thread if this is the first time that it is needed. If the system refuses, the next who arms tries again.
    fn start_thread(&self) {
        let mut thread = self.thread.lock();
        if let Thread::Due(start) = &mut *thread {
            let started = Alarm::new()
                .map(Arc::new)
                .and_then(|alarm| Ok((start(alarm.clone())?, alarm)));
            match started {
                Ok((handle, alarm)) => {
                    *self.alarm.lock() = Some(alarm);
                    *thread = Thread::Running(handle);
                }
                // Relaxed: as in `arm`.
                Err(_) => self.armed.store(false, Ordering::Relaxed),
            }
        }
    }

    /// The watcher saw nobody run and wants to sleep. True if it may; else the alarm is set again.
    pub(crate) fn rest(&self, somebody_runs: impl Fn() -> bool) -> bool {
        // Relaxed: the fence that follows orders it. It comes after the exchange that set the alarm, since the alarm went off in between.
        self.armed.store(false, Ordering::Relaxed);
        if seeded(Bug::WatcherNoRecheck) {
            return true;
        }
        if !seeded(Bug::RestNoFence) {
            // Between the mark and the look at the idle bits; matches the one in `started`.
            fence(Ordering::SeqCst);
        }
        !(somebody_runs() && self.arm())
    }

    pub(crate) fn set_alarm(&self) {
        // Under the lock, so that it cannot undo what `close` sets.
        if let Some(alarm) = &*self.alarm.lock() {
            alarm.set(LOOK);
        }
    }

    /// Whether some worker was found stuck at this look.
    pub(crate) fn set_trouble(&self, trouble: bool) {
        if trouble || self.has_trouble() {
            self.trouble.store(trouble, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn has_trouble(&self) -> bool {
        self.trouble.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surplus_takes_a_tenth_of_a_millisecond() {
        let millisecond = Duration::from_millis(1);
        assert_eq!(
            [0, 1, 30, 200, 1_000, 5_000].map(|polls| worth(polls, millisecond)),
            [2, 2, 3, 20, 100, 128]
        );
        assert_eq!(worth(1, Duration::ZERO), MANY);
        assert_eq!(blend(10, 50), 20);
        // However long it was brisk, it comes down.
        assert_eq!((0..40).fold(MANY, |surplus, _| blend(surplus, FEW)), FEW);
    }
}
