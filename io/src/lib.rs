//! The reactor, readiness and sockets of the filch runtime.
#[cfg(not(unix))]
compile_error!("filch-io needs a Unix system: it is tested on Linux, and others that mio knows are best effort");

#[cfg(loom)]
#[path = "sys/fake.rs"]
mod sys;
#[cfg(not(loom))]
#[path = "sys/mio.rs"]
mod sys;

mod current;
mod reactor;
mod ready;
mod registered;
mod slab;
mod source;
mod sync;

pub use current::{Enter, Handle, Hooks, Resolving};
pub use reactor::{Reactor, Turned};
pub use ready::{Interest, Ready};
pub use registered::{Direction, Registered};
pub use source::Kind;
pub use sys::Source;

#[cfg(all(test, loom))]
#[path = "../../loom-tests/io/models/mod.rs"]
mod models;
