//! Sockets: TCP, UDP and Unix.
//!
//! A socket belongs to the runtime in which it was made, and to one of its reactors; it can be used from any task and
//! any thread.

mod addr;
mod split;
mod stream;
mod tcp_listener;
mod tcp_stream;

pub use addr::{ToSocketAddrs, lookup_host};
pub use tcp_listener::TcpListener;
pub use tcp_stream::TcpStream;

/// What belongs to TCP streams: their halves.
pub mod tcp {
    pub use super::split::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
}
