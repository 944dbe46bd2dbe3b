//! Tasks that run one at a time and in order: what lanes and local sets are made of.
//!
//! A [`Line`] is a list of live tasks and, behind one lock, the queue of those that are ready. Whoever drives it polls them one after the other, inside a poll of
//! its own: a lane's [`Driver`], a task of the runtime like any other, or the thread that polls a local set.
//!
//! ```text
//! wake, spawn:  [lock] queue the task, take the sleepers [unlock];  wake them
//! driver:       [lock] take the oldest [unlock];  poll it;  ... none: [lock] still none -> leave a waker, or, if no task is alive, go [unlock]
//! ```
//!
//! - **No wake is lost**: the queue and the sleepers change under the one lock, so either the driver finds the task, or the task finds the driver's waker.
//! - **A lane without tasks keeps no task alive**: its driver ends when it finds the list empty, and says so under the lock (`driven`). A spawn enters the list first and
//!   looks at `driven` afterwards. So either the driver sees the task in the list and stays, or the spawn sees that nobody drives, and starts the next driver.
//! - **A driver that is dropped closes the line**: no task may enter any more, and those that are there are dropped by it, in their order. A task whose runnable
//!   is in the hands of a thread that just woke it is waited for: that thread is between two statements. So no future is dropped inside a wake.

use crate::scheduler::owned::{Leftovers, Owned, Pool};
use crate::scheduler::record::Record;
use crate::scope::reason::Reason;
use crate::scope::{self, ambient};
use crate::shim::{Bug, Condvar, Mutex, seeded};
use crate::task::id::Id;
use crate::task::join::{self, JoinHandle};
use crate::task::list::RunQueue;
use crate::task::raw::{AbortRef, Make, Runnable};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Polls that a lane's driver makes in a row; then it goes to the end of its worker's queue. So one turn of a lane is to its neighbours what one long poll is, and
/// the cost of a turn is shared by several polls.
const TURN: usize = 8;

/// In the deterministic runtime each poll is a step of its own, between which the generator chooses.
const SIMULATED_TURN: usize = 1;

/// Tasks that run one at a time, the first that became ready first.
#[derive(Debug)]
pub(crate) struct Line {
    tasks: Owned<Line>,
    state: Mutex<State>,
    /// A runnable came, and somebody `waits`.
    came: Condvar,
    /// All drivers are named, and somebody `asks`.
    named: Condvar,
    /// In a deterministic runtime.
    record: Option<Arc<Record>>,
    leftovers: Arc<Leftovers>,
}

#[derive(Debug, Default)]
struct State {
    ready: RunQueue,
    /// Whoever drives the line and found nothing to do. One at most, for a lane.
    sleepers: Vec<Waker>,
    /// A lane's driver exists, or is about to.
    driven: bool,
    /// The latest driver that was named: its number, and its name as a task.
    driver: Option<(usize, Id)>,
    /// How many there were.
    drivers: usize,
    /// Drivers that somebody is about to spawn, or has, and not named yet.
    unnamed: usize,
    /// Whoever ends the line waits for their names.
    asks: bool,
    /// Whoever closes the line waits for a runnable.
    waits: bool,
    /// In a deterministic runtime: what became ready in the step `step`.
    latest: Vec<Runnable>,
    step: u64,
}

/// What a driver's turn came to.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There may be more.
    More,
    /// Nothing is ready. The driver's waker was left.
    Nothing,
    /// No task is alive. No waker was left.
    Empty,
}

impl Line {
    pub(crate) fn new(record: Option<Arc<Record>>, leftovers: Arc<Leftovers>) -> Arc<Self> {
        Arc::new_cyclic(|line| Self {
            tasks: Owned::new(1, line, &leftovers),
            leftovers,
            state: Mutex::new(State::default()),
            came: Condvar::new(),
            named: Condvar::new(),
            record,
        })
    }

    /// Queues a new task. If the line is closed, its future is dropped here.
    pub(crate) fn spawn<M: Make>(&self, task: M) -> JoinHandle<M::Value> {
        let (task, handle) = self.tasks.spawn(task);
        if let Some(task) = task {
            self.push(task);
        }
        handle
    }

    /// As [`spawn`](Self::spawn), for a lane: comes with a driver if the lane has none. The caller makes a task of it.
    pub(crate) fn spawn_driven<M: Make>(self: &Arc<Self>, task: M) -> (JoinHandle<M::Value>, Option<Driver>) {
        let handle = self.spawn(task);
        // Behind the task's entry into the list, see the head of this file.
        let starts = {
            let mut state = self.state.lock();
            let starts = !std::mem::replace(&mut state.driven, true) || seeded(Bug::SecondDriver);
            starts.then(|| {
                state.unnamed += 1;
                state.drivers += 1;
                state.drivers
            })
        };
        let driver = starts.map(|number| Driver {
            line: Some(self.clone()),
            number,
        });
        (handle, driver)
    }

    /// The driver with this number is this task.
    pub(crate) fn is_driven_by(&self, number: usize, driver: Id) {
        let asks = {
            let mut state = self.state.lock();
            // An earlier one, which is gone by then, may be named later.
            if state.driver.is_none_or(|(latest, _)| latest < number) {
                state.driver = Some((number, driver));
            }
            state.unnamed -= 1;
            state.unnamed == 0 && std::mem::take(&mut state.asks)
        };
        if asks {
            self.named.notify_all();
        }
    }

    /// Lets no further task in, and ends those that are there. The driver, who is named, is to be left alone: it goes when they are gone.
    pub(crate) fn end(&self, reason: &Reason) -> Option<Id> {
        self.tasks.lock_up().iter().for_each(|task| join::end(task, reason));
        let mut state = self.state.lock();
        // Its spawner is between two statements.
        while state.unnamed > 0 {
            state.asks = true;
            state = self.named.wait(state);
        }
        state.driver.map(|(_, driver)| driver)
    }

    /// References to the live tasks.
    pub(crate) fn refer(&self) -> Vec<AbortRef> {
        self.tasks.refer()
    }

    /// The live tasks.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Polls what is ready, at most `limit` times. When there is nothing, the driver's waker is left, unless no task is alive and the driver `leaves` then.
    pub(crate) fn turn(&self, cx: &mut Context<'_>, limit: usize, leaves: bool) -> Turn {
        for _ in 0..limit {
            match self.pop() {
                Some(task) => task.run(),
                None => return self.rest(cx, leaves),
            }
        }
        Turn::More
    }

    fn rest(&self, cx: &mut Context<'_>, leaves: bool) -> Turn {
        // Cloned before the lock, and dropped behind it if it is not needed.
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let turn = if !state.is_empty() && !seeded(Bug::LineNoRecheck) {
            Turn::More
        } else if leaves && self.tasks.len() == 0 {
            if seeded(Bug::DriverLeavesLate) {
                drop(state);
                state = self.state.lock();
            }
            state.driven = false;
            Turn::Empty
        } else if state.sleepers.iter().any(|sleeper| sleeper.will_wake(&waker)) {
            Turn::Nothing
        } else {
            state.sleepers.push(waker);
            return Turn::Nothing;
        };
        drop(state);
        turn
    }

    fn pop(&self) -> Option<Runnable> {
        let mut state = self.state.lock();
        if let Some(record) = &self.record {
            state.order(record);
        }
        let task = state.ready.pop();
        drop(state);
        if let (Some(record), Some(task)) = (&self.record, &task) {
            record.note_line(task.id());
        }
        task
    }

    fn push(&self, task: Runnable) {
        let (first, others, closing) = {
            let mut state = self.state.lock();
            match &self.record {
                None => state.ready.push(task),
                Some(record) => state.push_in_step(task, record),
            }
            (state.sleepers.pop(), !state.sleepers.is_empty(), state.waits)
        };
        if closing {
            self.came.notify_one();
        }
        if let Some(waker) = first {
            waker.wake();
        }
        if others {
            self.wake_sleepers();
        }
    }

    /// Wakes whoever drives the line, for nothing.
    pub(crate) fn wake_sleepers(&self) {
        let sleepers = std::mem::take(&mut self.state.lock().sleepers);
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Lets no further task in, and drops those that are there, on this thread. What they have to clean up is left to the scope that this is called in.
    pub(crate) fn close(&self) {
        let mut aborted = Vec::new();
        self.tasks.close(&mut aborted);
        let sleepers = {
            let mut state = self.state.lock();
            if let Some(record) = &self.record {
                state.order(record);
            }
            aborted.into_iter().for_each(|task| state.ready.push(task));
            std::mem::take(&mut state.sleepers)
        };
        drop(sleepers);
        ambient::with_heir(scope::current, || {
            while let Some(task) = self.next_to_drop() {
                task.run();
            }
        });
    }

    /// The next task of a closed line; none if all are gone.
    fn next_to_drop(&self) -> Option<Runnable> {
        let mut state = self.state.lock();
        loop {
            if let Some(record) = &self.record {
                state.order(record);
            }
            if let Some(task) = state.ready.pop() {
                return Some(task);
            }
            if self.tasks.len() == 0 || seeded(Bug::CloseForgetsWoken) {
                return None;
            }
            state.waits = true;
            state = self.came.wait(state);
            state.waits = false;
        }
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.ready.len() == 0 && self.latest.is_empty()
    }

    /// In a deterministic runtime the order of wakes within a step is forgotten, as that of the runtime's other tasks is: it may come from a generator that no seed reaches.
    fn push_in_step(&mut self, task: Runnable, record: &Record) {
        record.notice();
        let step = record.steps();
        if step != self.step {
            self.order(record);
            self.step = step;
        }
        self.latest.push(task);
    }

    /// Queues what became ready together, in the order of first polls; tasks that were not polled yet keep theirs, and come last.
    fn order(&mut self, record: &Record) {
        let mut latest: Vec<_> = self
            .latest
            .drain(..)
            .map(|task| (record.name(task.id()).unwrap_or(u64::MAX), task))
            .collect();
        latest.sort_by_key(|(name, _)| *name);
        latest.into_iter().for_each(|(_, task)| self.ready.push(task));
    }
}

impl Pool for Line {
    fn keep(_: *const Self, task: Runnable) -> Option<Runnable> {
        Some(task)
    }

    fn keep_last(_: *const Self, task: Runnable) -> Option<Runnable> {
        Some(task)
    }

    fn inject(&self, task: Runnable) {
        self.push(task);
    }

    /// Whoever closes a line looks at the list by itself.
    fn drained(&self) {}
}

/// Drives a lane as long as it has tasks. Dropped before, it closes the lane.
#[derive(Debug)]
pub(crate) struct Driver {
    line: Option<Arc<Line>>,
    number: usize,
}

impl Driver {
    /// Which of its lane's drivers this is.
    pub(crate) fn number(&self) -> usize {
        self.number
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(line) = &self.line else { return Poll::Ready(()) };
        let limit = match line.record {
            Some(_) => SIMULATED_TURN,
            None => TURN,
        };
        match line.turn(cx, limit, true) {
            Turn::More => cx.waker().wake_by_ref(),
            Turn::Nothing => {}
            Turn::Empty => {
                // The lane may have its next driver already: this one has no more to do with it.
                self.line = None;
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.close();
            // The driver itself is no task of the program's.
            line.leftovers.discount();
        }
    }
}
