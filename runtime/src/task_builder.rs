//! Spawning a task with more than a future.

use crate::handle::Handle;
use crate::lane::Lane;
use crate::task::cold::Cold;
use crate::task::join::JoinHandle;
use crate::task_local::{self, Context};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Spawns a task with a name, with values of its own, or into a lane.
///
/// ```
/// # filch::run(async {
/// let task = filch::task::Builder::new()
///     .name("the answer")
///     .spawn(async { filch::task::current().unwrap().name() });
/// assert_eq!(task.await.unwrap().as_deref(), Some("the answer"));
/// # });
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing before it spawns"]
pub struct Builder<'a> {
    name: Option<Arc<str>>,
    context: Option<&'a Context>,
    lane: Option<&'a Lane>,
}

impl<'a> Builder<'a> {
    /// A task like that of [`spawn`](crate::spawn()).
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the task.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Instead of a copy of the values that are seen here, the task gets these, and shares them: what one of those who share them sets the others see.
    pub fn context(mut self, context: &'a Context) -> Self {
        self.context = Some(context);
        self
    }

    /// The task runs in this lane, on the lane's runtime.
    pub fn lane(mut self, lane: &'a Lane) -> Self {
        self.lane = Some(lane);
        self
    }

    /// Spawns the task, on the runtime of this thread or into the lane.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, unless there is a lane.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let location = Location::caller();
        match self.lane {
            Some(lane) => lane.spawn_with(future, Some(self.cold()), location),
            None => Handle::here().spawn_with(future, self.cold(), location),
        }
    }

    /// As [`spawn`](Self::spawn), on the runtime of `handle`, unless there is a lane.
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let location = Location::caller();
        match self.lane {
            Some(lane) => lane.spawn_with(future, Some(self.cold()), location),
            None => handle.spawn_with(future, self.cold(), location),
        }
    }

    fn cold(&self) -> Box<Cold> {
        let cold = Box::new(Cold::new(None));
        match self.context {
            Some(context) => task_local::share(&cold, context),
            None => task_local::inherit_into(&cold),
        }
        if let Some(name) = &self.name {
            cold.set_name(name.clone());
        }
        cold
    }
}

impl fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
