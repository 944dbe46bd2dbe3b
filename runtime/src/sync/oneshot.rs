//! A channel for one value: crate tokio's, charging the poll budget.

use super::blocking::block_on;
use super::charged::charged;
use crate::coop::poll_charged;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot as inner;
pub use tokio::sync::oneshot::error;

/// A channel for one value.
///
/// ```
/// # filch::run(async {
/// let (sender, receiver) = filch::sync::oneshot::channel();
/// filch::spawn(async move { sender.send(3) });
/// assert_eq!(receiver.await, Ok(3));
/// # });
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = inner::channel();
    (Sender(sender), Receiver(receiver))
}

/// The end that sends.
#[derive(Debug)]
pub struct Sender<T>(inner::Sender<T>);

impl<T> Sender<T> {
    /// Sends the value. It never waits.
    ///
    /// # Errors
    ///
    /// If the receiver is gone or closed: the value.
    pub fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn closed(&mut self) {
        charged(self.0.closed()).await;
    }

    /// Whether the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Asks whether the receiver is gone or closed; `Pending` means that this task is woken when it is.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll_charged(cx, |cx| self.0.poll_closed(cx))
    }
}

/// The end that receives: a future of the value.
///
/// # Cancel safety
///
/// Awaited by reference, it can be awaited again and no value is lost.
#[derive(Debug)]
pub struct Receiver<T>(inner::Receiver<T>);

impl<T> Receiver<T> {
    /// Refuses a value that was not sent yet.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Whether this has given its value, or the error that there is none.
    pub fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }

    /// Whether no value is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, if it is there.
    ///
    /// # Errors
    ///
    /// If it is not there yet, or never will be.
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        self.0.try_recv()
    }

    /// Blocks this thread until the value is there.
    ///
    /// # Errors
    ///
    /// If the sender is gone.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, error::RecvError> {
        block_on("oneshot::Receiver::blocking_recv", self.0)
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_charged(cx, |cx| Pin::new(&mut self.0).poll(cx))
    }
}
