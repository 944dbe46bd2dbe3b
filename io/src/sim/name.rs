//! Names of Unix sockets.

use std::io;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A name that a Unix socket has in the simulation. Paths are compared as they are written: nothing is resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Path(PathBuf),
    /// A name in Linux's abstract namespace.
    Abstract(Vec<u8>),
}

impl Name {
    pub(crate) fn of_path(path: &Path) -> io::Result<Name> {
        // Refuses what is no path of a socket: too long, or with a zero in it.
        Name::of(&SocketAddr::from_pathname(path)?)
    }

    pub(crate) fn of(address: &SocketAddr) -> io::Result<Name> {
        match (address.as_pathname(), abstract_name(address)) {
            (Some(path), _) => Ok(Name::Path(path.to_owned())),
            (None, Some(name)) => Ok(Name::Abstract(name)),
            (None, None) => Err(Errno::INVAL.into()),
        }
    }

    /// The address that says this name; without a name, the address of who has none.
    pub(crate) fn address(name: Option<&Name>) -> io::Result<SocketAddr> {
        match name {
            None => SocketAddr::from_pathname(""),
            Some(Name::Path(path)) => SocketAddr::from_pathname(path),
            Some(Name::Abstract(name)) => from_abstract_name(name),
        }
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &SocketAddr) -> Option<Vec<u8>> {
    std::os::linux::net::SocketAddrExt::as_abstract_name(address).map(<[u8]>::to_vec)
}

#[cfg(target_os = "linux")]
fn from_abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &SocketAddr) -> Option<Vec<u8>> {
    None
}

#[cfg(not(target_os = "linux"))]
fn from_abstract_name(_: &[u8]) -> io::Result<SocketAddr> {
    Err(Errno::INVAL.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let path = Name::of_path(Path::new("/run/x")).unwrap();
        assert_eq!(
            Name::address(Some(&path)).unwrap().as_pathname(),
            Some(Path::new("/run/x"))
        );
        assert!(Name::address(None).unwrap().is_unnamed());
        assert_eq!(
            Name::of_path(Path::new("")).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        Name::of_path(Path::new(&"x".repeat(200))).unwrap_err();
        assert_eq!(
            Name::of(&from_abstract_name(b"a").unwrap()).unwrap(),
            Name::Abstract(b"a".to_vec())
        );
    }
}
