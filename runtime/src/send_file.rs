//! Sending a file over a stream.

use crate::job::blocking;
use filch_io::net::SendFile;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// So much at a time: the poll budget is charged for each chunk. (asyncio's fallback has the same size.)
const CHUNK: usize = 256 * 1024;

/// Sends a range of a file, and says how many bytes those were: fewer than the range has if the file is shorter. `0..u64::MAX` is all of it. The file's position means nothing, and stays.
///
/// On Linux the system moves the bytes, by sendfile(2), and the program never sees them. What is not in memory yet is read from the disk meanwhile, *which blocks the worker*: on a slow disk or a network
/// file system, read in [`blocking`](crate::blocking()) and write. Where the system cannot do it (for files of /proc, on other systems, in a simulated network) that is what happens here by itself.
///
/// # Errors
///
/// Those of the file and of the stream. A part may have been sent then; how much is not known.
///
/// # Cancel safety
///
/// Dropped halfway, it may have sent a part, and how much is not known: the stream is of no more use, unless the peer can tell. Where that matters, send ranges that are short enough to be sent again.
///
/// ```
/// # use filch::net::{TcpListener, TcpStream};
/// # filch::run(async {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let mut stream = TcpStream::connect(listener.local_addr()?).await?;
/// let file = std::fs::File::open("Cargo.toml")?;
/// let sent = filch::net::send_file(&mut stream, &file, 0..100).await?;
/// assert_eq!(sent, 100);
/// # Ok::<_, std::io::Error>(())
/// # }).unwrap();
/// ```
pub async fn send_file<S: SendFile>(stream: &mut S, file: &File, range: Range<u64>) -> io::Result<u64> {
    let mut offset = range.start;
    while offset < range.end {
        let count = length(offset, range.end);
        match poll_fn(|cx| stream.poll_send_file(cx, file, offset, count)).await {
            Ok(0) => break,
            Ok(sent) => offset += sent as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                offset = send_by_hand(stream, file, offset, range.end).await?;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(offset.saturating_sub(range.start))
}

/// Reads in the blocking pool and writes, from `offset` to `end` or the end of the file; gives where it ended.
async fn send_by_hand<S: SendFile>(stream: &mut S, file: &File, mut offset: u64, end: u64) -> io::Result<u64> {
    let file = Arc::new(file.try_clone()?);
    let mut buffer = Vec::new();
    while offset < end {
        let (from, count) = (file.clone(), length(offset, end));
        let read = blocking(move || {
            buffer.resize(count, 0);
            let read = loop {
                match from.read_at(&mut buffer, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
            buffer.truncate(read);
            Ok::<_, io::Error>(buffer)
        });
        buffer = read.await?;
        if buffer.is_empty() {
            break;
        }
        let mut written = 0;
        while written < buffer.len() {
            match poll_fn(|cx| stream.poll_send(cx, &buffer[written..])).await {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        offset += written as u64;
    }
    Ok(offset)
}

fn length(offset: u64, end: u64) -> usize {
    usize::try_from(end - offset).map_or(CHUNK, |left| left.min(CHUNK))
}
