//! All of several futures.

use crate::combine::brood::{Brood, End};
use crate::combine::crowd::{self, Crowd};
use crate::scope::node::{Node, Payload};
use crate::shim::Mutex;
use crate::task::cold::Family;
use crate::task::error::JoinError;
use crate::then::then;
use std::convert::Infallible;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// Runs futures in parallel, as tasks, and gives their outputs in the order of the arguments.
///
/// A child that panics leaves the others alone. (So does asyncio's `gather`; [`try_gather`] is for those that can fail.)
///
/// # Cancel safety
///
/// Dropping the future cancels the children; the scope around waits for them. Outputs are lost.
///
/// # Panics
///
/// If a child panicked, with its first panic, after all have ended; if a child was cancelled by itself. Outside of a runtime.
///
/// ```
/// # filch::run(async {
/// let squares = filch::gather((0..4).map(|n| async move { n * n }));
/// assert_eq!(squares.await, [0, 1, 4, 9]);
/// # });
/// ```
#[track_caller]
pub fn gather<I>(futures: I) -> impl Future<Output = Vec<<I::Item as IntoFuture>::Output>>
where
    I: IntoIterator,
    I::Item: IntoFuture,
    <I::Item as IntoFuture>::IntoFuture: Send + 'static,
    <I::Item as IntoFuture>::Output: Send + 'static,
{
    let location = Location::caller();
    let futures: Vec<_> = futures.into_iter().map(IntoFuture::into_future).collect();
    async move {
        let brood = Brood::<Infallible>::new(false, location);
        let body = async {
            let spawn = |future: <I::Item as IntoFuture>::IntoFuture| brood.spawn(then(future, Some));
            brood.collect(futures.into_iter().map(spawn).collect()).await
        };
        match brood.run(body).await {
            End::Body(Some(values)) => values,
            End::Body(None) => unreachable!("a child that fails has said so"),
            End::Said(never) => match never {},
        }
    }
}

/// Runs futures in parallel, as tasks, and gives their values in the order of the arguments. The first error cancels the other children.
///
/// It is returned when they have ended; what they say then is dropped. ([`group`](fn@crate::group) collects all errors.)
///
/// # Errors
///
/// The first error of a child.
///
/// # Cancel safety
///
/// Dropping the future cancels the children; the scope around waits for them. Values are lost; an error that came before a cancel from around is not.
///
/// # Panics
///
/// If a child panicked before one failed, with its panic, after the others were cancelled and have ended; if a child was cancelled by itself. Outside of a runtime.
#[track_caller]
pub fn try_gather<I, T, E>(futures: I) -> impl Future<Output = Result<Vec<T>, E>>
where
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T, E>>,
    <I::Item as IntoFuture>::IntoFuture: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let location = Location::caller();
    let futures: Vec<_> = futures.into_iter().map(IntoFuture::into_future).collect();
    async move {
        let brood = Brood::<E>::new(true, location);
        let body = async {
            let spawn = |future: <I::Item as IntoFuture>::IntoFuture| {
                let says = brood.clone();
                brood.spawn(then(future, move |result| result.map_err(|error| says.say(error)).ok()))
            };
            brood.collect(futures.into_iter().map(spawn).collect()).await
        };
        match brood.run(body).await {
            End::Body(Some(values)) => Ok(values),
            End::Body(None) => unreachable!("a child that fails has said so"),
            End::Said(error) => Err(error),
        }
    }
}

/// Runs futures in parallel, as tasks, and gives what became of each, in the order of the arguments.
///
/// A child's panic, or its own cancel, is its outcome and disturbs nobody. (asyncio's `gather(return_exceptions=True)`.)
///
/// # Cancel safety
///
/// As [`gather`].
///
/// # Panics
///
/// Outside of a runtime.
#[track_caller]
pub fn gather_settled<I>(futures: I) -> impl Future<Output = Vec<Result<<I::Item as IntoFuture>::Output, JoinError>>>
where
    I: IntoIterator,
    I::Item: IntoFuture,
    <I::Item as IntoFuture>::IntoFuture: Send + 'static,
    <I::Item as IntoFuture>::Output: Send + 'static,
{
    let location = Location::caller();
    let futures: Vec<_> = futures.into_iter().map(IntoFuture::into_future).collect();
    async move {
        let brood = Brood::<Infallible>::new(false, location);
        let body = async {
            let mut children = Vec::with_capacity(futures.len());
            for future in futures {
                let family = Arc::new(Alone {
                    node: brood.node().clone(),
                    panic: Mutex::new(None),
                });
                children.push((brood.spawn_into(family.clone(), then(future, Some)), family));
            }
            let mut outcomes = Vec::with_capacity(children.len());
            for (handle, family) in children {
                let id = handle.id();
                let outcome = handle.await;
                let panic = family.panic.lock().take();
                outcomes.push(match panic {
                    Some(payload) => Err(JoinError::panic(id, payload)),
                    None => outcome,
                });
            }
            outcomes
        };
        match brood.run(body).await {
            End::Body(outcomes) => outcomes,
            End::Said(never) => match never {},
        }
    }
}

/// The family of a child whose panic is its own outcome.
struct Alone {
    node: Arc<Node>,
    panic: Mutex<Option<Payload>>,
}

impl Family for Alone {
    fn panicked(&self, payload: Payload) {
        *self.panic.lock() = Some(payload);
    }

    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

/// Applies an async function to each item, to at most `limit` of them at a time, in parallel, and gives the outputs in the order of the items.
///
/// The iterator is asked for an item, and `f` called with it, by the caller's own task, when there is room for a child.
///
/// # Cancel safety
///
/// As [`gather`].
///
/// # Panics
///
/// If a child panicked: no more are started, those that run are cancelled, and its panic is raised when they have ended. If a child was cancelled by
/// itself; if `f` or the iterator panics; if `limit` is 0. Outside of a runtime.
///
/// ```
/// # filch::run(async {
/// let lengths = filch::map(["one", "three"], 1, async |word: &str| word.len());
/// # let _ = lengths;
/// let doubled = filch::map(1..=3, 2, |n| async move { 2 * n });
/// assert_eq!(doubled.await, [2, 4, 6]);
/// # });
/// ```
#[track_caller]
pub fn map<I, F, Fut>(items: I, limit: usize, mut f: F) -> impl Future<Output = Vec<Fut::Output>>
where
    I: IntoIterator,
    F: FnMut(I::Item) -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    assert!(limit > 0, "`map` with a limit of 0 would never run anything");
    let location = Location::caller();
    let mut items = items.into_iter();
    async move {
        let brood = Brood::<Infallible>::new(true, location);
        let body = async {
            let mut values = Vec::new();
            let mut running = Crowd::new();
            loop {
                while running.len() < limit {
                    let Some(item) = items.next() else { break };
                    let future = f(item);
                    running.insert(brood.spawn(then(future, Some)));
                    values.push(None);
                }
                let Some((number, handle)) = running.next().await else {
                    break;
                };
                match crowd::outcome(handle) {
                    Ok(value) => values[number_of(number)] = Some(value),
                    Err(error) => brood.lost(error).await,
                }
            }
            values.into_iter().collect::<Option<Vec<_>>>()
        };
        match brood.run(body).await {
            End::Body(Some(values)) => values,
            End::Body(None) => unreachable!("a child that fails has said so"),
            End::Said(never) => match never {},
        }
    }
}

/// The place that a number of a crowd stands for: numbers are given one for each value that is in memory.
pub(super) fn number_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
