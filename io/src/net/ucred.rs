//! Who is at the other end of a Unix socket.

/// The credentials of the peer of a Unix stream, as they were when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UCred {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: Option<i32>,
}

impl UCred {
    /// The user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The process, where the system tells it.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}
