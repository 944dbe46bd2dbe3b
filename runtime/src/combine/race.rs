//! The first of several futures.

use crate::combine::brood::{Brood, End};
use crate::combine::crowd::{self, Crowd};
use crate::combine::gather::number_of;
use crate::shim::Mutex;
use crate::then::then;
use filch_timer::sleep;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Runs futures in parallel, as tasks, and gives the output of the first that ends. The others are cancelled and waited for.
///
/// There is one winner, whatever ends at the same time; the outputs of others are dropped.
///
/// # Cancel safety
///
/// Dropping the future cancels the children; the scope around waits for them. An output that came before a cancel from around is given all the same.
///
/// # Panics
///
/// If the first that ends does so by a panic, with that, after the others were cancelled and have ended. If there are no futures, or all children were cancelled by themselves.
/// Outside of a runtime.
///
/// ```
/// # use std::time::Duration;
/// # filch::run(async {
/// let first = filch::race([1, 1000].map(|n| async move {
///     filch::time::sleep(Duration::from_millis(n)).await;
///     n
/// }));
/// assert_eq!(first.await, 1);
/// # });
/// ```
#[track_caller]
pub fn race<I>(futures: I) -> impl Future<Output = <I::Item as IntoFuture>::Output>
where
    I: IntoIterator,
    I::Item: IntoFuture,
    <I::Item as IntoFuture>::IntoFuture: Send + 'static,
    <I::Item as IntoFuture>::Output: Send + 'static,
{
    let location = Location::caller();
    let futures: Vec<_> = futures.into_iter().map(IntoFuture::into_future).collect();
    assert!(!futures.is_empty(), "a race without futures has no winner");
    async move {
        let brood = Brood::new(true, location);
        let body = async {
            let mut error = None;
            let mut running = Crowd::new();
            for future in futures {
                let says = brood.clone();
                running.insert(brood.spawn(then(future, move |value| {
                    says.say(value);
                    Some(())
                })));
            }
            while let Some((_, handle)) = running.next().await {
                error = error.or(crowd::outcome(handle).err());
            }
            if let Some(error) = error {
                brood.lost(error).await;
            }
        };
        match brood.run(body).await {
            End::Said(output) => output,
            End::Body(()) => unreachable!("a child that ends has said so"),
        }
    }
}

/// Starts tasks one after the other, and gives the first value and whose it is; the next one starts when the one before has failed, or when it has had
/// `delay` for itself. The losers are cancelled and waited for.
///
/// The functions that make the futures are called by the caller's own task; the futures run as tasks. There is one winner, whatever ends at the same time. (It is the
/// race of RFC 8305, "Happy Eyeballs", and of asyncio's `staggered_race`.)
///
/// # Errors
///
/// If none has a value: the errors in the order of the arguments. A child that was cancelled by itself counts as failed, and has none.
///
/// # Cancel safety
///
/// As [`race`](crate::race).
///
/// # Panics
///
/// If a child panics before there is a winner, with its panic, after the others were cancelled and have ended. If one of the functions or the iterator does. Outside of a runtime.
#[track_caller]
pub fn race_staggered<I, F, Fut, T, E>(starts: I, delay: Duration) -> impl Future<Output = Result<(T, usize), Vec<E>>>
where
    I: IntoIterator<Item = F>,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let location = Location::caller();
    let mut starts = starts.into_iter();
    async move {
        let brood = Brood::new(true, location);
        let errors = Arc::new(Mutex::new(Vec::new()));
        let body = async {
            let mut running = Crowd::new();
            for (index, start) in starts.by_ref().enumerate() {
                let (says, errors, future) = (brood.clone(), errors.clone(), start());
                running.insert(brood.spawn(then(future, move |result| {
                    match result {
                        Ok(value) => says.say((value, index)),
                        Err(error) => errors.lock().push((index, error)),
                    }
                    Some(())
                })));
                let mut patience = pin!(sleep(delay));
                // Until the newest has failed; that an older one did changes nothing. A winner's cancel ends this.
                poll_fn(|cx| {
                    while let Poll::Ready(Some((number, _))) = running.poll_next(cx) {
                        if number_of(number) == index {
                            return Poll::Ready(());
                        }
                    }
                    patience.as_mut().poll(cx)
                })
                .await;
            }
            while running.next().await.is_some() {}
        };
        match brood.run(body).await {
            End::Said(winner) => Ok(winner),
            End::Body(()) => {
                let mut errors = std::mem::take(&mut *errors.lock());
                errors.sort_by_key(|(index, _)| *index);
                Err(errors.into_iter().map(|(_, error)| error).collect())
            }
        }
    }
}
