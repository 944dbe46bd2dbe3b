//! What a thread is inside of while it polls: the innermost scope, and the values of task-local keys.
//!
//! It belongs to the task that is polled, and says so: a task that is polled inside another one's poll, as those of a lane, sees nothing of it.

use crate::context::Values;
use crate::coop::{self, TaskKey};
use crate::scope::node::Node;
use crate::shim::thread_local_const;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

#[derive(Clone)]
struct Ambient {
    /// Whose poll this belongs to; nothing for the future of `block_on`.
    task: Option<TaskKey>,
    node: Option<Arc<Node>>,
    values: Option<Arc<Values>>,
}

thread_local_const! {
    static AMBIENT: RefCell<Option<Ambient>> = RefCell::new(None)
}

/// Puts back what was there before, also when a poll panics.
struct Restore(Option<Ambient>);

impl Drop for Restore {
    fn drop(&mut self) {
        let now = AMBIENT.try_with(|ambient| ambient.replace(self.0.take()));
        drop(now);
    }
}

fn own<R>(f: impl FnOnce(&Ambient) -> Option<R>) -> Option<R> {
    let task = coop::current_key();
    AMBIENT
        .try_with(|ambient| match &*ambient.borrow() {
            Some(ambient) if ambient.task == task => f(ambient),
            _ => None,
        })
        .ok()
        .flatten()
}

/// The innermost scope that the current task was polled through.
pub(crate) fn node() -> Option<Arc<Node>> {
    own(|ambient| ambient.node.clone())
}

/// The innermost values that the current task was polled through.
pub(crate) fn values() -> Option<Arc<Values>> {
    own(|ambient| ambient.values.clone())
}

fn with<R>(change: impl FnOnce(&mut Ambient), f: impl FnOnce() -> R) -> R {
    let mut inside = own(|ambient| Some(ambient.clone())).unwrap_or(Ambient {
        task: coop::current_key(),
        node: None,
        values: None,
    });
    change(&mut inside);
    let _restore = AMBIENT.try_with(|ambient| Restore(ambient.replace(Some(inside)))).ok();
    f()
}

/// Runs `f` inside of a scope.
pub(crate) fn with_node<R>(node: &Arc<Node>, f: impl FnOnce() -> R) -> R {
    with(|ambient| ambient.node = Some(node.clone()), f)
}

/// Runs `f` with other values of the task-local keys.
pub(crate) fn with_values<R>(values: Arc<Values>, f: impl FnOnce() -> R) -> R {
    with(|ambient| ambient.values = Some(values), f)
}

/// What some code is inside of, to be taken to a thread of its own.
pub(crate) struct Around {
    node: Option<Arc<Node>>,
    values: Option<Arc<Values>>,
}

impl Around {
    pub(crate) fn new(node: Option<Arc<Node>>, values: Option<Arc<Values>>) -> Self {
        Self { node, values }
    }

    pub(crate) fn run<R>(self, f: impl FnOnce() -> R) -> R {
        if self.node.is_none() && self.values.is_none() {
            return f();
        }
        with(
            |ambient| {
                ambient.node = self.node;
                ambient.values = self.values;
            },
            f,
        )
    }
}

/// Finds who takes over what ended tasks have to clean up: somebody, or nobody.
pub(crate) type Heir = fn() -> Option<Arc<Node>>;

thread_local_const! {
    /// While this thread ends tasks that nobody polls again.
    static HEIR: Cell<Option<Heir>> = Cell::new(None)
}

/// Runs `f`, which ends tasks that nobody polls again: what they have to clean up is left to the scope that `heir` finds.
pub(crate) fn with_heir<R>(heir: Heir, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Heir>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = HEIR.try_with(|place| place.set(self.0));
        }
    }
    let _restore = HEIR.try_with(|place| Restore(place.replace(Some(heir)))).ok();
    f()
}

/// While [`with_heir`] runs: who takes over.
pub(crate) fn heir() -> Option<Option<Arc<Node>>> {
    HEIR.try_with(Cell::get).ok().flatten().map(|heir| heir())
}
