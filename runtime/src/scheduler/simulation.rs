//! The deterministic runtime: one thread, virtual workers, and a seeded generator that makes every choice.
//!
//! Tasks are woken and spawned through the same code as in every runtime: they land in the slot or the queue of the worker
//! that runs, or in the inbox. But no worker picks from there. After each step everything is taken out into one list, and the generator chooses
//! which task is next and which worker runs it. (Choosing the *task* is what finds races. A trial that chose only the worker, each with a queue in
//! order, ran one interleaving in 2,000 seeds; this one ran 2,000.)
//!
//! Time stands while anything can run. When nothing can, it jumps to the next timer or the next arrival on the simulated network; if there is
//! none either, nothing can ever happen again, and that is reported as the deadlock it is.
//!
//! All that the real runtime may do and rarely does is a knob: see [`Slack`].

use crate::coop;
use crate::driver::wake_all;
use crate::random::{Random, Seeded, seed_thread};
use crate::scheduler::record::{Record, Step, Waiting};
use crate::scheduler::shared::Shared;
use crate::scheduler::slack::Slack;
use crate::scheduler::worker::{Context, Core};
use crate::shim::{Condvar, Mutex};
use crate::task::raw::Runnable;
use filch_timer::Clock;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
// As in `record`.
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// Polls without a move of time after which it moves all the same, as if they had taken long: a task that yields until a
/// timer has fired, or until some time, comes to its end.
const PATIENCE: u32 = 10_000;

/// How far it moves then, unless something is due before. Twice as far each time, until there is nothing to run: much work at one time is no
/// hour, and whoever waits for an hour in this way is there after 22 times.
const PUSH: Duration = Duration::from_millis(1);

/// What the simulation needs of the rest of its runtime.
pub(crate) trait Host {
    /// Keeps the thread inside the runtime.
    type Entered: Entrance;

    /// Takes this thread into the runtime as worker `index`.
    fn enter(&self, index: usize) -> Self::Entered;

    /// Blocking jobs that wait.
    fn jobs(&self) -> usize;

    /// Runs one of them.
    fn run_job(&self, index: usize);

    /// When the next thing arrives on the network.
    fn next_arrival(&self) -> Option<Instant>;

    /// It is `now`: what is due arrives.
    fn arrive(&self, now: Instant);
}

/// What [`Host::enter`] gives.
pub(crate) trait Entrance {
    /// Whether the thread has not entered a runtime since and stayed there.
    fn is_latest(&self) -> bool;
}

/// The driver of a deterministic runtime.
pub(crate) struct Simulation {
    pub(crate) record: Arc<Record>,
    clock: Clock,
    /// P4 on one queue: tasks that have not started keep their order when there is only one worker.
    ordered: bool,
    /// `None` while a thread runs it.
    state: Mutex<Option<Box<State>>>,
    free: Condvar,
}

/// What stays between two `block_on`.
struct State {
    #[allow(clippy::vec_box, reason = "a core is one box all its life, whoever owns it")]
    cores: Vec<Box<Core>>,
    random: Random,
    /// The generator that the program's own draws (`select!`) come from.
    program: u64,
    /// Tasks that have not been polled, in order, and the worker where each was queued.
    fresh: VecDeque<(Runnable, usize)>,
    /// All other tasks that are ready.
    woken: Vec<(Runnable, usize)>,
}

impl Simulation {
    #[allow(clippy::vec_box, reason = "as above")]
    pub(crate) fn new(record: Arc<Record>, clock: Clock, cores: Vec<Box<Core>>) -> Self {
        let random = Random::new(record.seed);
        Self {
            record,
            clock,
            ordered: cores.len() == 1,
            state: Mutex::new(Some(Box::new(State {
                program: random.next(),
                cores,
                random,
                fresh: VecDeque::new(),
                woken: Vec::new(),
            }))),
            free: Condvar::new(),
        }
    }

    /// Runs `future`, and with it the whole runtime, on this thread.
    ///
    /// # Panics
    ///
    /// If nothing can happen any more and the future is not done.
    pub(crate) fn block_on<F: Future>(
        &self,
        shared: &Arc<Shared>,
        host: &impl Host,
        mut future: Pin<&mut F>,
    ) -> F::Output {
        let mut run = self.take(shared, host);
        let main = Arc::new(Main {
            woken: AtomicBool::new(true),
            thread: std::thread::current().id(),
            record: self.record.clone(),
        });
        let waker = Waker::from(main.clone());
        let mut cx = TaskContext::from_waker(&waker);
        // What waits in the inbox now was spawned before, and by whom is no matter.
        run.collect_inbox();
        loop {
            run.collect();
            if run.collect_inbox() {
                self.record.mark_foreign();
            }
            match run.choose(|| main.is_woken()) {
                Some(Choice::Main) => {
                    main.take_wake();
                    self.record.note(Step::Main, [0, 0]);
                    let worker = run.any_worker();
                    let mut poll = || coop::with_budget(|| future.as_mut().poll(&mut cx));
                    if let Poll::Ready(output) = run.act_as_main(worker, |_| poll()) {
                        return output;
                    }
                }
                Some(choice) => run.step(choice),
                None if run.pass_time() => {}
                None => panic!("{}", self.deadlock(shared)),
            }
        }
    }

    /// Drops all tasks of a closed runtime, on this thread.
    pub(crate) fn shutdown(&self, shared: &Arc<Shared>, host: &impl Host) {
        let mut run = self.take(shared, host);
        let mut is_closed = false;
        while !shared.is_over() {
            run.collect();
            run.collect_inbox();
            // Every task that is left was told, so each is ready, or has clean-ups, which may wait for a timer.
            match run.choose(|| false) {
                Some(choice) => run.step(choice),
                None if run.pass_time() => {}
                // What still waits, behind a shield, say, waits for what never comes.
                None if !std::mem::replace(&mut is_closed, true) => shared.close(),
                // Those that are not here are in the hands of threads that just woke or spawned them, and give them to the inbox.
                None => std::thread::yield_now(),
            }
        }
        drop(run);
        let mut ready = Vec::new();
        for remote in &shared.workers {
            remote.driver.shutdown(&mut ready);
        }
        wake_all(&mut ready);
    }

    /// Waits until no other thread runs the simulation.
    fn take<'a, H: Host>(&'a self, shared: &'a Arc<Shared>, host: &'a H) -> Run<'a, H> {
        let mut guard = self.state.lock();
        let mut state = loop {
            match guard.take() {
                Some(state) => break state,
                None => guard = self.free.wait(guard),
            }
        };
        drop(guard);
        self.record.set_thread(Some(std::thread::current().id()));
        let cores = std::mem::take(&mut state.cores);
        Run {
            simulation: self,
            shared,
            host,
            contexts: cores
                .into_iter()
                .map(|core| Context::new(shared.clone(), core))
                .collect(),
            program: Some(seed_thread(state.program)),
            entered: None,
            still: 0,
            pushes: 0,
            state: Some(state),
        }
    }

    fn deadlock(&self, shared: &Shared) -> String {
        let mut text = format!(
            "deadlock: nothing is ready, no timer is armed, and nothing is under way on the network, so nothing can happen any more \
             (seed {}, virtual time {:?}). The future of `block_on` waits",
            self.record.seed,
            self.clock.now() - self.record.begin,
        );
        for waiting in self.waiting(shared) {
            text += &format!(", and {waiting}");
        }
        text + ". (This mode does not wait for other threads.)"
    }

    /// The live tasks, in the order of their first polls.
    pub(crate) fn waiting(&self, shared: &Shared) -> Vec<Waiting> {
        let mut waiting: Vec<Waiting> = shared
            .workers
            .iter()
            .flat_map(|remote| remote.owned.describe())
            .map(|(id, location)| Waiting {
                name: self.record.name(id),
                location,
            })
            .collect();
        waiting.sort_by_key(|waiting| (waiting.name.is_none(), waiting.name, waiting.location));
        waiting
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("seed", &self.record.seed)
            .finish_non_exhaustive()
    }
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Main,
    Fresh(usize),
    Woken(usize),
    Job(usize),
}

/// The simulation, while a thread runs it.
struct Run<'a, H: Host> {
    simulation: &'a Simulation,
    shared: &'a Arc<Shared>,
    host: &'a H,
    contexts: Vec<Context>,
    /// Which worker this thread is now.
    entered: Option<(usize, H::Entered)>,
    program: Option<Seeded>,
    /// Polls since time moved.
    still: u32,
    /// How often in a row time was moved although there was something to run.
    pushes: u32,
    state: Option<Box<State>>,
}

impl<H: Host> Run<'_, H> {
    fn state(&mut self) -> &mut State {
        self.state.as_mut().expect("a run has its state until it is dropped")
    }

    fn any_worker(&mut self) -> usize {
        let workers = self.contexts.len();
        self.state().random.index(workers)
    }

    /// Runs `f` on this thread as worker `index`.
    fn act_as<R>(&mut self, index: usize, f: impl FnOnce(&Context) -> R) -> R {
        if self.is_inside_a_guard() {
            let inside = self.host.enter(index);
            let result = self.contexts[index].enter(f);
            drop(inside);
            return result;
        }
        if self.entered.as_ref().is_none_or(|(worker, _)| *worker != index) {
            // Left before the next is entered: the guards nest.
            self.entered = None;
            self.entered = Some((index, self.host.enter(index)));
        }
        self.contexts[index].enter(f)
    }

    /// As [`act_as`](Self::act_as), for the future of `block_on`: where it holds a guard, it is where the guard says.
    fn act_as_main<R>(&mut self, index: usize, f: impl FnOnce(&Context) -> R) -> R {
        match self.is_inside_a_guard() {
            true => self.contexts[index].enter(f),
            false => self.act_as(index, f),
        }
    }

    /// Whether the future of `block_on` holds a guard of `Handle::enter` while it waits. (Tasks cannot: guards stay on their thread.)
    fn is_inside_a_guard(&self) -> bool {
        self.entered.as_ref().is_some_and(|(_, entered)| !entered.is_latest())
    }

    /// Takes everything that is ready out of the workers' hands.
    fn collect(&mut self) {
        for worker in 0..self.contexts.len() {
            let mut found = Vec::new();
            self.contexts[worker].drain(|task| found.push(task));
            self.file(found, |_| worker);
        }
    }

    /// Takes everything out of the inbox. False if there was nothing.
    fn collect_inbox(&mut self) -> bool {
        let mut found = Vec::new();
        while self.shared.inbox.take(0, 1, |task| found.push(task)) {}
        let some = !found.is_empty();
        self.file(found, Self::any_worker);
        some
    }

    /// Files what became ready together. In which order it was woken is forgotten: it may have come from a generator that no seed reaches, as that
    /// of std's hash maps, or of tokio's `watch`.
    fn file(&mut self, found: Vec<Runnable>, worker: impl Fn(&mut Self) -> usize) {
        let mut named: Vec<_> = found
            .into_iter()
            .map(|task| (self.simulation.record.name(task.id()), task))
            .collect();
        // Stable: tasks that have no name yet keep the order in which they were spawned.
        named.sort_by_key(|(name, _)| *name);
        for (name, task) in named {
            let worker = worker(self);
            let state = self.state();
            match name {
                None => state.fresh.push_back((task, worker)),
                Some(_) => state.woken.push((task, worker)),
            }
        }
    }

    /// Chooses among all that can run now.
    fn choose(&mut self, main: impl Fn() -> bool) -> Option<Choice> {
        let slack = self.simulation.record.slack();
        self.look_around(&slack);
        // Asked now: the look around may have woken it.
        let main = main();
        let (jobs, ordered) = (self.host.jobs(), self.simulation.ordered);
        let state = self.state();
        // The oldest of the tasks that have not started stands for all of them where their order counts.
        let fresh = match ordered {
            true => state.fresh.len().min(1),
            false => state.fresh.len(),
        };
        let woken = state.woken.len();
        let total = usize::from(main) + fresh + woken + jobs;
        if total == 0 {
            return None;
        }
        let mut number = state.random.index(total);
        if number < fresh {
            return Some(Choice::Fresh(number));
        }
        number -= fresh;
        if number < woken {
            return Some(Choice::Woken(number));
        }
        number -= woken;
        if number < jobs {
            return Some(Choice::Job(number));
        }
        Some(Choice::Main)
    }

    fn step(&mut self, choice: Choice) {
        let ordered = self.simulation.ordered;
        let state = self.state();
        let fresh = "a choice among those that are there";
        let (task, queued) = match choice {
            Choice::Fresh(_) if ordered => state.fresh.pop_front().expect(fresh),
            Choice::Fresh(index) => state.fresh.swap_remove_back(index).expect(fresh),
            Choice::Woken(index) => state.woken.swap_remove(index),
            Choice::Job(index) => {
                self.simulation.record.note(Step::Job, [index as u64, 0]);
                let (worker, host) = (self.any_worker(), self.host);
                return self.act_as(worker, |_| host.run_job(index));
            }
            Choice::Main => unreachable!("block_on polls its own future"),
        };
        let steals = self.simulation.record.slack().steals;
        let worker = match self.state().random.chance(steals) {
            true => self.any_worker(),
            false => queued,
        };
        self.simulation.record.note_poll(task.id(), worker);
        self.act_as(worker, |context| context.run_task(task));
    }

    /// Now and then, and always when nothing else is to be done, timers and sockets have their turn; and some slack is applied.
    fn look_around(&mut self, slack: &Slack) {
        self.still += 1;
        if self.still > PATIENCE {
            self.push_time();
        }
        if slack.spurious_wakes > 0.0 && self.state().random.chance(slack.spurious_wakes) {
            self.wake_for_nothing();
        }
        let state = self.state();
        let nothing = state.fresh.is_empty() && state.woken.is_empty();
        if nothing || state.random.below(4) == 0 {
            self.turn_drivers();
        }
    }

    fn turn_drivers(&mut self) {
        self.host.arrive(self.simulation.clock.now());
        for worker in 0..self.contexts.len() {
            self.act_as(worker, Context::turn_driver);
        }
        self.collect();
    }

    fn wake_for_nothing(&mut self) {
        let (worker, shared) = (self.any_worker(), self.shared);
        let owned = &shared.workers[worker].owned;
        let count = owned.len();
        if count > 0 {
            let index = self.state().random.index(count);
            self.file(Vec::from_iter(owned.wake(index)), |_| worker);
        }
    }

    /// Nothing can run: the clock moves on to what comes next. False if nothing does.
    fn pass_time(&mut self) -> bool {
        let Some(next) = self.next() else { return false };
        self.pushes = 0;
        self.move_time(next);
        true
    }

    /// Much was polled since the clock moved: it moves a little.
    fn push_time(&mut self) {
        let end = self.simulation.clock.now() + PUSH * (1 << self.pushes);
        // 25 days are far enough for one time.
        self.pushes = (self.pushes + 1).min(31);
        let next = self.next().map_or(end, |next| next.min(end));
        self.move_time(next);
    }

    /// When the next thing happens by itself.
    fn next(&mut self) -> Option<Instant> {
        let timers = self.shared.workers.iter().filter_map(|remote| {
            let timers = remote.driver.timers();
            // Asked as a worker that goes to sleep does: that is the exact answer.
            let next = timers.park();
            timers.unpark();
            next
        });
        let slack = self.simulation.record.slack();
        let timer = timers.min();
        let mut next = timer.into_iter().chain(self.host.next_arrival()).min()?;
        if timer == Some(next) && !slack.late_timers.is_zero() {
            // It has an end: see `Slack`.
            let late = u64::try_from(slack.late_timers.as_nanos()).unwrap_or(0);
            next += Duration::from_nanos(self.state().random.below(late + 1));
        }
        Some(next)
    }

    fn move_time(&mut self, to: Instant) {
        self.still = 0;
        self.simulation.clock.jump_to(to);
        let now = self.simulation.clock.now() - self.simulation.record.begin;
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.simulation.record.note(Step::Time, [now, 0]);
        self.turn_drivers();
    }
}

impl<H: Host> Drop for Run<'_, H> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        state.program = self.program.take().map_or(0, |program| program.state());
        // What the last step made ready stays in the cores' queues and slots.
        state.cores = self.contexts.drain(..).filter_map(Context::into_core).collect();
        self.simulation.record.set_thread(None);
        *self.simulation.state.lock() = Some(state);
        self.simulation.free.notify_one();
        // Last: it panics if the thread left in another order than it entered.
        self.entered = None;
    }
}

/// The waker of the future that `block_on` runs.
struct Main {
    woken: AtomicBool,
    thread: ThreadId,
    record: Arc<Record>,
}

impl Main {
    fn is_woken(&self) -> bool {
        // Relaxed: it only leads to `take_wake`.
        self.woken.load(Ordering::Relaxed)
    }

    fn take_wake(&self) {
        // Acquire, and an exchange: matches the Release in `wake_by_ref`, should that have been a foreign thread's. A plain store could cover
        // a wake whose thread's writes the poll has not seen.
        self.woken.swap(false, Ordering::Acquire);
    }
}

impl Wake for Main {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if std::thread::current().id() != self.thread {
            self.record.mark_foreign();
        }
        // Release: matches the Acquire in `take_wake`; an exchange, so that this is true of each of several wakers.
        self.woken.swap(true, Ordering::Release);
    }
}
