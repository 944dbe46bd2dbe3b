//! [`Io`]: any stream with tokio's traits given to hyper, and any stream with hyper's traits given to crates that want
//! tokio's.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::buf::{poll_fill_hyper, poll_fill_tokio};

pin_project_lite::pin_project! {
    /// A stream in the clothes of the other traits: `tokio::io` to `hyper::rt`, and `hyper::rt` to `tokio::io`.
    ///
    /// The streams of this crate have both sets of traits themselves and need it not; a TLS stream, for example, does.
    #[derive(Debug)]
    pub struct Io<T> {
        #[pin]
        inner: T,
    }
}

impl<T> Io<T> {
    /// Dresses `inner`.
    pub const fn new(inner: T) -> Io<T> {
        Io { inner }
    }

    /// The stream inside.
    pub const fn inner(&self) -> &T {
        &self.inner
    }

    /// The stream inside.
    pub fn inner_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Gives the stream back.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: tokio::io::AsyncRead> hyper::rt::Read for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        poll_fill_hyper(buf, |buf| self.project().inner.poll_read(cx, buf))
    }
}

impl<T: hyper::rt::Read> tokio::io::AsyncRead for Io<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut tokio::io::ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_fill_tokio(buf, |buf| self.project().inner.poll_read(cx, buf))
    }
}

macro_rules! writes {
    ($from:path => $to:path) => {
        impl<T: $from> $to for Io<T> {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.project().inner.poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.project().inner.poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                self.inner.is_write_vectored()
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.project().inner.poll_flush(cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.project().inner.poll_shutdown(cx)
            }
        }
    };
}

writes!(tokio::io::AsyncWrite => hyper::rt::Write);
writes!(hyper::rt::Write => tokio::io::AsyncWrite);
