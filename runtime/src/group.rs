//! Groups: tasks that end before the code that started them goes on.

use crate::coop;
use crate::debug::monitor::Monitor;
use crate::debug::report::{About, Report, ReportKind};
use crate::debug::switch;
use crate::handle::Handle;
use crate::scope::ambient;
use crate::scope::driven::Driven;
use crate::scope::node::{Kind, Node, Payload};
use crate::scope::{self, Reason, ReasonKind, Scope};
use crate::shim::{AtomicBool, Exclusive, Mutex, Ordering, catch_unwind, drop_quietly};
use crate::task::cold::{Cold, Family};
use crate::task::join::JoinHandle;
use crate::then::then;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A group of tasks, as its body sees it. A clone can be sent to the children, which then spawn more of them.
pub struct Group<E> {
    inner: Arc<Inner<E>>,
}

struct Inner<E> {
    node: Arc<Node>,
    failures: Mutex<Vec<Failure<E>>>,
    location: &'static Location<'static>,
    /// In debug mode.
    watched: Option<Watched<E>>,
}

/// Has those failures reported that nobody will see.
struct Watched<E> {
    monitor: Arc<Monitor>,
    text: fn(&E) -> String,
    /// The group's future was dropped: nobody asks for the failures any more. Guarded by their lock.
    abandoned: AtomicBool,
}

impl<E: 'static> Watched<E> {
    fn new() -> Option<Self> {
        let monitor = Handle::try_current().ok()?.inner().debug.clone()?;
        Some(Self {
            monitor,
            text: text_of::<E>,
            abandoned: AtomicBool::new(false),
        })
    }
}

/// What an error says, if its type is known to say anything; else what it is.
fn text_of<E: 'static>(error: &E) -> String {
    let error: &dyn Any = error;
    let known = [
        error.downcast_ref::<String>().map(ToString::to_string),
        error.downcast_ref::<&'static str>().map(ToString::to_string),
        error.downcast_ref::<std::io::Error>().map(ToString::to_string),
        error
            .downcast_ref::<Box<dyn std::error::Error + Send + Sync>>()
            .map(ToString::to_string),
    ];
    let known = known.into_iter().flatten().next();
    known.unwrap_or_else(|| format!("an error of type {}", std::any::type_name::<E>()))
}

/// The future of a group, as long as it runs.
struct Open<'a, E>(&'a Inner<E>);

impl<E> Drop for Open<'_, E> {
    fn drop(&mut self) {
        if let Some(watched) = &self.0.watched {
            self.0.abandon(watched);
        }
    }
}

/// What made a group fail.
pub enum Failure<E> {
    /// The body, or a child, returned an error.
    Error(E),
    /// A child panicked.
    Panic(Panic),
}

/// A child's panic.
pub struct Panic(Exclusive<Payload>);

impl Panic {
    /// What the child panicked with, ready for [`std::panic::resume_unwind`].
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.0.into_inner()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a child panicked: {}", self.0.peek(crate::task::error::text_of))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({:?})", self.0.peek(crate::task::error::text_of))
    }
}

/// Why a group gave no value: the errors and panics of its body and its children, the first one first; none at all if the group was cancelled.
pub struct GroupError<E> {
    failures: Vec<Failure<E>>,
    reason: Option<Reason>,
}

impl<E> GroupError<E> {
    /// What came first; none if the group was cancelled and nothing failed.
    pub fn first(&self) -> Option<&Failure<E>> {
        self.failures.first()
    }

    /// All that failed, in the order in which it did.
    pub fn failures(&self) -> &[Failure<E>] {
        &self.failures
    }

    /// As [`failures`](Self::failures), to keep.
    pub fn into_failures(self) -> Vec<Failure<E>> {
        self.failures
    }

    /// The errors among the failures.
    pub fn errors(&self) -> impl Iterator<Item = &E> {
        self.failures.iter().filter_map(|failure| match failure {
            Failure::Error(error) => Some(error),
            Failure::Panic(_) => None,
        })
    }

    /// Whether the group was cancelled and nothing failed.
    pub fn is_cancelled(&self) -> bool {
        self.failures.is_empty()
    }

    /// Why the group was cancelled: on request, by a failure, with the scope around it.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// The first error, for programs that want one error and not a group of them.
    ///
    /// # Errors
    ///
    /// Gives the rest back if nothing failed with an error.
    ///
    /// # Panics
    ///
    /// If a child panicked: its panic is raised again here.
    pub fn into_first_error(self) -> Result<E, Self> {
        let mut rest = Vec::new();
        let mut first = None;
        for failure in self.failures {
            match failure {
                Failure::Panic(panic) => std::panic::resume_unwind(panic.into_payload()),
                Failure::Error(error) if first.is_none() => first = Some(error),
                failure => rest.push(failure),
            }
        }
        first.ok_or(Self {
            failures: rest,
            reason: self.reason,
        })
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panic(panic) => panic.fmt(f),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.debug_tuple("Error").field(error).finish(),
            Self::Panic(panic) => panic.fmt(f),
        }
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.failures[..], &self.reason) {
            ([], Some(reason)) => write!(f, "the group was cancelled: {reason}"),
            ([], None) => f.write_str("the group was cancelled"),
            ([only], _) => only.fmt(f),
            ([first, rest @ ..], _) => {
                write!(f, "{first} (and {} more:", rest.len())?;
                for failure in rest {
                    write!(f, " {failure};")?;
                }
                f.write_str(")")
            }
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupError")
            .field("failures", &self.failures)
            .field("reason", &self.reason)
            .finish()
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for GroupError<E> {}

/// Runs `body` with a group into which it can spawn tasks, and waits for all of them.
///
/// The body runs in the task that awaits this and may borrow from it; the children are tasks of their own, on any worker. The first error, of the body or
/// of a child, cancels the group: the others, and the body, are [cancelled](mod@crate::scope), and their errors are collected. A panic of a child counts as an
/// error. A child that is cancelled by itself, or whose handle is dropped, disturbs nobody.
///
/// A body that awaits the handle of a child which the same cancel has ended does not hear of that: it is cancelled itself.
///
/// The children are inside the scope in which the group was opened: its cancels, its deadline, its values of task-local keys are theirs.
///
/// When this returns, every child is gone, its future is dropped, and its clean-ups have run. (The idea is Trio's nursery and asyncio's `TaskGroup`.)
///
/// (When a group is awaited inside a spawned task, rustc cannot always see that it is `Send` if the error type has a lifetime in it, such as `&'static str`: it says that
/// the "implementation of `AsyncFnOnce` is not general enough". An error type of one's own, or a `String`, is understood.)
///
/// # Errors
///
/// All errors and panics of body and children. If nothing failed, but the group was [cancelled](Group::cancel) and the body had not
/// come to an end: a [`GroupError`] without failures.
///
/// # Cancel safety
///
/// Dropping the future cancels the children; the scope around it waits for them.
///
/// # Panics
///
/// If the body panics, after all children have ended.
///
/// ```
/// # filch::run(async {
/// let name = String::from("borrowed");
/// let sum = filch::group(async |group| {
///     let one = group.spawn(async { Ok(1) });
///     let two = group.spawn(async { Ok(2) });
///     assert_eq!(name, "borrowed");
///     Ok::<_, std::io::Error>(one.await.unwrap() + two.await.unwrap())
/// });
/// assert_eq!(sum.await.unwrap(), 3);
/// # });
/// ```
#[track_caller]
pub fn group<T, E, B>(body: B) -> impl Future<Output = Result<T, GroupError<E>>>
where
    B: AsyncFnOnce(&Group<E>) -> Result<T, E>,
    E: Send + 'static,
{
    run(Location::caller(), body)
}

async fn run<T, E, B>(location: &'static Location<'static>, body: B) -> Result<T, GroupError<E>>
where
    B: AsyncFnOnce(&Group<E>) -> Result<T, E>,
    E: Send + 'static,
{
    let node = Node::new(scope::current(), Kind::Scope, None);
    let inner = Arc::new(Inner {
        node: node.clone(),
        failures: Mutex::new(Vec::new()),
        location,
        watched: if switch::is_on() { Watched::new() } else { None },
    });
    // Whatever is in it when this is over was taken, or is nobody's.
    let open = Open(&inner);
    let group = Group { inner: inner.clone() };
    let body = async {
        match body(&group).await {
            Ok(value) => Some(value),
            Err(error) => {
                inner.fail(Failure::Error(error));
                None
            }
        }
    };
    let value = Driven::at(node, location, body).await.flatten();
    let failures = std::mem::take(&mut *inner.failures.lock());
    drop(open);
    match value {
        Some(value) if failures.is_empty() => Ok(value),
        _ => Err(GroupError {
            failures,
            reason: inner.node.reason(),
        }),
    }
}

impl<E> Clone for Group<E> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<E: Send + 'static> Group<E> {
    /// Spawns a child, on the runtime of this thread. Its handle gives its value; if it fails, the group has the error, and the handle
    /// says [`is_failed`](crate::task::JoinError::is_failed).
    ///
    /// A child that was spawned before the group was cancelled gets to its first wait all the same. One that is spawned into a group that is cancelled
    /// already, or has ended, is dropped here, and its handle says that it was cancelled.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> JoinHandle<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        let inner = self.inner.clone();
        let child = then(future, move |result| match result {
            Ok(value) => Some(value),
            Err(error) => {
                inner.fail(Failure::Error(error));
                None
            }
        });
        self.spawn_child(child, self.inner.clone(), Location::caller())
    }

    fn spawn_child<T, F>(
        &self,
        child: F,
        family: Arc<dyn Family>,
        location: &'static Location<'static>,
    ) -> JoinHandle<T>
    where
        F: Future<Output = Option<T>> + Send + 'static,
        T: Send + 'static,
    {
        let node = &self.inner.node;
        // First of all: it panics outside of a runtime.
        let handle = Handle::here();
        if node.is_cancelled() || !node.add_child() {
            // What it has to clean up is the caller's, for the child never is a task of a runtime.
            let refused = ambient::with_heir(scope::current, || JoinHandle::refused(child, location));
            family.ended();
            return refused;
        }
        handle.spawn_child(child, Box::new(Cold::new(Some(family))), location)
    }

    /// Spawns a child and waits until it says that it is ready, by [`Started::set`]; gives what it says.
    ///
    /// Until then it is the caller's: an error of it is this call's error, not the group's, a panic is raised here, and if this future is dropped the child is
    /// cancelled. After that it is an ordinary child of the group. (The idea is Trio's `nursery.start`.)
    ///
    /// # Errors
    ///
    /// The child's, if it fails before it is ready.
    ///
    /// # Panics
    ///
    /// If the child does, or if it ends well without having been ready. If the group is cancelled before that, or has ended, and the caller is
    /// not cancelled with it: in another task, or in a [`shield`](crate::shield).
    ///
    /// ```
    /// # filch::run(async {
    /// let done = filch::group(async |group| {
    ///     let port = group.start(|started| async move {
    ///         let listener = filch::net::TcpListener::bind("127.0.0.1:0").await?;
    ///         started.set(listener.local_addr()?.port());
    ///         listener.accept().await.map(drop)
    ///     });
    ///     let port = port.await?;
    ///     filch::net::TcpStream::connect(("127.0.0.1", port)).await?;
    ///     Ok::<_, std::io::Error>(())
    /// });
    /// done.await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    pub fn start<V, F, C>(&self, f: C) -> impl Future<Output = Result<V, E>>
    where
        C: FnOnce(Started<V>) -> F,
        F: Future<Output = Result<(), E>> + Send + 'static,
        V: Send + 'static,
    {
        let location = Location::caller();
        async move {
            let start = Arc::new(Start::default());
            let tells = start.clone();
            let future = f(Started {
                tell: Box::new(move |value| drop(tells.settle(Told::Ready(value)))),
            });
            let (inner, tells) = (self.inner.clone(), start.clone());
            let child = then(future, move |result| match result {
                Ok(()) => Some(()),
                Err(error) => {
                    if let Some(Told::Failed(error)) = tells.settle(Told::Failed(error)) {
                        inner.fail(Failure::Error(error));
                    }
                    None
                }
            });
            let family = Arc::new(Starting {
                group: self.inner.clone(),
                start: start.clone(),
            });
            let mut child = Abandon {
                child: Some(self.spawn_child(child, family, location)),
                location,
            };
            let told = start.wait().await;
            child.child = None;
            match told {
                Told::Ready(value) => Ok(value),
                Told::Failed(error) => Err(error),
                Told::Panicked(payload) => std::panic::resume_unwind(payload),
                // With the group: whoever waits here is cancelled, too.
                Told::Ended if scope::is_cancelled() => std::future::pending().await,
                Told::Ended if self.inner.node.is_cancelled() => {
                    panic!("the group was cancelled, and so the child that was started at {location}")
                }
                Told::Ended if self.inner.node.is_ended() => {
                    panic!("the group had ended before a child was started at {location}")
                }
                Told::Ended => panic!("the child that was started at {location} ended without `Started::set`"),
            }
        }
    }

    /// Cancels the children and the body; true if the group was not cancelled and has not ended yet. A body that is done gives its value all the same.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.scope().cancel()
    }

    /// The group's scope: for a deadline, a reason, or to ask.
    pub fn scope(&self) -> Scope {
        Scope::of(self.inner.node.clone())
    }

    /// The number of children that have not ended.
    pub fn len(&self) -> usize {
        self.inner.node.children()
    }

    /// Whether all children have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<E> fmt::Debug for Group<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Group({} children, opened at {})",
            self.inner.node.children(),
            self.inner.location
        )
    }
}

impl<E> Inner<E> {
    fn fail(&self, failure: Failure<E>) {
        let unseen = {
            let mut failures = self.failures.lock();
            let watched = self.watched.as_ref();
            match watched.filter(|watched| watched.abandoned.load(Ordering::Relaxed)) {
                None => {
                    failures.push(failure);
                    None
                }
                watched => watched.zip(Some(failure)),
            }
        };
        if let Some((watched, failure)) = unseen {
            self.report(watched, &failure);
            drop_quietly(failure);
        }
        self.node.insist();
        let reason = Reason::new(ReasonKind::Failure, None, crate::task::raw::current_id(), self.location);
        self.node.cancel(reason, coop::current_key());
    }
}

impl<E> Inner<E> {
    /// Nobody asks for the failures any more: those that are left, and those to come, are lost.
    #[cold]
    fn abandon(&self, watched: &Watched<E>) {
        let failures = {
            let mut failures = self.failures.lock();
            // Relaxed: whoever looks has the lock.
            watched.abandoned.store(true, Ordering::Relaxed);
            std::mem::take(&mut *failures)
        };
        for failure in failures {
            self.report(watched, &failure);
        }
    }

    /// A failure is lost: the group's future was dropped.
    #[cold]
    fn report(&self, watched: &Watched<E>, failure: &Failure<E>) {
        let text = match failure {
            Failure::Error(error) => (watched.text)(error),
            Failure::Panic(panic) => panic.to_string(),
        };
        let about = About {
            place: Some(self.location),
            ..About::default()
        };
        let message = format!(
            "an error was lost with the group that was opened at {} and dropped: {text}",
            self.location
        );
        watched
            .monitor
            .report(Report::new(ReportKind::UnseenError, about, message));
    }
}

impl<E: Send + 'static> Family for Inner<E> {
    fn panicked(&self, payload: Payload) {
        self.fail(Failure::Panic(Panic(Exclusive::new(payload))));
    }

    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

/// By which a child that was [started](Group::start) says that it is ready.
pub struct Started<V> {
    tell: Box<dyn FnOnce(V) + Send>,
}

impl<V> Started<V> {
    /// The child is ready; whoever started it goes on with `value`.
    pub fn set(self, value: V) {
        (self.tell)(value);
    }
}

impl<V> fmt::Debug for Started<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
    }
}

/// What becomes of a child up to the moment when it is ready.
enum Told<V, E> {
    Ready(V),
    Failed(E),
    Panicked(Payload),
    Ended,
}

/// Where a child that is started tells it.
struct Start<V, E>(Mutex<Telling<V, E>>);

struct Telling<V, E> {
    told: Option<Told<V, E>>,
    /// It has been told something, which may have been taken already.
    settled: bool,
    waker: Option<Waker>,
}

impl<V, E> Default for Start<V, E> {
    fn default() -> Self {
        Self(Mutex::new(Telling {
            told: None,
            settled: false,
            waker: None,
        }))
    }
}

impl<V, E> Start<V, E> {
    /// Tells it, if nothing was told yet; else gives it back.
    fn settle(&self, told: Told<V, E>) -> Option<Told<V, E>> {
        let waker = {
            let mut telling = self.0.lock();
            if telling.settled {
                return Some(told);
            }
            telling.settled = true;
            telling.told = Some(told);
            telling.waker.take()
        };
        // A foreign waker may panic: that is no affair of the child's.
        if let Err(payload) = catch_unwind(|| waker.map(Waker::wake)) {
            drop_quietly(payload);
        }
        None
    }

    async fn wait(&self) -> Told<V, E> {
        std::future::poll_fn(|cx| {
            let waker = cx.waker().clone();
            let mut telling = self.0.lock();
            match telling.told.take() {
                Some(told) => Poll::Ready(told),
                None => {
                    let old = telling.waker.replace(waker);
                    drop(telling);
                    drop(old);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// The family of a child that is started.
struct Starting<V, E> {
    group: Arc<Inner<E>>,
    start: Arc<Start<V, E>>,
}

impl<V: Send + 'static, E: Send + 'static> Family for Starting<V, E> {
    fn panicked(&self, payload: Payload) {
        if let Some(Told::Panicked(payload)) = self.start.settle(Told::Panicked(payload)) {
            self.group.panicked(payload);
        }
    }

    fn ended(&self) {
        drop(self.start.settle(Told::Ended));
    }

    fn node(&self) -> &Arc<Node> {
        &self.group.node
    }
}

/// Cancels the child if whoever starts it does not wait for it.
struct Abandon {
    child: Option<JoinHandle<()>>,
    location: &'static Location<'static>,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.cancel_for(scope::requested(Some("its start was given up"), self.location));
        }
    }
}
