//! The worker: which task is next, and what to do when there is none.
//!
//! [`Context::tick`] is the policy and never blocks: own slot, own queue, inbox, own reactor and timers, and then other
//! workers' queues. [`Context::run`] is the life of a worker's thread: ticks, and a park when a tick found nothing.
//! Whoever owns a [`Core`] is the worker; a thread that is going to block gives it away ([`give_away_core`]), and ends as a worker when its poll is over.
//! A *spare* is a core too, with a queue but no reactor and no timers: it is run only while all workers are stuck.

use crate::driver::{Pace, wake_all};
use crate::scheduler::current::Scoped;
use crate::scheduler::owned::Pool;
use crate::scheduler::shared::{Remote, Shared};
use crate::scheduler::watch::Duty;
use crate::shim::deque::{Local, Steal};
use crate::shim::{Bug, Ordering, seeded, stopwatch, thread_local_const};
use crate::task::join::JoinHandle;
use crate::task::raw::{Make, Plain, Runnable};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

/// Polls between two looks at inbox and driver, at most. Tokio and Go use 61 as well: odd, so that it does not beat in time with
/// loops of the program.
pub(crate) const DRIVER_INTERVAL: u32 = 61;

/// Tasks that run in a row out of the slot before the queue has its turn, so that two tasks that wake each other cannot keep a
/// worker. Tokio's figure.
pub(crate) const SLOT_LIMIT: u8 = 3;

/// Tasks that a thief takes at once, at most; half of the victim's are taken if that is less.
pub(crate) const STEAL_LIMIT: usize = 64;

/// Sweeps over all victims after a `Retry`, which means that somebody else got on, before a thief leaves it.
const SWEEPS: usize = 4;

thread_local_const! {
    static CURRENT: Scoped<Context> = Scoped::new()
}

/// What a worker owns. Nobody else touches it.
pub(crate) struct Core {
    index: usize,
    post: Post,
    queue: Local<Runnable>,
    /// Counts the picks.
    tick: Cell<u32>,
    /// How many more tasks may come out of the slot in a row.
    slot_left: Cell<u8>,
    /// This worker holds the searcher's token.
    searching: Cell<bool>,
    /// Whether the hint for thieves is up; spares looking at the shared one.
    surplus: Cell<bool>,
    /// State of the generator that chooses where a search begins. Never zero.
    random: Cell<u32>,
    /// How close together timers made this worker wake up.
    pace: Cell<Pace>,
    /// When this worker woke up, and how often it had polled then.
    woke: Cell<(Option<Instant>, usize)>,
    /// The watcher knows that this worker runs.
    watched: Cell<bool>,
    /// The wakers of one turn of the driver; kept for its memory.
    ready: Cell<Vec<Waker>>,
}

/// What a core is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Post {
    Worker,
    /// Does what a worker does as long as there is something to do, without a driver.
    Spare,
    /// The last of the spares: polls what reactors and timers wake, and nothing else.
    Last,
}

impl Post {
    /// How many tasks it takes at once from another's queue. A spare takes one at a time, and none before what reactors and timers have woken: a task that
    /// waits for its time must not come to stand behind a long one, which is what spares are there for.
    fn steals(self) -> usize {
        match self {
            Self::Worker => STEAL_LIMIT,
            Self::Spare | Self::Last => 1,
        }
    }
}

impl Core {
    pub(crate) fn new(index: usize, queue: Local<Runnable>) -> Box<Self> {
        Self::with(index, queue, Post::Worker)
    }

    /// The core of a spare, of the last one or another.
    pub(crate) fn spare(index: usize, queue: Local<Runnable>, is_last: bool) -> Box<Self> {
        Self::with(index, queue, if is_last { Post::Last } else { Post::Spare })
    }

    fn with(index: usize, queue: Local<Runnable>, post: Post) -> Box<Self> {
        Box::new(Self {
            index,
            post,
            queue,
            tick: Cell::new(0),
            slot_left: Cell::new(SLOT_LIMIT),
            searching: Cell::new(false),
            surplus: Cell::new(false),
            random: Cell::new(0x9E37_79B9 ^ u32::try_from(index).unwrap_or(0).wrapping_mul(0x85EB_CA6B) | 1),
            pace: Cell::new(Pace::default()),
            woke: Cell::new((None, 0)),
            watched: Cell::new(false),
            ready: Cell::new(Vec::new()),
        })
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Xorshift (Marsaglia 2003, 32 bits: 13, 17, 5).
    fn random(&self) -> usize {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x as usize
    }
}

/// What the thread does right now: where a task that is woken on it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It polls a task: a task that this one wakes runs next, out of the slot.
    Task,
    /// Anything else, such as waking a batch of tasks that the driver found ready: they queue up.
    Other,
}

/// What a tick came to.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// A task was polled.
    Ran,
    /// There is nothing to do.
    Idle,
}

/// Who gives a core a thread when its own is going to block.
pub(crate) trait Relief: Send + Sync {
    /// Has another thread run `core`, and gives what the thread that blocks is to drop when its poll is over. Gives the core back if there is no thread.
    fn relieve(self: Arc<Self>, core: Box<Core>) -> Result<Away, Box<Core>>;
}

/// What stands for a thread in a poll whose core is gone.
pub(crate) type Away = Option<Box<dyn Send>>;

/// A thread's membership in a runtime, with the core while it has it.
pub(crate) struct Context {
    shared: Arc<Shared>,
    core: RefCell<Option<Box<Core>>>,
    /// The last spare's core during a poll: what the task wakes and spawns must not find it, who gives it away does.
    aside: Cell<Option<Box<Core>>>,
    doing: Cell<Doing>,
    relief: Option<Arc<dyn Relief>>,
    /// The core was given away.
    is_away: Cell<bool>,
    away: Cell<Away>,
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, core: Box<Core>) -> Self {
        Self {
            shared,
            core: RefCell::new(Some(core)),
            aside: Cell::new(None),
            doing: Cell::new(Doing::Other),
            relief: None,
            is_away: Cell::new(false),
            away: Cell::new(None),
        }
    }

    /// A worker that another thread can take over.
    pub(crate) fn with_relief(self, relief: Arc<dyn Relief>) -> Self {
        Self {
            relief: Some(relief),
            ..self
        }
    }

    pub(crate) fn into_core(self) -> Option<Box<Core>> {
        self.core.into_inner()
    }

    /// Runs `f` as this worker: what it wakes and spawns goes to this core.
    pub(crate) fn enter<R>(&self, f: impl FnOnce(&Self) -> R) -> R {
        let mut f = Some(f);
        let entered = CURRENT
            .try_with(|current| current.set(self, || f.take().map(|f| f(self))))
            .ok()
            .flatten();
        // On a thread whose locals are gone already the tasks go the way through the inbox.
        entered.or_else(|| f.map(|f| f(self))).expect("it was called once")
    }

    /// The life of a worker's thread. Call it inside [`enter`](Self::enter). It ends when the runtime is shut down and the last task gone.
    pub(crate) fn run(&self) {
        self.run_while(|| true);
    }

    /// As [`run`](Self::run), as long as `goes_on` says so, which is asked between polls and parks.
    pub(crate) fn run_while(&self, goes_on: impl Fn() -> bool) {
        if let Some(core) = self.core.borrow().as_deref() {
            self.remote(core).pulse.take_over();
            self.shared.gate.enter(core.index);
        }
        while goes_on() && !self.shared.is_over() {
            self.pass_gate();
            while self.tick() == Tick::Ran && goes_on() {}
            if self.is_away.get() || !goes_on() || self.shared.is_over() {
                break;
            }
            self.park(|| false);
        }
    }

    /// The life of a spare: until it finds nothing more, is sent home, or gives its core away. Call it inside [`enter`](Self::enter).
    pub(crate) fn run_spare(&self) {
        let index = self.core.borrow().as_deref().map(|core| (core.index, core.post));
        let Some((index, post)) = index else { return };
        self.shared.workers[index].pulse.take_up_duty();
        let stays = || {
            self.shared.workers[index].pulse.duty() == Duty::Works
                && self.shared.gate.is_open()
                && !self.shared.is_over()
        };
        match post {
            Post::Last => while stays() && self.tick_last(index) == Tick::Ran {},
            _ => while stays() && self.tick() == Tick::Ran {},
        }
        let mut left = self.finish_marked(index);
        if let Some(core) = self.core.borrow().as_deref() {
            left |= self.stand_aside(core);
            core.surplus.set(false);
            self.remote(core).surplus.store(false, Ordering::Relaxed);
            left |= self.remote(core).pulse.take_stuck();
            if left && !seeded(Bug::SpareLeavesInSilence) {
                self.shared.wake_one(self.shared.idle.notify());
            }
        }
    }

    /// As [`tick`](Self::tick), for what the reactors and the timers of stuck workers wake.
    fn tick_last(&self, index: usize) -> Tick {
        let task = self.core.borrow().as_deref().and_then(|core| {
            core.queue.pop().or_else(|| {
                self.turn(core);
                if core.queue.len() == 0 {
                    self.take_marked(core);
                }
                core.queue.pop()
            })
        });
        let Some(task) = task else { return Tick::Idle };
        self.poll_aside(index, task);
        Tick::Ran
    }

    /// Polls a task as the last spare. What it wakes and spawns may take long: without its core this thread leaves that to the others.
    fn poll_aside(&self, index: usize, task: Runnable) {
        self.aside.set(self.core.take());
        self.poll(index, task);
        self.core.replace(self.aside.take());
    }

    /// A spare is sent home: what reactors and timers have woken it polls before it goes, since among the others, in the inbox, it would come to stand behind long polls.
    /// True if something was left to the others that nobody was woken for.
    fn finish_marked(&self, index: usize) -> bool {
        let mut left = false;
        loop {
            let next = self
                .core
                .borrow()
                .as_deref()
                .and_then(|core| Some((core.post, core.queue.pop()?)));
            let Some((post, task)) = next else { return left };
            if !task.take_mark() || !self.shared.gate.is_open() {
                left = true;
                self.shared.inbox.push(task);
                continue;
            }
            if std::mem::take(&mut left) {
                self.shared.wake_one(self.shared.idle.notify());
            }
            if post == Post::Last {
                self.poll_aside(index, task);
            } else {
                self.poll(index, task);
            }
        }
    }

    /// Polls one task, if there is one anywhere. Never blocks.
    #[inline]
    pub(crate) fn tick(&self) -> Tick {
        let core = self.core.borrow();
        let Some(core_ref) = core.as_deref() else {
            return Tick::Idle;
        };
        let task = self.next(core_ref).or_else(|| self.look_elsewhere(core_ref));
        let Some(task) = task else { return Tick::Idle };
        self.settle(core_ref);
        let index = core_ref.index;
        // The task may want to take the core away.
        drop(core);
        self.poll(index, task);
        Tick::Ran
    }

    /// Of what is queued behind the stuck: takes what a reactor or a timer has woken before they got stuck, and leaves the rest in the inbox, to whoever is free
    /// first.
    fn take_marked(&self, core: &Core) {
        for remote in self.victims(core) {
            // A `Retry` is somebody else's success.
            let _ = remote.stealer.steal_batch(&core.queue, STEAL_LIMIT);
        }
        let mut left = false;
        for _ in 0..core.queue.len() {
            let Some(task) = core.queue.pop() else { break };
            if task.take_mark() {
                task.mark();
                core.queue.push(task);
            } else {
                left = true;
                self.shared.inbox.push(task);
            }
        }
        if left {
            self.shared.wake_one(self.shared.idle.notify());
        }
    }

    /// Polls `task` as this worker. For a driver that chooses by itself, with [`drain`](Self::drain) and [`turn_driver`](Self::turn_driver).
    pub(crate) fn run_task(&self, task: Runnable) {
        let index = self.core.borrow().as_deref().map_or(0, Core::index);
        self.poll(index, task);
    }

    /// Takes what is in this worker's slot and queue, the slot's first.
    pub(crate) fn drain(&self, mut each: impl FnMut(Runnable)) {
        let core = self.core.borrow();
        let Some(core) = core.as_deref() else { return };
        let own = std::iter::from_fn(|| core.queue.pop());
        self.remote(core).slot.take().into_iter().chain(own).for_each(&mut each);
    }

    /// Lets this worker's reactor and timers give what is ready to its queue.
    pub(crate) fn turn_driver(&self) {
        if let Some(core) = self.core.borrow().as_deref() {
            self.turn(core);
        }
    }

    /// The next task of this worker's own, or of the inbox.
    fn next(&self, core: &Core) -> Option<Runnable> {
        let remote = self.remote(core);
        let tick = core.tick.get().wrapping_add(1);
        core.tick.set(tick);
        if (tick % DRIVER_INTERVAL == 0 || remote.pulse.is_driver_due()) && !self.look_around(core) {
            return None;
        }
        if let Some(task) = remote.slot.take() {
            if let Some(left) = core.slot_left.get().checked_sub(1) {
                core.slot_left.set(left);
                remote.counters.slot_polls.bump();
                return Some(task);
            }
            core.queue.push(task);
        }
        core.slot_left.set(SLOT_LIMIT);
        let task = core.queue.pop();
        if core.surplus.get() && core.queue.len() < remote.pulse.surplus() {
            core.surplus.set(false);
            remote.surplus.store(false, Ordering::Relaxed);
        }
        if task.is_none() && core.post == Post::Worker && self.take_inbox(core) {
            return core.queue.pop();
        }
        task
    }

    /// After so many polls, or when the watcher asks for it: the driver, those who are stuck, and the inbox have their turn. False if the gate is closed.
    #[cold]
    fn look_around(&self, core: &Core) -> bool {
        if !self.shared.gate.admits(core.index) {
            return false;
        }
        self.turn(core);
        // Asked again now and then, in case that the watcher's thread could not be started.
        core.watched.set(false);
        if self.shared.has_stuck_worker() {
            self.rescue(core);
        }
        self.take_inbox(core);
        true
    }

    /// Nothing is here: the driver has its turn, and then other workers are asked.
    #[cold]
    fn look_elsewhere(&self, core: &Core) -> Option<Runnable> {
        if !self.shared.gate.admits(core.index) {
            return None;
        }
        self.turn(core);
        if core.queue.len() == 0 {
            self.search(core);
        }
        core.queue.pop()
    }

    /// Queues this worker's part of the inbox, behind what is there already, so that a thread's tasks start in order. False if there was nothing.
    fn take_inbox(&self, core: &Core) -> bool {
        let turn = core.index.wrapping_add(core.tick.get() as usize);
        let sharers = match core.post {
            Post::Worker => self.shared.regular().len(),
            // One by one.
            Post::Spare | Post::Last => usize::MAX,
        };
        let found = self.shared.inbox.take(turn, sharers, |task| core.queue.push(task));
        if found {
            self.show_surplus(core);
        }
        found
    }

    /// Polls a task.
    fn poll(&self, index: usize, task: Runnable) {
        let pulse = &self.shared.workers[index].pulse;
        let before = self.doing.replace(Doing::Task);
        pulse.beat();
        task.take_mark();
        task.run();
        if self.is_away.get() {
            self.come_back();
        } else {
            pulse.beat();
        }
        self.doing.set(before);
    }

    /// Gives the core to another thread, if there is one to take it. This one only ends the poll that it is in.
    fn give_away(&self) {
        let Some(relief) = self.relief.as_ref().filter(|_| self.doing.get() == Doing::Task) else {
            return;
        };
        let is_aside = self.core.borrow().is_none();
        let core = if is_aside { self.aside.take() } else { self.core.take() };
        let Some(core) = core else { return };
        core.watched.set(false);
        self.shared.gate.stay_inside();
        // For whoever looks at the core its poll goes on until the other thread is there, so that it is helped if that takes long.
        match relief.clone().relieve(core) {
            Ok(away) => {
                self.is_away.set(true);
                self.away.set(away);
            }
            Err(core) => {
                self.shared.gate.leave();
                if is_aside {
                    self.aside.set(Some(core));
                } else {
                    self.core.replace(Some(core));
                }
            }
        }
    }

    /// The poll is over in which this thread gave its core away.
    #[cold]
    fn come_back(&self) {
        drop(self.away.take());
        self.shared.gate.leave();
    }

    /// A zero-time turn of the driver, of a spare that of all drivers; what is ready queues up.
    fn turn(&self, core: &Core) {
        let remote = self.remote(core);
        remote.counters.turns.bump();
        remote.pulse.driver_turns();
        if core.post != Post::Worker {
            let due = self.shared.regular().iter().filter(|remote| remote.driver.is_due());
            due.for_each(|remote| self.serve_driver(core, remote));
            return;
        }
        let mut ready = core.ready.take();
        remote.driver.turn(&mut ready);
        self.wake(core, ready);
    }

    /// Wakes a batch, with one decision on waking workers for all of it.
    fn wake(&self, core: &Core, mut ready: Vec<Waker>) {
        if !ready.is_empty() {
            wake_all(&mut ready);
            self.show_surplus(core);
        }
        core.ready.set(ready);
    }

    /// Looks for work at other workers, if nobody else does, and queues it.
    fn search(&self, core: &Core) {
        if self.shared.in_use().len() == 1 {
            return;
        }
        if !core.searching.get() {
            if !self.shared.idle.try_search() {
                return;
            }
            core.searching.set(true);
        }
        self.sweep(core, true);
    }

    /// Asks every other worker, and the inbox, until one has given something; again if somebody was quicker. With `hints`, only queues that show a
    /// surplus are asked. False if there is nothing.
    fn sweep(&self, core: &Core, hints: bool) -> bool {
        for _ in 0..SWEEPS {
            let mut again = false;
            for remote in self.victims(core) {
                if remote.pulse.take_stuck() {
                    self.serve(core, remote);
                } else if !hints || remote.surplus.load(Ordering::Relaxed) {
                    match remote.stealer.steal_batch(&core.queue, core.post.steals()) {
                        Steal::Success => self.remote(core).counters.steals.bump(),
                        Steal::Retry if seeded(Bug::RetryEndsSearch) => return false,
                        Steal::Retry => again = !seeded(Bug::StealGivesUp),
                        Steal::Empty => {}
                    }
                }
                if core.queue.len() > 0 {
                    return true;
                }
            }
            if self.take_inbox(core) {
                return true;
            }
            if !again {
                break;
            }
        }
        false
    }

    /// Serves the workers that the watcher found stuck.
    fn rescue(&self, core: &Core) {
        for remote in self.victims(core).filter(|remote| remote.pulse.take_stuck()) {
            self.serve(core, remote);
        }
    }

    /// Does for a stuck worker what it cannot: takes half of its queue and its slot, and turns its reactor and its timers.
    fn serve(&self, core: &Core, stuck: &Remote) {
        self.remote(core).counters.rescues.bump();
        // A `Retry` is somebody else's success.
        let stolen = stuck.stealer.steal_batch(&core.queue, core.post.steals());
        if core.post != Post::Worker && matches!(stolen, Steal::Success) {
            return;
        }
        if let Some(task) = stuck.slot.take().filter(|_| !seeded(Bug::RescueLosesSlot)) {
            core.queue.push(task);
        }
        self.serve_driver(core, stuck);
    }

    /// Turns a stuck worker's reactor and timers.
    fn serve_driver(&self, core: &Core, stuck: &Remote) {
        let mut ready = core.ready.take();
        stuck.driver.rescue(&mut ready);
        self.wake(core, ready);
    }

    /// Waits until there is something to do. `ready` says, behind the announcement's fence, whether something else is.
    pub(crate) fn park(&self, ready: impl Fn() -> bool) {
        let core = self.core.borrow();
        let Some(core) = core.as_deref() else { return };
        let idle = &self.shared.idle;
        if !self.announce(core, &ready) {
            return;
        }
        if self.shared.has_surplus(core.index) {
            core.searching.set(idle.retract(core.index));
            if self.sweep(core, false) {
                return;
            }
            if core.searching.get() || !self.announce(core, &ready) {
                return;
            }
        }
        let remote = self.remote(core);
        remote.counters.parks.bump();
        remote.counters.turns.bump();
        let mut wakers = core.ready.take();
        self.note_pace(core);
        core.pace.set(remote.driver.park(core.pace.get(), &mut wakers));
        core.woke.set((stopwatch(), remote.pulse.polls()));
        core.searching.set(idle.retract(core.index));
        self.wake(core, wakers);
    }

    /// How fast did this worker poll since it woke up?
    fn note_pace(&self, core: &Core) {
        let pulse = &self.remote(core).pulse;
        let (woke, before) = core.woke.get();
        let polls = pulse.polls().wrapping_sub(before);
        if let Some(woke) = woke.filter(|_| polls > 0) {
            pulse.blend_pace(polls, woke.elapsed());
        }
    }

    /// Announces the park. False, and taken back, if there is announced work.
    fn announce(&self, core: &Core, ready: &impl Fn() -> bool) -> bool {
        // From here on the watcher may take this worker for a sleeper.
        core.watched.set(false);
        // Whoever had to ask for help has done by now what there was to do; else it would run on for its own call, until the watcher looks again.
        if !seeded(Bug::OwnCallKept) {
            self.remote(core).pulse.take_stuck();
        }
        self.shared.idle.announce(core.index, core.searching.replace(false));
        let is_held = || !self.shared.gate.admits(core.index) && !seeded(Bug::GateNoRecheck);
        if seeded(Bug::IdleNoRecheck)
            || !(self.shared.has_announced_work() || self.shared.is_over() || is_held() || ready())
        {
            return true;
        }
        core.searching.set(self.shared.idle.retract(core.index));
        false
    }

    /// Waits while the gate is closed. What is queued here waits in the inbox meanwhile, for whoever comes first.
    fn pass_gate(&self) {
        let core = self.core.borrow();
        let Some(core_ref) = core.as_deref() else { return };
        if self.shared.gate.admits(core_ref.index) {
            return;
        }
        self.stand_aside(core_ref);
        self.shared.gate.pass(core_ref.index);
    }

    /// Leaves what is here to whoever comes first. True if there was something.
    fn stand_aside(&self, core: &Core) -> bool {
        let mut left = false;
        self.drain(|task| {
            left = true;
            self.shared.inbox.push(task);
        });
        core.watched.set(false);
        if core.searching.replace(false) {
            self.shared.idle.release();
            if self.shared.has_announced_work() {
                self.shared.wake_one(self.shared.idle.notify());
            }
        }
        left
    }

    /// A task was found. That ends a search: if there is more work, somebody else is woken for it.
    #[inline]
    fn settle(&self, core: &Core) {
        if !core.watched.replace(true) {
            self.shared.watch.started();
        }
        if core.searching.replace(false) {
            self.shared.idle.release();
            if core.queue.len() > 0 || self.shared.has_announced_work() {
                self.shared.wake_one(self.shared.idle.notify());
            }
            self.show_surplus(core);
        }
    }

    /// Tells thieves, and wakes one, when there is more in the queue than runs next.
    #[inline]
    fn show_surplus(&self, core: &Core) {
        let queued = core.queue.len();
        if queued >= 2 && queued >= self.remote(core).pulse.surplus() {
            if !core.surplus.replace(true) {
                self.remote(core).surplus.store(true, Ordering::Relaxed);
            }
            self.shared.wake_one(self.shared.idle.notify_hint());
        }
    }

    /// Takes a task that was woken on this thread. Gives it back if the thread has no core.
    fn schedule(&self, task: Runnable) -> Option<Runnable> {
        let core = self.core.borrow();
        let Some(core) = core.as_deref() else { return Some(task) };
        match self.doing.get() {
            Doing::Task => {
                if let Some(displaced) = self.remote(core).slot.replace(task) {
                    core.queue.push(displaced);
                    self.show_surplus(core);
                }
            }
            // The batch ends with a look at the surplus.
            Doing::Other => {
                task.mark();
                core.queue.push(task);
            }
        }
        None
    }

    /// Puts a task behind all others of this worker. Gives it back if the thread has no core.
    fn enqueue(&self, task: Runnable) -> Option<Runnable> {
        let core = self.core.borrow();
        let Some(core) = core.as_deref() else { return Some(task) };
        core.queue.push(task);
        self.show_surplus(core);
        None
    }

    fn remote(&self, core: &Core) -> &Remote {
        &self.shared.workers[core.index]
    }

    /// The other workers, from a random one on.
    fn victims(&self, core: &Core) -> impl Iterator<Item = &Remote> {
        let count = self.shared.in_use().len();
        let start = core.random() % count;
        let own = core.index;
        (0..count)
            .map(move |step| (start + step) % count)
            .filter(move |&index| index != own)
            .map(|index| &*self.shared.workers[index])
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("doing", &self.doing)
            .finish_non_exhaustive()
    }
}

/// Spawns onto the runtime of `shared`: on a worker of it into that worker's queue, else into the inbox.
pub(crate) fn spawn<M: Make>(shared: &Arc<Shared>, task: M) -> JoinHandle<M::Value> {
    on_worker(Arc::as_ptr(shared), |context| {
        let index = context.and_then(|context| context.core.borrow().as_deref().map(Core::index));
        let home = index.unwrap_or_else(|| shared.home_outside());
        let (task, handle) = shared.workers[home].owned.spawn(task);
        let left = match (task, context) {
            (Some(task), Some(context)) => context.enqueue(task),
            (task, _) => task,
        };
        if let Some(task) = left {
            shared.push_outside(task);
        }
        handle
    })
}

/// Before this thread blocks in a poll: has another one take over its worker. Nothing happens on a thread that is no worker, or is one no more.
pub(crate) fn give_away_core() {
    let _ = CURRENT.try_with(|current| current.get(|context| context.map(Context::give_away)));
}

/// Whether this thread polls tasks of the runtime of `shared`.
pub(crate) fn is_worker_of(shared: &Arc<Shared>) -> bool {
    on_worker(Arc::as_ptr(shared), |context| context.is_some())
}

/// Spawns a task behind everything that waits in the inbox, in each of its shards.
pub(crate) fn spawn_behind(shared: &Arc<Shared>, location: &'static Location<'static>) -> Vec<JoinHandle<()>> {
    let spawn = |shard| {
        let (task, handle) = shared.workers[0].owned.spawn(Plain::new(async {}, location));
        if let Some(task) = task {
            shared.inbox.push_to(shard, task);
        }
        handle
    };
    (0..shared.inbox.shards()).map(spawn).collect()
}

/// Calls `f` with this thread's context, if the thread is a worker of `pool`.
#[inline]
fn on_worker<R>(pool: *const Shared, f: impl FnOnce(Option<&Context>) -> R) -> R {
    let mut f = Some(f);
    let answer = CURRENT.try_with(|current| {
        current.get(|context| {
            let own = context.filter(|context| std::ptr::eq(Arc::as_ptr(&context.shared), pool));
            f.take().map(|f| f(own))
        })
    });
    match (answer, f) {
        (Ok(Some(answer)), _) => answer,
        // A thread whose locals are gone already is no worker.
        (_, Some(f)) => f(None),
        (_, None) => unreachable!("it was called, so there is an answer"),
    }
}

impl Pool for Shared {
    #[inline]
    fn keep(pool: *const Self, task: Runnable) -> Option<Runnable> {
        on_worker(pool, |context| match context {
            Some(context) => context.schedule(task),
            None => Some(task),
        })
    }

    #[inline]
    fn keep_last(pool: *const Self, task: Runnable) -> Option<Runnable> {
        on_worker(pool, |context| match context {
            Some(context) => context.enqueue(task),
            None => Some(task),
        })
    }

    fn inject(&self, task: Runnable) {
        self.push_outside(task);
    }

    fn drained(&self) {
        if seeded(Bug::DrainedInSilence) {
            return;
        }
        self.last_is_gone();
    }
}
