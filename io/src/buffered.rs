//! Reading up to a separator, or a number of bytes, without losing what was read.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is asked for at a time. (std's buffers have the same size.)
const CHUNK: usize = 8 * 1024;

/// How long a piece that ends with a separator may be: asyncio's limit.
const LIMIT: usize = 64 * 1024;

/// A stream with a buffer before it, which is read in pieces: up to a separator, so many bytes, a line.
///
/// Whatever goes wrong halfway, an error, a piece that is too long, a drop of the future, the bytes that have come are in the error or in the buffer.
/// (asyncio's `StreamReader`. Crate tokio's `BufReader` does not promise that, and its `read_until` has one separator of one byte, and no limit.)
///
/// Writes go through to the stream.
///
/// ```
/// # use tokio::io::AsyncWriteExt;
/// # use filch_io::Buffered;
/// # use std::task::{Context, Waker};
/// # fn main() {
/// # let test = async {
/// # let (mut writer, stream) = tokio::io::duplex(100);
/// # writer.write_all(b"one\r\ntwo\n12345").await.unwrap();
/// // `stream` gives "one\r\ntwo\n12345".
/// let mut stream = Buffered::new(stream);
/// assert_eq!(stream.read_until(&[b"\r\n", b"\n"]).await.unwrap(), b"one\r\n");
/// assert_eq!(stream.read_until(&[b"\r\n", b"\n"]).await.unwrap(), b"two\n");
/// assert_eq!(stream.read_exact(5).await.unwrap(), b"12345");
/// # };
/// # assert!(std::pin::pin!(test).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
/// # }
/// ```
pub struct Buffered<S> {
    stream: S,
    /// Initialised all over; `start..end` was read and not taken yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
    /// The stream has ended.
    ended: bool,
}

/// Why a [`Buffered`] could not give what it was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The stream ended before that.
    Incomplete {
        /// What was left in it. The buffer is empty now.
        partial: Vec<u8>,
        /// How many bytes were asked for, if that was known.
        expected: Option<usize>,
    },
    /// There is no separator within the limit. The buffer keeps everything: take it in another way, or give up.
    LimitOverrun {
        /// So many bytes in the buffer are no part of a separator, and can be taken by [`Buffered::read_exact`], to go on behind them.
        consumed: usize,
    },
    /// The stream's own error. What was read before it is still in the buffer.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { partial, expected } => {
                write!(f, "the stream ended after {} bytes", partial.len())?;
                match expected {
                    Some(expected) => write!(f, " of {expected}"),
                    None => f.write_str(", without a separator"),
                }
            }
            Self::LimitOverrun { consumed } => {
                write!(f, "{consumed} bytes without a separator are more than the limit")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for io::Error {
    /// `UnexpectedEof`, `InvalidData`, or the stream's own error.
    fn from(error: ReadError) -> Self {
        let kind = match error {
            ReadError::Incomplete { .. } => io::ErrorKind::UnexpectedEof,
            ReadError::LimitOverrun { .. } => io::ErrorKind::InvalidData,
            ReadError::Io(error) => return error,
        };
        Self::new(kind, error)
    }
}

impl<S> Buffered<S> {
    /// With a limit of 64 KiB.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            limit: LIMIT,
            ended: false,
        }
    }

    /// How many bytes may stand before a separator.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// What was read from the stream and not taken yet.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether the stream was seen to end, and all of it was taken.
    pub fn at_eof(&self) -> bool {
        self.ended && self.start == self.end
    }

    /// The stream itself. What is read from it is not in the buffer.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream itself, to write to it for example. Reading from it passes over the buffer.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream itself. What is in the [`buffer`](Self::buffer) is lost.
    pub fn into_inner(self) -> S {
        self.stream
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.buffer()[..count].to_vec();
        self.consume(count);
        taken
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// All that is left, and why it is not enough.
    fn incomplete(&mut self, expected: Option<usize>) -> ReadError {
        let partial = self.take(self.end - self.start);
        ReadError::Incomplete { partial, expected }
    }

    /// Room behind what is there, at the front if it is free.
    fn make_room(&mut self) {
        if self.buffer.len() - self.end >= CHUNK {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() - self.end < CHUNK {
            // Twice as much each time, so that a long piece is not copied for each chunk of it.
            let length = (self.end + CHUNK).max(self.buffer.len() * 2);
            self.buffer.resize(length, 0);
        }
    }
}

impl<S: AsyncRead + Unpin> Buffered<S> {
    /// Reads up to a separator, and gives it with what stands before it. Of several the one that ends first counts.
    ///
    /// # Errors
    ///
    /// [`ReadError`]. If the limit is exceeded, the buffer is as it was.
    ///
    /// # Panics
    ///
    /// If there is no separator, or an empty one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what was read stays in the buffer.
    #[track_caller]
    pub fn read_until(&mut self, separators: &[&[u8]]) -> impl Future<Output = Result<Vec<u8>, ReadError>> {
        assert!(
            !separators.is_empty() && separators.iter().all(|separator| !separator.is_empty()),
            "reading up to nothing is not possible: there must be a separator, and each must have a byte"
        );
        async move {
            let longest = separators.iter().map(|separator| separator.len()).max().unwrap_or(1);
            // No separator begins before it.
            let mut searched = 0;
            loop {
                if let Some((begin, end)) = first(self.buffer(), searched, separators) {
                    if begin > self.limit {
                        return Err(ReadError::LimitOverrun { consumed: begin });
                    }
                    return Ok(self.take(end));
                }
                // The last bytes may be the beginning of one.
                searched = (self.buffer().len() + 1).saturating_sub(longest);
                if searched > self.limit {
                    return Err(ReadError::LimitOverrun { consumed: searched });
                }
                if poll_fn(|cx| self.poll_fill(cx)).await? == 0 {
                    return Err(self.incomplete(None));
                }
            }
        }
    }

    /// Reads a line, with its `\n`. The last one may have none; an empty one is the end of the stream.
    ///
    /// # Errors
    ///
    /// [`ReadError::LimitOverrun`], where the buffer is as it was, and [`ReadError::Io`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what was read stays in the buffer.
    pub async fn read_line(&mut self) -> Result<Vec<u8>, ReadError> {
        match self.read_until(&[b"\n"]).await {
            Err(ReadError::Incomplete { partial, .. }) => Ok(partial),
            result => result,
        }
    }

    /// Reads so many bytes; the limit does not count.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] with what there was, if the stream ends before that, and [`ReadError::Io`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what was read stays in the buffer.
    pub async fn read_exact(&mut self, count: usize) -> Result<Vec<u8>, ReadError> {
        while self.buffer().len() < count {
            if poll_fn(|cx| self.poll_fill(cx)).await? == 0 {
                return Err(self.incomplete(Some(count)));
            }
        }
        Ok(self.take(count))
    }

    /// Reads what is there, at least one byte; waits if nothing is. `Ok(0)` is the end of the stream, if `buf` is not empty.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is done, it has read nothing.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, &mut buf)).await?;
        Ok(buf.filled().len())
    }

    /// Reads once into the buffer. 0: the stream has ended.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        self.make_room();
        let mut room = ReadBuf::new(&mut self.buffer[self.end..]);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room)) {
            Ok(()) => {
                let read = room.filled().len();
                self.end += read;
                self.ended = read == 0;
                Poll::Ready(Ok(read))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// The separator that ends first, and begins at `from` or later: where it begins and ends. Of two that end at the same place the shorter one.
fn first(bytes: &[u8], from: usize, separators: &[&[u8]]) -> Option<(usize, usize)> {
    let ends = separators.iter().filter_map(|separator| {
        let found = bytes[from..]
            .windows(separator.len())
            .position(|window| window == *separator)?;
        Some((from + found, from + found + separator.len()))
    });
    ends.min_by_key(|&(begin, end)| (end, end - begin))
}

impl<S: AsyncRead + Unpin> AsyncRead for Buffered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.buffer().is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let count = buf.remaining().min(this.buffer().len());
        buf.put_slice(&this.buffer()[..count]);
        this.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Buffered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: fmt::Debug> fmt::Debug for Buffered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered")
            .field("stream", &self.stream)
            .field("buffered", &self.buffer().len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
