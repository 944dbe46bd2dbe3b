//! The reactor: one per worker, turned by its owner and, when the owner is stuck, by whoever rescues it.
//!
//! # Who may do what
//!
//! - *The owner* calls [`Reactor::turn`]; waiting there is how a worker parks.
//! - *A rescuer* calls [`Reactor::try_turn`], which never waits, and gives up if somebody is in a turn already.
//! - *Anybody* registers and deregisters sources, and calls [`Reactor::unpark`].
//!
//! A turn collects wakers and wakes nobody; the caller wakes after every lock here is released.
//!
//! # Why no unpark is lost
//!
//! `unpark` raises a flag and, if it was the one who raised it, writes the eventfd. The owner looks at the flag after it
//! took the lock of the waiting side and before it waits. A rescuer can take the eventfd's edge out of the kernel, but
//! only while it holds that lock, and it never lowers the flag. So if the edge was taken, it was taken before the
//! owner had the lock, the flag was raised before that, and the owner sees it and does not wait. If the flag is raised
//! after the owner looked, the edge comes after the lock was taken, nobody else can take it, and the wait returns.
//! Looking before the lock would leave a gap for the rescuer between the look and the wait.

use std::collections::HashMap;
use std::fmt;
use std::io;
// No protocol rests on these: they are std's in every build.
use std::sync::{Mutex as StdMutex, OnceLock, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::ready::Interest;
use crate::slab::Slab;
use crate::source::{Kind, Origin, Source};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Bug, Mutex, Ordering, RwLock, StdArc, seeded};
use crate::sys::{self, Kernel, Ports};

/// Sources of readiness, the kernel's queue of events, and the wait for them.
///
/// A clone is another handle to the same reactor.
#[derive(Clone)]
pub struct Reactor {
    shared: Arc<Shared>,
}

/// What one turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Turned {
    /// How many events of sources were dispatched.
    pub events: usize,
    /// The turn took an unpark: somebody wants the owner to look around.
    pub unparked: bool,
}

struct Shared {
    /// The waiting side; `None` after shutdown. Its lock is held during a wait.
    kernel: Mutex<Option<Kernel>>,
    /// The side for everybody; `None` after shutdown.
    ports: RwLock<Option<Ports>>,
    /// The owner is asked to return from its current or next turn.
    unparked: AtomicBool,
    /// Raised once, before the ports are closed.
    down: AtomicBool,
    /// Who is registered. Locked inside of `kernel` and `ports`, never the other way round.
    sources: Mutex<Slab<Arc<Source>>>,
    load: AtomicUsize,
    /// Where the sources come from, by their tokens, if the runtime wants to know. Never locked together with another.
    origins: OnceLock<StdMutex<HashMap<usize, Origin>>>,
}

impl Reactor {
    /// Opens a reactor: three file descriptors.
    ///
    /// # Errors
    ///
    /// Those of the system, when it has no file descriptors left or does not support the kind of queue.
    pub fn new() -> io::Result<Reactor> {
        let (kernel, ports) = sys::open()?;
        Ok(Reactor::over(kernel, ports))
    }

    /// A reactor for what happens in a simulated network: it has no file descriptor, and a [turn](Self::turn) never waits,
    /// whatever its timeout is. It refuses sources that are not sockets of that network.
    pub fn simulated(network: &sys::Network) -> Reactor {
        let (kernel, ports) = sys::open_simulated(network);
        Reactor::over(kernel, ports)
    }

    fn over(kernel: Kernel, ports: Ports) -> Reactor {
        let shared = Shared {
            kernel: Mutex::new(Some(kernel)),
            ports: RwLock::new(Some(ports)),
            unparked: AtomicBool::new(false),
            down: AtomicBool::new(false),
            sources: Mutex::new(Slab::new()),
            load: AtomicUsize::new(0),
            origins: OnceLock::new(),
        };
        Reactor {
            shared: Arc::new(shared),
        }
    }

    /// The owner's turn: waits for events until `timeout` is over (`None`: for ever), notes them at their sources and
    /// adds the wakers of those who wait for them to `ready`.
    ///
    /// It returns early, and perhaps with nothing, after [`unpark`](Self::unpark), a signal, or a very long timeout.
    ///
    /// # Errors
    ///
    /// After [`shutdown`](Self::shutdown), and if the system refuses to wait.
    pub fn turn(&self, timeout: Option<Duration>, ready: &mut Vec<Waker>) -> io::Result<Turned> {
        let too_early = seeded(Bug::UnparkCheckedTooEarly).then(|| self.take_unpark());
        let mut kernel = self.shared.kernel.lock();
        let unparked = too_early.unwrap_or_else(|| self.take_unpark());
        let timeout = if unparked { Some(Duration::ZERO) } else { timeout };
        let mut turned = self.dispatch(&mut kernel, timeout, ready)?;
        // What was raised during the wait made it return: this is the turn that it asked for.
        turned.unparked = self.take_unpark() | unparked;
        Ok(turned)
    }

    /// The owner's wait alone: until a [`turn`](Self::turn) would find something, or `timeout` is over (`None`: for ever). Takes nothing.
    /// A [simulated](Self::simulated) reactor does not wait.
    ///
    /// # Errors
    ///
    /// As [`turn`](Self::turn).
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        // Locked as in a turn, so that no rescuer takes away what ends the wait.
        let mut kernel = self.shared.kernel.lock();
        if self.is_unparked() {
            return Ok(());
        }
        self.open(&mut kernel)?.wait_quietly(timeout)
    }

    /// Whether an unpark waits for the next [`turn`](Self::turn).
    pub fn is_unparked(&self) -> bool {
        // Relaxed: a `true` only leads to a turn, whose `take_unpark` acquires. A flag whose edge somebody took away is seen, as in `take_unpark`.
        self.shared.unparked.load(Ordering::Relaxed)
    }

    /// A rescuer's turn: dispatches what is there, without waiting. `None` if somebody is in a turn already.
    ///
    /// The owner's unpark stays where it is.
    ///
    /// # Errors
    ///
    /// As [`turn`](Self::turn).
    pub fn try_turn(&self, ready: &mut Vec<Waker>) -> io::Result<Option<Turned>> {
        let Some(mut kernel) = self.shared.kernel.try_lock() else {
            return Ok(None);
        };
        if seeded(Bug::RescuerTakesUnpark) {
            self.take_unpark();
        }
        self.dispatch(&mut kernel, Some(Duration::ZERO), ready).map(Some)
    }

    /// Is there anything for a turn to do? Looks without taking; an unpark that no turn has seen yet counts too.
    pub fn has_events(&self) -> bool {
        self.shared.ports.read().as_ref().is_some_and(Ports::has_events)
    }

    /// Makes the owner's current turn, or its next one, return at once. Everything that the caller did before is
    /// visible to the owner after that turn. Calls that come before the owner took note cost one exchange.
    pub fn unpark(&self) {
        // Release: matches the Acquire in `take_unpark`, so that the owner sees what we did before. It is an exchange even when
        // the flag is up, so that this is true of each of several callers: exchanges go on with the release sequence of those before.
        if !self.shared.unparked.swap(true, Ordering::Release) {
            self.write_unpark();
        }
    }

    /// [`unpark`](Self::unpark) as a waker.
    pub fn waker(&self) -> Waker {
        Waker::from(StdArc::new(Unpark(self.clone())))
    }

    /// Closes the reactor: all sources are told, all who wait are added to `woken`, and the file descriptors of the
    /// reactor are closed before it returns. If the owner is in a turn, that turn is ended first.
    ///
    /// Sockets that the program still owns stay open. What would have to wait on them gives an error instead.
    pub fn shutdown(&self, woken: &mut Vec<Waker>) {
        // Relaxed: nothing was done before that anybody has to see. An owner that does not see it yet meets the eventfd's edge, or the lock
        // of whoever took that, and sees it behind either.
        self.shared.down.store(true, Ordering::Relaxed);
        let ports = self.shared.ports.write().take();
        let Some(ports) = ports else {
            return;
        };
        // Unconditionally, since the flag may be up already for an edge that a rescuer took.
        let _ = ports.wake();
        let kernel = self.shared.kernel.lock().take();
        // Only now: closing the eventfd takes its edge away from a wait that has not returned yet.
        drop((kernel, ports));
        // Whoever registers holds the read lock of the ports from the slab to the kernel, so nobody is missed here.
        let sources = self.shared.sources.lock().take_all();
        // Not set to zero: a source that somebody else is just taking out is his to count.
        self.shared.load.fetch_sub(sources.len(), Ordering::Relaxed);
        if seeded(Bug::LoadSetToZero) {
            self.shared.load.store(0, Ordering::Relaxed);
        }
        for source in sources {
            source.shut_down(woken);
        }
    }

    /// How many sources are registered now.
    pub fn load(&self) -> usize {
        // Relaxed: a hint for dealing sockets out.
        self.shared.load.load(Ordering::Relaxed)
    }

    /// After [`shutdown`](Self::shutdown): where those sources come from that were registered then, and whose owners have them still. Gives each once, and
    /// none if the runtime did not [want to know](crate::Hooks::origin).
    pub fn left(&self) -> Vec<Origin> {
        if self.shared.ports.read().is_some() {
            return Vec::new();
        }
        let Some(origins) = self.shared.origins.get() else {
            return Vec::new();
        };
        let origins = std::mem::take(&mut *origins.lock().unwrap_or_else(PoisonError::into_inner));
        origins.into_values().collect()
    }

    /// Registers `io` and gives its readiness and its token.
    pub(crate) fn register(
        &self,
        io: &mut impl sys::Source,
        interest: Interest,
        kind: Kind,
        origin: Option<fn() -> Origin>,
    ) -> io::Result<(Arc<Source>, usize)> {
        let ports = self.shared.ports.read();
        let ports = ports.as_ref().ok_or_else(gone)?;
        let source = Arc::new(Source::new(kind));
        let token = self.shared.sources.lock().insert(source.clone());
        let token = token.map_err(|_| io::Error::other("this reactor holds as many sources as it can name"))?;
        if let Some(ask) = origin {
            self.remember_origin(token, ask());
        }
        if let Err(error) = ports.register(io, token, interest) {
            self.forget_origin(token);
            let removed = self.shared.sources.lock().remove(token);
            drop(removed);
            return Err(error);
        }
        self.shared.load.fetch_add(1, Ordering::Relaxed);
        Ok((source, token))
    }

    /// Takes `io` out again. Events of it that are already on their way find nobody.
    pub(crate) fn deregister(&self, io: &mut impl sys::Source, token: usize) {
        if let Some(ports) = self.shared.ports.read().as_ref() {
            // It fails only if the descriptor is not in the queue any more, which is what is wanted.
            let _ = ports.deregister(io);
        }
        if seeded(Bug::SourceStays) {
            return;
        }
        self.forget_origin(token);
        let removed = self.shared.sources.lock().remove(token);
        if removed.is_some() {
            self.shared.load.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[cold]
    fn remember_origin(&self, token: usize, origin: Origin) {
        let origins = self.shared.origins.get_or_init(StdMutex::default);
        origins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token, origin);
    }

    /// Before the token is free for another source.
    #[inline]
    fn forget_origin(&self, token: usize) {
        if let Some(origins) = self.shared.origins.get() {
            forget(origins, token);
        }
    }

    fn dispatch(
        &self,
        kernel: &mut Option<Kernel>,
        timeout: Option<Duration>,
        ready: &mut Vec<Waker>,
    ) -> io::Result<Turned> {
        let kernel = self.open(kernel)?;
        kernel.wait(timeout)?;
        let mut events = kernel.events().peekable();
        if events.peek().is_none() {
            return Ok(Turned::default());
        }
        let mut turned = Turned::default();
        let sources = self.shared.sources.lock();
        for (token, readiness) in events {
            turned.events += 1;
            if let Some(source) = sources.get(token) {
                source.set(readiness, ready);
            }
        }
        Ok(turned)
    }

    fn open<'a>(&self, kernel: &'a mut Option<Kernel>) -> io::Result<&'a mut Kernel> {
        // Relaxed: as in `shutdown`.
        let open = !self.shared.down.load(Ordering::Relaxed);
        kernel.as_mut().filter(|_| open).ok_or_else(gone)
    }

    fn take_unpark(&self) -> bool {
        // Acquire: matches the Release in `unpark`; to lower the flag tells nobody anything. The first look is cheap and saves the exchange of most
        // turns; it needs no order of its own, since an unpark that it misses has its edge still in the kernel.
        self.shared.unparked.load(Ordering::Relaxed) && self.shared.unparked.swap(false, Ordering::Acquire)
    }

    #[cold]
    fn write_unpark(&self) {
        if let Some(ports) = self.shared.ports.read().as_ref() {
            // It cannot fail while the descriptor is open: mio empties a full counter and writes again.
            let _ = ports.wake();
        }
    }
}

#[cold]
fn forget(origins: &StdMutex<HashMap<usize, Origin>>, token: usize) {
    let origin = origins.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
    drop(origin);
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("load", &self.load())
            .finish_non_exhaustive()
    }
}

/// The error of everything that would have to wait for a reactor that is shut down.
pub(crate) fn gone() -> io::Error {
    io::Error::other("the filch runtime that this socket belongs to has been shut down")
}

struct Unpark(Reactor);

impl Wake for Unpark {
    fn wake(self: StdArc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        self.0.unpark();
    }
}
