//! Reading into memory that is not initialised: the bridge between the buffers of tokio and hyper and the one function
//! that reads ([`Registered::poll_read_uninit`]).

use std::io::{self, Read, Write};
#[cfg(feature = "tokio-io")]
use std::mem::MaybeUninit;
#[cfg(feature = "tokio-io")]
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use crate::net::socket::Socket;
#[cfg(feature = "tokio-io")]
use crate::net::socket_datagram::RecvUninit;
use crate::registered::Registered;

/// Reads into tokio's buffer.
#[cfg(feature = "tokio-io")]
pub(crate) fn poll_read_tokio<R: AsFd + mio::event::Source>(
    io: &Registered<Socket<R>>,
    cx: &mut Context<'_>,
    buf: &mut tokio::io::ReadBuf<'_>,
) -> Poll<io::Result<()>>
where
    for<'a> &'a R: Read + Write,
{
    // SAFETY: nothing is de-initialised:
    // - `poll_read_uninit` hands the slice to `read_uninit`, which only writes bytes that it received.
    let unfilled = unsafe { buf.unfilled_mut() };
    let read = ready!(io.poll_read_uninit(cx, unfilled))?;
    // SAFETY: the first `read` bytes of the unfilled part are initialised:
    // - `poll_read_uninit` was given exactly that part, and says so of the first `n` bytes after `Ok(n)`.
    unsafe { buf.assume_init(read) };
    buf.advance(read);
    Poll::Ready(Ok(()))
}

/// Receives into tokio's buffer, behind what it holds.
#[cfg(feature = "tokio-io")]
pub(crate) fn recv(io: &impl RecvUninit, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<usize> {
    // SAFETY: `recv_uninit` initialises as many bytes as it says, and writes no others.
    unsafe { fill(buf, |memory| Ok((io.recv_uninit(memory)?, ()))) }.map(|(len, ())| len)
}

/// Receives into tokio's buffer, behind what it holds, and says who sent it.
#[cfg(feature = "tokio-io")]
pub(crate) fn recv_from(io: &Socket<mio::net::UdpSocket>, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<SocketAddr> {
    // SAFETY: `recv_from_uninit` initialises as many bytes as it says, and writes no others.
    unsafe { fill(buf, |memory| io.recv_from_uninit(memory)) }.map(|(_, peer)| peer)
}

/// As [`recv`], and leaves it there.
#[cfg(feature = "tokio-io")]
pub(crate) fn peek(io: &impl RecvUninit, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<usize> {
    // SAFETY: `peek_uninit` initialises as many bytes as it says, and writes no others.
    unsafe { fill(buf, |memory| Ok((io.peek_uninit(memory)?, ()))) }.map(|(len, ())| len)
}

/// As [`recv_from`], and leaves it there.
#[cfg(feature = "tokio-io")]
pub(crate) fn peek_from(io: &Socket<mio::net::UdpSocket>, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<SocketAddr> {
    // SAFETY: `peek_from_uninit` initialises as many bytes as it says, and writes no others.
    unsafe { fill(buf, |memory| io.peek_from_uninit(memory)) }.map(|(_, peer)| peer)
}

/// Lets `f` fill the unfilled part of tokio's buffer.
///
/// # Safety
///
/// `f` must write nothing but initialised bytes, and if it gives `Ok((n, _))`, then it must have initialised the first `n`
/// of them.
#[cfg(feature = "tokio-io")]
unsafe fn fill<R>(
    buf: &mut tokio::io::ReadBuf<'_>,
    f: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<(usize, R)>,
) -> io::Result<(usize, R)> {
    // SAFETY: nothing is de-initialised: the caller promises that `f` only writes initialised bytes.
    let unfilled = unsafe { buf.unfilled_mut() };
    let (len, value) = f(unfilled)?;
    // SAFETY: the first `len` bytes of the unfilled part are initialised: the caller promises it of `f`.
    unsafe { buf.assume_init(len) };
    buf.advance(len);
    Ok((len, value))
}

/// Reads into hyper's buffer.
#[cfg(feature = "hyper")]
pub(crate) fn poll_read_hyper<R: AsFd + mio::event::Source>(
    io: &Registered<Socket<R>>,
    cx: &mut Context<'_>,
    mut buf: hyper::rt::ReadBufCursor<'_>,
) -> Poll<io::Result<()>>
where
    for<'a> &'a R: Read + Write,
{
    // SAFETY: nothing is de-initialised:
    // - `poll_read_uninit` hands the slice to `read_uninit`, which only writes bytes that it received.
    let unfilled = unsafe { buf.as_mut() };
    let read = ready!(io.poll_read_uninit(cx, unfilled))?;
    // SAFETY: the next `read` bytes of the cursor are initialised:
    // - `poll_read_uninit` was given exactly the part that the cursor advances over, and says so of the first `n` bytes
    //   after `Ok(n)`.
    unsafe { buf.advance(read) };
    Poll::Ready(Ok(()))
}

/// Lets a source of tokio's kind read into hyper's buffer.
#[cfg(all(feature = "tokio-io", feature = "hyper"))]
pub(crate) fn poll_fill_hyper(
    mut buf: hyper::rt::ReadBufCursor<'_>,
    read: impl FnOnce(&mut tokio::io::ReadBuf<'_>) -> Poll<io::Result<()>>,
) -> Poll<io::Result<()>> {
    // SAFETY: nothing is de-initialised:
    // - a `ReadBuf` lets safe code only write initialised bytes.
    let mut inner = tokio::io::ReadBuf::uninit(unsafe { buf.as_mut() });
    ready!(read(&mut inner))?;
    // Were `inner` exchanged for another buffer, its count would say nothing about ours: `filled` is asked for its place.
    let filled = inner.filled();
    let (place, filled) = (filled.as_ptr(), filled.len());
    // SAFETY: nothing is de-initialised, as above; only the place of the memory is looked at.
    let ours = unsafe { buf.as_mut() };
    assert!(
        filled <= ours.len() && place == ours.as_ptr().cast(),
        "the reader exchanged the buffer it was lent"
    );
    // SAFETY: the next `filled` bytes of the cursor are initialised:
    // - a `ReadBuf`'s filled part is initialised, and this one begins where the cursor's memory begins.
    unsafe { buf.advance(filled) };
    Poll::Ready(Ok(()))
}

/// Lets a source of hyper's kind read into tokio's buffer.
#[cfg(all(feature = "tokio-io", feature = "hyper"))]
pub(crate) fn poll_fill_tokio(
    buf: &mut tokio::io::ReadBuf<'_>,
    read: impl FnOnce(hyper::rt::ReadBufCursor<'_>) -> Poll<io::Result<()>>,
) -> Poll<io::Result<()>> {
    // SAFETY: nothing is de-initialised:
    // - a cursor lets safe code only write initialised bytes.
    let mut inner = hyper::rt::ReadBuf::uninit(unsafe { buf.unfilled_mut() });
    ready!(read(inner.unfilled()))?;
    let filled = inner.filled().len();
    // SAFETY: the first `filled` bytes of the unfilled part are initialised:
    // - they are the filled part of `inner`, which is made of exactly that part; it was only lent out as a cursor, so it
    //   cannot have been exchanged.
    unsafe { buf.assume_init(filled) };
    buf.advance(filled);
    Poll::Ready(Ok(()))
}
