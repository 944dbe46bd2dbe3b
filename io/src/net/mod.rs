//! Sockets: TCP, UDP and Unix.
//!
//! A socket belongs to the runtime in which it was made, and to one of its reactors; it can be used from any task and
//! any thread.

mod addr;
mod datagram;
mod listener;
mod send_file;
#[cfg(target_os = "linux")]
#[path = "sendfile_linux.rs"]
mod sendfile;
#[cfg(not(target_os = "linux"))]
#[path = "sendfile_other.rs"]
mod sendfile;
pub(crate) mod socket;
pub(crate) mod socket_datagram;
mod socket_stream;
mod split;
mod stream;
mod tcp_listener;
mod tcp_socket;
mod tcp_stream;
mod ucred;
mod udp;
mod unix_datagram;
mod unix_listener;
mod unix_path;
mod unix_stream;

pub use addr::{ToSocketAddrs, lookup_host};
pub use listener::{AcceptError, Listener};
pub use send_file::SendFile;
pub use tcp_listener::TcpListener;
pub use tcp_socket::TcpSocket;
pub use tcp_stream::TcpStream;
pub use udp::UdpSocket;
pub use unix_datagram::UnixDatagram;
pub use unix_listener::UnixListener;
pub use unix_stream::UnixStream;

/// What belongs to TCP streams: their halves.
pub mod tcp {
    pub use super::split::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
}

/// What belongs to Unix streams: their halves, their addresses, and who is at the other end.
pub mod unix {
    pub use super::split::unix::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
    pub use super::ucred::UCred;
    pub use std::os::unix::net::SocketAddr;
}
