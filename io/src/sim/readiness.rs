//! What a look at a socket sees, and what becomes of it on the way through epoll and mio.

use crate::ready::{Interest, Ready};

/// What `poll(2)` would say of a socket in Linux.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    /// `POLLIN`
    pub(crate) readable: bool,
    /// `POLLOUT`
    pub(crate) writable: bool,
    /// `POLLRDHUP`: the peer will send no more.
    pub(crate) ended: bool,
    /// `POLLHUP`: both directions are closed.
    pub(crate) hung_up: bool,
    /// `POLLERR`: an error waits to be taken.
    pub(crate) error: bool,
}

impl Look {
    /// The event for who is interested in `interest`. Errors and hang-ups are told unasked.
    pub(crate) fn event(self, interest: Interest) -> Ready {
        let readable = self.readable && interest.is_readable();
        let writable = self.writable && interest.is_writable();
        let read_closed = self.hung_up || (readable && self.ended);
        let only_error = self.error && !readable && !writable && !self.hung_up;
        let write_closed = self.hung_up || (writable && self.error) || only_error;
        let bits = [
            (readable, Ready::READABLE),
            (writable, Ready::WRITABLE),
            (read_closed, Ready::READ_CLOSED),
            (write_closed, Ready::WRITE_CLOSED),
            (self.error, Ready::ERROR),
        ];
        let set = bits.into_iter().filter(|(is_set, _)| *is_set);
        set.fold(Ready::EMPTY, |ready, (_, bit)| ready | bit)
    }
}
