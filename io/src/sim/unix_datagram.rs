//! Unix datagrams at work. They arrive at once, in order, and none is lost: who finds the receiver's queue full waits.

use std::collections::BTreeSet;

use rustix::io::Errno;

use crate::sim::connect::own_name;
use crate::sim::entry::Kind;
use crate::sim::local::{LONGEST, Letter, Local};
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
    let previous = local.peer.replace(peer).filter(|&previous| previous != peer);
    if let Some(previous) = previous {
        part(state, id, previous);
    }
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
    // The order of the questions is that of Linux (6.18).
    if data.len() > LONGEST {
        return Err(Errno::MSGSIZE);
    }
    if let Some(error) = state.local(id).and_then(|local| local.error.take()) {
        return Err(error);
    }
    if write_ended {
        return Err(Errno::PIPE);
    }
    let receiver_id = match (to, peer) {
        (Some(name), _) => find(state, id, name)?,
        (None, Some(peer)) => peer,
        (None, None) => return Err(Errno::NOTCONN),
    };
    let Some(receiver) = state.local(receiver_id) else {
        // The peer is gone, and with it the connection.
        forget_peer(state, id);
        part(state, id, receiver_id);
        return Err(Errno::CONNREFUSED);
    };
    if !receiver.takes_from(id) {
        return Err(Errno::PERM);
    }
    if receiver.read_ended {
        return Err(Errno::PIPE);
    }
    if receiver.is_full(receiver_id, id) {
        receiver.keep_waiting(id);
        return Err(Errno::WOULDBLOCK);
    }
    let letter = Letter {
        data: data.to_vec(),
        source: state.socket(id).and_then(|socket| socket.name.clone()),
        sender: id,
    };
    if let Some(receiver) = state.local(receiver_id) {
        receiver.receive(letter);
    }
    state.note(Event::Sent, id, data.len());
    state.trace.bytes(data);
    state.mark(receiver_id);
    Ok(data.len())
}

/// The first datagram and who sent it; it goes away if `take` says so.
pub(crate) fn recv(state: &mut State, id: u64, take: bool) -> Result<(Vec<u8>, Option<Name>), Errno> {
    let local = state.local(id).ok_or(Errno::BADF)?;
    let letter = local.recv(take)?;
    if take {
        let mut waiting = local.take_waiting();
        // As in Linux, the sender's own buffer has room again too.
        waiting.insert(letter.sender);
        state.note(Event::Received, id, letter.data.len());
        waiting.into_iter().for_each(|sender| state.mark(sender));
    }
    Ok((letter.data, letter.source))
}

/// Closes one direction, or both.
pub(crate) fn shutdown(state: &mut State, id: u64, read: bool, write: bool) -> Result<(), Errno> {
    let local = state.local(id).ok_or(Errno::BADF)?;
    local.read_ended |= read;
    local.write_ended |= write;
    let waiting = if read { local.take_waiting() } else { BTreeSet::new() };
    state.note(Event::Shutdown, id, usize::from(read) + 2 * usize::from(write));
    state.mark(id);
    waiting.into_iter().for_each(|sender| state.mark(sender));
    Ok(())
}

/// A socket is dropped: who waited for room in it finds nobody there.
pub(crate) fn close(state: &mut State, id: u64) {
    let Some(local) = state.local(id) else {
        return;
    };
    let mut waiting = local.take_waiting();
    waiting.extend(local.purge());
    state.remove(id);
    waiting.into_iter().for_each(|sender| state.mark(sender));
}

/// A socket has another peer now: as in Linux, what it had not received yet is lost, and the peer that it had is told, if it was
/// connected to it in turn.
fn part(state: &mut State, id: u64, previous: u64) {
    let lost = state.local(id).map(Local::purge).unwrap_or_default();
    if lost.is_empty() {
        return;
    }
    state.note(Event::Lost, id, lost.len());
    lost.into_iter().for_each(|sender| state.mark(sender));
    if let Some(previous) = state.local(previous).filter(|previous| previous.peer == Some(id)) {
        previous.error = Some(Errno::CONNRESET);
    }
    state.mark(previous);
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
