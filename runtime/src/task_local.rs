//! Task-local values: set by a task, seen by what it awaits and by what it spawns.

use crate::context::Values;
use crate::scope;
use crate::scope::ambient::{self, Around};
use crate::scope::node::Node;
use crate::task::cold::Cold;
use crate::task::raw;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

/// The values that the code on this thread sees.
fn current() -> Option<Arc<Values>> {
    ambient::values().or_else(|| raw::with_current_cold(Cold::values).flatten())
}

/// As [`current`], made if need be. Nothing outside of tasks.
fn current_or_new() -> Option<Arc<Values>> {
    ambient::values().or_else(|| raw::with_current_cold_or_new(Cold::values_or_new))
}

/// The cold part of a task that is spawned here: nothing, if there is nothing to inherit.
#[inline]
pub(crate) fn inherit() -> Option<Box<Cold>> {
    // A task that has values around it has a cold part: see `LocalKey::scope`.
    if raw::is_current_plain() {
        return None;
    }
    copy()
}

#[cold]
fn copy() -> Option<Box<Cold>> {
    let values = current()?;
    if values.len() == 0 {
        return None;
    }
    let cold = Box::new(Cold::new(None));
    cold.set_values(Arc::new(values.copy()));
    Some(cold)
}

/// As [`inherit`], into what there is.
pub(crate) fn inherit_into(cold: &Cold) {
    if let Some(values) = current() {
        cold.set_values(Arc::new(values.copy()));
    }
}

/// Gives a task the values of a context, which it shares.
pub(crate) fn share(cold: &Cold, context: &Context) {
    cold.set_values(context.values.clone());
}

/// What a blocking job that is spawned here is inside of.
pub(crate) fn around() -> Around {
    Around::new(scope::current_if_any(), current().map(|values| Arc::new(values.copy())))
}

/// What a blocking job is inside of whose scope is `node`.
pub(crate) fn around_in(node: Arc<Node>) -> Around {
    Around::new(Some(node), current().map(|values| Arc::new(values.copy())))
}

/// A key for values that belong to a task. Made by [`task_local!`](crate::task_local).
///
/// A value is seen by all that the task awaits, and by the tasks, blocking jobs and callbacks that are spawned from there: they begin with
/// what there is at that moment, and go their own ways then. So values are shared between threads, and are `Send + Sync`. (The names are Tokio's, whose keys are
/// not inherited; the inheritance is that of Python's `contextvars`.)
pub struct LocalKey<T: 'static> {
    // A place in memory of its own makes the key different from all others.
    _place: u8,
    value: PhantomData<fn() -> T>,
}

/// There is no value: none was set, or there is no task here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task-local value is not set")
    }
}

impl std::error::Error for AccessError {}

impl<T: Send + Sync + 'static> LocalKey<T> {
    #[doc(hidden)]
    #[allow(clippy::new_without_default, reason = "keys are made by a macro")]
    pub const fn new() -> Self {
        Self {
            _place: 0,
            value: PhantomData,
        }
    }

    fn id(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn find(&'static self) -> Result<Arc<T>, AccessError> {
        let value = current()
            .and_then(|values| values.get(self.id()))
            .ok_or(AccessError(()))?;
        value.downcast().map_err(|_| AccessError(()))
    }

    /// Runs a future with a value, which it, and what it spawns, sees.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture {
            key: self,
            value: Arc::new(value),
            values: None,
            future,
        }
    }

    /// Runs a function with a value.
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        raw::with_current_cold_or_new(|_| ());
        ambient::with_values(self.with_value(Arc::new(value)), f)
    }

    fn with_value(&'static self, value: Arc<T>) -> Arc<Values> {
        let values = current().map(|values| values.copy()).unwrap_or_default();
        values.set(self.id(), Some(value));
        Arc::new(values)
    }

    /// Sets the value for the rest of the task (or of the [`scope`](Self::scope) that it is in), and of those that share its values.
    ///
    /// # Panics
    ///
    /// Outside of every task.
    #[track_caller]
    pub fn set(&'static self, value: T) {
        let Some(values) = current_or_new() else {
            panic!("`LocalKey::set` was called outside of a task: there is nothing whose value it could be")
        };
        values.set(self.id(), Some(Arc::new(value)));
    }

    /// Looks at the value.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.find() {
            Ok(value) => f(&value),
            Err(error) => panic!("{error}"),
        }
    }

    /// Looks at the value.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        self.find().map(|value| f(&value))
    }
}

impl<T: Clone + Send + Sync + 'static> LocalKey<T> {
    /// A copy of the value.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }

    /// A copy of the value.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn try_get(&'static self) -> Result<T, AccessError> {
        self.try_with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`LocalKey::scope`].
    #[must_use = "futures do nothing unless polled"]
    pub struct TaskLocalFuture<T, F>
    where
        T: 'static,
    {
        key: &'static LocalKey<T>,
        value: Arc<T>,
        // Made by the first poll.
        values: Option<Arc<Values>>,
        #[pin]
        future: F,
    }
}

impl<T: Send + Sync + 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let values = this
            .values
            .get_or_insert_with(|| this.key.with_value(this.value.clone()));
        ambient::with_values(values.clone(), || this.future.poll(cx))
    }
}

impl<T, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").finish_non_exhaustive()
    }
}

/// Values that several tasks share, or that a program keeps for later: asyncio's `Context`.
#[derive(Debug, Clone, Default)]
pub struct Context {
    values: Arc<Values>,
}

impl Context {
    /// Without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of the values that are seen here; what is set later is set in one of the two alone.
    pub fn current() -> Self {
        let values = current().map(|values| values.copy()).unwrap_or_default();
        Self {
            values: Arc::new(values),
        }
    }

    /// Runs a function with these values; what it sets is set here.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        raw::with_current_cold_or_new(|_| ());
        ambient::with_values(self.values.clone(), f)
    }
}

/// Declares task-local keys: see [`LocalKey`](crate::task::LocalKey).
///
/// ```
/// filch::task_local! {
///     static REQUEST: u64;
/// }
/// # filch::run(async {
/// let seen = REQUEST.scope(7, async {
///     // A task that is spawned inside sees it, too.
///     filch::spawn(async { REQUEST.get() }).await.unwrap()
/// });
/// assert_eq!(seen.await, 7);
/// # });
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty; $($rest:tt)*) => {
        $(#[$attr])*
        $vis static $name: $crate::task::LocalKey<$t> = $crate::task::LocalKey::new();
        $crate::task_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty) => {
        $crate::task_local!($(#[$attr])* $vis static $name: $t;);
    };
}
