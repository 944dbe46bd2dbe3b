//! How a timer finds its driver: the runtime that the present thread is inside of.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc; // std's under loom too: handles cross the seam to the runtime

use crate::clock::Clock;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread_local_cell;
use crate::timers::{Hooks, Timers};

/// One runtime's timers, as a thread sees them. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    /// The timers of the worker that this handle belongs to.
    home: Option<Arc<Timers>>,
}

struct Shared {
    clock: Clock,
    timers: Vec<Arc<Timers>>,
    /// Whose turn it is to take a timer from a thread that is no worker.
    turn: AtomicUsize,
}

impl Handle {
    /// The timers of a runtime's workers, in the workers' order. The handle itself has no home: see [`at`](Handle::at).
    ///
    /// # Panics
    ///
    /// If there are none.
    #[must_use]
    #[track_caller]
    pub fn new(clock: Clock, timers: Vec<Arc<Timers>>, hooks: Hooks) -> Handle {
        assert!(!timers.is_empty(), "a runtime has at least one worker's timers");
        for timers in &timers {
            timers.set_hooks(hooks);
        }
        Handle {
            shared: Arc::new(Shared {
                clock,
                timers,
                turn: AtomicUsize::new(0),
            }),
            home: None,
        }
    }

    /// The same runtime, seen by worker `index`: timers that are created inside of it are this worker's. A handle without
    /// a home deals them round robin.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[must_use]
    #[track_caller]
    pub fn at(&self, index: usize) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
            home: Some(Arc::clone(&self.shared.timers[index])),
        }
    }

    /// Puts the present thread inside this runtime until the guard is dropped. Nests: the guard brings back what was
    /// before.
    pub fn enter(&self) -> Enter {
        // A thread whose locals are gone already cannot enter.
        let previous = CURRENT
            .try_with(|current| current.replace(Some(self.clone())))
            .ok()
            .flatten();
        Enter {
            previous,
            _not_send: PhantomData,
        }
    }

    /// The runtime that the present thread is inside of.
    ///
    /// # Panics
    ///
    /// If it is inside none.
    #[must_use]
    #[track_caller]
    pub fn current() -> Handle {
        // A `match`: the caller's line does not pass through a closure.
        match Handle::try_current() {
            Some(handle) => handle,
            None => no_runtime(),
        }
    }

    /// The runtime that the present thread is inside of, if any.
    #[must_use]
    pub fn try_current() -> Option<Handle> {
        with(Handle::clone)
    }

    /// The runtime's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The timers of all workers.
    #[must_use]
    pub fn timers(&self) -> &[Arc<Timers>] {
        &self.shared.timers
    }

    /// Where a new timer goes.
    fn choose(&self) -> &Arc<Timers> {
        self.home.as_ref().unwrap_or_else(|| {
            let timers = &self.shared.timers;
            // Relaxed: only the spread matters.
            &timers[self.shared.turn.fetch_add(1, Ordering::Relaxed) % timers.len()]
        })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("clock", &self.shared.clock)
            .field("workers", &self.shared.timers.len())
            .field("home", &self.home)
            .finish()
    }
}

/// The present thread is inside a runtime while this exists. From [`Handle::enter`].
#[derive(Debug)]
#[must_use = "the thread leaves the runtime when the guard is dropped"]
pub struct Enter {
    previous: Option<Handle>,
    /// The guard belongs to the thread that it was made on.
    _not_send: PhantomData<*mut ()>,
}

impl Drop for Enter {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // A thread that ends while it is inside has nothing left to restore. What was current is dropped after the borrow.
        let _ = CURRENT.try_with(|current| mem::replace(&mut *current.borrow_mut(), previous));
    }
}

thread_local_cell! {
    static CURRENT: RefCell<Option<Handle>> = RefCell::new(None);
}

/// The timers that a timer created here and now belongs to.
#[track_caller]
pub(crate) fn timers() -> Arc<Timers> {
    match with(|handle| Arc::clone(handle.choose())) {
        Some(timers) => timers,
        None => no_runtime(),
    }
}

/// The present worker's timers, if they are other ones than `than` but of the same runtime.
pub(crate) fn nearer(than: &Arc<Timers>) -> Option<Arc<Timers>> {
    with(|handle| {
        let home = handle.home.as_ref()?;
        let nearer = !Arc::ptr_eq(home, than) && home.clock().is(than.clock());
        nearer.then(|| Arc::clone(home))
    })?
}

/// Calls `f` with the present runtime's handle, without cloning it. `f` must not enter or leave a runtime.
pub(crate) fn with<R>(f: impl FnOnce(&Handle) -> R) -> Option<R> {
    // A thread whose thread-locals are being destroyed is inside no runtime.
    CURRENT
        .try_with(|current| current.borrow().as_ref().map(f))
        .ok()
        .flatten()
}

#[cold]
#[track_caller]
fn no_runtime() -> ! {
    panic!("there is no filch runtime on this thread: timers must be used within the context of a filch runtime")
}
