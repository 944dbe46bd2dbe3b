//! Why a task gave no value.

use crate::shim::Exclusive;
use crate::task::id::Id;
use std::any::Any;
use std::{fmt, io};

/// A task ended without a value: it was aborted, its runtime shut down, or it panicked.
pub struct JoinError {
    id: Id,
    repr: Repr,
}

enum Repr {
    Cancelled,
    Panic(Exclusive<Box<dyn Any + Send>>),
}

impl JoinError {
    pub(crate) fn cancelled(id: Id) -> Self {
        Self {
            id,
            repr: Repr::Cancelled,
        }
    }

    pub(crate) fn panic(id: Id, payload: Box<dyn Any + Send>) -> Self {
        Self {
            id,
            repr: Repr::Panic(Exclusive::new(payload)),
        }
    }

    /// Whether the task was aborted or its runtime shut down before it ended.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.repr, Repr::Cancelled)
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.repr, Repr::Panic(_))
    }

    /// The value that the task panicked with, ready for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If the task did not panic; [`try_into_panic`](Self::try_into_panic) asks first.
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("`JoinError::into_panic` of a task that did not panic: {error}"),
        }
    }

    /// The value that the task panicked with.
    ///
    /// # Errors
    ///
    /// Gives the error back if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        match self.repr {
            Repr::Panic(payload) => Ok(payload.into_inner()),
            repr => Err(Self { repr, ..self }),
        }
    }

    /// The id of the task.
    pub fn id(&self) -> Id {
        self.id
    }

    fn message(&self) -> Option<String> {
        match &self.repr {
            Repr::Cancelled => None,
            Repr::Panic(payload) => Some(payload.peek(|payload| {
                payload
                    .downcast_ref::<&'static str>()
                    .map(ToString::to_string)
                    .or_else(|| payload.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "(not a text)".to_string())
            })),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            None => write!(f, "task {} was cancelled", self.id),
            Some(message) => write!(f, "task {} panicked: {message}", self.id),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            None => write!(f, "JoinError::Cancelled({:?})", self.id),
            Some(message) => write!(f, "JoinError::Panic({:?}, {message:?})", self.id),
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(error.to_string())
    }
}
