//! Queues whose work can be waited for.

use super::blocking::block_on;
pub use super::exchange::{Closed, TryGetError, TryPutError};
use super::exchange::{Exchange, Putting, Store};
use super::store::{Fifo, Lifo, Sorted};
use super::waiters::{Guarded, Step, Turn, Wait, Waitable, Waiters};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// How a queue is [shut down](Queue::shutdown).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// What is in the queue can be taken out.
    Drain,
    /// What is in the queue is dropped, and counts as done.
    Now,
}

/// What was put in and is not done yet, whether it is in the queue or not.
#[derive(Debug)]
struct Ledger(Guarded<Unfinished>);

#[derive(Debug)]
struct Unfinished {
    count: usize,
    joiners: Waiters,
}

impl Ledger {
    fn new() -> Self {
        Self(Guarded::new(Unfinished {
            count: 0,
            joiners: Waiters::new(),
        }))
    }

    fn add(&self) {
        self.0.with(|unfinished, _| unfinished.count += 1);
    }

    fn finish(&self, items: usize) {
        self.0.with(|unfinished, wakes| {
            unfinished.count -= items;
            if unfinished.count == 0 {
                unfinished.joiners.grant_all(wakes);
            }
        });
    }

    fn count(&self) -> usize {
        self.0.with(|unfinished, _| unfinished.count)
    }
}

impl Waitable for Ledger {
    type Request = ();
    type Output = ();

    fn look(&self, (): &mut (), turn: &mut Turn<'_>) -> Step<()> {
        self.0.with(|unfinished, _| {
            // It is enough that all was done once since the wait began.
            if unfinished.joiners.redeem(&mut turn.ticket).is_some() || unfinished.count == 0 {
                Step::Done(())
            } else {
                unfinished.joiners.wait(turn, || ())
            }
        })
    }

    fn leave(&self, (): &mut (), ticket: u64) {
        let _left = self.0.with(|unfinished, _| unfinished.joiners.leave(ticket));
    }
}

/// An item that was taken out of a queue, and is being worked on. Dropped, it is done.
///
/// A queue's [`join`](Queue::join) waits for it. There is no other way to say that something is done, so none is done twice.
#[derive(Debug)]
pub struct Item<T> {
    // Dropped in this order: it is done when the value is gone.
    value: T,
    done: Done,
}

impl<T> Item<T> {
    /// The value, and what says that it is done when it is dropped.
    #[must_use = "dropped at once, it counts as done"]
    pub fn take(self) -> (T, Done) {
        (self.value, self.done)
    }
}

impl<T> Deref for Item<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Item<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// Dropped, it says that an item is done. From [`Item::take`].
#[derive(Debug)]
#[must_use = "dropped at once, the item counts as done"]
pub struct Done(Arc<Ledger>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.finish(1);
    }
}

#[derive(Debug)]
struct Inner<T, S> {
    exchange: Exchange<T, S>,
    ledger: Arc<Ledger>,
}

impl<T, S: Store<T> + Default> Inner<T, S> {
    fn new(capacity: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            exchange: Exchange::new(capacity),
            ledger: Arc::new(Ledger::new()),
        })
    }

    fn item(&self, value: T) -> Item<T> {
        let done = Done(self.ledger.clone());
        Item { value, done }
    }

    async fn put(&self, value: T) -> Result<(), Closed<T>> {
        let putting = Putting {
            exchange: &self.exchange,
            counted: || self.ledger.add(),
        };
        Wait::new(&putting, Some(value)).await
    }

    async fn get(&self) -> Option<Item<T>> {
        let value = Wait::new(&self.exchange, ()).await?;
        Some(self.item(value))
    }

    fn shutdown(&self, how: Shutdown) {
        match how {
            Shutdown::Drain => self.exchange.close(),
            Shutdown::Now => {
                let rest = self.exchange.close_and_drain();
                self.ledger.finish(rest.len());
            }
        }
    }
}

/// The three queues differ in what comes out first.
macro_rules! queue {
    ($(#[$doc:meta])* $name:ident, $text:literal, $store:ident, $($bound:tt)*) => {
        $(#[$doc])*
        pub struct $name<T>(Arc<Inner<T, $store<T>>>);

        impl<T $($bound)*> $name<T> {
            /// A queue with room for `capacity` items.
            ///
            /// # Panics
            ///
            /// If `capacity` is 0: nothing could be put in.
            #[track_caller]
            pub fn bounded(capacity: usize) -> Self {
                assert!(capacity > 0, "a queue has room for one item at least");
                Self(Inner::new(Some(capacity)))
            }

            /// A queue without a limit: what is put in faster than taken out fills the memory.
            pub fn unbounded() -> Self {
                Self(Inner::new(None))
            }

            /// Puts an item in, as soon as there is room.
            ///
            /// # Errors
            ///
            /// If the queue is shut down: the item.
            ///
            /// # Cancel safety
            ///
            /// If the wait is dropped the item was not put in, and is dropped; room that it was given goes to the next.
            pub async fn put(&self, value: T) -> Result<(), Closed<T>> {
                self.0.put(value).await
            }

            /// Puts an item in, if there is room now.
            ///
            /// # Errors
            ///
            /// If there is none, or the queue is shut down: the item.
            pub fn try_put(&self, value: T) -> Result<(), TryPutError<T>> {
                self.0.exchange.try_put(value, || self.0.ledger.add())
            }

            /// Blocks this thread until there is room, and puts the item in.
            ///
            /// # Errors
            ///
            /// If the queue is shut down: the item.
            ///
            /// # Panics
            ///
            /// On a thread that runs a filch runtime.
            #[track_caller]
            pub fn put_blocking(&self, value: T) -> Result<(), Closed<T>> {
                block_on(concat!($text, "::put_blocking"), self.0.put(value))
            }

            /// Waits for an item and takes it out; `None` if the queue is shut down and empty.
            ///
            /// # Cancel safety
            ///
            /// If the wait is dropped no item is lost: one that it was promised goes to the next.
            pub async fn get(&self) -> Option<Item<T>> {
                self.0.get().await
            }

            /// Takes an item out, if there is one that is not promised to somebody who waits.
            ///
            /// # Errors
            ///
            /// If there is none, or never will be.
            pub fn try_get(&self) -> Result<Item<T>, TryGetError> {
                Ok(self.0.item(self.0.exchange.try_get()?))
            }

            /// Blocks this thread until there is an item, and takes it out; `None` if the queue is shut down and empty.
            ///
            /// # Panics
            ///
            /// On a thread that runs a filch runtime.
            #[track_caller]
            pub fn get_blocking(&self) -> Option<Item<T>> {
                block_on(concat!($text, "::get_blocking"), self.0.get())
            }

            /// Waits until everything that was put in is done: taken out, and its [`Item`] dropped.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost if the wait is dropped.
            pub async fn join(&self) {
                Wait::new(&*self.0.ledger, ()).await;
            }

            /// Blocks this thread until everything that was put in is done.
            ///
            /// # Panics
            ///
            /// On a thread that runs a filch runtime.
            #[track_caller]
            pub fn join_blocking(&self) {
                block_on(concat!($text, "::join_blocking"), self.join());
            }

            /// Takes no more items: whoever waits to put one in gets it back. Items that are being worked on stay unfinished until they are done.
            pub fn shutdown(&self, how: Shutdown) {
                self.0.shutdown(how);
            }

            /// Whether the queue is shut down.
            pub fn is_shut_down(&self) -> bool {
                self.0.exchange.figures().closed
            }

            /// How many items are in the queue.
            pub fn len(&self) -> usize {
                self.0.exchange.figures().len
            }

            /// Whether there is no item in the queue.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many items there is room for; `None` for no limit.
            pub fn capacity(&self) -> Option<usize> {
                self.0.exchange.capacity()
            }

            /// How many items were put in and are not done.
            pub fn unfinished(&self) -> usize {
                self.0.ledger.count()
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($text)
                    .field("unfinished", &self.0.ledger.count())
                    .finish_non_exhaustive()
            }
        }
    };
}

queue! {
    /// A queue for many who put and many who get, first in first out: asyncio's `Queue`, with its `join` and `shutdown`.
    ///
    /// Fair: whoever waits first is served first, and whoever comes later does not go before. Somebody who waited and is dropped passes
    /// the item, or the room, on to the next. Clones are handles to the same queue.
    ///
    /// ```
    /// use filch::sync::{Queue, Shutdown};
    ///
    /// # filch::run(async {
    /// let queue = Queue::bounded(2);
    /// let work = queue.clone();
    /// let worker = filch::spawn(async move {
    ///     let mut sum = 0;
    ///     while let Some(item) = work.get().await {
    ///         sum += *item;
    ///     }
    ///     sum
    /// });
    /// for i in 0..10 {
    ///     queue.put(i).await.unwrap();
    /// }
    /// queue.join().await;
    /// queue.shutdown(Shutdown::Drain);
    /// assert_eq!(worker.await.unwrap(), 45);
    /// # });
    /// ```
    Queue, "Queue", Fifo,
}

queue! {
    /// A [`Queue`] whose smallest item comes out first, and of equal ones the first that was put in: asyncio's `PriorityQueue`. (`std::cmp::Reverse` makes it the greatest.)
    ///
    /// Items are compared under the queue's lock: a comparison must not use the queue. If one panics, so does the put or get, and the order is any from then on.
    ///
    /// ```
    /// # filch::run(async {
    /// let queue = filch::sync::PriorityQueue::unbounded();
    /// for i in [3, 1, 2] {
    ///     queue.put(i).await.unwrap();
    /// }
    /// assert_eq!(*queue.get().await.unwrap(), 1);
    /// # });
    /// ```
    PriorityQueue, "PriorityQueue", Sorted, : Ord
}

queue! {
    /// A [`Queue`] whose latest item comes out first: asyncio's `LifoQueue`.
    ///
    /// ```
    /// # filch::run(async {
    /// let queue = filch::sync::LifoQueue::unbounded();
    /// for i in [3, 1, 2] {
    ///     queue.put(i).await.unwrap();
    /// }
    /// assert_eq!(*queue.get().await.unwrap(), 2);
    /// # });
    /// ```
    LifoQueue, "LifoQueue", Lifo,
}
