//! What the models of tasks share: a scheduler that is one queue, futures that count, and wakers that count.

use crate::shim::{Mutex, UnsafeCell};
use crate::task::error::JoinError;
use crate::task::join::JoinHandle;
use crate::task::raw::{self, Ended, Header, Runnable, Schedule};
use filch_io::{Interest, Line, Source};
use loom::sync::Arc;
use std::collections::VecDeque;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
// Counters are read when the threads are joined: they are no part of what is explored.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A scheduler that is one queue.
#[derive(Clone)]
pub(crate) struct Yard(Arc<Mutex<VecDeque<Runnable>>>);

impl Yard {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(VecDeque::new())))
    }

    /// A task whose first runnable waits in the queue.
    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let (task, join) = raw::new(future, self.clone(), Location::caller());
        self.clone().schedule(task);
        JoinHandle::new(join)
    }

    pub(crate) fn take(&self) -> Option<Runnable> {
        self.0.lock().pop_front()
    }

    /// Runs what is queued, one time each, and what that queues.
    pub(crate) fn drain(&self) {
        while let Some(task) = self.take() {
            task.run();
        }
    }
}

impl Schedule for Yard {
    fn schedule(self, task: Runnable) {
        self.0.lock().push_back(task);
    }

    fn reschedule(self, task: Runnable) {
        self.schedule(task);
    }

    fn release(self, _: NonNull<Header>, _: Ended) {}
}

/// What happened to a future and its output.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) polls: AtomicUsize,
    pub(crate) future_drops: AtomicUsize,
    pub(crate) output_drops: AtomicUsize,
}

impl Counts {
    pub(crate) fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::default()
    }

    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }

    pub(crate) fn future_drops(&self) -> usize {
        self.future_drops.load(Ordering::Relaxed)
    }

    pub(crate) fn output_drops(&self) -> usize {
        self.output_drops.load(Ordering::Relaxed)
    }
}

/// A future that counts, that keeps a loom object alive, and in whose body loom sees two threads at once.
pub(crate) struct Counted<B> {
    counts: std::sync::Arc<Counts>,
    exclusive: UnsafeCell<()>,
    _leak: Arc<()>,
    body: B,
}

/// The output of a [`Counted`] future.
pub(crate) struct Output {
    counts: std::sync::Arc<Counts>,
    cell: UnsafeCell<u32>,
}

impl Output {
    /// Reads what the completing thread wrote.
    pub(crate) fn read(&self) -> u32 {
        // SAFETY: loom reports it if somebody writes at the same time.
        self.cell.with(|value| unsafe { *value })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.cell.with_mut(|_| ());
        self.counts.output_drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// `body` says at each poll whether the future is ready.
pub(crate) fn counted<B>(counts: &std::sync::Arc<Counts>, body: B) -> Counted<B>
where
    B: FnMut(&mut Context<'_>) -> bool,
{
    Counted {
        counts: counts.clone(),
        exclusive: UnsafeCell::new(()),
        _leak: Arc::new(()),
        body,
    }
}

impl<B> Unpin for Counted<B> {}

impl<B: FnMut(&mut Context<'_>) -> bool> Future for Counted<B> {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let this = &mut *self;
        this.counts.polls.fetch_add(1, Ordering::Relaxed);
        this.exclusive.with_mut(|_| ());
        if (this.body)(cx) {
            Poll::Ready(Output {
                counts: this.counts.clone(),
                cell: UnsafeCell::new(7),
            })
        } else {
            Poll::Pending
        }
    }
}

impl<B> Drop for Counted<B> {
    fn drop(&mut self) {
        self.exclusive.with_mut(|_| ());
        self.counts.future_drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker that counts its wakes.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn new() -> (std::sync::Arc<Self>, Waker) {
        let bell = std::sync::Arc::<Self>::default();
        let waker = Waker::from(bell.clone());
        (bell, waker)
    }

    pub(crate) fn rings(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Somebody who waits, with a bell.
pub(crate) struct Guest<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    bell: std::sync::Arc<Bell>,
    waker: Waker,
}

impl<T> Guest<T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'static) -> Self {
        let (bell, waker) = Bell::new();
        Self {
            future: Box::pin(future),
            bell,
            waker,
        }
    }

    /// Somebody who has to wait.
    pub(crate) fn waiting(future: impl Future<Output = T> + 'static) -> Self {
        let mut this = Self::new(future);
        assert!(this.poll().is_none(), "it need not wait");
        this
    }

    pub(crate) fn poll(&mut self) -> Option<T> {
        match self.future.as_mut().poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// The output, after a wake.
    pub(crate) fn woken(mut self) -> T {
        assert!(self.bell.rings() > 0, "somebody sleeps over what it waits for");
        self.poll().expect("somebody was woken for nothing")
    }
}

/// One poll of a handle.
pub(crate) fn poll_join<T>(handle: &mut JoinHandle<T>, waker: &Waker) -> Poll<Result<T, JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(waker))
}

/// The outcome of a task that has ended.
pub(crate) fn outcome<T>(mut handle: JoinHandle<T>) -> Result<T, JoinError> {
    match poll_join(&mut handle, Waker::noop()) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the task did not end"),
    }
}

/// A place for a waker that a future leaves on its first poll. Filled before the threads start.
pub(crate) fn waker_of<F: Future + 'static>(
    yard: &Yard,
    make: impl FnOnce(std::rc::Rc<std::cell::RefCell<Option<Waker>>>) -> F,
) -> (JoinHandle<F::Output>, Waker) {
    let place = std::rc::Rc::new(std::cell::RefCell::new(None));
    let handle = yard.spawn(make(place.clone()));
    yard.drain();
    let waker = place.borrow_mut().take().expect("the first poll leaves its waker");
    (handle, waker)
}

/// A socket of the fake kernel.
pub(crate) struct Socket(pub(crate) Option<Line>);

impl Source for Socket {
    fn registered(&mut self, line: Line, _: Interest) {
        self.0 = Some(line);
    }

    fn deregistered(&mut self) {
        self.0 = None;
    }
}
