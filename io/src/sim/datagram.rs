//! UDP at work.

use std::net::SocketAddr;

use rustix::io::Errno;

use crate::sim::connect::own;
use crate::sim::entry::Kind;
use crate::sim::ports::{source, target};
use crate::sim::state::{Event, Flight, State};
use crate::sim::udp::{LONGEST, Udp};

/// A UDP socket at `address`.
pub(crate) fn bind(state: &mut State, address: SocketAddr) -> Result<u64, Errno> {
    let id = state.open(Kind::Udp(Udp::default()));
    match state.udp.bind(address, id) {
        Ok(address) => {
            own(state, id, address);
            Ok(id)
        }
        Err(error) => {
            state.remove(id);
            Err(error)
        }
    }
}

/// Sets the peer.
pub(crate) fn connect(state: &mut State, id: u64, address: SocketAddr) -> Result<(), Errno> {
    let (local, remote) = route(state, id, address)?;
    let bound = state.socket(id).and_then(|socket| socket.local);
    if bound != Some(local) {
        // As in Linux, who was bound to all addresses is bound to the one that leads there.
        bound.into_iter().for_each(|bound| state.udp.release(bound, id));
        let local = state.udp.bind(local, id)?;
        own(state, id, local);
    }
    if let Some(socket) = state.socket_mut(id) {
        socket.remote = Some(remote);
    }
    Ok(())
}

/// Sends a datagram, to the peer if it is not said where to.
pub(crate) fn send(state: &mut State, id: u64, data: &[u8], to: Option<SocketAddr>) -> Result<usize, Errno> {
    let peer = state.socket(id).ok_or(Errno::BADF)?.remote;
    let to = to.or(peer).ok_or(Errno::DESTADDRREQ)?;
    let (local, remote) = route(state, id, to)?;
    if data.len() > LONGEST {
        return Err(Errno::MSGSIZE);
    }
    if let Some(error) = state.udp(id).and_then(|udp| udp.error.take()) {
        return Err(error);
    }
    state.note(Event::Sent, id, data.len());
    state.trace.bytes(data);
    if !is_lost(state, local, remote) {
        let flight = Flight::Datagram {
            sender: id,
            source: local,
            target: remote,
            data: data.to_vec(),
        };
        launch(state, flight);
    }
    Ok(data.len())
}

/// The first datagram and who sent it; it goes away if `take` says so.
pub(crate) fn recv(state: &mut State, id: u64, take: bool) -> Result<(Vec<u8>, SocketAddr), Errno> {
    let received = state.udp(id).ok_or(Errno::BADF)?.recv(take)?;
    if take {
        state.note(Event::Received, id, received.0.len());
    }
    Ok(received)
}

/// A datagram is where it was to go.
pub(crate) fn arrive(state: &mut State, sender: u64, source: SocketAddr, target: SocketAddr, data: Vec<u8>) {
    if state.rules.is_cut(source.ip(), target.ip()) {
        return state.note(Event::Lost, sender, data.len());
    }
    let found = state.udp.find(target).filter(|&found| {
        let peer = state.socket(found).and_then(|socket| socket.remote);
        peer.is_none_or(|peer| peer == source)
    });
    let Some(receiver) = found else {
        if !is_lost(state, target, source) {
            launch(state, Flight::Unreachable { sender, source, target });
        }
        return;
    };
    let bytes = data.len();
    let fits = state.udp(receiver).is_some_and(|udp| udp.receive(data, source));
    state.note(if fits { Event::Arrived } else { Event::Lost }, receiver, bytes);
    if fits {
        state.mark(receiver);
    }
}

/// The sender hears that nobody took its datagram. It wants to know only if that is where its peer should be.
pub(crate) fn refuse(state: &mut State, sender: u64, source: SocketAddr, target: SocketAddr) {
    if state.rules.is_cut(source.ip(), target.ip()) {
        return;
    }
    let peer = state.socket(sender).and_then(|socket| socket.remote);
    if peer != Some(target) {
        return;
    }
    if let Some(udp) = state.udp(sender) {
        udp.error = Some(Errno::CONNREFUSED);
        state.note(Event::Reset, sender, 0);
        state.mark(sender);
    }
}

/// From where to where a datagram goes.
fn route(state: &State, id: u64, to: SocketAddr) -> Result<(SocketAddr, SocketAddr), Errno> {
    let local = state.socket(id).and_then(|socket| socket.local).ok_or(Errno::BADF)?;
    let remote = target(to);
    if local.is_ipv4() != remote.is_ipv4() {
        return Err(Errno::AFNOSUPPORT);
    }
    if remote.port() == 0 {
        return Err(Errno::INVAL);
    }
    Ok(((source(local.ip(), remote.ip()), local.port()).into(), remote))
}

/// Does what is sent now never arrive?
fn is_lost(state: &mut State, from: SocketAddr, to: SocketAddr) -> bool {
    let lost = state.rules.is_cut(from.ip(), to.ip()) || state.random.chance(state.rules.loss);
    if lost {
        state.note(Event::Lost, 0, 0);
    }
    lost
}

fn launch(state: &mut State, flight: Flight) {
    let latency = state.rules.draw_latency(&mut state.random);
    let due = state.due_in(latency);
    state.launch(due, flight);
}
