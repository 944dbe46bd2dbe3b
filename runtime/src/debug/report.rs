//! What debug mode has to say.

use crate::task::id::Id;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Something that debug mode noticed. Its [`Display`](fmt::Display) is the whole text, of several lines if there is a stack.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    kind: ReportKind,
    about: About,
    message: String,
    elapsed: Option<Duration>,
    stack: Vec<Frame>,
    no_stack: Option<String>,
    places: Vec<String>,
}

/// What a [`Report`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportKind {
    /// A poll, or the drop of a task's future, takes longer than [`slow_poll`](crate::runtime::Builder::slow_poll) allows. Said once for each such poll: while it is still
    /// running, with the stack of its thread, or when it ends, if that came first.
    SlowPoll,
    /// A poll that was reported as slow while it ran has ended. [`Report::elapsed`] is the whole time that it took.
    SlowPollEnded,
    /// A tracked coroutine was dropped before it was polled. See [`tracked`](fn@crate::debug::tracked).
    NeverAwaited,
    /// The runtime shut down before it had polled a task.
    NeverRan,
    /// A task panicked, and nobody awaited its handle.
    UnseenPanic,
    /// A child of a group failed after the group's future was dropped.
    UnseenError,
    /// A mutex or rwlock is held for long across waits, or somebody waits for it and for long; or somebody waits for a semaphore's permits that others hold. Said once for each hold.
    LongLock,
    /// A runtime has ended, and sockets of it, timers, or blocking jobs are left. How many, the message says; where they come from, [`Report::places`].
    Leaked,
}

/// A task or a coroutine that a report is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) task: Option<Id>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) place: Option<&'static Location<'static>>,
}

/// A function on a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub(crate) address: usize,
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
}

impl Report {
    pub(crate) fn new(kind: ReportKind, about: About, message: String) -> Self {
        Self {
            kind,
            about,
            message,
            elapsed: None,
            stack: Vec::new(),
            no_stack: None,
            places: Vec::new(),
        }
    }

    pub(crate) fn with_places(mut self, places: Vec<String>) -> Self {
        self.places = places;
        self
    }

    pub(crate) fn with_elapsed(mut self, elapsed: Duration) -> Self {
        self.elapsed = Some(elapsed);
        self
    }

    /// With a stack, or with why there is none.
    pub(crate) fn with_stack(mut self, stack: Result<Vec<Frame>, String>) -> Self {
        match stack {
            Ok(stack) => self.stack = stack,
            Err(reason) => self.no_stack = Some(reason),
        }
        self
    }

    /// What it is about.
    pub fn kind(&self) -> ReportKind {
        self.kind
    }

    /// The task, if it is about one.
    pub fn task(&self) -> Option<Id> {
        self.about.task
    }

    /// The name of the task, if it has one, or of the coroutine.
    pub fn name(&self) -> Option<&str> {
        self.about.name.as_deref()
    }

    /// Where the task was spawned, the coroutine was made, the group was opened, or the lock was taken.
    pub fn place(&self) -> Option<&'static Location<'static>> {
        self.about.place
    }

    /// All of it in one line, without the stack and the places.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How long a slow poll has taken so far, or a lock was held.
    pub fn elapsed(&self) -> Option<Duration> {
        self.elapsed
    }

    /// Where it comes from what a runtime has left behind, a line for each place with the number of those from there: ten places at most, those of most first.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// The stack of a thread that is stuck in a poll, the innermost function first: down to the poll, without the runtime's own functions. Empty if it could
    /// not be taken; then the report's text says why.
    pub fn stack(&self) -> &[Frame] {
        &self.stack
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filch: {}", self.message)?;
        if let Some(reason) = &self.no_stack {
            write!(f, "\n    (no stack: {reason})")?;
        }
        for place in &self.places {
            write!(f, "\n    {place}")?;
        }
        for (number, frame) in self.stack.iter().enumerate() {
            write!(f, "\n{number:4}: {frame}")?;
        }
        Ok(())
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(id) => write!(f, "task {id}")?,
            None => f.write_str("the future of `block_on`")?,
        }
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        match (self.task, self.place) {
            (Some(_), Some(place)) => write!(f, ", spawned at {place},"),
            (None, Some(place)) => write!(f, " at {place}"),
            (_, None) => Ok(()),
        }
    }
}

impl Frame {
    /// The path of the function, if it is known.
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// The source file, if the program has debug information.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line in the file.
    pub fn line(&self) -> Option<u32> {
        self.line
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => f.write_str(function)?,
            None => write!(f, "{:#x}", self.address)?,
        }
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "\n             at {file}:{line}"),
            (Some(file), None) => write!(f, "\n             at {file}"),
            (None, _) => Ok(()),
        }
    }
}
