//! The kernel, through mio: the face that the reactor knows, over epoll (or kqueue) and an eventfd (or its like).

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::ready::{Interest, Ready};

pub use mio::event::Source;

/// The token of the unparking eventfd. The slab never gives it to a source.
const UNPARK: mio::Token = mio::Token(usize::MAX);

/// As many events as one wait takes out of the kernel.
const EVENTS: usize = 1024;

/// Longer waits are cut to this: mio counts in milliseconds that must fit an `i32`.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The waiting side: whoever holds it is the one thread that waits for events.
pub(crate) struct Kernel {
    poll: mio::Poll,
    events: mio::Events,
}

/// The side that any thread uses: registering sources, and waking the waiting side.
pub(crate) struct Ports {
    registry: mio::Registry,
    waker: mio::Waker,
}

pub(crate) fn open() -> io::Result<(Kernel, Ports)> {
    let poll = mio::Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let waker = mio::Waker::new(&registry, UNPARK)?;
    Ok((
        Kernel {
            poll,
            events: mio::Events::with_capacity(EVENTS),
        },
        Ports { registry, waker },
    ))
}

impl Kernel {
    /// Waits until there are events, `timeout` is over, or a signal came.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.wait_inner(timeout.map(|timeout| timeout.min(LONGEST_WAIT))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// As [`wait`](Self::wait), and leaves in the kernel what it found.
    pub(crate) fn wait_quietly(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match wait_readable(self.poll.registry(), timeout.map(|timeout| timeout.min(LONGEST_WAIT))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result.map(drop),
        }
    }

    /// What the last wait found, without the unparking.
    pub(crate) fn events(&self) -> impl Iterator<Item = (usize, Ready)> + '_ {
        let sources = self.events.iter().filter(|event| event.token() != UNPARK);
        sources.map(|event| (event.token().0, readiness(event)))
    }

    fn wait_inner(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        // mio rounds up to whole milliseconds, which would make timers late: a finer clock waits on epoll's own fd.
        let fine = timeout.filter(|timeout| timeout.subsec_nanos() % 1_000_000 != 0);
        let Some(fine) = fine else {
            return self.poll.poll(&mut self.events, timeout);
        };
        if wait_readable(self.poll.registry(), Some(fine))? {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))
        } else {
            self.events.clear();
            Ok(())
        }
    }
}

impl Ports {
    pub(crate) fn register(&self, io: &mut impl Source, token: usize, interest: Interest) -> io::Result<()> {
        self.registry.register(io, mio::Token(token), to_mio(interest))
    }

    pub(crate) fn deregister(&self, io: &mut impl Source) -> io::Result<()> {
        self.registry.deregister(io)
    }

    /// Makes the current wait, or the next one, return.
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.waker.wake()
    }

    /// Would a wait return at once? Takes nothing out of the kernel.
    pub(crate) fn has_events(&self) -> bool {
        wait_readable(&self.registry, Some(Duration::ZERO)).unwrap_or(false)
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
