//! A channel whose ends are both cloned: Trio's memory channel.

use super::blocking::block_on;
pub use super::exchange::{Closed, TryGetError as TryRecvError, TryPutError as TrySendError};
use super::exchange::{Exchange, Putting};
use super::store::Fifo;
use super::waiters::Wait;
use crate::shim::Mutex;
use std::fmt;
use std::sync::Arc;

/// A channel of many senders and many receivers, with room for `capacity` values; each value goes to one receiver.
///
/// With a capacity of 0 a value goes from hand to hand: [`send`](Sender::send) waits until a receiver waits for it. (A value that a receiver was given and did not take, because
/// it was dropped, waits in the channel for the next.)
///
/// When the last sender is gone the receivers get what is left, and then `None`. When the last receiver is gone what is left is dropped, and senders get
/// their values back. Fair on both sides: first come, first served.
///
/// ```
/// # filch::run(async {
/// let (sender, receiver) = filch::sync::channel(0);
/// for i in 0..3 {
///     let sender = sender.clone();
///     filch::spawn(async move { sender.send(i).await });
/// }
/// drop(sender);
/// let other = receiver.clone();
/// let task = filch::spawn(async move { other.recv().await });
/// let mut sum = 0;
/// while let Some(i) = receiver.recv().await {
///     sum += i;
/// }
/// assert_eq!(sum + task.await.unwrap().unwrap_or(0), 3);
/// # });
/// ```
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    with_capacity(Some(capacity))
}

/// A [`channel`] without a limit: what is sent faster than received fills the memory.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    with_capacity(None)
}

fn with_capacity<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        exchange: Exchange::new(capacity),
        ends: Mutex::new(Ends {
            senders: 1,
            receivers: 1,
        }),
    });
    (Sender(shared.clone()), Receiver(shared))
}

#[derive(Debug)]
struct Shared<T> {
    exchange: Exchange<T, Fifo<T>>,
    ends: Mutex<Ends>,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    senders: usize,
    receivers: usize,
}

/// The figures of a channel at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Values in the channel that no receiver was promised.
    pub len: usize,
    /// The most that there ever were.
    pub peak: usize,
    /// How many values there is room for; `None` for no limit.
    pub capacity: Option<usize>,
    /// Senders.
    pub senders: usize,
    /// Receivers.
    pub receivers: usize,
    /// Sends that wait.
    pub sends_waiting: usize,
    /// Receives that wait.
    pub recvs_waiting: usize,
}

impl<T> Shared<T> {
    fn stats(&self) -> Stats {
        let figures = self.exchange.figures();
        let ends = *self.ends.lock();
        Stats {
            len: figures.len.saturating_sub(figures.promised),
            peak: figures.peak,
            capacity: self.exchange.capacity(),
            senders: ends.senders,
            receivers: ends.receivers,
            sends_waiting: figures.putters,
            recvs_waiting: figures.getters,
        }
    }

    async fn send(&self, value: T) -> Result<(), Closed<T>> {
        let putting = Putting {
            exchange: &self.exchange,
            counted: || (),
        };
        Wait::new(&putting, Some(value)).await
    }
}

/// The end that sends.
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Sends, as soon as there is room, or a receiver.
    ///
    /// # Errors
    ///
    /// If there are no receivers any more: the value.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped nothing was sent, and the value is dropped.
    pub async fn send(&self, value: T) -> Result<(), Closed<T>> {
        self.0.send(value).await
    }

    /// Sends, if there is room, or a receiver waits, and nobody else waits to send.
    ///
    /// # Errors
    ///
    /// If not, or if there are no receivers any more: the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.exchange.try_put(value, || ())
    }

    /// Blocks this thread until the value is sent.
    ///
    /// # Errors
    ///
    /// If there are no receivers any more: the value.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn send_blocking(&self, value: T) -> Result<(), Closed<T>> {
        block_on("channel::Sender::send_blocking", self.0.send(value))
    }

    /// Whether there are no receivers any more.
    pub fn is_closed(&self) -> bool {
        self.0.exchange.figures().closed
    }

    /// The figures of this moment.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.ends.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let left = {
            let mut ends = self.0.ends.lock();
            ends.senders -= 1;
            ends.senders
        };
        if left == 0 {
            self.0.exchange.close();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stats", &self.stats()).finish()
    }
}

/// The end that receives.
pub struct Receiver<T>(Arc<Shared<T>>);

impl<T> Receiver<T> {
    /// Waits for a value; `None` if all senders are gone and everything was received.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped no value is lost: one that it was promised goes to the next.
    pub async fn recv(&self) -> Option<T> {
        Wait::new(&self.0.exchange, ()).await
    }

    /// A value, if there is one that is not promised to somebody who waits. From a channel with capacity 0 this receives only what was given to a receiver that is gone: a
    /// sender there wants one who waits.
    ///
    /// # Errors
    ///
    /// If there is none, or never will be.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.exchange.try_get()
    }

    /// Blocks this thread until there is a value; `None` if all senders are gone and everything was received.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn recv_blocking(&self) -> Option<T> {
        block_on("channel::Receiver::recv_blocking", Wait::new(&self.0.exchange, ()))
    }

    /// Whether all senders are gone. There may be something left to receive.
    pub fn is_closed(&self) -> bool {
        self.0.exchange.figures().closed
    }

    /// The figures of this moment.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.ends.lock().receivers += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut ends = self.0.ends.lock();
            ends.receivers -= 1;
            ends.receivers
        };
        if left == 0 {
            drop(self.0.exchange.close_and_drain());
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("stats", &self.stats()).finish()
    }
}
