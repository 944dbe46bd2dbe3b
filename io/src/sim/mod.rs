//! A simulated network: TCP, UDP and Unix sockets between the tasks of one process, without the operating system.
//!
//! What happens in it depends on its seed and on the calls of the program alone, so a run can be repeated. Latency,
//! partitions, resets, lost datagrams, short reads and writes, and late readiness are set at the [`Network`].
//!
//! A runtime whose [reactors](crate::Reactor::simulated) and [handle](crate::Handle::simulated) are simulated makes
//! simulated sockets; the program does not notice. It turns its reactors as ever, which never waits, and when nothing
//! can go on it moves the time to [`Network::next_due`] with [`Network::advance_to`].
//!
//! ```
//! use std::io;
//! use std::pin::pin;
//! use std::task::{Context, Poll, Waker};
//! use std::time::{Duration, Instant};
//!
//! use filch_io::net::{TcpListener, TcpStream};
//! use filch_io::sim::Network;
//! use filch_io::{Handle, Hooks, Reactor};
//!
//! # fn main() -> io::Result<()> {
//! let start = Instant::now();
//! let mut now = start;
//! let network = Network::new(1, now);
//! network.set_latency(Duration::from_secs(1), Duration::from_secs(1));
//! let reactor = Reactor::simulated(&network);
//! let _inside = Handle::simulated(network.clone(), vec![reactor.clone()], Hooks::default()).enter();
//!
//! let mut program = pin!(async {
//!     let listener = TcpListener::bind("10.0.0.1:80").await?;
//!     let mut client = TcpStream::connect("10.0.0.1:80").await?;
//!     let (mut server, _) = listener.accept().await?;
//!     client.write_all(b"hello").await?;
//!     let mut text = [0; 5];
//!     server.read_exact(&mut text).await?;
//!     io::Result::Ok(text)
//! });
//! let text = loop {
//!     if let Poll::Ready(text) = program.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
//!         break text?;
//!     }
//!     if !reactor.has_events() {
//!         now = network.next_due().expect("the program waits for something that never comes");
//!         network.advance_to(now);
//!     }
//!     reactor.turn(None, &mut Vec::new())?;
//! };
//! assert_eq!(&text, b"hello");
//! // Two ways to connect, one to tell the listener, one for the data.
//! assert_eq!(now - start, Duration::from_secs(4));
//! # Ok(())
//! # }
//! ```
//!
//! # What is as in Linux
//!
//! Everything that a program notices of loopback sockets should be: errors and when they come, half-closed connections,
//! resets, backlogs, edges of readiness, finite buffers (64 KiB for each direction of a stream, 208 KiB for a UDP socket,
//! eleven datagrams for a Unix one, or 208 KiB between two that are connected to each other).
//!
//! # What is not
//!
//! - Every address of IP exists. Who did not bind sends from `127.0.0.1` to loopback addresses, and from the target's
//!   own address to others. Free ports are counted up from 49152 for each address.
//! - A wildcard address stands for its own family only: `[::]` does not take IPv4.
//! - There is no TIME_WAIT, and no option changes who may bind: `SO_REUSEADDR` and `SO_REUSEPORT` are remembered without
//!   effect. So are all other options but a linger of zero; data never meets the socket that remembers them.
//! - There is no multicast, no broadcast, no urgent data, and no passing of descriptors. Nobody connects to himself.
//! - A Unix datagram socket that finds the queue of a receiver full is not writable until there is room, for others neither. (In
//!   Linux it is, unless it is connected, so whoever waits for room runs in circles.)
//! - Small data is never kept back, as if every TCP stream had `TCP_NODELAY`.
//! - Nothing times out: in a partition, connecting and sending wait for the repair.
//! - Connecting to a full backlog waits until there is room, and then goes on at once.
//! - Names of Unix sockets are only names: no file is made, no permission is asked for, paths are compared as they are
//!   written, the name is free again when its socket is dropped, and nobody gets a name unasked.
//! - A descriptor ([`AsFd`](std::os::fd::AsFd)) is one of a socket of the system that is not connected to anything. Options can be
//!   set through it. What reads or writes through it bypasses the simulation and fails.
//! - Only the sockets in `net` are simulated. What brings a descriptor of its own is refused with
//!   [`Unsupported`](std::io::ErrorKind::Unsupported), and so are `into_std` and names of hosts other than `localhost`, which is
//!   `127.0.0.1`.

mod connect;
mod datagram;
mod deliver;
mod entry;
mod listener;
mod local;
pub(crate) mod name;
pub(crate) mod network;
mod ports;
mod random;
mod readiness;
mod reset;
mod rules;
pub(crate) mod socket;
mod state;
mod stream;
mod transfer;
mod udp;
mod unix_datagram;
mod wire;

pub use network::Network;
