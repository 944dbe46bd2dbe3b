//! What only some tasks have: a name, values of task-local keys, and a root scope.
//!
//! A task that uses none of it has a null pointer here, and pays for a look at it before and after each poll.

use crate::context::Values;
use crate::scope::driven;
use crate::scope::node::{Kind, Left, Node, Payload};
use crate::shim::{AtomicBool, Mutex, Ordering, UnsafeCell};
use crate::task::id::Id;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What a group is to its children.
pub(crate) trait Family: Send + Sync {
    /// Takes the panic of a child.
    fn panicked(&self, payload: Payload);

    /// A child has ended, however that came.
    fn ended(&self) {}

    /// The scope that ends after its children.
    fn node(&self) -> &Arc<Node>;
}

/// Who watches a task, in debug mode.
pub(crate) trait Observer: Send + Sync {
    /// The task was given a name.
    fn named(&self, name: &Arc<str>);

    /// Something of the task begins to run on this thread: a poll, or the drop of its future.
    fn begins(self: Arc<Self>, id: Id, place: &'static Location<'static>);

    /// What began last on this thread has ended.
    fn ends(&self);

    /// The task is dropped before its first poll.
    fn never_ran(&self);

    /// The task's panic is dropped, and nobody has seen it.
    fn unseen(&self, payload: &Payload);
}

/// While something of a watched task runs. It does not need the task.
pub(super) struct Watching(Arc<dyn Observer>);

impl Watching {
    #[cold]
    fn begin(observer: &Arc<dyn Observer>, id: Id, place: &'static Location<'static>) -> Self {
        observer.clone().begins(id, place);
        Self(observer.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.ends();
    }
}

/// The cold part of a task.
pub(crate) struct Cold {
    root: Arc<Node>,
    name: Mutex<Option<Arc<str>>>,
    values: Mutex<Option<Arc<Values>>>,
    family: Option<Arc<dyn Family>>,
    /// In debug mode every task has one, and a cold part for it.
    observer: Option<Arc<dyn Observer>>,
    /// The root scope has the task's waker. Only the one that runs the task looks at it, as at the next.
    listens: AtomicBool,
    /// The future is gone, and what it left behind is running.
    finishing: AtomicBool,
    /// What it left behind is somebody else's.
    bequeathed: AtomicBool,
    /// The task has ended by a cancel.
    cancelled: AtomicBool,
    /// Nothing. The models see by it whether whoever finds this has what was written before it was found.
    made: UnsafeCell<()>,
}

impl Cold {
    /// For a child of a group, or for any other task.
    pub(crate) fn new(family: Option<Arc<dyn Family>>) -> Self {
        let parent = family.as_ref().map(|family| family.node().clone());
        let made = UnsafeCell::new(());
        made.with_mut(|_| ());
        Self {
            root: Node::new(parent, Kind::Root, None),
            name: Mutex::new(None),
            values: Mutex::new(None),
            family,
            observer: None,
            listens: AtomicBool::new(false),
            finishing: AtomicBool::new(false),
            bequeathed: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            made,
        }
    }

    /// Called by whoever finds it through the task's pointer.
    #[inline]
    pub(crate) fn found(&self) -> &Self {
        self.made.with(|_| ());
        self
    }

    pub(crate) fn root(&self) -> &Arc<Node> {
        &self.root
    }

    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.name.lock().clone()
    }

    /// Before the task is made.
    pub(crate) fn set_observer(&mut self, observer: Arc<dyn Observer>) {
        self.observer = Some(observer);
    }

    /// The task was dropped before its first poll.
    pub(super) fn never_ran(&self) {
        if let Some(observer) = &self.observer {
            observer.never_ran();
        }
    }

    /// The task's panic is dropped, and nobody has seen it.
    pub(super) fn unseen(&self, payload: &Payload) {
        if let Some(observer) = &self.observer {
            observer.unseen(payload);
        }
    }

    /// Something of the task begins to run.
    #[inline]
    pub(super) fn watch(&self, id: Id, place: &'static Location<'static>) -> Option<Watching> {
        self.observer
            .as_ref()
            .map(|observer| Watching::begin(observer, id, place))
    }

    pub(crate) fn set_name(&self, name: Arc<str>) {
        if let Some(observer) = &self.observer {
            observer.named(&name);
        }
        let old = self.name.lock().replace(name);
        drop(old);
    }

    pub(crate) fn values(&self) -> Option<Arc<Values>> {
        self.values.lock().clone()
    }

    pub(crate) fn values_or_new(&self) -> Arc<Values> {
        self.values.lock().get_or_insert_default().clone()
    }

    pub(crate) fn set_values(&self, values: Arc<Values>) {
        let old = self.values.lock().replace(values);
        drop(old);
    }

    pub(crate) fn is_child(&self) -> bool {
        self.family.is_some()
    }

    /// Whether the root scope still has to be given the task's waker; asked once.
    pub(crate) fn wants_waker(&self) -> bool {
        // Relaxed: only the one that runs the task looks.
        let wants = !self.listens.load(Ordering::Relaxed);
        self.listens.store(true, Ordering::Relaxed);
        wants
    }

    /// The task ends by a cancel.
    pub(crate) fn set_cancelled(&self) {
        // Relaxed: who looks has seen that the task is complete.
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the task, which has ended, was cancelled with the scope that the calling code is in: by the very same cancel.
    pub(crate) fn is_cancelled_with(&self, around: Option<&Node>) -> bool {
        // Relaxed: as in `set_cancelled`.
        self.cancelled.load(Ordering::Relaxed)
            && around.is_some_and(|around| match (self.root.reason(), around.reason()) {
                (Some(ours), Some(theirs)) => ours.is_same(&theirs),
                _ => false,
            })
    }

    pub(crate) fn is_finishing(&self) -> bool {
        // Relaxed: only the one that runs the task looks.
        self.finishing.load(Ordering::Relaxed)
    }

    /// The future is gone.
    pub(crate) fn finishing(&self) {
        self.finishing.store(true, Ordering::Relaxed);
    }

    /// Runs the clean-ups that are there already, beside the task's future.
    pub(crate) fn poll_cleanups(&self, cx: &mut Context<'_>) {
        if self.root.has_cleanups() {
            driven::poll_cleanups(&self.root, cx);
        }
    }

    /// Runs all that is left to do in the root scope.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        driven::poll_end(&self.root, cx)
    }

    /// Leaves what is left to do to somebody who polls it in the place of this task. False if that cannot be.
    pub(crate) fn bequeath(&self, heir: Option<Arc<Node>>) -> bool {
        let taken =
            heir.is_some_and(|heir| self.root.try_end() == Left::Nothing || driven::leave_to(&heir, &self.root));
        // Relaxed: only the one that runs the task looks.
        self.bequeathed.store(taken, Ordering::Relaxed);
        taken
    }

    /// A panic is the group's, if there is one.
    pub(crate) fn give_panic(&self, payload: Payload) -> Option<Payload> {
        match &self.family {
            None => Some(payload),
            Some(family) => {
                family.panicked(payload);
                None
            }
        }
    }

    /// The task has ended.
    pub(crate) fn ended(&self) {
        if !self.bequeathed.load(Ordering::Relaxed) {
            self.root.end();
        }
        if let Some(family) = &self.family {
            family.ended();
            family.node().child_ended();
        }
    }
}

impl fmt::Debug for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cold").field("root", &self.root).finish_non_exhaustive()
    }
}
