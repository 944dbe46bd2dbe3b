//! Crate tokio's cells that are written once, charged.

use super::charged::charged;
use std::fmt;
use std::future::Future;
use tokio::sync as inner;
pub use tokio::sync::{SetError, SetOnceError};

/// A value that the first who asks makes, with a future: crate tokio's cell, charging the poll budget.
///
/// ```
/// static GREETING: filch::sync::OnceCell<String> = filch::sync::OnceCell::const_new();
/// # filch::run(async {
/// let text = GREETING.get_or_init(|| async { "hello".to_string() }).await;
/// assert_eq!(text, "hello");
/// # });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OnceCell<T>(inner::OnceCell<T>);

impl<T> OnceCell<T> {
    /// An empty cell.
    pub fn new() -> Self {
        Self(inner::OnceCell::new())
    }

    /// An empty cell, in a constant context.
    pub const fn const_new() -> Self {
        Self(inner::OnceCell::const_new())
    }

    /// A cell with this value, if there is one.
    pub fn new_with(value: Option<T>) -> Self {
        Self(inner::OnceCell::new_with(value))
    }

    /// A cell with this value, in a constant context.
    pub const fn const_new_with(value: T) -> Self {
        Self(inner::OnceCell::const_new_with(value))
    }

    /// Whether there is a value.
    pub fn initialized(&self) -> bool {
        self.0.initialized()
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value, if there is one, to be changed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.get_mut()
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// If there is one, or somebody is making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        self.0.set(value)
    }

    /// The value; if there is none, `f` makes it while all others who ask wait.
    ///
    /// # Cancel safety
    ///
    /// If the one who makes the value is dropped, the next who waits makes one.
    pub async fn get_or_init<F, Fut>(&self, f: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        charged(self.0.get_or_init(f)).await
    }

    /// As [`get_or_init`](Self::get_or_init), for an `f` that may fail: then the next who waits makes the value.
    ///
    /// # Errors
    ///
    /// Those of `f`.
    ///
    /// # Cancel safety
    ///
    /// If the one who makes the value is dropped, the next who waits makes one.
    pub async fn get_or_try_init<E, F, Fut>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        charged(self.0.get_or_try_init(f)).await
    }

    /// The value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.0.into_inner()
    }

    /// Takes the value out, if there is one; the cell is empty then.
    pub fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self(inner::OnceCell::from(value))
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value that somebody sets once, and that others wait for: crate tokio's `SetOnce`, charging the poll budget.
///
/// ```
/// # filch::run(async {
/// let answer = std::sync::Arc::new(filch::sync::SetOnce::new());
/// let other = answer.clone();
/// filch::spawn(async move { other.set(42) });
/// assert_eq!(*answer.wait().await, 42);
/// # });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SetOnce<T>(inner::SetOnce<T>);

impl<T> SetOnce<T> {
    /// An empty cell.
    pub fn new() -> Self {
        Self(inner::SetOnce::new())
    }

    /// An empty cell, in a constant context.
    pub const fn const_new() -> Self {
        Self(inner::SetOnce::const_new())
    }

    /// A cell with this value, if there is one.
    pub fn new_with(value: Option<T>) -> Self {
        Self(inner::SetOnce::new_with(value))
    }

    /// A cell with this value, in a constant context.
    pub const fn const_new_with(value: T) -> Self {
        Self(inner::SetOnce::const_new_with(value))
    }

    /// Whether there is a value.
    pub fn initialized(&self) -> bool {
        self.0.initialized()
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// Sets the value and wakes all who wait for it.
    ///
    /// # Errors
    ///
    /// If there is one.
    pub fn set(&self, value: T) -> Result<(), SetOnceError<T>> {
        self.0.set(value)
    }

    /// The value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.0.into_inner()
    }

    /// Waits until there is a value.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn wait(&self) -> &T {
        charged(self.0.wait()).await
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for SetOnce<T> {
    fn from(value: T) -> Self {
        Self(inner::SetOnce::from(value))
    }
}

impl<T: fmt::Debug> fmt::Debug for SetOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
