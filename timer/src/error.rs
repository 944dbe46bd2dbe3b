//! The errors of the timers.

use std::error::Error;
use std::fmt;
use std::io;

/// The time limit of a [`timeout`](crate::timeout) has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

#[allow(clippy::new_without_default, reason = "an error has no default")]
impl Elapsed {
    /// For filch's own time limits.
    #[doc(hidden)]
    pub fn new() -> Elapsed {
        Elapsed(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    /// An error of kind `TimedOut`.
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
