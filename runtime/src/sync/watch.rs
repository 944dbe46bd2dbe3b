//! A channel that keeps the last value alone: crate tokio's, charging the poll budget.

use super::charged::charged;
use tokio::sync::watch as inner;
pub use tokio::sync::watch::{Ref, error};

/// A channel with one value, which senders change and receivers look at or wait for.
///
/// ```
/// # filch::run(async {
/// let (sender, mut receiver) = filch::sync::watch::channel("old");
/// filch::spawn(async move { sender.send("new") });
/// receiver.changed().await.unwrap();
/// assert_eq!(*receiver.borrow(), "new");
/// # });
/// ```
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = inner::channel(init);
    (Sender(sender), Receiver(receiver))
}

/// The end that changes the value; there may be many.
#[derive(Debug)]
pub struct Sender<T>(inner::Sender<T>);

impl<T> Sender<T> {
    /// A channel without receivers, which [`subscribe`](Self::subscribe) makes.
    pub fn new(init: T) -> Self {
        Self(inner::Sender::new(init))
    }

    /// Puts a new value in place of the old one, and tells all receivers.
    ///
    /// # Errors
    ///
    /// If there are no receivers: the value.
    pub fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        self.0.send(value)
    }

    /// Changes the value in place, and tells all receivers. They need not be there.
    ///
    /// # Panics
    ///
    /// If `modify` does; then nobody is told.
    pub fn send_modify<F: FnOnce(&mut T)>(&self, modify: F) {
        self.0.send_modify(modify);
    }

    /// Changes the value in place, and tells all receivers if `modify` says so.
    ///
    /// # Panics
    ///
    /// If `modify` does; then nobody is told.
    pub fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        self.0.send_if_modified(modify)
    }

    /// Puts a new value in place of the old one, which it returns, and tells all receivers. They need not be there.
    pub fn send_replace(&self, value: T) -> T {
        self.0.send_replace(value)
    }

    /// The value. Nobody can change it while it is looked at.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    /// Whether there are no receivers.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until there are no receivers.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn closed(&self) {
        charged(self.0.closed()).await;
    }

    /// A new receiver, which has seen the value that there is.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(self.0.subscribe())
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.0.receiver_count()
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.0.sender_count()
    }

    /// Whether both belong to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// The end that looks; there may be many.
#[derive(Debug)]
pub struct Receiver<T>(inner::Receiver<T>);

impl<T> Receiver<T> {
    /// The value. Nobody can change it while it is looked at.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    /// The value, which counts as seen then.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.0.borrow_and_update()
    }

    /// Whether there is a value that this has not seen.
    ///
    /// # Errors
    ///
    /// If all senders are gone.
    pub fn has_changed(&self) -> Result<bool, error::RecvError> {
        self.0.has_changed()
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Treats the value as one that was not seen.
    pub fn mark_changed(&mut self) {
        self.0.mark_changed();
    }

    /// Treats the value as one that was seen.
    pub fn mark_unchanged(&mut self) {
        self.0.mark_unchanged();
    }

    /// Waits for a value that this has not seen; it counts as seen then.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and their last value was seen.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped the value stays unseen.
    pub async fn changed(&mut self) -> Result<(), error::RecvError> {
        charged(self.0.changed()).await
    }

    /// Waits for a value for which `f` holds. The value that there is comes first.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and `f` does not hold for their last value.
    ///
    /// # Panics
    ///
    /// If `f` does.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped, values for which `f` did not hold count as seen.
    pub async fn wait_for(&mut self, f: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, error::RecvError> {
        charged(self.0.wait_for(f)).await
    }

    /// Whether both belong to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
