//! Tasks that stay on their thread.

use crate::debug::switch;
use crate::handle::Handle;
use crate::rt::Runtime;
use crate::scheduler::lane::{Line, Turn};
use crate::shim::thread_local_const;
use crate::task::join::JoinHandle;
use crate::task::raw::{Plain, is_large};
use crate::task_local;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Polls that a set makes within one poll of whoever drives it. Tokio's figure.
const TURN: usize = 61;

thread_local_const! {
    /// The set that this thread is inside of.
    static CURRENT: RefCell<Option<Arc<Line>>> = RefCell::new(None)
}

/// A set of tasks that stay on the thread that made it, so that their futures need not be `Send`.
///
/// The tasks run while that thread drives the set: in [`run_until`](Self::run_until), in [`block_on`](Self::block_on), or while the set itself is awaited. They run there
/// one at a time, first in, first out, and are woken from any thread. No worker ever runs them; but their sockets and timers are served like any others.
///
/// Dropping the set drops its tasks, there and then.
///
/// (Tokio's type, and its functions.)
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// filch::run(async {
///     let set = filch::task::LocalSet::new();
///     set.run_until(async {
///         let sum = Rc::new(Cell::new(0));
///         let tasks = [20, 22].map(|number| {
///             let sum = sum.clone();
///             filch::task::spawn_local(async move {
///                 filch::task::yield_now().await;
///                 sum.set(sum.get() + number);
///             })
///         });
///         for task in tasks {
///             task.await.unwrap();
///         }
///         assert_eq!(sum.get(), 42);
///     })
///     .await;
/// });
/// ```
///
/// A set does not go to another thread:
///
/// ```compile_fail,E0277
/// let set = filch::task::LocalSet::new();
/// std::thread::spawn(move || drop(set));
/// ```
///
/// What it gives back may:
///
/// ```
/// let set = filch::task::LocalSet::new();
/// let handle = set.spawn_local(async { 1 });
/// std::thread::spawn(move || drop(handle));
/// ```
pub struct LocalSet {
    line: Arc<Line>,
    /// A set stays on its thread, and so do references to it: whoever has one is there.
    here: PhantomData<*const ()>,
}

impl LocalSet {
    /// An empty set. It needs no runtime.
    pub fn new() -> Self {
        let record = Handle::try_current().ok().and_then(|handle| handle.record());
        Self {
            line: Line::new(record, Arc::default()),
            here: PhantomData,
        }
    }

    /// Spawns a task into the set. It starts when the set is driven next.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn_into(&self.line, future, Location::caller())
    }

    /// Runs a future, and the tasks of the set meanwhile. Inside of it [`spawn_local`] spawns into the set.
    ///
    /// Tasks that are left when the future is done wait until the set is driven again.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped; the tasks wait.
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let leaving = Leaving(self);
        let output = std::future::poll_fn(|cx| {
            let _inside = self.enter();
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            // It stays for what may come, also when no task is alive.
            if self.line.turn(cx, TURN, false) == Turn::More {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
        drop(leaving);
        output
    }

    /// Runs a future on a runtime, on this thread, and the tasks of the set meanwhile: `runtime.block_on(set.run_until(future))`.
    ///
    /// # Panics
    ///
    /// As [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &Runtime, future: F) -> F::Output {
        runtime.block_on(self.run_until(future))
    }

    /// Takes this thread into the set until the guard is dropped: [`spawn_local`] finds it.
    ///
    /// Guards nest, and are dropped in the reverse order. (Tasks of a current_thread runtime that run on this thread meanwhile find the set, too.)
    pub fn enter(&self) -> LocalEnterGuard {
        LocalEnterGuard {
            before: CURRENT
                .try_with(|current| current.replace(Some(self.line.clone())))
                .ok()
                .flatten(),
            here: PhantomData,
        }
    }
}

/// Awaiting a set runs its tasks until none is left.
impl Future for LocalSet {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let _inside = self.enter();
        match self.line.turn(cx, TURN, true) {
            Turn::Empty => return Poll::Ready(()),
            Turn::Nothing => {}
            Turn::More => cx.waker().wake_by_ref(),
        }
        Poll::Pending
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        // What a destructor spawns finds this set, which takes no more tasks.
        let _inside = self.enter();
        self.line.close();
    }
}

impl Default for LocalSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSet").field("len", &self.line.len()).finish()
    }
}

fn spawn_into<F>(line: &Line, future: F, location: &'static Location<'static>) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    if is_large::<F>() {
        return line.spawn(plain(Box::pin(future), location));
    }
    line.spawn(plain(future, location))
}

fn plain<F>(future: F, location: &'static Location<'static>) -> Plain<F> {
    let mut cold = task_local::inherit();
    if switch::is_on() {
        if let Ok(handle) = Handle::try_current() {
            cold = handle.inner().watch(cold);
        }
    }
    Plain { future, location, cold }
}

/// Somebody who drives a set goes. Others may drive it, too, and its waker has no more to do there.
struct Leaving<'a>(&'a LocalSet);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.line.wake_sleepers();
    }
}

/// This thread is inside a [`LocalSet`] until this is dropped. From [`LocalSet::enter`].
#[must_use = "the thread leaves the set again when this is dropped"]
pub struct LocalEnterGuard {
    before: Option<Arc<Line>>,
    here: PhantomData<*const ()>,
}

impl Drop for LocalEnterGuard {
    fn drop(&mut self) {
        // Dropped outside of the borrow.
        let entered = CURRENT.try_with(|current| current.replace(self.before.take()));
        drop(entered);
    }
}

impl fmt::Debug for LocalEnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalEnterGuard")
    }
}

/// Spawns a task into the [`LocalSet`] that this thread is inside of. Its future need not be `Send`: the task stays on this thread.
///
/// # Panics
///
/// Outside of a set: there is nobody who would run the task on this thread. So also in a task of the runtime itself, which may be polled by another thread next time.
///
/// ```
/// # filch::task::LocalSet::new().block_on(&filch::runtime::Runtime::new().unwrap(), async {
/// let text = std::rc::Rc::new("local".to_string());
/// let task = filch::task::spawn_local({
///     let text = text.clone();
///     async move { text.len() }
/// });
/// assert_eq!(task.await.unwrap(), 5);
/// # });
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let line = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    match line {
        Some(line) => spawn_into(&line, future, Location::caller()),
        None => panic!(
            "`spawn_local` was called outside of a `LocalSet`: nobody on this thread would run the task. Call it inside \
             `LocalSet::run_until` or a task of a set, or spawn a future that is `Send` with `filch::spawn`"
        ),
    }
}

/// Whether this thread is inside of a set.
pub(crate) fn is_entered() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()).unwrap_or(false)
}
