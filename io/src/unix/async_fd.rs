//! Any file descriptor that can be polled.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

use mio::unix::SourceFd;

use crate::current::Handle;
use crate::reactor::gone;
use crate::ready::{Interest, Ready};
use crate::registered::{Direction, Registered};
use crate::source::{Kind, Seen};

/// A file descriptor of any kind that the system can poll - a pipe, a device, a timer descriptor, a socket of another
/// library - with its readiness.
///
/// It does no I/O itself: it says when to try, and has to be told when the try met `WouldBlock`, which is what the guards
/// and `try_io` are for. The descriptor must be in non-blocking mode. It is closed, by dropping `T`, after it was taken
/// out of the reactor; `T` must not close it, or exchange it for another, before that.
///
/// ```
/// # use filch_io::{Handle, Hooks, Reactor};
/// # let reactor = Reactor::new()?;
/// # let _inside = Handle::new(vec![reactor.clone()], Hooks::default()).enter();
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
///
/// use filch_io::unix::AsyncFd;
///
/// let (socket, _peer) = UnixStream::pair()?;
/// socket.set_nonblocking(true)?;
/// let socket = AsyncFd::new(socket)?;
///
/// async fn write(socket: &AsyncFd<UnixStream>, bytes: &[u8]) -> std::io::Result<usize> {
///     loop {
///         let mut guard = socket.writable().await?;
///         // `Err` means that the try met `WouldBlock`: wait again.
///         if let Ok(result) = guard.try_io(|socket| socket.get_ref().write(bytes)) {
///             return result;
///         }
///     }
/// }
/// # let mut write = std::pin::pin!(write(&socket, b"x"));
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # while write.as_mut().poll(&mut cx).is_pending() { reactor.turn(None, &mut Vec::new())?; }
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct AsyncFd<T: AsRawFd> {
    io: Registered<Fd<T>>,
}

/// The descriptor as a source of mio.
struct Fd<T>(T);

/// Readiness that was seen, to be cleared or kept.
#[must_use = "say what became of the readiness: clear_ready, retain_ready or try_io"]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd> {
    async_fd: &'a AsyncFd<T>,
    seen: Option<Seen>,
}

/// Readiness that was seen, with the descriptor for the taker alone.
#[must_use = "say what became of the readiness: clear_ready, retain_ready or try_io"]
pub struct AsyncFdReadyMutGuard<'a, T: AsRawFd> {
    async_fd: &'a mut AsyncFd<T>,
    seen: Option<Seen>,
}

/// A try met `WouldBlock`; the readiness was taken back.
#[derive(Debug)]
pub struct TryIoError(());

/// A descriptor could not be registered. It is given back.
pub struct AsyncFdRegisterError<T> {
    inner: T,
    cause: io::Error,
}

impl<T: AsRawFd> AsyncFd<T> {
    /// Registers a descriptor for reading and writing.
    ///
    /// # Errors
    ///
    /// Those of the system: it may be of a kind that cannot be polled, as files on disk are. And if the runtime has been
    /// shut down.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<AsyncFd<T>> {
        AsyncFd::with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// Registers a descriptor for what `interest` says, and nothing else will ever be ready. (Some can only be read, or
    /// only be written.)
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
        AsyncFd::try_with_interest(inner, interest).map_err(|error| error.cause)
    }

    /// As [`new`](Self::new), and an error gives `inner` back.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn try_new(inner: T) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        AsyncFd::try_with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// As [`with_interest`](Self::with_interest), and an error gives `inner` back.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn try_with_interest(inner: T, interest: Interest) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        let handle = Handle::current();
        match Registered::try_at(Fd(inner), interest, Kind::Other, &handle, handle.place()) {
            Ok(io) => Ok(AsyncFd { io }),
            Err((Fd(inner), cause)) => Err(AsyncFdRegisterError { inner, cause }),
        }
    }

    /// What is inside.
    pub fn get_ref(&self) -> &T {
        &self.io.get_ref().0
    }

    /// What is inside. Its descriptor must stay the same.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.io.get_mut().0
    }

    /// Takes the descriptor out of the reactor and gives it back.
    pub fn into_inner(self) -> T {
        self.io.into_inner().0
    }

    /// Waits until any of `interest` is ready.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        let seen = open(self.io.seen(interest).await)?;
        Ok(AsyncFdReadyGuard {
            async_fd: self,
            seen: Some(seen),
        })
    }

    /// As [`ready`](Self::ready), with a guard that gives the inside to change.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn ready_mut(&mut self, interest: Interest) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        let seen = open(self.io.seen(interest).await)?;
        Ok(AsyncFdReadyMutGuard {
            async_fd: self,
            seen: Some(seen),
        })
    }

    /// Waits until it can be read.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::READABLE).await
    }

    /// As [`readable`](Self::readable), with a guard that gives the inside to change.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn readable_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        self.ready_mut(Interest::READABLE).await
    }

    /// Waits until it can be written.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// As [`writable`](Self::writable), with a guard that gives the inside to change.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn writable_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        self.ready_mut(Interest::WRITABLE).await
    }

    /// Waits until it can be read. Of all tasks that poll for reading, the last is woken.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.poll_ready(cx, Direction::Read)
    }

    /// As [`poll_read_ready`](Self::poll_read_ready), with a guard that gives the inside to change.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    pub fn poll_read_ready_mut(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        self.poll_ready_mut(cx, Direction::Read)
    }

    /// Waits until it can be written. Of all tasks that poll for writing, the last is woken.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.poll_ready(cx, Direction::Write)
    }

    /// As [`poll_write_ready`](Self::poll_write_ready), with a guard that gives the inside to change.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    pub fn poll_write_ready_mut(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        self.poll_ready_mut(cx, Direction::Write)
    }

    /// Tries `f` if `interest` is ready, without waiting. If it says `WouldBlock`, the readiness is taken back.
    ///
    /// # Errors
    ///
    /// Those of `f`, and `WouldBlock` if nothing is ready.
    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.io.try_io(interest, |io| f(&io.0))
    }

    /// As [`try_io`](Self::try_io), with the inside to change.
    ///
    /// # Errors
    ///
    /// As [`try_io`](Self::try_io).
    pub fn try_io_mut<R>(&mut self, interest: Interest, f: impl FnOnce(&mut T) -> io::Result<R>) -> io::Result<R> {
        let seen = self.io.look(interest);
        if !seen.may_try() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = f(self.get_mut());
        if would_block(&result) {
            self.io.clear(seen);
        }
        result
    }

    /// Does `f` when `interest` is ready; again, as long as it says `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Those of `f`; and if it would have to wait although the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is done, `f` has done nothing but say `WouldBlock`.
    pub async fn async_io<R>(&self, interest: Interest, mut f: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.io.async_io(interest, |io| f(&io.0)).await
    }

    /// As [`async_io`](Self::async_io), with the inside to change.
    ///
    /// # Errors
    ///
    /// As [`async_io`](Self::async_io).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is done, `f` has done nothing but say `WouldBlock`.
    pub async fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut f: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            let mut guard = self.ready_mut(interest).await?;
            if let Ok(result) = guard.try_io(|io| f(io.get_mut())) {
                return result;
            }
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        let seen = open(ready!(self.io.poll_seen(cx, direction)))?;
        Poll::Ready(Ok(AsyncFdReadyGuard {
            async_fd: self,
            seen: Some(seen),
        }))
    }

    fn poll_ready_mut(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        let seen = open(ready!(self.io.poll_seen(cx, direction)))?;
        Poll::Ready(Ok(AsyncFdReadyMutGuard {
            async_fd: self,
            seen: Some(seen),
        }))
    }
}

/// Methods of both guards.
macro_rules! guard_methods {
    () => {
        /// The descriptor is not ready any more: a try met `WouldBlock`. What became ready since is kept.
        pub fn clear_ready(&mut self) {
            if let Some(seen) = self.seen.take() {
                self.async_fd.io.clear(seen);
            }
        }

        /// As [`clear_ready`](Self::clear_ready), for these kinds of readiness alone.
        pub fn clear_ready_matching(&mut self, ready: Ready) {
            if let Some(seen) = &mut self.seen {
                self.async_fd.io.clear(seen.only(ready));
                seen.ready = seen.ready - ready;
            }
        }

        /// The descriptor may still be ready. (Dropping the guard says so too.)
        pub fn retain_ready(&mut self) {}

        /// What was ready.
        pub fn ready(&self) -> Ready {
            self.seen.map_or(Ready::EMPTY, |seen| seen.ready)
        }
    };
}

impl<'a, T: AsRawFd> AsyncFdReadyGuard<'a, T> {
    guard_methods!();

    /// Tries `f`. If it says `WouldBlock`, the readiness is taken back.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] if it said `WouldBlock`: wait again.
    pub fn try_io<R>(&mut self, f: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>) -> Result<io::Result<R>, TryIoError> {
        let result = f(self.async_fd);
        if would_block(&result) {
            self.clear_ready();
            return Err(TryIoError(()));
        }
        Ok(result)
    }

    /// The source of the readiness.
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.async_fd
    }

    /// What is inside it.
    pub fn get_inner(&self) -> &'a T {
        self.async_fd.get_ref()
    }
}

impl<T: AsRawFd> AsyncFdReadyMutGuard<'_, T> {
    guard_methods!();

    /// Tries `f`. If it says `WouldBlock`, the readiness is taken back.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] if it said `WouldBlock`: wait again.
    pub fn try_io<R>(&mut self, f: impl FnOnce(&mut AsyncFd<T>) -> io::Result<R>) -> Result<io::Result<R>, TryIoError> {
        let result = f(self.async_fd);
        if would_block(&result) {
            self.clear_ready();
            return Err(TryIoError(()));
        }
        Ok(result)
    }

    /// The source of the readiness.
    pub fn get_ref(&self) -> &AsyncFd<T> {
        self.async_fd
    }

    /// The source of the readiness.
    pub fn get_mut(&mut self) -> &mut AsyncFd<T> {
        self.async_fd
    }

    /// What is inside it.
    pub fn get_inner(&self) -> &T {
        self.async_fd.get_ref()
    }

    /// What is inside it.
    pub fn get_inner_mut(&mut self) -> &mut T {
        self.async_fd.get_mut()
    }
}

impl<T> AsyncFdRegisterError<T> {
    /// What could not be registered, and why.
    pub fn into_parts(self) -> (T, io::Error) {
        (self.inner, self.cause)
    }
}

impl<T: AsRawFd> mio::event::Source for Fd<T> {
    fn register(&mut self, registry: &mio::Registry, token: mio::Token, interest: mio::Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).register(registry, token, interest)
    }

    fn reregister(&mut self, registry: &mio::Registry, token: mio::Token, interest: mio::Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).deregister(registry)
    }
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.get_ref().as_raw_fd()
    }
}

impl<T: AsRawFd + AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsRawFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("inner", self.get_ref()).finish()
    }
}

impl<T: AsRawFd + fmt::Debug> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard")
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}

impl<T: AsRawFd + fmt::Debug> fmt::Debug for AsyncFdReadyMutGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyMutGuard")
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation would block")
    }
}

impl Error for TryIoError {}

impl<T> fmt::Display for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl<T> fmt::Debug for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFdRegisterError").field(&self.cause).finish()
    }
}

impl<T> Error for AsyncFdRegisterError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl<T> From<AsyncFdRegisterError<T>> for io::Error {
    fn from(error: AsyncFdRegisterError<T>) -> io::Error {
        error.cause
    }
}

/// What was seen, if it was not the shutdown alone.
fn open(seen: Seen) -> io::Result<Seen> {
    if seen.ready.is_empty() { Err(gone()) } else { Ok(seen) }
}

fn would_block<R>(result: &io::Result<R>) -> bool {
    result
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
