//! The blocking pool: threads for code that blocks.
//!
//! Threads are started on demand up to a limit and leave after a time without work. The state is one lock:
//! whoever queues a job either takes a thread out of the idle count and owes it one wake-up, or starts a thread, or
//! leaves the job to the threads that are busy. So no job is counted upon a thread that is about to leave.

use crate::coop;
use crate::shim::{
    Bug, Condvar, Mutex, ThreadHandle, catch_unwind, drop_quietly, is_current, seeded, spawn_thread, thread_local_const,
};
use crate::task::join::JoinHandle;
use crate::task::raw::{self, Ended, Header, Runnable, Schedule};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A function that runs at the begin or the end of a thread.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

thread_local_const! {
    /// The pool that this thread belongs to. Only compared.
    static POOL: Cell<*const BlockingPool> = Cell::new(std::ptr::null())
}

/// How threads are made.
#[derive(Clone)]
pub(crate) struct ThreadConfig {
    pub(crate) name: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
}

impl ThreadConfig {
    /// Starts a thread that runs `f`, with the hooks around it, and then `last`. A hook that panics is reported by the panic hook and ends nothing
    /// else.
    pub(crate) fn spawn(
        &self,
        f: impl FnOnce() + Send + 'static,
        last: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<ThreadHandle> {
        let config = self.clone();
        let name = catch_unwind(|| (self.name)()).map_err(|payload| {
            drop_quietly(payload);
            std::io::Error::other("the function that names threads (`thread_name_fn`) panicked")
        })?;
        spawn_thread(name, self.stack_size, move || {
            call(config.on_start.as_ref());
            f();
            call(config.on_stop.as_ref());
            last();
        })
    }
}

impl fmt::Debug for ThreadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadConfig")
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

fn call(hook: Option<&Hook>) {
    let Some(hook) = hook else { return };
    if let Err(payload) = catch_unwind(|| hook()) {
        drop_quietly(payload);
    }
}

/// A pool of threads that run blocking jobs.
#[derive(Debug)]
pub(crate) struct BlockingPool {
    state: Mutex<State>,
    /// A job for an idle thread, or the end.
    pub(crate) work: Condvar,
    /// A thread is leaving.
    empty: Condvar,
    threads: ThreadConfig,
    limit: usize,
    keep_alive: Duration,
}

/// What is dropped when a job is over, after whoever awaits it was woken.
pub(crate) type After = Option<Box<dyn Send>>;

/// A job that waits for a thread.
struct Queued {
    task: Runnable,
    after: After,
}

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queued")
    }
}

/// Who is to take a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// One that waits, and is owed a wake-up.
    Idle,
    /// One that was started for it.
    New,
    /// One that is done with another first; or whoever runs the jobs of a pool without threads.
    Busy,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Queued>,
    /// Threads that take jobs.
    threads: usize,
    /// Threads that exist: those that take jobs, and those that are in their last hook.
    alive: usize,
    /// Threads that wait and that nobody has promised a job.
    idle: usize,
    /// Wake-ups that waiting threads are owed.
    promised: usize,
    closed: bool,
    next_key: usize,
    handles: HashMap<usize, ThreadHandle>,
    /// The thread that left last, and is not joined yet.
    leaving: Vec<ThreadHandle>,
}

impl BlockingPool {
    pub(crate) fn new(threads: ThreadConfig, limit: usize, keep_alive: Duration) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            empty: Condvar::new(),
            threads,
            limit,
            keep_alive,
        })
    }

    /// Queues a job. Its handle says "cancelled" if the pool is closed, or if there is no thread and none can be started.
    pub(crate) fn spawn<F, R>(
        self: &Arc<Self>,
        job: F,
        after: After,
        location: &'static Location<'static>,
    ) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (task, join) = raw::new(Job(Some(job)), Nowhere, location);
        let handle = JoinHandle::new(join);
        if let Some(refused) = self.push(Queued { task, after }) {
            refused.task.abort_and_run();
        }
        handle
    }

    /// As [`spawn`](Self::spawn), for a job that must not wait: gives it back if there is no thread for it now.
    pub(crate) fn spawn_now<F>(
        self: &Arc<Self>,
        job: F,
        after: After,
        location: &'static Location<'static>,
    ) -> Result<(), F>
    where
        F: FnOnce() + Send + 'static,
    {
        let mut state = self.state.lock();
        let is_idle = match self.find_thread(&mut state) {
            Some(Found::Idle) => true,
            Some(Found::New) => false,
            Some(Found::Busy) | None => return Err(job),
        };
        // Nobody asks for its outcome.
        let (task, _) = raw::new(Job(Some(job)), Nowhere, location);
        state.queue.push_back(Queued { task, after });
        drop(state);
        if is_idle {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Gives the job back if there is nobody to run it, ever.
    fn push(self: &Arc<Self>, job: Queued) -> Option<Queued> {
        let mut state = self.state.lock();
        let Some(found) = self.find_thread(&mut state) else {
            return Some(job);
        };
        state.queue.push_back(job);
        if found == Found::Idle {
            drop(state);
            self.work.notify_one();
        }
        None
    }

    /// Finds who takes the job that is queued in the same lock section.
    fn find_thread(self: &Arc<Self>, state: &mut State) -> Option<Found> {
        if state.closed {
            return None;
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.promised += 1;
            return Some(Found::Idle);
        }
        if state.threads < self.limit {
            // Under the lock: the thread finds its handle filed when it leaves.
            let (pool, leaving) = (self.clone(), self.clone());
            let key = state.next_key;
            match self.threads.spawn(move || pool.run(), move || leaving.leave(key)) {
                Ok(handle) => {
                    state.next_key += 1;
                    state.threads += 1;
                    state.alive += 1;
                    state.handles.insert(key, handle);
                    return Some(Found::New);
                }
                // With another thread alive the job only waits longer.
                Err(_) if state.threads > 0 => {}
                Err(_) => return None,
            }
        }
        Some(Found::Busy)
    }

    /// Runs the job at place `index` of the queue on the calling thread, for a pool that has no threads (a limit of 0).
    pub(crate) fn run_inline(&self, index: usize) {
        let job = self.state.lock().queue.remove(index);
        if let Some(job) = job {
            job.task.run();
            drop(job.after);
        }
    }

    /// The life of a thread.
    fn run(&self) {
        POOL.with(|pool| pool.set(std::ptr::from_ref(self)));
        let mut state = self.state.lock();
        loop {
            while let Some(mut job) = state.queue.pop_front() {
                drop(state);
                if seeded(Bug::ClockLetGoEarly) {
                    drop(job.after.take());
                }
                job.task.run();
                drop(job.after);
                state = self.state.lock();
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            // A time beyond the clock's end is for ever.
            let deadline = Instant::now().checked_add(self.keep_alive);
            let stays = loop {
                let timed_out = match deadline {
                    None => {
                        state = self.work.wait(state);
                        false
                    }
                    Some(deadline) => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        let (guard, timed_out) = self.work.wait_timeout(state, left);
                        state = guard;
                        timed_out
                    }
                };
                if state.promised > 0 && !(timed_out && seeded(Bug::LeaverBreaksPromise)) {
                    state.promised -= 1;
                    break true;
                }
                if state.closed || timed_out {
                    state.idle -= 1;
                    break false;
                }
            };
            if !stays && state.queue.is_empty() {
                break;
            }
        }
        if seeded(Bug::LeaverStillCounted) {
            drop(state);
            state = self.state.lock();
        }
        // In the lock section that found no job: the next job finds one thread less.
        state.threads -= 1;
    }

    /// The end of a thread.
    fn leave(&self, key: usize) {
        // What comes after this, destructors of the thread's locals, is no part of the pool any more.
        POOL.with(|pool| pool.set(std::ptr::null()));
        let mut state = self.state.lock();
        state.alive -= 1;
        let before = std::mem::take(&mut state.leaving);
        let own = state.handles.remove(&key);
        state.leaving.extend(own);
        self.empty.notify_all();
        drop(state);
        // Whoever leaves waits for those who left before, so that their handles do not pile up, and no caller of `spawn` has to wait.
        join_all(before);
    }

    /// Takes no more jobs, drops those that did not begin, and waits for the others until `deadline` (`None`: for ever). True if
    /// no thread is left. A thread of the pool itself does not wait for its own end.
    pub(crate) fn shutdown(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        state.closed = true;
        let jobs = std::mem::take(&mut state.queue);
        let waiting = state.alive > 0;
        drop(state);
        if waiting {
            self.work.notify_all();
        }
        for job in jobs.into_iter().filter(|_| !seeded(Bug::EndForgetsJobs)) {
            job.task.abort_and_run();
        }
        let own = usize::from(POOL.with(|pool| std::ptr::eq(pool.get(), self)));
        let mut state = self.state.lock();
        while state.alive > own {
            match deadline {
                None => state = self.empty.wait(state),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    state = self.empty.wait_timeout(state, left).0;
                }
            }
        }
        let left = std::mem::take(&mut state.leaving);
        drop(state);
        join_all(left);
        own == 0
    }

    /// Threads that have not left yet.
    pub(crate) fn alive(&self) -> usize {
        self.state.lock().alive
    }

    /// Threads that exist, threads that are idle, and jobs that wait.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        (state.threads, state.idle, state.queue.len())
    }
}

fn join_all(threads: Vec<ThreadHandle>) {
    for thread in threads {
        // A destructor of this thread's locals may come here, when the thread has left the pool already.
        if is_current(&thread) {
            continue;
        }
        // Its panics are caught: jobs and hooks run in `catch_unwind`.
        let _ = thread.join();
    }
}

/// A blocking job, as a future that is ready after one poll.
struct Job<F>(Option<F>);

// The function is never pinned.
impl<F> Unpin for Job<F> {}

impl<F: FnOnce() -> R, R> Future for Job<F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<R> {
        let job = self.0.take().expect("a job is polled once");
        Poll::Ready(coop::without_budget(job))
    }
}

/// The scheduler of jobs, and of whatever else is queued by hand, once, and never waits.
#[derive(Clone)]
pub(crate) struct Nowhere;

impl Schedule for Nowhere {
    const WAITS: bool = false;

    fn schedule(self, _: Runnable) {
        unreachable!("a job is never idle, so nobody can wake it");
    }

    fn reschedule(self, task: Runnable) {
        drop(task);
        unreachable!("a job never waits");
    }

    fn release(self, _: NonNull<Header>, _: Ended) {}
}
