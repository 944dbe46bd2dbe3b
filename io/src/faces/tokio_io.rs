//! `tokio::io`: the traits of crate tokio, without its runtime.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buf::{peek, peek_from, poll_read_tokio, recv, recv_from};
use crate::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream, tcp, unix};
use crate::registered::Direction;

macro_rules! reads {
    ($($type:ty),*) => {$(
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                poll_read_tokio(self.registered(), cx, buf)
            }
        }
    )*};
}

macro_rules! writes {
    ($($type:ty),*) => {$(
        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.registered().poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.registered().poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.registered().shutdown_write())
            }
        }
    )*};
}

reads!(
    TcpStream,
    tcp::ReadHalf<'_>,
    tcp::OwnedReadHalf,
    UnixStream,
    unix::ReadHalf<'_>,
    unix::OwnedReadHalf
);
writes!(
    TcpStream,
    tcp::WriteHalf<'_>,
    tcp::OwnedWriteHalf,
    UnixStream,
    unix::WriteHalf<'_>,
    unix::OwnedWriteHalf
);

impl TcpStream {
    /// Reads what is there, behind what `buf` holds, and leaves it there; says how much it is. Of all tasks that poll for
    /// reading, the last is woken.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.registered().poll_io(cx, Direction::Read, |io| peek(io, buf))
    }
}

impl UdpSocket {
    /// Receives a datagram behind what `buf` holds. Of all tasks that poll for receiving, the last is woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.registered()
            .poll_io(cx, Direction::Read, |io| recv(io, buf))
            .map_ok(drop)
    }

    /// Receives a datagram behind what `buf` holds and says who sent it. Of all tasks that poll for receiving, the last is
    /// woken.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        self.registered().poll_io(cx, Direction::Read, |io| recv_from(io, buf))
    }

    /// As [`poll_recv`](Self::poll_recv), and leaves the datagram there.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.registered()
            .poll_io(cx, Direction::Read, |io| peek(io, buf))
            .map_ok(drop)
    }

    /// As [`poll_recv_from`](Self::poll_recv_from), and leaves the datagram there.
    ///
    /// # Errors
    ///
    /// As [`peek_from`](Self::peek_from).
    pub fn poll_peek_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        self.registered().poll_io(cx, Direction::Read, |io| peek_from(io, buf))
    }
}

impl UnixDatagram {
    /// Receives a datagram behind what `buf` holds. Of all tasks that poll for receiving, the last is woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.registered()
            .poll_io(cx, Direction::Read, |io| recv(io, buf))
            .map_ok(drop)
    }
}
