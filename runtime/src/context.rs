//! The values of task-local keys, as a task has them.

use crate::shim::Exclusive;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A value, and the key that it belongs to.
type Entry = (usize, Arc<dyn Any + Send + Sync>);

/// The values of one task, or of several that share them.
///
/// A copy costs one reference; whoever sets a value copies the list, which is as long as there are keys in use.
#[derive(Default)]
pub(crate) struct Values(Exclusive<Arc<Vec<Entry>>>);

impl Values {
    /// Values that are the same now and go their own ways.
    pub(crate) fn copy(&self) -> Self {
        Self(Exclusive::new(self.0.peek(Arc::clone)))
    }

    pub(crate) fn get(&self, key: usize) -> Option<Arc<dyn Any + Send + Sync>> {
        let list = self.0.peek(Arc::clone);
        let entry = list.iter().find(|entry| entry.0 == key)?;
        Some(entry.1.clone())
    }

    /// Sets a value, or takes it away.
    pub(crate) fn set(&self, key: usize, value: Option<Arc<dyn Any + Send + Sync>>) {
        // What was there is dropped when the lock is released.
        let old = self.0.update(|list| {
            let others = list.iter().filter(|entry| entry.0 != key).cloned();
            Arc::new(others.chain(value.map(|value| (key, value))).collect())
        });
        drop(old);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.peek(|list| list.len())
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.len())
    }
}
