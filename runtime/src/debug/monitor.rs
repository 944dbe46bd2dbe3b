//! Debug mode of one runtime: its thread, and what its tasks tell it.
//!
//! Whoever notices something leaves a [`Report`] in a queue, and the thread `filch-debug` hands it on: so the program's handler never runs inside a task, in a destructor or under a lock, and
//! writing holds nobody up. The thread also looks for polls that take too long. When the runtime is over it hands on what is left and goes; what is noticed later is
//! handed on by whoever noticed it.

use crate::blocking::ThreadConfig;
use crate::debug::left::{self, Origin};
use crate::debug::locks;
use crate::debug::probe::{self, Subject};
use crate::debug::report::{About, Report, ReportKind};
use crate::debug::switch;
use crate::shim::{ThreadHandle, catch_unwind, drop_quietly, is_current};
use crate::task::cold::{Cold, Observer};
use crate::task::error::text_of;
use crate::task::id::Id;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::Write;
use std::panic::Location;
// No protocol rests on these: they are std's in every build.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// What is called with each report.
pub(crate) type Handler = Arc<dyn Fn(&Report) + Send + Sync>;

/// How long a poll may take if the program does not say. asyncio's figure.
pub(crate) const SLOW_POLL: Duration = Duration::from_millis(100);

/// How long a lock may be held while somebody waits, if the program does not say.
pub(crate) const LONG_LOCK: Duration = Duration::from_secs(1);

/// Between two looks at what is polled, at most. So a slow poll is found that much later than its limit.
const LOOK: Duration = Duration::from_millis(20);

/// How debug mode is set up.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) slow_poll: Duration,
    pub(crate) long_lock: Duration,
    pub(crate) on_report: Option<Handler>,
}

/// Debug mode of one runtime.
pub(crate) struct Monitor {
    options: Options,
    state: Mutex<State>,
    news: Condvar,
    /// The runtime shuts down.
    closing: AtomicBool,
    /// The blocking jobs that wait or run, by number.
    jobs: Mutex<HashMap<usize, Origin>>,
    last_job: AtomicUsize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Report>,
    /// Nobody empties the queue any more, or will not soon.
    closed: bool,
    thread: Option<ThreadHandle>,
    /// Tasks that never ran, by the place where they were spawned: the first of them, and how many more there are.
    never_ran: Vec<(About, usize)>,
}

impl Monitor {
    /// Starts the thread.
    pub(crate) fn start(options: Options, threads: &ThreadConfig) -> std::io::Result<Arc<Self>> {
        switch::enter();
        let monitor = Arc::new(Self {
            options,
            state: Mutex::default(),
            news: Condvar::new(),
            closing: AtomicBool::new(false),
            jobs: Mutex::default(),
            last_job: AtomicUsize::new(0),
        });
        let of_thread = monitor.clone();
        let thread = threads.spawn(move || of_thread.run(), || ())?;
        monitor.state().thread = Some(thread);
        Ok(monitor)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it apart from other runtimes' debug modes.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// A task of the runtime is watched from its first poll on.
    pub(crate) fn watch(self: &Arc<Self>, cold: Option<Box<Cold>>) -> Option<Box<Cold>> {
        let mut cold = cold.unwrap_or_else(|| Box::new(Cold::new(None)));
        let name = cold.name();
        cold.set_observer(Arc::new(Watched {
            monitor: self.clone(),
            origin: OnceLock::new(),
            name: Mutex::new(name),
        }));
        Some(cold)
    }

    /// What polls of `block_on`'s own future are entered as.
    pub(crate) fn main(self: &Arc<Self>, place: &'static Location<'static>) -> Arc<Watched> {
        Arc::new(Watched {
            monitor: self.clone(),
            origin: OnceLock::from((None, place)),
            name: Mutex::new(None),
        })
    }

    /// Takes a report, which the thread hands on.
    pub(crate) fn report(&self, report: Report) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            return self.hand_on(&report);
        }
        state.queue.push_back(report);
        drop(state);
        self.news.notify_one();
    }

    /// A task was dropped by the shutdown before its first poll.
    fn never_ran(&self, about: About) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            return self.hand_on(&never_ran_report(about, 0));
        }
        match state.never_ran.iter_mut().find(|(first, _)| first.place == about.place) {
            Some((_, more)) => *more += 1,
            None => state.never_ran.push((about, 0)),
        }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<usize, Origin>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blocking job of the runtime, until what this gives is dropped.
    pub(crate) fn job(self: &Arc<Self>, place: Option<&'static Location<'static>>) -> Job {
        // Relaxed: numbers that differ.
        let number = self.last_job.fetch_add(1, Ordering::Relaxed);
        self.jobs().insert(number, Origin::here(place));
        Job {
            monitor: self.clone(),
            number,
        }
    }

    /// What the runtime's end has left behind.
    pub(crate) fn leaked(&self, sockets: Vec<Origin>, timers: Vec<Origin>, threads: usize) {
        // Of these threads some may be about to end, with their job.
        let jobs = match threads {
            0 => Vec::new(),
            _ => self.jobs().values().cloned().collect(),
        };
        let left = [
            (
                left::places(sockets),
                "sockets or other sources are still open, and give errors from now on",
            ),
            (
                left::places(timers),
                "timers are still there, and panic when they are polled",
            ),
            (left::places(jobs), "threads are still in a blocking job"),
        ];
        for ((count, places), what) in left.into_iter().filter(|((count, _), _)| *count > 0) {
            let message = format!("a runtime has ended, and {count} of its {what}");
            self.report(Report::new(ReportKind::Leaked, About::default(), message).with_places(places));
        }
    }

    fn hand_on(&self, report: &Report) {
        match &self.options.on_report {
            Some(handler) => {
                if let Err(payload) = catch_unwind(|| handler(report)) {
                    drop_quietly(payload);
                }
            }
            None => print(report),
        }
    }

    /// From now on a task that never ran is one that the shutdown dropped.
    pub(crate) fn shutdown(&self) {
        // Relaxed: a task that is dropped at the same time is on the one or the other side.
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Lets the thread go when it has handed on what is left; waits for that if `joins`.
    pub(crate) fn close(&self, joins: bool) {
        let thread = {
            let mut state = self.state();
            let state = &mut *state;
            let never_ran = state.never_ran.drain(..);
            state
                .queue
                .extend(never_ran.map(|(first, more)| never_ran_report(first, more)));
            state.closed = true;
            state.thread.take()
        };
        self.news.notify_one();
        match thread {
            // A handler may drop the last of a runtime.
            Some(thread) if joins && !is_current(&thread) => {
                // Its only panics are handlers', which are caught.
                let _ = thread.join();
            }
            _ => {}
        }
    }

    /// The life of the thread.
    fn run(&self) {
        let shortest = self.options.slow_poll.min(self.options.long_lock);
        let period = (shortest / 5).clamp(Duration::from_millis(1), LOOK);
        loop {
            let reports = {
                let mut state = self.state();
                if state.queue.is_empty() {
                    if state.closed {
                        return;
                    }
                    let waited = self.news.wait_timeout(state, period);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                std::mem::take(&mut state.queue)
            };
            reports.iter().for_each(|report| self.hand_on(report));
            self.look();
        }
    }

    /// Reports the polls that take too long, and the locks that are held too long.
    fn look(&self) {
        for report in locks::held_long(self.key(), self.options.long_lock) {
            self.hand_on(&report);
        }
        for overdue in probe::overdue(self.key(), self.options.slow_poll) {
            let message = format!("{} has been in one poll for {:.1?}", overdue.about, overdue.elapsed);
            let report = Report::new(ReportKind::SlowPoll, overdue.about, message)
                .with_elapsed(overdue.elapsed)
                .with_stack(overdue.stack.resolve());
            self.hand_on(&report);
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        switch::leave();
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("slow_poll", &self.options.slow_poll)
            .finish_non_exhaustive()
    }
}

fn never_ran_report(first: About, more: usize) -> Report {
    let mut message = format!("{first} never ran: the runtime shut down first");
    if more > 0 {
        message += &format!(" (and {more} more that were spawned there)");
    }
    Report::new(ReportKind::NeverRan, first, message)
}

/// Writes a report to the standard error stream, in one piece.
pub(crate) fn print(report: &Report) {
    let text = format!("{report}\n");
    // Where it cannot be written there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A task of a runtime in debug mode, or the future of a `block_on`.
pub(crate) struct Watched {
    monitor: Arc<Monitor>,
    /// The task's id and place, from its first poll on.
    origin: OnceLock<(Option<Id>, &'static Location<'static>)>,
    name: Mutex<Option<Arc<str>>>,
}

impl Subject for Watched {
    fn owner(&self) -> usize {
        self.monitor.key()
    }

    fn about(&self) -> About {
        let origin = self.origin.get();
        About {
            task: origin.and_then(|(id, _)| *id),
            name: self.name.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            place: origin.map(|(_, place)| *place),
        }
    }
}

impl Watched {
    /// A poll begins on this thread; it ends when what this gives is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Polling {
        probe::begins(self.clone());
        Polling(self.clone())
    }

    fn left(&self) {
        let Some(ended) = probe::ends() else { return };
        if !ended.told && ended.elapsed < self.monitor.options.slow_poll {
            return;
        }
        let about = self.about();
        let (kind, message) = match ended.told {
            true => (
                ReportKind::SlowPollEnded,
                format!("{about} has ended its slow poll after {:.1?}", ended.elapsed),
            ),
            false => (
                ReportKind::SlowPoll,
                format!("{about} was in one poll for {:.1?}", ended.elapsed),
            ),
        };
        let mut report = Report::new(kind, about, message).with_elapsed(ended.elapsed);
        if !ended.told {
            report = report.with_stack(Err("the poll had ended".to_owned()));
        }
        self.monitor.report(report);
    }
}

/// A blocking job, in debug mode.
pub(crate) struct Job {
    monitor: Arc<Monitor>,
    number: usize,
}

impl Drop for Job {
    fn drop(&mut self) {
        let origin = self.monitor.jobs().remove(&self.number);
        drop(origin);
    }
}

/// A poll of a `block_on`'s future.
pub(crate) struct Polling(Arc<Watched>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.left();
    }
}

impl Observer for Watched {
    fn named(&self, name: &Arc<str>) {
        let mut place = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        let before = place.replace(name.clone());
        drop(place);
        drop(before);
    }

    fn begins(self: Arc<Self>, id: Id, place: &'static Location<'static>) {
        self.origin.get_or_init(|| (Some(id), place));
        probe::begins(self);
    }

    fn ends(&self) {
        self.left();
    }

    fn never_ran(&self) {
        // Relaxed: as in `shutdown`.
        if self.monitor.closing.load(Ordering::Relaxed) {
            self.monitor.never_ran(self.about());
        }
    }

    fn unseen(&self, payload: &Box<dyn Any + Send>) {
        let about = self.about();
        let message = format!("{about} panicked, and nobody awaited it: {}", text_of(payload));
        self.monitor
            .report(Report::new(ReportKind::UnseenPanic, about, message));
    }
}
