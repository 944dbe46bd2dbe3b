//! Resetting connections from outside.

use std::net::SocketAddr;

use rustix::io::Errno;

use crate::sim::connect::give_up;
use crate::sim::state::{Event, State};
use crate::sim::stream::{Phase, Stream};

/// Resets every TCP connection with an end at `address`, and says how many that were.
pub(crate) fn reset(state: &mut State, address: SocketAddr) -> usize {
    let mut count = 0;
    for id in state.ids() {
        let is_end = state.socket(id).is_some_and(|socket| socket.local == Some(address));
        let open = state.stream(id).filter(|stream| is_end && is_open(stream));
        let Some(peer) = open.map(|stream| stream.peer) else {
            continue;
        };
        count += 1;
        wreck(state, id);
        peer.into_iter().for_each(|peer| wreck(state, peer));
    }
    count
}

/// Is it an end of a TCP connection?
fn is_open(stream: &Stream) -> bool {
    stream.is_tcp && !stream.closed && matches!(stream.phase, Phase::Queued | Phase::Open)
}

fn wreck(state: &mut State, id: u64) {
    let Some(stream) = state.stream(id) else {
        return;
    };
    if let Phase::HalfOpen { listener } = stream.phase {
        return give_up(state, id, listener);
    }
    let first = stream.first_arrival();
    stream.wreck(Errno::CONNRESET);
    state.recall(first);
    state.note(Event::Reset, id, 0);
    state.mark(id);
}
