//! sendfile(2), as Linux has it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

pub(crate) fn send(socket: impl AsFd, file: &File, mut offset: u64, count: usize) -> io::Result<usize> {
    match rustix::fs::sendfile(socket, file, Some(&mut offset), count) {
        // INVAL: a file that has no pages to send, in /proc for example.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
        result => Ok(result?),
    }
}
