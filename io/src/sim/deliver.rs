//! What happens when something arrives.

use std::time::Instant;

use crate::sim::connect::{complete, give_up, knock};
use crate::sim::datagram;
use crate::sim::state::{Event, Flight, State};
use crate::sim::stream::{Phase, Segment};
use crate::sim::transfer::has_peer;
use crate::sim::wire::{arrive, send};

/// Lets everything arrive that is due by `until`, in its order, each at its own time, and what follows from it.
pub(crate) fn advance(state: &mut State, until: Instant) {
    while let Some(flight) = state.land(until) {
        match flight {
            Flight::Syn { client } => knock(state, client),
            Flight::Segment { to } => {
                if let Some(segment) = arrive(state, to) {
                    receive(state, to, segment);
                }
            }
            Flight::Datagram {
                sender,
                source,
                target,
                data,
            } => datagram::arrive(state, sender, source, target, data),
            Flight::Unreachable { sender, source, target } => datagram::refuse(state, sender, source, target),
            Flight::Tell { of } => state.tell(of),
        }
    }
    state.now = state.now.max(until);
}

/// An end gets a segment.
fn receive(state: &mut State, id: u64, segment: Segment) {
    let Some(stream) = state.stream(id).filter(|stream| !stream.closed) else {
        return;
    };
    let amount = match &segment {
        Segment::Data(data) => data.len(),
        _ => 0,
    };
    let mut changed = true;
    match segment {
        Segment::SynAck => {
            stream.phase = Phase::Open;
            let peer = stream.peer;
            peer.into_iter().for_each(|peer| send(state, peer, Segment::Ack));
        }
        Segment::Ack => {
            changed = false;
            if let Phase::HalfOpen { listener } = stream.phase {
                complete(state, id, listener);
            }
        }
        Segment::Data(data) => stream.receive(&data),
        Segment::Fin => stream.read_ended = true,
        Segment::Reset => return receive_reset(state, id),
        Segment::Window(room) => changed = stream.receive_room(room),
        Segment::Gone { unread } => stream.receive_gone(unread),
    }
    state.note(Event::Arrived, id, amount);
    if changed {
        state.mark(id);
    }
}

/// An end hears that its connection is gone.
fn receive_reset(state: &mut State, id: u64) {
    let phase = state.stream(id).map(|stream| stream.phase);
    if let Some(Phase::HalfOpen { listener }) = phase {
        return give_up(state, id, listener);
    }
    // What has ended both ways is beyond being reset.
    if phase != Some(Phase::Connecting) && !has_peer(state, id) {
        return;
    }
    if let Some(stream) = state.stream(id) {
        stream.receive_reset();
    }
    state.note(Event::Arrived, id, 0);
    state.mark(id);
}
