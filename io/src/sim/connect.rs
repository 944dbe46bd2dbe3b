//! How connections come to be: binding, listening, connecting, accepting; and the end of a listener.
//!
//! TCP connects in three messages: the client's `Syn`, the listener's `SynAck`, with which the client is connected, and
//! the client's `Ack`, with which the connection can be accepted. Whoever finds the backlog full waits to be let in. Unix
//! connects at once.

use std::net::SocketAddr;

use rustix::io::Errno;

use crate::sim::entry::Kind;
use crate::sim::listener::Listener;
use crate::sim::name::Name;
use crate::sim::ports::{source, target, wildcard};
use crate::sim::state::{Event, State};
use crate::sim::stream::{Phase, Segment, Stream};
use crate::sim::wire::{is_cut_off, send, send_syn};

/// Gives a TCP socket an address.
pub(crate) fn bind(state: &mut State, id: u64, address: SocketAddr) -> Result<(), Errno> {
    let socket = state.socket(id).ok_or(Errno::BADF)?;
    match socket.kind {
        Kind::Fresh { is_v4 } if is_v4 != address.is_ipv4() => return Err(Errno::AFNOSUPPORT),
        Kind::Fresh { .. } if socket.local.is_none() => {}
        _ => return Err(Errno::INVAL),
    }
    let address = state.tcp.bind(address, id)?;
    own(state, id, address);
    Ok(())
}

/// Makes a listener of a TCP socket.
pub(crate) fn listen(state: &mut State, id: u64, backlog: usize) -> Result<(), Errno> {
    let socket = state.socket(id).ok_or(Errno::BADF)?;
    let Kind::Fresh { is_v4 } = socket.kind else {
        return Err(Errno::INVAL);
    };
    if socket.local.is_none() {
        let any: SocketAddr = if is_v4 {
            ([0; 4], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        let address = state.tcp.bind(any, id)?;
        own(state, id, address);
    }
    if let Some(socket) = state.socket_mut(id) {
        socket.kind = Kind::Listener(Listener::new(backlog));
    }
    state.note(Event::Listening, id, backlog);
    Ok(())
}

/// Begins to connect a TCP socket. What becomes of it is told by its readiness and its error.
pub(crate) fn connect(state: &mut State, id: u64, address: SocketAddr) -> Result<(), Errno> {
    let socket = state.socket(id).ok_or(Errno::BADF)?;
    let remote = target(address);
    match socket.kind {
        Kind::Fresh { is_v4 } if is_v4 != remote.is_ipv4() => return Err(Errno::AFNOSUPPORT),
        Kind::Fresh { .. } => {}
        _ => return Err(Errno::ISCONN),
    }
    if is_for_many(remote) {
        return Err(Errno::NETUNREACH);
    }
    let bound = socket.local;
    let own_ip = bound.map_or(wildcard(remote.ip()), |bound| bound.ip());
    let local = SocketAddr::from((source(own_ip, remote.ip()), bound.map_or(0, |bound| bound.port())));
    if bound != Some(local) {
        if let Some(bound) = bound {
            state.tcp.release(bound, id);
        }
        let local = state.tcp.bind(local, id).map_err(|_| Errno::ADDRNOTAVAIL)?;
        own(state, id, local);
    }
    if let Some(socket) = state.socket_mut(id) {
        socket.remote = Some(remote);
        socket.kind = Kind::Stream(Stream::new(true, Phase::Connecting, None));
    }
    state.note(Event::Connecting, id, usize::from(remote.port()));
    send_syn(state, id);
    Ok(())
}

/// The first message of who wants to connect arrives.
pub(crate) fn knock(state: &mut State, client: u64) {
    if !is_connecting(state, client) {
        return;
    }
    if is_cut_off(state, client) {
        state.held_syns.push_back(client);
        state.note(Event::Held, client, 0);
        return;
    }
    let remote = state.socket(client).and_then(|socket| socket.remote);
    let found = remote.and_then(|remote| state.tcp.find(remote));
    let full = found
        .and_then(|found| state.listener(found))
        .map(|listener| listener.is_full());
    match (found, full) {
        (Some(listener), Some(false)) => answer(state, listener, client),
        (Some(listener), Some(true)) => {
            if let Some(listener) = state.listener(listener) {
                listener.knocking.push_back(client);
            }
        }
        _ => send(state, client, Segment::Reset),
    }
}

/// The client has seen the listener's answer: its connection can be accepted.
pub(crate) fn complete(state: &mut State, id: u64, listener: u64) {
    if let Some(stream) = state.stream(id) {
        stream.phase = Phase::Queued;
    }
    if let Some(listener) = state.listener(listener) {
        listener.half_open.remove(&id);
        listener.queue.push_back(id);
    }
    state.mark(listener);
}

/// The client gave up before its connection could be accepted.
pub(crate) fn give_up(state: &mut State, id: u64, listener: u64) {
    state.remove(id);
    if let Some(listener) = state.listener(listener) {
        listener.half_open.remove(&id);
    }
    let_in(state, listener);
}

/// Is there anything to accept?
pub(crate) fn can_accept(state: &mut State, id: u64) -> Result<(), Errno> {
    let listener = state.listener(id).ok_or(Errno::INVAL)?;
    if listener.queue.is_empty() {
        Err(Errno::WOULDBLOCK)
    } else {
        Ok(())
    }
}

/// Takes the first connection.
pub(crate) fn accept(state: &mut State, id: u64) -> Result<u64, Errno> {
    let listener = state.listener(id).ok_or(Errno::INVAL)?;
    let accepted = listener.queue.pop_front().ok_or(Errno::WOULDBLOCK)?;
    if let Some(stream) = state.stream(accepted) {
        stream.phase = Phase::Open;
    }
    state.note(Event::Accepted, accepted, 0);
    let_in(state, id);
    Ok(accepted)
}

/// A Unix listener.
pub(crate) fn listen_unix(state: &mut State, name: Name, backlog: usize) -> Result<u64, Errno> {
    if state.names.contains_key(&name) {
        return Err(Errno::ADDRINUSE);
    }
    let id = state.open(Kind::Listener(Listener::new(backlog)));
    own_name(state, id, name);
    Ok(id)
}

/// Connects to a Unix listener: the new end.
pub(crate) fn connect_unix(state: &mut State, name: &Name) -> Result<u64, Errno> {
    let listener_id = *state.names.get(name).ok_or(Errno::NOENT)?;
    let listener = state.listener(listener_id).ok_or(Errno::PROTOTYPE)?;
    if listener.is_full() {
        return Err(Errno::AGAIN);
    }
    let (client, server) = pair(state);
    if let Some(client) = state.socket_mut(client) {
        client.remote_name = Some(name.clone());
    }
    if let Some(server) = state.socket_mut(server) {
        server.name = Some(name.clone());
    }
    if let Some(server) = state.stream(server) {
        server.phase = Phase::Queued;
    }
    if let Some(listener) = state.listener(listener_id) {
        listener.queue.push_back(server);
    }
    state.note(Event::Connecting, client, 0);
    state.mark(listener_id);
    Ok(client)
}

/// Two Unix streams that are connected to each other.
pub(crate) fn pair(state: &mut State) -> (u64, u64) {
    let one = state.open(Kind::Stream(Stream::new(false, Phase::Open, None)));
    let other = state.open(Kind::Stream(Stream::new(false, Phase::Open, Some(one))));
    if let Some(one) = state.stream(one) {
        one.peer = Some(other);
    }
    (one, other)
}

/// A listener is dropped: who waits to be accepted is reset, who waits to be let in is refused.
pub(crate) fn close_listener(state: &mut State, id: u64) {
    let Some(listener) = state.listener(id) else {
        return;
    };
    let mut ends: Vec<u64> = std::mem::take(&mut listener.queue).into();
    ends.extend(std::mem::take(&mut listener.half_open));
    let knocking = std::mem::take(&mut listener.knocking);
    state.remove(id);
    for end in ends {
        let removed = state.remove(end);
        if let Some(Kind::Stream(stream)) = removed.map(|removed| removed.kind) {
            let last = if stream.is_tcp {
                Segment::Reset
            } else {
                Segment::Gone { unread: true }
            };
            if let Some(peer) = stream.peer {
                send(state, peer, last);
            }
        }
    }
    for client in knocking {
        if is_connecting(state, client) {
            send(state, client, Segment::Reset);
        }
    }
}

/// An address for more than one receiver: multicast, or broadcast.
pub(crate) fn is_for_many(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V4(address) => address.ip().is_multicast() || address.ip().is_broadcast(),
        SocketAddr::V6(address) => address.ip().is_multicast(),
    }
}

/// The socket has the address, and it stands in the table in its name.
pub(crate) fn own(state: &mut State, id: u64, address: SocketAddr) {
    if let Some(socket) = state.socket_mut(id) {
        socket.local = Some(address);
        socket.owns_local = true;
    }
    state.note(Event::Bound, id, usize::from(address.port()));
}

/// The socket has the name, and it stands in the table in its name.
pub(crate) fn own_name(state: &mut State, id: u64, name: Name) {
    if let Some(socket) = state.socket_mut(id) {
        socket.name = Some(name.clone());
        socket.owns_name = true;
    }
    state.names.insert(name, id);
    state.note(Event::Bound, id, 0);
}

/// Answers a client with a new end.
fn answer(state: &mut State, listener: u64, client: u64) {
    let Some((local, remote)) = state.socket(client).map(|client| (client.remote, client.local)) else {
        return;
    };
    let server = Stream::new(true, Phase::HalfOpen { listener }, Some(client));
    let server = state.open(Kind::Stream(server));
    if let Some(server) = state.socket_mut(server) {
        server.local = local;
        server.remote = remote;
    }
    if let Some(listener) = state.listener(listener) {
        listener.half_open.insert(server);
    }
    if let Some(client) = state.stream(client) {
        client.peer = Some(server);
    }
    send(state, client, Segment::SynAck);
}

/// As many of those who knock as there is room for.
fn let_in(state: &mut State, id: u64) {
    loop {
        let listener = state.listener(id).filter(|listener| !listener.is_full());
        let Some(client) = listener.and_then(|listener| listener.knocking.pop_front()) else {
            return;
        };
        // It knocks again, and may meet a partition this time.
        knock(state, client);
    }
}

fn is_connecting(state: &mut State, id: u64) -> bool {
    let stream = state.stream(id);
    stream.is_some_and(|stream| stream.phase == Phase::Connecting && !stream.closed)
}
