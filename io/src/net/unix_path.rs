//! The file that a Unix socket is bound to, for those who remove it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file of a listener. Dropped, it is removed, if it is still the same one.
///
/// It must be dropped before the socket: as long as that is open the system keeps the file's inode, and no other file can have its number.
#[derive(Debug)]
pub(crate) struct BoundPath {
    /// Absolute: the process may go elsewhere.
    path: PathBuf,
    identity: (u64, u64),
}

impl BoundPath {
    /// The file that is at `path` now.
    pub(crate) fn at(path: &Path) -> io::Result<BoundPath> {
        let path = std::path::absolute(path)?;
        let identity = identity(&path)?;
        Ok(BoundPath { path, identity })
    }

    /// Leaves the file where it is.
    pub(crate) fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        // A path that is gone, or not to be looked at, is not ours.
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The device and the inode of what is at `path`; of a link, not of what it leads to.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}
