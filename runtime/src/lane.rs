//! Lanes: event loops without a thread of their own.

use crate::inner::Inner;
use crate::scheduler::lane::Line;
use crate::scheduler::worker;
use crate::task::cold::Cold;
use crate::task::join::JoinHandle;
use crate::task::raw::{Plain, is_large};
use crate::task_local;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A logical event loop: its tasks run one at a time, and in order.
///
/// Two tasks of a lane are never polled at the same time, on whatever threads, and one poll happens before the next. So between two
/// `.await`s a task of a lane has the lane for itself: what its tasks share needs no lock that is held over several steps, as in asyncio or in a program with one thread.
/// The lane itself is tied to no thread: it is a task of the runtime, which any worker runs and thieves may take. Different lanes run in parallel, so a
/// program can have one for each thing that wants order.
///
/// The order is first in, first out: tasks start in the order in which they were spawned, those that are woken go on in the order of
/// their wakes, and a task that [yields](crate::task::yield_now) goes to the end. With the same wakes the order is the same for any number of workers.
///
/// A lane polls several of its tasks, one after the other, before it lets other tasks of its worker run. A task of a lane that computes for long
/// holds up its lane and nothing else.
///
/// Clones are the same lane. A lane without tasks costs the runtime nothing, and tasks run on when the last clone is dropped. What a lane's tasks leave when the
/// runtime shuts down is dropped as other tasks are; a task that is spawned then is dropped at once, and its handle says that it was cancelled.
///
/// Where a runtime counts or lists its live tasks, a lane that has tasks is one task, spawned where the lane was made.
///
/// (A lane is asyncio's loop as many times as you like; C++ Asio has the same idea and calls it a strand.)
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// # let mut builder = filch::runtime::Builder::new_current_thread();
/// # builder.start_paused(true).build().unwrap().block_on(async {
/// let lane = filch::lane();
/// let log = Arc::new(Mutex::new(Vec::new()));
/// let tasks = [("C1", 1), ("C2", 2)].map(|(name, seconds)| {
///     let log = log.clone();
///     lane.spawn(async move {
///         log.lock().unwrap().push(format!("{name}: start"));
///         filch::time::sleep(Duration::from_secs(seconds)).await;
///         log.lock().unwrap().push(format!("{name}: stop"));
///     })
/// });
/// for task in tasks {
///     task.await.unwrap();
/// }
/// assert_eq!(*log.lock().unwrap(), ["C1: start", "C2: start", "C1: stop", "C2: stop"]);
/// # });
/// ```
///
/// One thing at a time, without a lock around it:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// # filch::run(async {
/// let lane = filch::lane();
/// let stock = Arc::new(AtomicU32::new(3));
/// let buyers: Vec<_> = (0..10)
///     .map(|_| {
///         let stock = stock.clone();
///         lane.spawn(async move {
///             filch::task::yield_now().await;
///             // Nobody comes between the look and the change.
///             let left = stock.load(Ordering::Relaxed);
///             if left > 0 {
///                 stock.store(left - 1, Ordering::Relaxed);
///             }
///             left > 0
///         })
///     })
///     .collect();
/// let mut sold = 0;
/// for buyer in buyers {
///     sold += u32::from(buyer.await.unwrap());
/// }
/// assert_eq!((sold, stock.load(Ordering::Relaxed)), (3, 0));
/// # });
/// ```
#[derive(Clone)]
pub struct Lane {
    line: Arc<Line>,
    inner: Arc<Inner>,
    location: &'static Location<'static>,
}

impl Lane {
    pub(crate) fn new(inner: &Arc<Inner>, location: &'static Location<'static>) -> Self {
        let record = inner.sim.as_ref().map(|sim| sim.record.clone());
        let line = Line::new(record, inner.shared.leftovers.clone());
        {
            let mut lanes = inner.lanes.lock();
            if lanes.len() == lanes.capacity() {
                // As often as the list doubles: those that are gone make room.
                lanes.retain(|line| line.strong_count() > 0);
            }
            lanes.push(Arc::downgrade(&line));
        }
        Self {
            line,
            inner: inner.clone(),
            location,
        }
    }

    /// Spawns a task into the lane, behind those that are ready. From anywhere: from tasks of this or another lane, and from threads outside of
    /// the runtime.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_at(future, Location::caller())
    }

    /// The caller sees to it that a future that is not `Send` stays on its thread.
    pub(crate) fn spawn_at<F>(&self, future: F, location: &'static Location<'static>) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        self.spawn_with(future, task_local::inherit(), location)
    }

    pub(crate) fn spawn_with<F>(
        &self,
        future: F,
        cold: Option<Box<Cold>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        if is_large::<F>() {
            return self.spawn_plain(Box::pin(future), cold, location);
        }
        self.spawn_plain(future, cold, location)
    }

    fn spawn_plain<F>(
        &self,
        future: F,
        cold: Option<Box<Cold>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let cold = self.inner.watch(cold);
        let (handle, driver) = self.line.spawn_driven(Plain { future, location, cold });
        if let Some(driver) = driver {
            let number = driver.number();
            let driver = worker::spawn(&self.inner.shared, Plain::new(driver, self.location));
            self.line.is_driven_by(number, driver.id());
        }
        handle
    }

    /// How many tasks of the lane are alive.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether no task of the lane is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("len", &self.len()).finish_non_exhaustive()
    }
}
