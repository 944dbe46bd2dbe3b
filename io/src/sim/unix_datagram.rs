//! Unix datagrams at work. They arrive at once, in order, and none is lost: who finds the receiver's queue full waits.

use rustix::io::Errno;

use crate::sim::connect::own_name;
use crate::sim::entry::Kind;
use crate::sim::local::{LONGEST, Local};
use crate::sim::name::Name;
use crate::sim::state::{Event, State};

/// A socket without a name.
pub(crate) fn open(state: &mut State) -> u64 {
    state.open(Kind::Local(Local::default()))
}

/// A socket with a name.
pub(crate) fn bind(state: &mut State, name: Name) -> Result<u64, Errno> {
    if state.names.contains_key(&name) {
        return Err(Errno::ADDRINUSE);
    }
    let id = open(state);
    own_name(state, id, name);
    Ok(id)
}

/// Two sockets that are connected to each other.
pub(crate) fn pair(state: &mut State) -> (u64, u64) {
    let (one, other) = (open(state), open(state));
    for (id, peer) in [(one, other), (other, one)] {
        if let Some(local) = state.local(id) {
            local.peer = Some(peer);
        }
    }
    (one, other)
}

/// Sets the peer.
pub(crate) fn connect(state: &mut State, id: u64, name: &Name) -> Result<(), Errno> {
    let peer = find(state, id, name)?;
    let local = state.local(id).ok_or(Errno::BADF)?;
    local.peer = Some(peer);
    if let Some(socket) = state.socket_mut(id) {
        socket.remote_name = Some(name.clone());
    }
    state.mark(id);
    Ok(())
}

/// Sends a datagram, to the peer if it is not said where to.
pub(crate) fn send(state: &mut State, id: u64, data: &[u8], to: Option<&Name>) -> Result<usize, Errno> {
    let local = state.local(id).ok_or(Errno::BADF)?;
    let (write_ended, peer) = (local.write_ended, local.peer);
    if data.len() > LONGEST {
        return Err(Errno::MSGSIZE);
    }
    let receiver_id = match (to, peer) {
        (Some(name), _) => find(state, id, name)?,
        (None, Some(peer)) => peer,
        (None, None) => return Err(Errno::NOTCONN),
    };
    if write_ended {
        return Err(Errno::PIPE);
    }
    let Some(receiver) = state.local(receiver_id) else {
        // The peer is gone, and with it the connection.
        forget_peer(state, id);
        return Err(Errno::CONNREFUSED);
    };
    if !receiver.takes_from(id) {
        return Err(Errno::PERM);
    }
    if receiver.read_ended {
        return Err(Errno::PIPE);
    }
    if receiver.is_full(id) {
        receiver.waiting.insert(id);
        return Err(Errno::WOULDBLOCK);
    }
    let name = state.socket(id).and_then(|socket| socket.name.clone());
    if let Some(receiver) = state.local(receiver_id) {
        receiver.receive(data.to_vec(), name);
    }
    state.note(Event::Sent, id, data.len());
    state.trace.bytes(data);
    state.mark(receiver_id);
    Ok(data.len())
}

/// The first datagram and who sent it; it goes away if `take` says so.
pub(crate) fn recv(state: &mut State, id: u64, take: bool) -> Result<(Vec<u8>, Option<Name>), Errno> {
    let local = state.local(id).ok_or(Errno::BADF)?;
    let received = local.recv(take)?;
    if take {
        let waiting = std::mem::take(&mut local.waiting);
        state.note(Event::Received, id, received.0.len());
        waiting.into_iter().for_each(|sender| state.mark(sender));
    }
    Ok(received)
}

/// Closes one direction, or both.
pub(crate) fn shutdown(state: &mut State, id: u64, read: bool, write: bool) -> Result<(), Errno> {
    let local = state.local(id).ok_or(Errno::BADF)?;
    local.read_ended |= read;
    local.write_ended |= write;
    let waiting = if read {
        std::mem::take(&mut local.waiting)
    } else {
        Default::default()
    };
    state.note(Event::Shutdown, id, usize::from(read) + 2 * usize::from(write));
    state.mark(id);
    waiting.into_iter().for_each(|sender| state.mark(sender));
    Ok(())
}

/// A socket is dropped: who waited for room in it finds nobody there.
pub(crate) fn close(state: &mut State, id: u64) {
    let waiting = state.local(id).map(|local| std::mem::take(&mut local.waiting));
    state.remove(id);
    waiting.into_iter().flatten().for_each(|sender| state.mark(sender));
}

fn forget_peer(state: &mut State, id: u64) {
    if let Some(local) = state.local(id) {
        local.peer = None;
    }
    if let Some(socket) = state.socket_mut(id) {
        socket.remote_name = None;
    }
}

/// Who has this name, and takes datagrams of `id`.
fn find(state: &mut State, id: u64, name: &Name) -> Result<u64, Errno> {
    let found = *state.names.get(name).ok_or(Errno::NOENT)?;
    let receiver = state.local(found).ok_or(Errno::PROTOTYPE)?;
    if receiver.takes_from(id) {
        Ok(found)
    } else {
        Err(Errno::PERM)
    }
}
