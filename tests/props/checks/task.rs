//! One task, everything that can be done to it in any order, against a model of a few booleans.

use super::bytes::Bytes;
use crate::task::raw::{self, Header, Runnable, Schedule};
use crate::task::{AbortHandle, JoinError, JoinHandle};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// What the next poll does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Wait,
    /// It waits, and keeps its waker.
    Keep,
    /// It waits, and has woken itself.
    WakeItself,
    /// It waits, and was aborted meanwhile.
    AbortItself,
    Finish,
    /// It is done, although it was aborted meanwhile.
    AbortItselfAndFinish,
    Panic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Run(Behaviour),
    WakeByRef,
    WakeByValue,
    CloneWaker,
    DropWaker,
    Abort,
    Join(usize),
    DropHandle,
}

const OPS: [Op; 15] = [
    Op::Run(Behaviour::Wait),
    Op::Run(Behaviour::Keep),
    Op::Run(Behaviour::WakeItself),
    Op::Run(Behaviour::AbortItself),
    Op::Run(Behaviour::Finish),
    Op::Run(Behaviour::AbortItselfAndFinish),
    Op::Run(Behaviour::Panic),
    Op::WakeByRef,
    Op::WakeByValue,
    Op::CloneWaker,
    Op::DropWaker,
    Op::Abort,
    Op::Join(0),
    Op::Join(1),
    Op::DropHandle,
];

/// Whose code panics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Destructors {
    /// The future's destructor.
    pub future: bool,
    /// The output's destructor.
    pub output: bool,
    /// The waker of whoever awaits the handle, when it is woken.
    pub joiner: bool,
}

impl Destructors {
    /// All eight.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            future: bits & 1 != 0,
            output: bits & 2 != 0,
            joiner: bits & 4 != 0,
        })
    }
}

/// Does to a task what `bytes` say.
pub fn task(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let Some(panics) = bytes.below(8) else { return };
    let panics = Destructors::all().nth(panics).unwrap_or_default();
    let mut pair = Pair::new(panics);
    while let Some(op) = bytes.below(OPS.len()) {
        pair.apply(OPS[op]);
    }
    pair.finish();
}

/// Tries every sequence of `depth` operations of which each can do something, and says how many there were.
pub fn exhaust(panics: Destructors, depth: usize) -> usize {
    let mut count = 0;
    let mut sequence = Vec::new();
    extend(panics, depth, &mut sequence, &mut count);
    count
}

/// Runs `sequence`; if its last operation did something and there is depth left, runs all that begin with it.
fn extend(panics: Destructors, depth: usize, sequence: &mut Vec<Op>, count: &mut usize) {
    let mut pair = Pair::new(panics);
    let useful = sequence.iter().fold(true, |_, op| pair.apply(*op));
    pair.finish();
    if !useful {
        return;
    }
    *count += 1;
    if sequence.len() == depth {
        return;
    }
    for op in OPS {
        sequence.push(op);
        extend(panics, depth, sequence, count);
        sequence.pop();
    }
}

/// What the task's code counts, and is told to do.
struct Shared {
    panics: Destructors,
    behaviour: Cell<Behaviour>,
    polls: Cell<usize>,
    future_drops: Cell<usize>,
    outputs: Cell<usize>,
    output_drops: Cell<usize>,
    wakers: RefCell<Vec<Waker>>,
    abort: RefCell<Option<AbortHandle>>,
}

fn planned() -> ! {
    resume_unwind(Box::new("planned"))
}

fn bump(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

struct Subject(Rc<Shared>);

impl Future for Subject {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let shared = &self.0;
        bump(&shared.polls);
        let abort = || shared.abort.borrow().iter().for_each(AbortHandle::abort);
        match shared.behaviour.get() {
            Behaviour::Wait => {}
            Behaviour::Keep => shared.wakers.borrow_mut().push(cx.waker().clone()),
            Behaviour::WakeItself => cx.waker().wake_by_ref(),
            Behaviour::AbortItself => abort(),
            Behaviour::Finish => {
                bump(&shared.outputs);
                return Poll::Ready(Output(shared.clone()));
            }
            Behaviour::AbortItselfAndFinish => {
                abort();
                bump(&shared.outputs);
                return Poll::Ready(Output(shared.clone()));
            }
            Behaviour::Panic => planned(),
        }
        Poll::Pending
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        bump(&self.0.future_drops);
        if self.0.panics.future {
            planned();
        }
    }
}

struct Output(Rc<Shared>);

impl Drop for Output {
    fn drop(&mut self) {
        bump(&self.0.output_drops);
        if self.0.panics.output {
            planned();
        }
    }
}

/// A scheduler that is one queue. The task holds a clone of it as long as its memory lasts.
#[derive(Clone)]
struct Yard(Rc<RefCell<Queue>>);

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Runnable>,
    releases: usize,
}

impl Schedule for Yard {
    fn schedule(self, task: Runnable) {
        self.0.borrow_mut().tasks.push_back(task);
    }

    fn reschedule(self, task: Runnable) {
        self.schedule(task);
    }

    fn release(self, _: NonNull<Header>, _: raw::Ended) {
        self.0.borrow_mut().releases += 1;
    }
}

struct Joiner {
    wakes: AtomicUsize,
    panics: AtomicBool,
}

impl Wake for Joiner {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        if self.panics.load(Ordering::Relaxed) {
            planned();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Value,
    Cancelled,
    Panicked,
}

/// What should be.
#[derive(Debug, Default)]
struct Model {
    queued: bool,
    ended: Option<Ended>,
    aborted: bool,
    taken: bool,
    waits: Option<usize>,
    wakers: usize,
    polls: usize,
    future_drops: usize,
    outputs: usize,
    output_drops: usize,
    wakes: [usize; 2],
}

impl Model {
    fn wake(&mut self) {
        self.queued |= self.ended.is_none();
    }

    fn abort(&mut self) {
        if self.ended.is_none() {
            self.aborted = true;
            self.queued = true;
        }
    }

    /// The task's future is dropped, and `ended` would be what comes of it.
    fn end(&mut self, ended: Ended, panics: Destructors, handle: bool) {
        self.future_drops += 1;
        let mut ended = ended;
        if panics.future && ended != Ended::Panicked {
            self.output_drops += usize::from(ended == Ended::Value);
            ended = Ended::Panicked;
        }
        if !handle && ended == Ended::Value {
            self.output_drops += 1;
        }
        if let Some(joiner) = self.waits.take() {
            self.wakes[joiner] += 1;
        }
        self.ended = Some(ended);
        self.queued = false;
    }
}

/// The task and its model.
struct Pair {
    shared: Rc<Shared>,
    yard: Yard,
    handle: Option<JoinHandle<Output>>,
    joiners: [Arc<Joiner>; 2],
    model: Model,
    done: Vec<Op>,
}

impl Pair {
    fn new(panics: Destructors) -> Self {
        let shared = Rc::new(Shared {
            panics,
            behaviour: Cell::new(Behaviour::Wait),
            polls: Cell::default(),
            future_drops: Cell::default(),
            outputs: Cell::default(),
            output_drops: Cell::default(),
            wakers: RefCell::default(),
            abort: RefCell::default(),
        });
        let yard = Yard(Rc::default());
        let (task, join) = raw::new(Subject(shared.clone()), yard.clone(), Location::caller());
        let handle = JoinHandle::new(join);
        *shared.abort.borrow_mut() = Some(handle.abort_handle());
        yard.clone().schedule(task);
        let joiner = || {
            Arc::new(Joiner {
                wakes: AtomicUsize::new(0),
                panics: AtomicBool::new(panics.joiner),
            })
        };
        Self {
            shared,
            yard,
            handle: Some(handle),
            joiners: [joiner(), joiner()],
            model: Model {
                queued: true,
                ..Model::default()
            },
            done: Vec::new(),
        }
    }

    /// Does `op` to both and compares. False if it could do nothing.
    fn apply(&mut self, op: Op) -> bool {
        self.done.push(op);
        // Only the program's own drop of the output may panic through.
        let panics = self.shared.panics.output && matches!(op, Op::Join(_) | Op::DropHandle);
        let useful = match catch_unwind(AssertUnwindSafe(|| self.act(op))) {
            Ok(useful) => useful,
            Err(payload) if panics && payload.is::<&str>() => true,
            Err(payload) => resume_unwind(payload),
        };
        self.compare();
        useful
    }

    fn act(&mut self, op: Op) -> bool {
        match op {
            Op::Run(behaviour) => self.run(behaviour),
            Op::WakeByRef => {
                let waker = self.shared.wakers.borrow().first().cloned();
                let Some(waker) = waker else { return false };
                self.model.wake();
                waker.wake_by_ref();
                true
            }
            Op::WakeByValue => {
                let waker = self.shared.wakers.borrow_mut().pop();
                let Some(waker) = waker else { return false };
                self.model.wakers -= 1;
                self.model.wake();
                waker.wake();
                true
            }
            Op::CloneWaker => {
                let waker = self.shared.wakers.borrow().first().cloned();
                let Some(waker) = waker else { return false };
                assert!(waker.will_wake(&self.shared.wakers.borrow()[0]));
                self.model.wakers += 1;
                self.shared.wakers.borrow_mut().push(waker);
                true
            }
            Op::DropWaker => {
                let waker = self.shared.wakers.borrow_mut().pop();
                self.model.wakers -= usize::from(waker.is_some());
                waker.is_some()
            }
            Op::Abort => {
                self.model.abort();
                self.shared.abort.borrow().iter().for_each(AbortHandle::abort);
                true
            }
            Op::Join(joiner) => self.join(joiner),
            Op::DropHandle => {
                let Some(handle) = self.handle.take() else { return false };
                if self.model.ended == Some(Ended::Value) && !self.model.taken {
                    self.model.output_drops += 1;
                }
                self.model.waits = None;
                drop(handle);
                true
            }
        }
    }

    fn run(&mut self, behaviour: Behaviour) -> bool {
        let task = self.yard.0.borrow_mut().tasks.pop_front();
        let Some(task) = task else { return false };
        let (panics, handle) = (self.shared.panics, self.handle.is_some());
        let model = &mut self.model;
        model.queued = false;
        if model.aborted {
            model.end(Ended::Cancelled, panics, handle);
        } else {
            model.polls += 1;
            match behaviour {
                Behaviour::Wait => {}
                Behaviour::Keep => model.wakers += 1,
                Behaviour::WakeItself => model.queued = true,
                Behaviour::AbortItself => {
                    model.aborted = true;
                    model.end(Ended::Cancelled, panics, handle);
                }
                Behaviour::Finish | Behaviour::AbortItselfAndFinish => {
                    model.outputs += 1;
                    model.end(Ended::Value, panics, handle);
                }
                Behaviour::Panic => model.end(Ended::Panicked, panics, handle),
            }
        }
        self.shared.behaviour.set(behaviour);
        task.run();
        true
    }

    fn join(&mut self, joiner: usize) -> bool {
        if self.model.taken {
            return false;
        }
        let Some(handle) = &mut self.handle else { return false };
        let waker = Waker::from(self.joiners[joiner].clone());
        match (
            Pin::new(handle).poll(&mut Context::from_waker(&waker)),
            self.model.ended,
        ) {
            (Poll::Pending, None) => self.model.waits = Some(joiner),
            (Poll::Ready(outcome), Some(ended)) => {
                self.model.taken = true;
                let came = match &outcome {
                    Ok(_) => Ended::Value,
                    Err(error) if error.is_cancelled() => Ended::Cancelled,
                    Err(_) => Ended::Panicked,
                };
                assert_eq!(came, ended, "after {:?}", self.done);
                match outcome {
                    Ok(output) => {
                        self.model.output_drops += 1;
                        drop(output);
                    }
                    Err(error) => drop(error.try_into_panic().map_err(|_: JoinError| ())),
                }
            }
            (poll, ended) => panic!(
                "the handle is {} and the model says {ended:?}, after {:?}",
                if poll.is_ready() { "ready" } else { "pending" },
                self.done
            ),
        }
        true
    }

    fn compare(&self) {
        let (shared, model) = (&self.shared, &self.model);
        let seen = [
            self.yard.0.borrow().tasks.len(),
            shared.polls.get(),
            shared.future_drops.get(),
            shared.outputs.get(),
            shared.output_drops.get(),
            shared.wakers.borrow().len(),
            self.joiners[0].wakes.load(Ordering::Relaxed),
            self.joiners[1].wakes.load(Ordering::Relaxed),
            self.yard.0.borrow().releases,
        ];
        let expected = [
            usize::from(model.queued),
            model.polls,
            model.future_drops,
            model.outputs,
            model.output_drops,
            model.wakers,
            model.wakes[0],
            model.wakes[1],
            usize::from(model.ended.is_some()),
        ];
        assert_eq!(
            seen, expected,
            "queued, polls, drops, outputs, drops, wakers, wakes, wakes, releases after {:?} with {:?}",
            self.done, shared.panics
        );
        let ended = model.ended.is_some();
        assert!(self.handle.as_ref().is_none_or(|handle| handle.is_finished() == ended));
        assert!(
            shared
                .abort
                .borrow()
                .as_ref()
                .is_none_or(|abort| abort.is_finished() == ended)
        );
        for (index, joiner) in self.joiners.iter().enumerate() {
            let held = usize::from(model.waits == Some(index));
            assert_eq!(
                Arc::strong_count(joiner),
                1 + held,
                "clones of joiner {index} after {:?}",
                self.done
            );
        }
    }

    /// Ends the task and lets everything go: what it took is given back.
    fn finish(mut self) {
        self.apply(Op::Abort);
        self.apply(Op::Run(Behaviour::Wait));
        assert!(self.model.ended.is_some());
        self.apply(Op::DropHandle);
        while self.apply(Op::DropWaker) {}
        let abort = self.shared.abort.take();
        assert_eq!(
            Rc::strong_count(&self.yard.0),
            2,
            "the abort handle keeps the task after {:?}",
            self.done
        );
        drop(abort);
        assert_eq!(
            Rc::strong_count(&self.yard.0),
            1,
            "the task is freed after {:?}",
            self.done
        );
        assert_eq!(
            Rc::strong_count(&self.shared),
            1,
            "nothing of it is left after {:?}",
            self.done
        );
        assert_eq!(self.model.future_drops, 1);
        assert_eq!(self.model.outputs, self.model.output_drops);
    }
}
