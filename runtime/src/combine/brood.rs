//! The children of one combinator: tasks inside a scope of its own.
//!
//! The scope is what waits for them: when the combinator is done, and also when it is cancelled or dropped (see `scope/driven.rs`).

use crate::coop;
use crate::handle::Handle;
use crate::scope::driven::Driven;
use crate::scope::node::{Kind, Node, Payload};
use crate::scope::{self, Reason, ReasonKind};
use crate::shim::{Mutex, drop_quietly};
use crate::task::cold::{Cold, Family};
use crate::task::error::JoinError;
use crate::task::join::JoinHandle;
use crate::task::raw;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;

/// Several children, and the first thing that one of them said to all. By `V` a combinator ends before its children have.
pub(super) struct Brood<V> {
    node: Arc<Node>,
    said: Mutex<Option<Said<V>>>,
    panics_stop: bool,
    location: &'static Location<'static>,
}

enum Said<V> {
    Value(V),
    Panic(Payload),
}

/// What a brood came to.
pub(super) enum End<B, V> {
    /// What its body gave.
    Body(B),
    /// What a child said.
    Said(V),
}

impl<V: Send + 'static> Brood<V> {
    /// `panics_stop`: a child's panic cancels the others.
    pub(super) fn new(panics_stop: bool, location: &'static Location<'static>) -> Arc<Self> {
        Arc::new(Self {
            node: Node::new(scope::current(), Kind::Scope, None),
            said: Mutex::new(None),
            panics_stop,
            location,
        })
    }

    /// Says what ends the combinator, and cancels the other children. Only the first counts.
    pub(super) fn say(&self, value: V) {
        self.put(Said::Value(value));
        self.stop("another one was first");
    }

    fn put(&self, said: Said<V>) {
        let surplus = {
            let mut place = self.said.lock();
            match *place {
                None => {
                    *place = Some(said);
                    None
                }
                Some(_) => Some(said),
            }
        };
        drop_quietly(surplus);
        // A cancel from outside does not take it away.
        self.node.insist();
    }

    fn stop(&self, why: &str) {
        let reason = Reason::new(ReasonKind::Requested, Some(why), raw::current_id(), self.location);
        self.node.cancel(reason, coop::current_key());
    }

    /// Spawns a child whose panic is the brood's.
    pub(super) fn spawn<T, F>(self: &Arc<Self>, child: F) -> JoinHandle<T>
    where
        F: Future<Output = Option<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_into(self.clone(), child)
    }

    /// Spawns a child of a family inside the brood's scope. It is dropped here if that is cancelled.
    pub(super) fn spawn_into<T, F>(&self, family: Arc<dyn Family>, child: F) -> JoinHandle<T>
    where
        F: Future<Output = Option<T>> + Send + 'static,
        T: Send + 'static,
    {
        if self.node.is_cancelled() || !self.node.add_child() {
            return JoinHandle::refused(child, self.location);
        }
        Handle::here().spawn_child(child, Box::new(Cold::new(Some(family))), self.location)
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Runs what waits for the children, then waits until they have ended.
    ///
    /// # Panics
    ///
    /// If a child did and nothing was said before; if the body does.
    pub(super) async fn run<B: Future>(&self, body: B) -> End<B::Output, V> {
        let output = Driven::at(self.node.clone(), self.location, body).await;
        let said = self.said.lock().take();
        match (said, output) {
            (Some(Said::Value(value)), output) => {
                drop_quietly(output);
                End::Said(value)
            }
            (Some(Said::Panic(payload)), output) => {
                drop_quietly(output);
                std::panic::resume_unwind(payload)
            }
            (None, Some(output)) => End::Body(output),
            (None, None) => panic!(
                "the children that were spawned at {} were cancelled with the scope around them, and that was taken back",
                self.location
            ),
        }
    }

    /// A child gave no value. Its own cancel is an error that nobody expects here; the cancel of all is not.
    ///
    /// # Panics
    ///
    /// If the child was cancelled and the brood is not.
    pub(super) async fn lost(&self, error: JoinError) {
        if error.is_failed() {
            return;
        }
        // While the brood is cancelled this waits to be dropped; when that is taken back, it is woken.
        poll_fn(|_| match self.node.is_cancelled() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
        panic!("a child that was spawned at {} gave no value: {error}", self.location);
    }

    /// Waits for all, and gives their values in order; `None` if one has none because it failed.
    ///
    /// # Panics
    ///
    /// If a child was cancelled by itself, when all have ended.
    pub(super) async fn collect<T>(&self, handles: Vec<JoinHandle<T>>) -> Option<Vec<T>> {
        let count = handles.len();
        let mut values = Vec::with_capacity(count);
        let mut lost = None;
        for handle in handles {
            match handle.await {
                Ok(value) => values.push(value),
                Err(error) => lost = lost.filter(|lost: &JoinError| !lost.is_failed()).or(Some(error)),
            }
        }
        if let Some(error) = lost {
            self.lost(error).await;
        }
        (values.len() == count).then_some(values)
    }
}

impl<V: Send + 'static> Family for Brood<V> {
    fn panicked(&self, payload: Payload) {
        self.put(Said::Panic(payload));
        if self.panics_stop {
            self.stop("a panic");
        }
    }

    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}
