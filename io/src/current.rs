//! How a socket finds its reactor: the runtime's [`Handle`], and the one that this thread is inside of.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::reactor::Reactor;
use crate::source::Origin;
use crate::sync::{Arc, AtomicUsize, Ordering, thread_local};
use crate::sys::Network;

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's thread-locals have no constant form")]
    static CURRENT: RefCell<Option<Handle>> = RefCell::new(None);
}

/// The reactors of one runtime, what else its sockets need of it, and which worker is at home here.
///
/// A clone costs one reference.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    home: Option<usize>,
}

/// What sockets need of their runtime besides a reactor.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// The poll budget. Called when an operation is ready, before it is done, and never before one that may have to
    /// wait. If it gives `Pending`, it has arranged that the task is woken, and the operation gives `Pending` too.
    pub charge: fn(&mut Context<'_>) -> Poll<()>,
    /// Finds the addresses of a host and port such as `"localhost:80"`. It may block in the background.
    pub resolve: fn(String) -> Resolving,
    /// Says where a source comes from that is being registered, if the runtime wants to know in the end what is left: [`Reactor::left`]. Calls no user code.
    pub origin: Option<fn() -> Origin>,
}

/// A host name on its way to its addresses.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// This thread is inside a runtime until this is dropped.
#[must_use = "the thread leaves the runtime again when this is dropped"]
pub struct Enter {
    previous: Option<Handle>,
    /// It belongs to the thread that entered.
    _not_send: PhantomData<*const ()>,
}

struct Shared {
    reactors: Vec<Reactor>,
    /// To so many of them, the first ones, sockets are dealt that have no home: see [`dealt`].
    dealt: usize,
    hooks: Hooks,
    /// Where its sockets are, if they are simulated.
    network: Option<Network>,
    /// Counts up for sockets of threads that have no home.
    next: AtomicUsize,
}

/// How many of `reactors` sockets are dealt to: one for every two processors. More of them would find fewer events each, and wake more threads for these.
fn dealt(processors: usize, reactors: usize) -> usize {
    processors.div_ceil(2).min(reactors)
}

impl Handle {
    /// A runtime's handle: one reactor for each of its workers. It has no home yet.
    ///
    /// # Panics
    ///
    /// If there are no reactors.
    #[track_caller]
    pub fn new(reactors: Vec<Reactor>, hooks: Hooks) -> Handle {
        Handle::over(None, reactors, hooks)
    }

    /// The handle of a runtime whose sockets are simulated: `reactors` are [those](Reactor::simulated) of the same network.
    /// Of the hooks, the resolver is never asked.
    ///
    /// # Panics
    ///
    /// If there are no reactors.
    #[track_caller]
    pub fn simulated(network: Network, reactors: Vec<Reactor>, hooks: Hooks) -> Handle {
        Handle::over(Some(network), reactors, hooks)
    }

    /// The network in which new sockets are made, if it is a simulated one.
    pub fn network(&self) -> Option<&Network> {
        self.shared.network.as_ref()
    }

    #[track_caller]
    fn over(network: Option<Network>, reactors: Vec<Reactor>, hooks: Hooks) -> Handle {
        assert!(!reactors.is_empty(), "a runtime needs at least one reactor");
        let all = reactors.len();
        // Nothing that is simulated depends on the machine.
        let dealt = match &network {
            Some(_) => all,
            None => std::thread::available_parallelism().map_or(all, |processors| dealt(processors.get(), all)),
        };
        Handle {
            shared: Arc::new(Shared {
                reactors,
                dealt,
                hooks,
                network,
                next: AtomicUsize::new(0),
            }),
            home: None,
        }
    }

    /// The same runtime, seen from worker `index`: new sockets are registered there.
    ///
    /// # Panics
    ///
    /// If the runtime has no such worker.
    #[track_caller]
    pub fn at(&self, index: usize) -> Handle {
        assert!(index < self.shared.reactors.len(), "this runtime has no worker {index}");
        Handle {
            shared: self.shared.clone(),
            home: Some(index),
        }
    }

    /// Takes this thread into the runtime until the guard is dropped. It nests.
    ///
    /// Guards must be dropped in the reverse order of entering.
    pub fn enter(&self) -> Enter {
        // A thread whose locals are gone already cannot enter.
        let previous = CURRENT
            .try_with(|current| current.replace(Some(self.clone())))
            .ok()
            .flatten();
        Enter {
            previous,
            _not_send: PhantomData,
        }
    }

    /// The runtime that this thread is inside of.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Some(handle) => handle,
            None => panic!(
                "there is no filch runtime on this thread: sockets must be made within the context of a filch runtime"
            ),
        }
    }

    /// The runtime that this thread is inside of, if any.
    pub fn try_current() -> Option<Handle> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// The reactors, one for each worker.
    pub fn reactors(&self) -> &[Reactor] {
        &self.shared.reactors
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.shared.hooks
    }

    /// Where a new socket belongs: the home worker, or without one the next in turn.
    pub(crate) fn place(&self) -> usize {
        // Relaxed: any distribution is right.
        self.home
            .unwrap_or_else(|| self.shared.next.fetch_add(1, Ordering::Relaxed) % self.shared.dealt)
    }

    /// Of the workers to whom sockets are dealt, the one with the fewest sources; `first`, if it is one of them and no other has fewer.
    #[allow(dead_code, reason = "sockets use it, and the model build has none")]
    pub(crate) fn least_loaded(&self, first: usize) -> usize {
        let dealt = self.shared.dealt;
        let first = first.min(dealt - 1);
        let others = (0..dealt).filter(|&index| index != first);
        let by_load = std::iter::once(first)
            .chain(others)
            .min_by_key(|&index| self.shared.reactors[index].load());
        by_load.unwrap_or(first)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.shared.reactors.len();
        f.debug_struct("Handle")
            .field("workers", &workers)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl Default for Hooks {
    /// No budget, and a resolver that refuses.
    fn default() -> Hooks {
        Hooks {
            charge: |_| Poll::Ready(()),
            resolve: |name| Box::pin(refuse(name)),
            origin: None,
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

impl fmt::Debug for Enter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enter").finish_non_exhaustive()
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        // The handle that we entered with is dropped outside of the borrow. At a thread's end there may be no slot left.
        let entered = CURRENT.try_with(|current| current.replace(self.previous.take()));
        drop(entered);
    }
}

async fn refuse(name: String) -> io::Result<Vec<SocketAddr>> {
    let text = format!("cannot look up {name:?}: this runtime was given no resolver for host names");
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processors_share_a_reactor() {
        let dealt_of = |processors| dealt(processors, 64);
        assert_eq!([1, 2, 3, 4, 128].map(dealt_of), [1, 1, 2, 2, 64]);
        assert_eq!(dealt(4, 1), 1);
    }
}
