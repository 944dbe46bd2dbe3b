//! The kernel, through mio: the face that the reactor knows, over epoll (or kqueue) and an eventfd (or its like). Or a
//! simulated one, of which a network of the simulation says what happens.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::ready::{Interest, Ready};
use crate::sim::network::Queue;
use crate::sync::{AtomicBool, Ordering, StdArc};

pub(crate) use crate::sim::network::Network;

/// The token of the unparking eventfd. The slab never gives it to a source.
const UNPARK: mio::Token = mio::Token(usize::MAX);

/// As many events as one wait takes out of the kernel.
const EVENTS: usize = 1024;

/// Longer waits are cut to this: mio counts in milliseconds that must fit an `i32`.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What can be registered with a reactor: every source of mio, and the sockets of this crate.
///
/// It is sealed: implement [`mio::event::Source`] instead. The reactors of a simulated runtime take simulated sockets only, and
/// refuse all others with [`Unsupported`](io::ErrorKind::Unsupported).
pub trait Source: Registers {}

pub(crate) use sealed::Registers;

mod sealed {
    use std::io;

    use crate::ready::Interest;

    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Registers {
        #[doc(hidden)]
        #[expect(private_interfaces, reason = "only this crate calls it")]
        fn register(&mut self, ports: &super::Ports, token: usize, interest: Interest) -> io::Result<()>;

        #[doc(hidden)]
        #[expect(private_interfaces, reason = "only this crate calls it")]
        fn deregister(&mut self, ports: &super::Ports) -> io::Result<()>;
    }
}

impl<T: mio::event::Source + ?Sized> Source for T {}

#[expect(private_interfaces, reason = "only this crate calls it")]
impl<T: mio::event::Source + ?Sized> Registers for T {
    fn register(&mut self, ports: &Ports, token: usize, interest: Interest) -> io::Result<()> {
        match ports {
            Ports::System { registry, .. } => {
                mio::event::Source::register(self, registry, mio::Token(token), to_mio(interest))
            }
            Ports::Simulated { .. } => Err(not_simulated()),
        }
    }

    fn deregister(&mut self, ports: &Ports) -> io::Result<()> {
        match ports {
            Ports::System { registry, .. } => mio::event::Source::deregister(self, registry),
            Ports::Simulated { .. } => Err(not_simulated()),
        }
    }
}

/// The waiting side: whoever holds it is the one thread that waits for events.
pub(crate) enum Kernel {
    System {
        poll: mio::Poll,
        events: mio::Events,
    },
    Simulated {
        queue: StdArc<Queue>,
        woken: StdArc<AtomicBool>,
        events: Vec<(usize, Ready)>,
    },
}

/// The side that any thread uses: registering sources, and waking the waiting side.
pub(crate) enum Ports {
    System {
        registry: mio::Registry,
        waker: mio::Waker,
    },
    Simulated {
        queue: StdArc<Queue>,
        woken: StdArc<AtomicBool>,
    },
}

/// What a wait found.
enum Events<'a> {
    System(mio::event::Iter<'a>),
    Simulated(std::slice::Iter<'a, (usize, Ready)>),
}

pub(crate) fn open() -> io::Result<(Kernel, Ports)> {
    let poll = mio::Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let waker = mio::Waker::new(&registry, UNPARK)?;
    let events = mio::Events::with_capacity(EVENTS);
    Ok((Kernel::System { poll, events }, Ports::System { registry, waker }))
}

/// A kernel that knows what happens in `network` and nothing else. It never waits, and has no descriptor.
pub(crate) fn open_simulated(network: &Network) -> (Kernel, Ports) {
    let queue = StdArc::new(Queue::open(network));
    let woken = StdArc::new(AtomicBool::new(false));
    let kernel = Kernel::Simulated {
        queue: queue.clone(),
        woken: woken.clone(),
        events: Vec::new(),
    };
    (kernel, Ports::Simulated { queue, woken })
}

impl Kernel {
    /// Waits until there are events, `timeout` is over, or a signal came.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Kernel::System { poll, events } => wait(poll, events, timeout.map(|timeout| timeout.min(LONGEST_WAIT))),
            Kernel::Simulated { queue, woken, events } => {
                // Relaxed: a hint for `has_events`; the reactor's own flag is what carries an order.
                woken.store(false, Ordering::Relaxed);
                queue.take(events);
                Ok(())
            }
        }
    }

    /// As [`wait`](Self::wait), and leaves in the kernel what it found.
    pub(crate) fn wait_quietly(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let Kernel::System { poll, .. } = self else {
            return Ok(());
        };
        match wait_readable(poll.registry(), timeout.map(|timeout| timeout.min(LONGEST_WAIT))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result.map(drop),
        }
    }

    /// What the last wait found, without the unparking.
    pub(crate) fn events(&self) -> impl Iterator<Item = (usize, Ready)> + '_ {
        match self {
            Kernel::System { events, .. } => Events::System(events.iter()),
            Kernel::Simulated { events, .. } => Events::Simulated(events.iter()),
        }
    }
}

impl Iterator for Events<'_> {
    type Item = (usize, Ready);

    #[inline]
    fn next(&mut self) -> Option<(usize, Ready)> {
        match self {
            Events::System(events) => {
                let event = events.find(|event| event.token() != UNPARK)?;
                Some((event.token().0, readiness(event)))
            }
            Events::Simulated(events) => events.next().copied(),
        }
    }
}

impl Ports {
    pub(crate) fn register(&self, io: &mut impl Source, token: usize, interest: Interest) -> io::Result<()> {
        Registers::register(io, self, token, interest)
    }

    pub(crate) fn deregister(&self, io: &mut impl Source) -> io::Result<()> {
        Registers::deregister(io, self)
    }

    /// Makes the current wait, or the next one, return.
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Ports::System { waker, .. } => waker.wake(),
            Ports::Simulated { woken, .. } => {
                // Relaxed: as in `wait`.
                woken.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Would a wait return at once? Takes nothing out of the kernel.
    pub(crate) fn has_events(&self) -> bool {
        match self {
            Ports::System { registry, .. } => wait_readable(registry, Some(Duration::ZERO)).unwrap_or(false),
            Ports::Simulated { queue, woken } => woken.load(Ordering::Relaxed) || queue.has_events(),
        }
    }
}

/// The error of everything that needs the system's own sockets in a runtime that simulates them.
pub(crate) fn not_simulated() -> io::Error {
    let text = "this runtime simulates its network, and takes only sockets that were made in it by filch's own functions: a \
                descriptor of the system needs an ordinary runtime";
    io::Error::new(io::ErrorKind::Unsupported, text)
}

fn wait(poll: &mut mio::Poll, events: &mut mio::Events, timeout: Option<Duration>) -> io::Result<()> {
    match wait_finely(poll, events, timeout) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result,
    }
}

fn wait_finely(poll: &mut mio::Poll, events: &mut mio::Events, timeout: Option<Duration>) -> io::Result<()> {
    // mio rounds up to whole milliseconds, which would make timers late: a finer clock waits on epoll's own fd.
    let fine = timeout.filter(|timeout| timeout.subsec_nanos() % 1_000_000 != 0);
    let Some(fine) = fine else {
        return poll.poll(events, timeout);
    };
    if wait_readable(poll.registry(), Some(fine))? {
        poll.poll(events, Some(Duration::ZERO))
    } else {
        events.clear();
        Ok(())
    }
}

fn wait_readable(registry: &mio::Registry, timeout: Option<Duration>) -> io::Result<bool> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs() as _,
        tv_nsec: timeout.subsec_nanos() as _,
    });
    let mut fds = [PollFd::new(registry, PollFlags::IN)];
    Ok(rustix::event::poll(&mut fds, timeout.as_ref())? > 0)
}

fn readiness(event: &mio::event::Event) -> Ready {
    let bits = [
        (event.is_readable(), Ready::READABLE),
        (event.is_writable(), Ready::WRITABLE),
        (event.is_read_closed(), Ready::READ_CLOSED),
        (event.is_write_closed(), Ready::WRITE_CLOSED),
        (event.is_priority(), Ready::PRIORITY),
        (event.is_error(), Ready::ERROR),
    ];
    let set = bits.into_iter().filter(|(is_set, _)| *is_set);
    set.fold(Ready::EMPTY, |ready, (_, bit)| ready | bit)
}

fn to_mio(interest: Interest) -> mio::Interest {
    let mut parts = [None; 3];
    if interest.is_readable() {
        parts[0] = Some(mio::Interest::READABLE);
    }
    if interest.is_writable() {
        parts[1] = Some(mio::Interest::WRITABLE);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if interest.is_priority() {
        parts[2] = Some(mio::Interest::PRIORITY);
    }
    // Errors are reported unasked; mio only wants an interest that is not empty.
    parts
        .into_iter()
        .flatten()
        .reduce(|a, b| a | b)
        .unwrap_or(mio::Interest::READABLE)
}
