//! The reactor, readiness and sockets of the filch runtime.
//!
//! This crate knows nothing of tasks or schedulers. It is passive: a runtime gives each of its workers a [`Reactor`], and
//! the worker [turns](Reactor::turn) it; that is also how it sleeps. A turn collects the wakers of those whose sockets
//! became ready, and the worker wakes them. Sockets find their runtime through the [`Handle`] that their thread has
//! [entered](Handle::enter).
//!
//! Programs use the sockets in `net` through crate `filch`; this crate alone is for those who
//! build runtimes.
//!
//! # A runtime in a few lines
//!
//! ```
//! use std::io;
//! use std::pin::pin;
//! use std::task::{Context, Poll};
//!
//! use filch_io::net::{TcpListener, TcpStream};
//! use filch_io::{Handle, Hooks, Reactor};
//!
//! // One thread, one reactor: poll, and wait for events in between.
//! fn block_on<T>(reactor: &Reactor, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
//!     let waker = reactor.waker();
//!     let mut future = pin!(future);
//!     loop {
//!         if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
//!             return output;
//!         }
//!         let mut ready = Vec::new();
//!         reactor.turn(None, &mut ready)?;
//!         ready.into_iter().for_each(|waker| waker.wake());
//!     }
//! }
//!
//! # fn main() -> io::Result<()> {
//! let reactor = Reactor::new()?;
//! let _inside = Handle::new(vec![reactor.clone()], Hooks::default()).enter();
//! block_on(&reactor, async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let mut client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (mut server, _) = listener.accept().await?;
//!     client.write_all(b"hello").await?;
//!     let mut text = [0; 5];
//!     server.read_exact(&mut text).await?;
//!     assert_eq!(&text, b"hello");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Simulation
//!
//! The same sockets can live in a network that is simulated, see [`sim`].
//!
//! # Features
//!
//! - `tokio-io`: `tokio::io::{AsyncRead, AsyncWrite}` for streams and their halves; pulls crate tokio without its runtime. And `Buffered`.
//! - `hyper`: `hyper::rt::{Read, Write}` for the same; with both, the adapter `Io` for other streams.
//! - `futures-io`: `futures_io::{AsyncRead, AsyncWrite}` for the same.
//!
//! # Systems
//!
//! It is tested on Linux. Other Unix systems that mio supports should work; nobody has tried.

#[cfg(not(unix))]
compile_error!("filch-io needs a Unix system: it is tested on Linux, and others that mio knows are best effort");

#[cfg(loom)]
#[path = "sys/fake.rs"]
mod sys;
#[cfg(not(loom))]
#[path = "sys/mio.rs"]
mod sys;

#[cfg(all(not(loom), any(feature = "tokio-io", feature = "hyper")))]
mod buf;
#[cfg(all(not(loom), feature = "tokio-io"))]
mod buffered;
mod current;
#[cfg(not(loom))]
mod faces;
#[cfg(not(loom))]
pub mod net;
mod reactor;
mod ready;
mod registered;
#[cfg(not(loom))]
pub mod sim;
mod slab;
mod source;
mod sync;
#[cfg(not(loom))]
pub mod unix;

#[cfg(all(not(loom), feature = "tokio-io", feature = "hyper"))]
pub use faces::adapter::Io;

#[cfg(all(not(loom), feature = "tokio-io"))]
pub use buffered::{Buffered, ReadError};
pub use current::{Enter, Handle, Hooks, Resolving};
pub use reactor::{Reactor, Turned};
pub use ready::{Interest, Ready};
pub use registered::{Direction, Registered};
pub use source::{Kind, Origin};
#[cfg(loom)]
pub use sys::Line;
pub use sys::Source;
#[cfg(loom)]
pub use sys::sim;

#[cfg(all(test, loom, not(shuttle)))]
#[path = "../../loom-tests/io/models/mod.rs"]
mod models;

#[cfg(props)]
#[path = "../../tests/props/io/checks.rs"]
pub mod checks;
