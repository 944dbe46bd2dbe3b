//! Why something is cancelled.

use crate::task::id::Id;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Why a scope or a task was cancelled: what kind of event it was, who asked, where, and in whose words.
///
/// Cloning is cheap. (The idea is Trio's, whose `Cancelled` says the same.)
#[derive(Clone)]
pub struct Reason(Arc<Inner>);

struct Inner {
    kind: ReasonKind,
    text: Option<Box<str>>,
    by: Option<Id>,
    location: &'static Location<'static>,
}

/// What kind of event cancelled a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasonKind {
    /// Somebody called a `cancel`.
    Requested,
    /// A deadline passed.
    Deadline,
    /// A child of the group, or its body, failed.
    Failure,
    /// The future that the scope belonged to was dropped before its end.
    Dropped,
    /// The runtime shuts down.
    Shutdown,
    /// The program was interrupted (SIGINT).
    Interrupt,
}

impl Reason {
    pub(crate) fn new(
        kind: ReasonKind,
        text: Option<&str>,
        by: Option<Id>,
        location: &'static Location<'static>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            text: text.map(Box::from),
            by,
            location,
        }))
    }

    /// Whether both tell of the same cancel, not only of the same kind.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What kind of event it was.
    pub fn kind(&self) -> ReasonKind {
        self.0.kind
    }

    /// What whoever cancelled said about it, if anything.
    pub fn text(&self) -> Option<&str> {
        self.0.text.as_deref()
    }

    /// The task that cancelled; nothing if it was no task, or if that was not noted.
    pub fn by(&self) -> Option<Id> {
        self.0.by
    }

    /// Where in the program it was cancelled; for a deadline, where it was set.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind {
            ReasonKind::Requested => f.write_str("cancelled")?,
            ReasonKind::Deadline => f.write_str("its deadline passed")?,
            ReasonKind::Failure => f.write_str("another part of its group failed")?,
            ReasonKind::Dropped => f.write_str("its scope was dropped")?,
            ReasonKind::Shutdown => f.write_str("the runtime shut down")?,
            ReasonKind::Interrupt => f.write_str("interrupted")?,
        }
        if let Some(text) = &self.0.text {
            write!(f, ": {text}")?;
        }
        if let Some(by) = self.0.by {
            write!(f, ", by task {by}")?;
        }
        write!(f, " at {}", self.0.location)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reason({self})")
    }
}
