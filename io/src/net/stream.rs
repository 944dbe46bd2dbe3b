//! What TCP and Unix streams, and their halves, have in common: one function for each thing that can be polled, which
//! all faces are thin layers over, and the inherent methods.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use socket2::SockRef;

use crate::net::socket::Socket;
use crate::registered::{Direction, Registered};

/// The polled operations of a stream.
impl<R: AsFd + mio::event::Source> Registered<Socket<R>>
where
    for<'a> &'a R: Read + Write,
{
    #[inline]
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_bytes(cx, Direction::Read, buf.len(), |io| io.read(buf))
    }

    /// Reads into memory that need not be initialised: the first `n` bytes of it are, after `Ok(n)`.
    #[inline]
    #[cfg_attr(
        not(any(feature = "tokio-io", feature = "hyper")),
        expect(dead_code, reason = "for these faces")
    )]
    pub(crate) fn poll_read_uninit(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        self.poll_bytes(cx, Direction::Read, buf.len(), |io| io.read_uninit(buf))
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        // Not `poll_bytes`: the system looks at so many buffers only (1024 on Linux), so few bytes prove nothing.
        self.poll_io(cx, Direction::Read, |io| io.read_vectored(bufs))
    }

    #[inline]
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_bytes(cx, Direction::Write, buf.len(), |io| io.write(buf))
    }

    #[inline]
    pub(crate) fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // Not `poll_bytes`, as above.
        self.poll_io(cx, Direction::Write, |io| io.write_vectored(bufs))
    }

    /// Closes the writing direction. A peer that is gone already is no error: the direction is closed then.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self.get_ref().shutdown_write() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

/// Methods of everything that can be waited for; the type has a method `registered`.
macro_rules! ready_methods {
    () => {
        /// Waits until any of `interest` is ready and says what is, perhaps more than was asked for.
        ///
        /// The answer may be out of date: try the operation, and wait again after `WouldBlock`.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: readiness stays until an operation meets `WouldBlock`.
        pub async fn ready(&self, interest: $crate::ready::Interest) -> ::std::io::Result<$crate::ready::Ready> {
            self.registered().readiness(interest).await
        }
    };
}

/// Methods of everything that bytes can be read from without `&mut`.
macro_rules! readable_methods {
    () => {
        /// Waits until something can be read, or the end of it.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: readiness stays until an operation meets `WouldBlock`.
        pub async fn readable(&self) -> ::std::io::Result<()> {
            self.registered()
                .readiness($crate::ready::Interest::READABLE)
                .await
                .map(drop)
        }

        /// Reads what is there, without waiting. `Ok(0)` is the end of the stream, if `buf` is not empty.
        ///
        /// # Errors
        ///
        /// `WouldBlock` if nothing is there, and those of the system.
        pub fn try_read(&self, buf: &mut [u8]) -> ::std::io::Result<usize> {
            self.registered()
                .try_io($crate::ready::Interest::READABLE, |io| io.read(buf))
        }

        /// As [`try_read`](Self::try_read), into several buffers, one after the other.
        ///
        /// # Errors
        ///
        /// As [`try_read`](Self::try_read).
        pub fn try_read_vectored(&self, bufs: &mut [::std::io::IoSliceMut<'_>]) -> ::std::io::Result<usize> {
            self.registered()
                .try_io($crate::ready::Interest::READABLE, |io| io.read_vectored(bufs))
        }
    };
}

/// Methods of everything that bytes can be written to without `&mut`.
macro_rules! writable_methods {
    () => {
        /// Waits until something can be written, or the stream is closed.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: readiness stays until an operation meets `WouldBlock`.
        pub async fn writable(&self) -> ::std::io::Result<()> {
            self.registered()
                .readiness($crate::ready::Interest::WRITABLE)
                .await
                .map(drop)
        }

        /// Writes as much as there is room for, without waiting, and says how much that was.
        ///
        /// # Errors
        ///
        /// `WouldBlock` if there is no room, and those of the system.
        pub fn try_write(&self, buf: &[u8]) -> ::std::io::Result<usize> {
            self.registered()
                .try_io($crate::ready::Interest::WRITABLE, |io| io.write(buf))
        }

        /// As [`try_write`](Self::try_write), from several buffers, one after the other.
        ///
        /// # Errors
        ///
        /// As [`try_write`](Self::try_write).
        pub fn try_write_vectored(&self, bufs: &[::std::io::IoSlice<'_>]) -> ::std::io::Result<usize> {
            self.registered()
                .try_io($crate::ready::Interest::WRITABLE, |io| io.write_vectored(bufs))
        }
    };
}

/// Methods of a stream, or half of one, that is read by one task at a time.
macro_rules! read_methods {
    () => {
        /// Reads what is there, at least one byte; waits if nothing is. `Ok(0)` is the end of the stream, if `buf` is
        /// not empty.
        ///
        /// # Errors
        ///
        /// Those of the system; and if it would have to wait although the runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: dropped before it is done, it has read nothing.
        pub async fn read(&mut self, buf: &mut [u8]) -> ::std::io::Result<usize> {
            ::std::future::poll_fn(|cx| self.registered().poll_read(cx, buf)).await
        }

        /// As [`read`](Self::read), into several buffers, one after the other.
        ///
        /// # Errors
        ///
        /// As [`read`](Self::read).
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: dropped before it is done, it has read nothing.
        pub async fn read_vectored(&mut self, bufs: &mut [::std::io::IoSliceMut<'_>]) -> ::std::io::Result<usize> {
            ::std::future::poll_fn(|cx| self.registered().poll_read_vectored(cx, bufs)).await
        }

        /// Reads until `buf` is full and gives its length.
        ///
        /// # Errors
        ///
        /// `UnexpectedEof` if the stream ends first, and those of [`read`](Self::read). Some bytes may have been read
        /// then; how many is not known.
        ///
        /// # Cancel safety
        ///
        /// Dropped halfway, it may have read a part into `buf`, and how much is not known.
        pub async fn read_exact(&mut self, buf: &mut [u8]) -> ::std::io::Result<usize> {
            let mut filled = 0;
            while filled < buf.len() {
                match self.read(&mut buf[filled..]).await {
                    Ok(0) => return Err(::std::io::ErrorKind::UnexpectedEof.into()),
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == ::std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(filled)
        }
    };
}

/// Methods of a stream, or half of one, that is written by one task at a time.
macro_rules! write_methods {
    () => {
        /// Writes as much as there is room for and says how much; waits if there is none.
        ///
        /// # Errors
        ///
        /// Those of the system; and if it would have to wait although the runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: dropped before it is done, it has written nothing.
        pub async fn write(&mut self, buf: &[u8]) -> ::std::io::Result<usize> {
            ::std::future::poll_fn(|cx| self.registered().poll_write(cx, buf)).await
        }

        /// As [`write`](Self::write), from several buffers, one after the other.
        ///
        /// # Errors
        ///
        /// As [`write`](Self::write).
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: dropped before it is done, it has written nothing.
        pub async fn write_vectored(&mut self, bufs: &[::std::io::IoSlice<'_>]) -> ::std::io::Result<usize> {
            ::std::future::poll_fn(|cx| self.registered().poll_write_vectored(cx, bufs)).await
        }

        /// Writes all of `buf`.
        ///
        /// # Errors
        ///
        /// Those of [`write`](Self::write). A part may have been written then; how much is not known.
        ///
        /// # Cancel safety
        ///
        /// Dropped halfway, it may have written a part, and how much is not known.
        pub async fn write_all(&mut self, buf: &[u8]) -> ::std::io::Result<()> {
            let mut written = 0;
            while written < buf.len() {
                match self.write(&buf[written..]).await {
                    Ok(0) => return Err(::std::io::ErrorKind::WriteZero.into()),
                    Ok(more) => written += more,
                    Err(error) if error.kind() == ::std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }

        /// Does nothing: a socket keeps nothing back.
        ///
        /// # Errors
        ///
        /// None.
        ///
        /// # Cancel safety
        ///
        /// It is done at once.
        pub async fn flush(&mut self) -> ::std::io::Result<()> {
            Ok(())
        }

        /// Closes the writing direction: the peer reads to the end and then finds it. What it sends can still be read.
        ///
        /// # Errors
        ///
        /// Those of the system. A connection that is gone already is none.
        ///
        /// # Cancel safety
        ///
        /// It is done at once.
        pub async fn shutdown(&mut self) -> ::std::io::Result<()> {
            self.registered().shutdown_write()
        }
    };
}

/// Methods to do an operation of one's own, in step with the readiness.
macro_rules! io_methods {
    () => {
        /// Tries an operation of your own on the socket, if `interest` is ready. It must be one that does not block, and
        /// must say `WouldBlock` only if the socket did: the readiness is taken back then.
        ///
        /// # Errors
        ///
        /// Those of `f`, and `WouldBlock` if nothing is ready.
        pub fn try_io<R>(
            &self,
            interest: $crate::ready::Interest,
            f: impl FnOnce() -> ::std::io::Result<R>,
        ) -> ::std::io::Result<R> {
            self.registered().try_io(interest, |_| f())
        }

        /// Does an operation of your own when `interest` is ready; again, as long as it says `WouldBlock`. It must be one
        /// that does not block, and must say `WouldBlock` only if the socket did.
        ///
        /// # Errors
        ///
        /// Those of `f`; and if it would have to wait although the runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: dropped before it is done, `f` has done nothing but say `WouldBlock`.
        pub async fn async_io<R>(
            &self,
            interest: $crate::ready::Interest,
            mut f: impl FnMut() -> ::std::io::Result<R>,
        ) -> ::std::io::Result<R> {
            self.registered().async_io(interest, |_| f()).await
        }
    };
}

pub(crate) use {io_methods, read_methods, readable_methods, ready_methods, writable_methods, write_methods};

/// Refuses a socket in blocking mode: one read that finds nothing would stop a worker for ever.
pub(crate) fn check_nonblocking(fd: &impl AsFd) -> io::Result<()> {
    if SockRef::from(fd).nonblocking()? {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "the socket is in blocking mode: call set_nonblocking(true) first",
    ))
}
