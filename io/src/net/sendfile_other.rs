//! Systems whose sendfile is none, or another one than Linux's.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

pub(crate) fn send(_: impl AsFd, _: &File, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
