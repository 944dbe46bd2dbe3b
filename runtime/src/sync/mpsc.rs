//! A channel of many senders and one receiver: crate tokio's, charging the poll budget.

use super::blocking::block_on;
use super::charged::charged;
use crate::coop::poll_charged;
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc as inner;
pub use tokio::sync::mpsc::{Permit, PermitIterator};

/// What can go wrong.
pub mod error {
    use std::fmt;
    pub use tokio::sync::mpsc::error::{SendError, TryRecvError, TrySendError};

    /// The value could not be sent in time, or there is no receiver any more.
    #[derive(PartialEq, Eq, Clone, Copy)]
    pub enum SendTimeoutError<T> {
        /// The time was over before there was room.
        Timeout(T),
        /// The receiver is gone or closed.
        Closed(T),
    }

    impl<T> SendTimeoutError<T> {
        /// The value that was not sent.
        pub fn into_inner(self) -> T {
            match self {
                Self::Timeout(value) | Self::Closed(value) => value,
            }
        }
    }

    impl<T> fmt::Debug for SendTimeoutError<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Self::Timeout(_) => "Timeout(..)",
                Self::Closed(_) => "Closed(..)",
            })
        }
    }

    impl<T> fmt::Display for SendTimeoutError<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Self::Timeout(_) => "no room in the channel in time",
                Self::Closed(_) => "the channel is closed",
            })
        }
    }

    impl<T> std::error::Error for SendTimeoutError<T> {}
}

use error::{SendError, SendTimeoutError, TryRecvError, TrySendError};

/// A channel with room for `buffer` values.
///
/// Fair: senders who wait for room get it in turn.
///
/// ```
/// # filch::run(async {
/// let (sender, mut receiver) = filch::sync::mpsc::channel(8);
/// for i in 0..3 {
///     let sender = sender.clone();
///     filch::spawn(async move { sender.send(i).await });
/// }
/// drop(sender);
/// let mut sum = 0;
/// while let Some(i) = receiver.recv().await {
///     sum += i;
/// }
/// assert_eq!(sum, 3);
/// # });
/// ```
///
/// # Panics
///
/// If `buffer` is 0, or above `Semaphore::MAX_PERMITS`.
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = inner::channel(buffer);
    (Sender(sender), Receiver(receiver))
}

/// A channel without a limit: what is sent faster than received fills the memory.
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = inner::unbounded_channel();
    (UnboundedSender(sender), UnboundedReceiver(receiver))
}

/// The end that sends into a channel with a limit; there may be many.
pub struct Sender<T>(inner::Sender<T>);

impl<T> Sender<T> {
    /// Sends, as soon as there is room.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed: the value.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped nothing was sent, and the value is dropped. [`reserve`](Self::reserve) waits without a value.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        charged(self.0.send(value)).await
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn closed(&self) {
        charged(self.0.closed()).await;
    }

    /// Sends, if there is room now.
    ///
    /// # Errors
    ///
    /// If there is none, or the receiver is gone or closed: the value.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(message)
    }

    /// Sends, if there is room before `timeout` is over.
    ///
    /// # Errors
    ///
    /// If there is none, or the receiver is gone or closed: the value.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped nothing was sent, and the value is dropped.
    pub async fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        match filch_timer::timeout(timeout, self.reserve()).await {
            Ok(Ok(permit)) => {
                permit.send(value);
                Ok(())
            }
            Ok(Err(_)) => Err(SendTimeoutError::Closed(value)),
            Err(_) => Err(SendTimeoutError::Timeout(value)),
        }
    }

    /// Blocks this thread until there is room, and sends.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed: the value.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        block_on("mpsc::Sender::blocking_send", self.0.send(value))
    }

    /// Whether the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits for room for one value.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        charged(self.0.reserve()).await
    }

    /// Waits for room for `n` values.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed, or `n` is more than the channel ever has room for.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    pub async fn reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        charged(self.0.reserve_many(n)).await
    }

    /// As [`reserve`](Self::reserve), with a permit that is the sender.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and this sender.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        charged(self.0.reserve_owned()).await.map(OwnedPermit)
    }

    /// Room for one value, if there is some now.
    ///
    /// # Errors
    ///
    /// If there is none, or the receiver is gone or closed.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.0.try_reserve()
    }

    /// Room for `n` values, if there is so much now.
    ///
    /// # Errors
    ///
    /// If there is not, or the receiver is gone or closed.
    pub fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        self.0.try_reserve_many(n)
    }

    /// As [`try_reserve`](Self::try_reserve), with a permit that is the sender.
    ///
    /// # Errors
    ///
    /// If there is no room, or the receiver is gone or closed: the sender.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        self.0
            .try_reserve_owned()
            .map(OwnedPermit)
            .map_err(|error| match error {
                TrySendError::Full(sender) => TrySendError::Full(Self(sender)),
                TrySendError::Closed(sender) => TrySendError::Closed(Self(sender)),
            })
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// For how many values there is room now.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// For how many values there is room in an empty channel.
    pub fn max_capacity(&self) -> usize {
        self.0.max_capacity()
    }

    /// A sender that does not keep the channel open.
    #[must_use = "this takes nothing away from the sender that it is made of"]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
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

/// Room for one value, and the sender that it is for. From [`Sender::reserve_owned`].
pub struct OwnedPermit<T>(inner::OwnedPermit<T>);

impl<T> OwnedPermit<T> {
    /// Sends the value, and gives the sender back.
    pub fn send(self, value: T) -> Sender<T> {
        Sender(self.0.send(value))
    }

    /// Gives the room and the sender back.
    pub fn release(self) -> Sender<T> {
        Sender(self.0.release())
    }

    /// Whether both are for the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Whether this is for the channel of `sender`.
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.0.same_channel_as_sender(&sender.0)
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The end that sends into a channel without a limit; there may be many.
pub struct UnboundedSender<T>(inner::UnboundedSender<T>);

impl<T> UnboundedSender<T> {
    /// Sends. It never waits.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed: the value.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.send(message)
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn closed(&self) {
        charged(self.0.closed()).await;
    }

    /// Whether the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// A sender that does not keep the channel open.
    #[must_use = "this takes nothing away from the sender that it is made of"]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender(self.0.downgrade())
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

/// A sender that does not keep the channel open. From [`Sender::downgrade`].
pub struct WeakSender<T>(inner::WeakSender<T>);

impl<T> WeakSender<T> {
    /// A sender, if there still is another.
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

/// A sender that does not keep the channel open. From [`UnboundedSender::downgrade`].
pub struct WeakUnboundedSender<T>(inner::WeakUnboundedSender<T>);

impl<T> WeakUnboundedSender<T> {
    /// A sender, if there still is another.
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        self.0.upgrade().map(UnboundedSender)
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

/// Both ends are cloned and shown as crate tokio's are.
macro_rules! like_the_inner {
    ($($name:ident)*) => {
        $(
            impl<T> Clone for $name<T> {
                fn clone(&self) -> Self {
                    Self(self.0.clone())
                }
            }

            impl<T> fmt::Debug for $name<T> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }
        )*
    };
}

like_the_inner!(Sender UnboundedSender WeakSender WeakUnboundedSender);

/// What the two receivers have in common.
macro_rules! receiver {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        pub struct $name<T>(inner::$name<T>);

        impl<T> $name<T> {
            /// Waits for the next value; `None` if all senders are gone, or this is closed, and everything was received.
            ///
            /// # Cancel safety
            ///
            /// If the wait is dropped no value is lost.
            pub async fn recv(&mut self) -> Option<T> {
                charged(self.0.recv()).await
            }

            /// Waits for the next values, puts up to `limit` of them into `buffer`, and says how many: 0 at the end, or if `limit` is 0.
            /// One unit of the poll budget is charged for all of them.
            ///
            /// # Cancel safety
            ///
            /// If the wait is dropped no value is lost.
            pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
                charged(self.0.recv_many(buffer, limit)).await
            }

            /// The next value, if it is there.
            ///
            /// # Errors
            ///
            /// If there is none yet, or never will be.
            pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
                self.0.try_recv()
            }

            /// Blocks this thread until the next value is there; `None` at the end.
            ///
            /// # Panics
            ///
            /// On a thread that runs a filch runtime.
            #[track_caller]
            pub fn blocking_recv(&mut self) -> Option<T> {
                block_on(concat!("mpsc::", $text, "::blocking_recv"), self.0.recv())
            }

            /// Blocks this thread until the next values are there, as [`recv_many`](Self::recv_many).
            ///
            /// # Panics
            ///
            /// On a thread that runs a filch runtime.
            #[track_caller]
            pub fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
                block_on(concat!("mpsc::", $text, "::blocking_recv_many"), self.0.recv_many(buffer, limit))
            }

            /// Refuses what is not sent yet. What was sent, and what has its room already, can be received.
            pub fn close(&mut self) {
                self.0.close();
            }

            /// Whether nothing more can be sent.
            pub fn is_closed(&self) -> bool {
                self.0.is_closed()
            }

            /// Whether nothing is there to be received.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// How many values are there to be received.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Asks for the next value; `Pending` means that this task is woken when it is there.
            pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
                poll_charged(cx, |cx| self.0.poll_recv(cx))
            }

            /// As [`poll_recv`](Self::poll_recv), for many values; see [`recv_many`](Self::recv_many).
            pub fn poll_recv_many(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
                poll_charged(cx, |cx| self.0.poll_recv_many(cx, buffer, limit))
            }

            /// How many senders there are.
            pub fn sender_strong_count(&self) -> usize {
                self.0.sender_strong_count()
            }

            /// How many weak senders there are.
            pub fn sender_weak_count(&self) -> usize {
                self.0.sender_weak_count()
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

receiver! {
    /// The end that receives from a channel with a limit.
    Receiver, "Receiver"
}

receiver! {
    /// The end that receives from a channel without a limit.
    UnboundedReceiver, "UnboundedReceiver"
}

impl<T> Receiver<T> {
    /// For how many values there is room now.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// For how many values there is room in an empty channel.
    pub fn max_capacity(&self) -> usize {
        self.0.max_capacity()
    }
}
