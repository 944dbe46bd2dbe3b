//! A source that is registered with a reactor: the one place where readiness meets system calls.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::current::Handle;
use crate::reactor::{Reactor, gone};
use crate::ready::{Interest, Ready};
use crate::source::{Key, Kind, Seen, Source};
use crate::sync::Arc;
use crate::sys;

/// A direction of a source, for the functions that poll it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

/// An I/O source `S`, such as a socket of mio, together with its readiness at one of the runtime's reactors.
///
/// It is what every socket here is made of, and is public so that other sources can be built: pipes, signal
/// descriptors, devices. Dropping it takes the source out of the reactor first and closes it then.
///
/// Each direction has one waiter for the functions that poll: the last task that polled is the one that is woken. The
/// async functions may be used by any number of tasks at once.
pub struct Registered<S: sys::Source> {
    /// `None` only after `into_inner` took it, just before the drop.
    io: Option<S>,
    source: Arc<Source>,
    reactor: Reactor,
    token: usize,
    charge: fn(&mut Context<'_>) -> Poll<()>,
}

impl<S: sys::Source> Registered<S> {
    /// Registers `io` with the home reactor of the current runtime.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down, or the system refuses.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn new(io: S, interest: Interest, kind: Kind) -> io::Result<Registered<S>> {
        let handle = Handle::current();
        let place = handle.place();
        Registered::at(io, interest, kind, &handle, place)
    }

    /// Registers `io` with worker `place` of `handle`'s runtime.
    pub(crate) fn at(
        io: S,
        interest: Interest,
        kind: Kind,
        handle: &Handle,
        place: usize,
    ) -> io::Result<Registered<S>> {
        Registered::try_at(io, interest, kind, handle, place).map_err(|(_, error)| error)
    }

    /// As [`at`](Self::at), and an error gives `io` back.
    pub(crate) fn try_at(
        mut io: S,
        interest: Interest,
        kind: Kind,
        handle: &Handle,
        place: usize,
    ) -> Result<Registered<S>, (S, io::Error)> {
        let reactor = handle.reactors()[place].clone();
        match reactor.register(&mut io, interest, kind, handle.hooks().origin) {
            Ok((source, token)) => Ok(Registered {
                io: Some(io),
                source,
                reactor,
                token,
                charge: handle.hooks().charge,
            }),
            Err(error) => Err((io, error)),
        }
    }

    /// The source.
    #[inline]
    pub fn get_ref(&self) -> &S {
        match &self.io {
            Some(io) => io,
            None => unreachable!("the source is taken out only by into_inner"),
        }
    }

    /// The source. Do not replace it: its registration would stay behind.
    pub fn get_mut(&mut self) -> &mut S {
        match &mut self.io {
            Some(io) => io,
            None => unreachable!("the source is taken out only by into_inner"),
        }
    }

    /// Takes the source out of the reactor and gives it back.
    pub fn into_inner(mut self) -> S {
        let Some(mut io) = self.io.take() else {
            unreachable!("the source is taken out only here");
        };
        self.reactor.deregister(&mut io, self.token);
        io
    }

    /// Waits until something can be read, or the end of it. The last task that polled this direction is woken.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down and nothing was ready before.
    #[inline]
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Direction::Read)
    }

    /// Waits until something can be written. The last task that polled this direction is woken.
    ///
    /// # Errors
    ///
    /// As [`poll_read_ready`](Self::poll_read_ready).
    #[inline]
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Direction::Write)
    }

    /// Waits until any of `interest` is ready and says what is.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down and nothing was ready before.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: readiness stays until an operation finds that it is not true any more.
    pub async fn readiness(&self, interest: Interest) -> io::Result<Ready> {
        let seen = self.seen(interest).await;
        if seen.ready.is_empty() {
            Err(gone())
        } else {
            Ok(seen.ready)
        }
    }

    /// Tries `f` if `interest` is ready, without waiting. If `f` says `WouldBlock`, the readiness is taken back.
    ///
    /// # Errors
    ///
    /// Those of `f`, and `WouldBlock` if nothing is ready.
    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce(&S) -> io::Result<R>) -> io::Result<R> {
        let seen = self.source.look(interest);
        if !seen.may_try() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = f(self.get_ref());
        if is_would_block(&result) {
            self.source.clear(seen);
        }
        result
    }

    /// Waits until `direction` is ready and does `f`; again, for as long as `f` says `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Those of `f`; and if `f` would have to wait although the runtime has been shut down.
    #[inline]
    pub fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        f: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(cx, direction, f, |_| false)
    }

    /// As [`poll_io`](Self::poll_io) for an `f` that moves bytes and was offered `offered` of them. If a stream moved
    /// fewer, its buffer is empty, or full, and no second system call is needed to find that out.
    #[inline]
    pub fn poll_bytes(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        offered: usize,
        f: impl FnMut(&S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // None moved is the end of the stream, or an offer of nothing: neither says anything about the buffer.
        let short = |&moved: &usize| moved > 0 && moved < offered && self.source.short_is_all();
        self.poll_with(cx, direction, f, short)
    }

    /// Waits until any of `interest` is ready and does `f`; again, for as long as `f` says `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Those of `f`; and if `f` would have to wait although the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, `f` has done nothing: it is only ever called in the poll that completes, or says
    /// `WouldBlock`.
    pub async fn async_io<R>(&self, interest: Interest, mut f: impl FnMut(&S) -> io::Result<R>) -> io::Result<R> {
        loop {
            let seen = self.seen(interest).await;
            let result = f(self.get_ref());
            if !is_would_block(&result) {
                return result;
            }
            self.would_block(seen)?;
        }
    }

    /// How many tasks wait here now.
    pub fn waiting(&self) -> usize {
        self.source.waiting()
    }

    /// What is ready of `interest`, for those who clear it by hand.
    #[allow(dead_code, reason = "sockets use it, and the model build has none")]
    pub(crate) fn look(&self, interest: Interest) -> Seen {
        self.source.look(interest)
    }

    /// Takes back what was seen, unless an event came since.
    #[allow(dead_code, reason = "sockets use it, and the model build has none")]
    pub(crate) fn clear(&self, seen: Seen) {
        self.source.clear(seen);
    }

    /// Waits for `interest`, or for the shutdown.
    pub(crate) async fn seen(&self, interest: Interest) -> Seen {
        Readiness {
            source: &self.source,
            charge: self.charge,
            interest,
            key: None,
        }
        .await
    }

    /// Waits for `direction`, or for the shutdown.
    #[inline]
    pub(crate) fn poll_seen(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<Seen> {
        let seen = ready!(poll_source(&self.source, cx, direction));
        ready!((self.charge)(cx));
        Poll::Ready(seen)
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        let seen = ready!(self.poll_seen(cx, direction));
        Poll::Ready(if seen.ready.is_empty() { Err(gone()) } else { Ok(()) })
    }

    #[inline]
    fn poll_with<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut(&S) -> io::Result<R>,
        drained: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        let mut seen = ready!(self.poll_seen(cx, direction));
        loop {
            match f(self.get_ref()) {
                Ok(value) => {
                    if drained(&value) {
                        self.source.clear(seen);
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.would_block(seen)?,
                Err(error) => return Poll::Ready(Err(error)),
            }
            // The budget was charged once for this operation; looking again is free.
            seen = ready!(poll_source(&self.source, cx, direction));
        }
    }

    /// The operation found nothing: takes the readiness back, or ends the wait that no event can end any more.
    fn would_block(&self, seen: Seen) -> io::Result<()> {
        self.source.clear(seen);
        if seen.shutdown { Err(gone()) } else { Ok(()) }
    }
}

impl<S: sys::Source> Drop for Registered<S> {
    fn drop(&mut self) {
        if let Some(io) = &mut self.io {
            self.reactor.deregister(io, self.token);
        }
    }
}

impl<S: sys::Source + fmt::Debug> fmt::Debug for Registered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.io {
            Some(io) => io.fmt(f),
            None => f.write_str("Registered"),
        }
    }
}

#[inline]
fn poll_source(source: &Source, cx: &mut Context<'_>, direction: Direction) -> Poll<Seen> {
    let (key, interest) = match direction {
        Direction::Read => (Key::READER, Interest::READABLE),
        Direction::Write => (Key::WRITER, Interest::WRITABLE),
    };
    let seen = source.look(interest);
    if seen.may_try() {
        return Poll::Ready(seen);
    }
    match source.wait(key, interest, cx.waker()) {
        Some(seen) => Poll::Ready(seen),
        None => Poll::Pending,
    }
}

/// One wait of one future. It has its own name among the waiters, and takes its waiter away when it is dropped.
struct Readiness<'a> {
    source: &'a Source,
    charge: fn(&mut Context<'_>) -> Poll<()>,
    interest: Interest,
    /// Its name, from when it first had to wait.
    key: Option<Key>,
}

impl Future for Readiness<'_> {
    type Output = Seen;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Seen> {
        let mut seen = self.source.look(self.interest);
        if !seen.may_try() {
            let source = self.source;
            let key = *self.key.get_or_insert_with(|| source.new_key());
            match source.wait(key, self.interest, cx.waker()) {
                Some(now) => seen = now,
                None => return Poll::Pending,
            }
        }
        ready!((self.charge)(cx));
        Poll::Ready(seen)
    }
}

impl Drop for Readiness<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.source.forget(key);
        }
    }
}

fn is_would_block<R>(result: &io::Result<R>) -> bool {
    result
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
