//! A channel whose every value all receivers get: crate tokio's, charging the poll budget.

use super::blocking::block_on;
use super::charged::charged;
use std::fmt;
use tokio::sync::broadcast as inner;
pub use tokio::sync::broadcast::error;

/// A channel that keeps the last `capacity` values (rounded up to a power of two) for those who have not received them yet. Who is slower
/// than that misses the oldest, and is told how many.
///
/// ```
/// # filch::run(async {
/// let (sender, mut one) = filch::sync::broadcast::channel(16);
/// let mut two = sender.subscribe();
/// sender.send(7).unwrap();
/// assert_eq!(one.recv().await, Ok(7));
/// assert_eq!(two.recv().await, Ok(7));
/// # });
/// ```
///
/// # Panics
///
/// If `capacity` is 0 or above `usize::MAX / 2`.
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = inner::channel(capacity);
    (Sender(sender), Receiver(receiver))
}

/// The end that sends; there may be many.
pub struct Sender<T>(inner::Sender<T>);

impl<T> Sender<T> {
    /// A channel without receivers, which [`subscribe`](Self::subscribe) makes.
    ///
    /// # Panics
    ///
    /// As [`channel`].
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        Self(inner::Sender::new(capacity))
    }

    /// Sends to all receivers that there are, and says how many. It never waits.
    ///
    /// # Errors
    ///
    /// If there is no receiver: the value.
    pub fn send(&self, value: T) -> Result<usize, error::SendError<T>> {
        self.0.send(value)
    }

    /// A new receiver, of what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(self.0.subscribe())
    }

    /// A sender that does not keep the channel open.
    #[must_use = "this takes nothing away from the sender that it is made of"]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }

    /// How many values some receiver has not received yet.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all receivers have received everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.0.receiver_count()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Waits until there are no receivers.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn closed(&self) {
        charged(self.0.closed()).await;
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.0.strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.0.weak_count()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sender that does not keep the channel open.
pub struct WeakSender<T>(inner::WeakSender<T>);

impl<T> WeakSender<T> {
    /// A sender, if there still is another.
    #[must_use = "the sender is closed when it is dropped"]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.0.strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.0.weak_count()
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The end that receives; there may be many, and each gets every value.
pub struct Receiver<T>(inner::Receiver<T>);

impl<T> Receiver<T> {
    /// How many values are there that this has not received yet.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this has received all that was sent.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// How many senders there are.
    pub fn sender_strong_count(&self) -> usize {
        self.0.sender_strong_count()
    }

    /// How many weak senders there are.
    pub fn sender_weak_count(&self) -> usize {
        self.0.sender_weak_count()
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T: Clone> Receiver<T> {
    /// Another receiver of the channel, of what is sent from now on.
    pub fn resubscribe(&self) -> Self {
        Self(self.0.resubscribe())
    }

    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// If all senders are gone and everything was received; if this was too slow and missed some, and then how many.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped no value is lost.
    pub async fn recv(&mut self) -> Result<T, error::RecvError> {
        charged(self.0.recv()).await
    }

    /// The next value, if it is there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); or if there is none yet.
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        self.0.try_recv()
    }

    /// Blocks this thread until the next value is there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, error::RecvError> {
        block_on("broadcast::Receiver::blocking_recv", self.0.recv())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
