//! Cancel scopes: parts of a task that can be cancelled, with deadlines, shields and clean-ups.
//!
//! A [`scope`] is a region of code that can be cancelled as a whole: by its [`Scope`], by its deadline, or with whatever is around it. Scopes nest, and
//! a [`group`](fn@crate::group)'s children are inside the scope in which the group was opened, wherever they run. (Scopes, shields and levels are Trio's idea.)
//!
//! # What a cancel does
//!
//! Cancelling is a level, not an event: a cancelled scope stays so. Its body is polled once more, if it is waiting; when it is still waiting after that, it is
//! dropped there, so its destructors run, the innermost scope's first. A body that is about to go on with a value therefore gets it, and goes on to the next
//! place where it has to wait. A body may instead listen, by [`cancelled`] or [`checkpoint`], and leave by itself.
//!
//! What has to wait while it cleans up stands in a [`defer`], or inside a [`shield`].
//!
//! After its body a scope waits for what it has left: clean-ups, and the children of groups. If its future is dropped before that (by a `select!`, say), the
//! scope around it does that, in the end the task.
//!
//! ```
//! use std::time::Duration;
//! # filch::run(async {
//! let answer = filch::move_on_after(Duration::from_millis(5), async |_| {
//!     filch::time::sleep(Duration::from_secs(3600)).await;
//!     42
//! });
//! assert_eq!(answer.await, None);
//! # });
//! ```

pub(crate) mod ambient;
pub(crate) mod begins;
pub(crate) mod driven;
pub(crate) mod node;
pub(crate) mod reason;

pub use reason::{Reason, ReasonKind};

use crate::coop;
use crate::task::raw;
use crate::then::then;
use begins::Begins;
use driven::Driven;
use filch_timer::Instant;
use filch_timer::error::Elapsed;
use node::{Cleanup, CleanupFuture, Kind, Node};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a clean-up may take if nothing else is said: 5 s.
pub const DEFAULT_CLEANUP: Duration = Duration::from_secs(5);

/// The scope that this thread polls through: the innermost one, or the root of the task.
pub(crate) fn current() -> Option<Arc<Node>> {
    ambient::node().or_else(|| raw::with_current_cold_or_new(|cold| cold.root().clone()))
}

/// As [`current`], if anybody has used it.
pub(crate) fn current_if_any() -> Option<Arc<Node>> {
    ambient::node().or_else(|| raw::with_current_cold(|cold| cold.root().clone()))
}

/// A reason that comes from the task that is polled.
pub(crate) fn requested(text: Option<&str>, location: &'static Location<'static>) -> Reason {
    Reason::new(ReasonKind::Requested, text, raw::current_id(), location)
}

/// A cancel scope, as its body sees it. A clone of it, which can be sent anywhere, cancels the same scope.
#[derive(Clone)]
pub struct Scope {
    node: Arc<Node>,
}

impl Scope {
    pub(crate) fn of(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Cancels the scope; true if it was not cancelled and has not ended yet. From any thread.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.node
            .cancel(requested(None, Location::caller()), coop::current_key())
    }

    /// As [`cancel`](Self::cancel), and says why.
    #[track_caller]
    pub fn cancel_with(&self, why: impl AsRef<str>) -> bool {
        let reason = requested(Some(why.as_ref()), Location::caller());
        self.node.cancel(reason, coop::current_key())
    }

    /// Whether the scope is cancelled, itself or with a scope around it.
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Why it is cancelled.
    pub fn reason(&self) -> Option<Reason> {
        self.node.reason()
    }

    /// The scope's own deadline. (The one in force is [`deadline`].)
    pub fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }

    /// Sets, moves or takes away the scope's deadline. It may have passed already: then the scope is cancelled when its body next waits. A scope that
    /// was cancelled stays so. From any thread.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.node.set_deadline(deadline);
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("cancelled", &self.is_cancelled())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

async fn run<T, B>(deadline: Option<Instant>, location: &'static Location<'static>, body: B) -> Option<T>
where
    B: AsyncFnOnce(&Scope) -> T,
{
    let node = Node::new(current(), Kind::Scope, deadline);
    let scope = Scope::of(node.clone());
    Driven::at(node, location, body(&scope)).await
}

/// Runs `body` in a scope that can be cancelled. `None` if it was.
///
/// The scope ends when its body and all that it left behind have ended: see the [module](self).
///
/// # Cancel safety
///
/// Dropping the future cancels the scope; what it has to clean up runs in the scope around it.
///
/// # Panics
///
/// If the body or a clean-up of the scope panics, after everything in the scope has ended.
///
/// ```
/// # filch::run(async {
/// let found = filch::scope(async |scope| {
///     let stop = scope.clone();
///     filch::spawn(async move { stop.cancel_with("enough") });
///     std::future::pending::<u32>().await
/// });
/// assert_eq!(found.await, None);
/// # });
/// ```
#[track_caller]
pub fn scope<T, B>(body: B) -> impl Future<Output = Option<T>>
where
    B: AsyncFnOnce(&Scope) -> T,
{
    run(None, Location::caller(), body)
}

/// Runs `body` for at most so long, counted from the first poll: `None` if that was not enough.
///
/// As [`scope`] otherwise. Where the time runs out a body that waits is cancelled; one that computes is not interrupted.
#[track_caller]
pub fn move_on_after<T, B>(limit: Duration, body: B) -> impl Future<Output = Option<T>>
where
    B: AsyncFnOnce(&Scope) -> T,
{
    let location = Location::caller();
    async move { run(Instant::now().checked_add(limit), location, body).await }
}

/// As [`move_on_after`], until a moment.
#[track_caller]
pub fn move_on_at<T, B>(deadline: Instant, body: B) -> impl Future<Output = Option<T>>
where
    B: AsyncFnOnce(&Scope) -> T,
{
    run(Some(deadline), Location::caller(), body)
}

/// Runs `body` for at most so long, counted from the first poll.
///
/// As [`move_on_after`] otherwise.
///
/// # Errors
///
/// If the scope was cancelled, by its deadline or by its [`Scope`].
#[track_caller]
pub fn fail_after<T, B>(limit: Duration, body: B) -> impl Future<Output = Result<T, Elapsed>>
where
    B: AsyncFnOnce(&Scope) -> T,
{
    let location = Location::caller();
    async move {
        let deadline = Instant::now().checked_add(limit);
        run(deadline, location, body).await.ok_or_else(Elapsed::new)
    }
}

/// As [`fail_after`], until a moment.
///
/// # Errors
///
/// As [`fail_after`].
#[track_caller]
pub fn fail_at<T, B>(deadline: Instant, body: B) -> impl Future<Output = Result<T, Elapsed>>
where
    B: AsyncFnOnce(&Scope) -> T,
{
    let location = Location::caller();
    async move { run(Some(deadline), location, body).await.ok_or_else(Elapsed::new) }
}

/// The moment at which the code that asks will be cancelled: the earliest deadline of the scopes around it, up to a [`shield`].
///
/// The children of a group and [blocking](crate::task::spawn_blocking) jobs inherit it. Send it along with a request, and the server can give up in time.
pub fn deadline() -> Option<Instant> {
    current_if_any()?.effective_deadline()
}

/// Whether the code that asks has been cancelled.
pub fn is_cancelled() -> bool {
    current_if_any().is_some_and(|node| node.is_cancelled())
}

/// Runs a future that is not cancelled with the scopes around it. They wait for it.
///
/// Nothing holds off a plain drop: [`abort`](crate::task::JoinHandle::abort), or a `select!` that has what it wants, drops the future all the same. A deadline
/// of its own has `shield(move_on_after(..))`.
///
/// # Panics
///
/// If the future does.
///
/// ```
/// # use std::time::Duration;
/// # filch::run(async {
/// let written = filch::scope(async |scope| {
///     scope.cancel();
///     filch::shield(async { filch::time::sleep(Duration::from_millis(1)).await }).await;
///     "all of it"
/// });
/// assert_eq!(written.await, Some("all of it"));
/// # });
/// ```
#[track_caller]
pub fn shield<F: IntoFuture>(future: F) -> impl Future<Output = F::Output> {
    let location = Location::caller();
    let begin = move |future| Some(Driven::shield(current(), None, future).made_at(location));
    then(Begins::new(future.into_future(), begin), of_root)
}

/// The error of a [`checkpoint`] in a scope that is cancelled.
#[derive(Debug, Clone)]
pub struct Cancelled {
    reason: Reason,
}

impl Cancelled {
    /// Why it was cancelled.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled: {}", self.reason)
    }
}

impl std::error::Error for Cancelled {}

/// Lets the other ready tasks run, and asks whether this code is cancelled.
///
/// # Errors
///
/// If it is. The code may go on for as long as it does not wait for anything else.
///
/// # Cancel safety
///
/// There is nothing to lose.
pub async fn checkpoint() -> Result<(), Cancelled> {
    ask()?;
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    ask()
}

/// Asks whether this code is cancelled, without waiting: what a function that [blocks](crate::blocking()) does now and then. (Trio's and anyio's `from_thread.check_cancelled`.)
///
/// Async code that asks is not thereby told, as by [`checkpoint`]: it still is polled once more at its next wait. A
/// [`spawn_blocking`](crate::task::spawn_blocking) job is sure to hear only of scopes that were opened around it; a cancel of the task itself reaches what [`blocking`](crate::blocking()) runs.
///
/// # Errors
///
/// If it is.
///
/// ```
/// # filch::run(async {
/// let counted = filch::scope(async |scope| {
///     let scope = scope.clone();
///     let count = filch::blocking(move || {
///         for n in 0.. {
///             if n == 100 {
///                 scope.cancel();
///             }
///             if filch::check_cancelled().is_err() {
///                 return n;
///             }
///         }
///         0
///     });
///     count.await
/// });
/// assert_eq!(counted.await, Some(100));
/// # });
/// ```
pub fn check_cancelled() -> Result<(), Cancelled> {
    match current_if_any().and_then(|node| node.reason()) {
        Some(reason) => Err(Cancelled { reason }),
        None => Ok(()),
    }
}

fn ask() -> Result<(), Cancelled> {
    match current_if_any().and_then(|node| node.tell()) {
        Some(reason) => Err(Cancelled { reason }),
        None => Ok(()),
    }
}

/// Waits until the code that asks is cancelled, and says why.
///
/// In `select!` with the work, it lets a body end by itself: after this it may go on for as long as it does not wait for anything
/// outside of a [`shield`]. Outside of every task and scope it waits for ever.
///
/// # Cancel safety
///
/// There is nothing to lose.
///
/// ```
/// # filch::run(async {
/// let (begun, begins) = filch::sync::oneshot::channel();
/// let task = filch::spawn(async move {
///     begun.send(()).unwrap();
///     filch::cancelled().await;
///     "my last words"
/// });
/// begins.await.unwrap();
/// task.cancel();
/// assert_eq!(task.await.unwrap(), "my last words");
/// # });
/// ```
pub fn cancelled() -> impl Future<Output = Reason> + Send {
    Listener {
        node: None,
        number: None,
    }
}

/// The future of [`cancelled`].
struct Listener {
    /// Found by the first poll.
    node: Option<Arc<Node>>,
    number: Option<u64>,
}

impl Future for Listener {
    type Output = Reason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        if self.node.is_none() {
            self.node = current();
        }
        let Some(node) = self.node.clone() else {
            return Poll::Pending;
        };
        // First the waker, then the look: see the head of `node.rs`.
        self.number = Some(node.listen(self.number, cx.waker()));
        node.tell().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (Some(node), Some(number)) = (&self.node, self.number) {
            node.unlisten(number);
        }
    }
}

/// Has `future` run when the guard is dropped, whatever ends the code that holds it: its own end, an error, a panic, a cancel, an abort.
///
/// It runs in the scope in which `defer` was called (the innermost; at least the task), beside the scope's body or after it, and the scope does not end before it.
/// Nothing but its time cancels it: [`DEFAULT_CLEANUP`] from its begin, or what [`within`](Defer::within) says; then it is dropped. The clean-ups of
/// one scope run one after the other, in the order in which their guards are dropped. A guard that is kept beyond its task runs nothing any more. (The shape is Go's and Swift's; that clean-up may wait is Trio's.)
///
/// # Panics
///
/// Outside of every task and scope. If the clean-up itself panics, that panic comes out at the end of its scope.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// # filch::run(async {
/// let log = Arc::new(Mutex::new(Vec::new()));
/// let said = log.clone();
/// let (begun, begins) = filch::sync::oneshot::channel();
/// let task = filch::spawn(async move {
///     let _goodbye = filch::defer(async move {
///         filch::task::yield_now().await;
///         said.lock().unwrap().push("goodbye");
///     });
///     begun.send(()).unwrap();
///     std::future::pending::<()>().await;
/// });
/// begins.await.unwrap();
/// task.abort();
/// assert!(task.await.unwrap_err().is_cancelled());
/// assert_eq!(*log.lock().unwrap(), ["goodbye"]);
/// # });
/// ```
#[track_caller]
pub fn defer<F>(future: F) -> Defer
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(node) = current() else {
        panic!(
            "`filch::defer` was called outside of a task and of every scope: there is nothing that could wait for the clean-up"
        )
    };
    Defer {
        node,
        future: Some(Box::pin(future)),
        within: DEFAULT_CLEANUP,
    }
}

/// A clean-up that runs when this is dropped. From [`defer`].
#[must_use = "the clean-up begins when this is dropped; bind it to a name"]
pub struct Defer {
    node: Arc<Node>,
    future: Option<CleanupFuture>,
    within: Duration,
}

impl Defer {
    /// How long the clean-up may take, from its begin. `Duration::MAX` is for ever.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = limit;
        self
    }

    /// Forgets the clean-up: it never runs.
    pub fn disarm(mut self) {
        self.future = None;
    }
}

impl Drop for Defer {
    fn drop(&mut self) {
        let Some(future) = self.future.take() else { return };
        let cleanup = Cleanup {
            future,
            within: self.within,
        };
        if let Err(cleanup) = self.node.push_cleanup(cleanup) {
            // The task has ended, and this was kept elsewhere: nobody is left to run it.
            drop(cleanup.future);
        }
    }
}

impl fmt::Debug for Defer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defer")
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

/// The root scope of a future that `block_on` runs: what it leaves behind is waited for.
#[track_caller]
pub(crate) fn root<F: Future>(future: F) -> Driven<F> {
    Driven::at(Node::new(None, Kind::Root, None), Location::caller(), future)
}

/// What a [`root`] gave, or a shield.
pub(crate) fn of_root<T>(output: Option<T>) -> T {
    match output {
        Some(output) => output,
        None => unreachable!("nobody has a way to cancel this scope"),
    }
}
