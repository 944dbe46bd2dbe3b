//! Why a task gave no value.

use crate::scope::reason::Reason;
use crate::shim::Exclusive;
use crate::task::id::Id;
use std::any::Any;
use std::{fmt, io};

/// A task ended without a value: it was cancelled or aborted, its runtime shut down, it panicked, or it was the child of a group and failed.
pub struct JoinError {
    id: Id,
    repr: Repr,
}

enum Repr {
    Cancelled(Option<Reason>),
    Failed,
    Panic(Exclusive<Box<dyn Any + Send>>),
}

impl JoinError {
    pub(crate) fn cancelled(id: Id, reason: Option<Reason>) -> Self {
        Self {
            id,
            repr: Repr::Cancelled(reason),
        }
    }

    pub(crate) fn failed(id: Id) -> Self {
        Self { id, repr: Repr::Failed }
    }

    pub(crate) fn panic(id: Id, payload: Box<dyn Any + Send>) -> Self {
        Self {
            id,
            repr: Repr::Panic(Exclusive::new(payload)),
        }
    }

    /// Whether the task was cancelled or aborted, or its runtime shut down, before it ended.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.repr, Repr::Cancelled(_))
    }

    /// Why the task was cancelled, if somebody said so: by [`cancel_with`](crate::task::JoinHandle::cancel_with), or through a scope that it was in.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.repr {
            Repr::Cancelled(reason) => reason.as_ref(),
            _ => None,
        }
    }

    /// Whether the task was a child of a [`group`](fn@crate::group) and failed: the group has its error, or its panic.
    pub fn is_failed(&self) -> bool {
        matches!(self.repr, Repr::Failed)
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
            Repr::Cancelled(_) | Repr::Failed => None,
            Repr::Panic(payload) => Some(payload.peek(text_of)),
        }
    }
}

/// What a panic says.
pub(crate) fn text_of(payload: &Box<dyn Any + Send>) -> String {
    payload
        .downcast_ref::<&'static str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "(not a text)".to_string())
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.repr, self.message()) {
            (Repr::Cancelled(Some(reason)), _) => write!(f, "task {} was cancelled: {reason}", self.id),
            (Repr::Failed, _) => write!(f, "task {} failed, its group has the error", self.id),
            (_, None) => write!(f, "task {} was cancelled", self.id),
            (_, Some(message)) => write!(f, "task {} panicked: {message}", self.id),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.repr, self.message()) {
            (Repr::Cancelled(Some(reason)), _) => write!(f, "JoinError::Cancelled({:?}, {reason:?})", self.id),
            (Repr::Failed, _) => write!(f, "JoinError::Failed({:?})", self.id),
            (_, None) => write!(f, "JoinError::Cancelled({:?})", self.id),
            (_, Some(message)) => write!(f, "JoinError::Panic({:?}, {message:?})", self.id),
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(error.to_string())
    }
}
