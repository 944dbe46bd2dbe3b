//! Sending a file over a stream without reading it: what the streams have for that.

use std::fs::File;
use std::io;
use std::task::{Context, Poll};

use crate::net::sendfile;
use crate::net::socket::Socket;
use crate::net::tcp_stream::TcpStream;
use crate::net::unix_stream::UnixStream;
use crate::registered::Direction;

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}

    impl Sealed for super::TcpStream {}
    impl Sealed for super::UnixStream {}
}

/// A stream over which files can be sent: [`TcpStream`] and [`UnixStream`], and no other type.
pub trait SendFile: sealed::Sealed + Send + Sync {
    /// Has the system send up to `count` bytes of `file` from `offset` on, and says how many those were: none at the end of the file. The file's position stays. Of all tasks that poll for
    /// writing, the last is woken.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the system cannot, with this file or at all, or if the stream is simulated. Those of the system.
    fn poll_send_file(&self, cx: &mut Context<'_>, file: &File, offset: u64, count: usize) -> Poll<io::Result<usize>>;

    /// Writes as much as there is room for and says how much. Of all tasks that poll for writing, the last is woken.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;
}

macro_rules! send_file {
    ($stream:ty) => {
        impl SendFile for $stream {
            fn poll_send_file(
                &self,
                cx: &mut Context<'_>,
                file: &File,
                offset: u64,
                count: usize,
            ) -> Poll<io::Result<usize>> {
                self.registered()
                    .poll_io(cx, Direction::Write, |socket| match socket {
                        Socket::System(socket) => sendfile::send(socket, file, offset, count),
                        Socket::Simulated(_) => Err(io::ErrorKind::Unsupported.into()),
                    })
            }

            fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.registered().poll_write(cx, buf)
            }
        }
    };
}

send_file!(TcpStream);
send_file!(UnixStream);
