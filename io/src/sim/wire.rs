//! What travels between the ends of streams, and whom a partition holds up.

use std::net::IpAddr;
use std::time::Duration;

use crate::sim::state::{Event, Flight, State};
use crate::sim::stream::Segment;

/// Sends a segment to an end, behind what is under way to it already. If that end is gone, so is the segment.
pub(crate) fn send(state: &mut State, to: u64, segment: Segment) {
    send_after(state, to, Duration::ZERO, segment);
}

/// As [`send`], from whom the message has yet to reach.
pub(crate) fn send_after(state: &mut State, to: u64, delay: Duration, segment: Segment) {
    let Some(is_tcp) = state.stream(to).map(|stream| stream.is_tcp) else {
        return;
    };
    // What is within one machine takes no time.
    let latency = if is_tcp {
        state.rules.draw_latency(&mut state.random)
    } else {
        Duration::ZERO
    };
    let (time, order) = state.due_in(delay + latency);
    let Some(stream) = state.stream(to) else {
        return;
    };
    // The order is kept by the queue; this makes the time that of the arrival.
    let last = stream.arriving.back().map_or(time, |(last, ..)| *last);
    let due = (time.max(last), order);
    stream.arriving.push_back((due.0, due.1, segment));
    if stream.arriving.len() == 1 && !stream.held {
        state.launch(due, Flight::Segment { to });
    }
}

/// The next segment to an end arrives, unless a partition holds it up.
pub(crate) fn arrive(state: &mut State, to: u64) -> Option<Segment> {
    let ends = state.socket(to).map(|socket| (socket.local, socket.remote));
    let is_cut = ends.is_some_and(|(local, remote)| state.is_cut(local, remote));
    let stream = state.stream(to)?;
    if is_cut {
        stream.held = true;
        state.note(Event::Held, to, 0);
        return None;
    }
    let (.., segment) = stream.arriving.pop_front()?;
    if let Some(next) = stream.first_arrival() {
        state.launch(next, Flight::Segment { to });
    }
    Some(segment)
}

/// Nothing passes between `a` and `b` any more.
pub(crate) fn cut(state: &mut State, a: IpAddr, b: IpAddr) {
    state.rules.cut(a, b);
    state.note(Event::Cut, 0, 0);
}

/// What was held between `a` and `b` is sent again.
pub(crate) fn mend(state: &mut State, a: IpAddr, b: IpAddr) {
    state.rules.mend(a, b);
    state.note(Event::Mended, 0, 0);
    for client in std::mem::take(&mut state.held_syns) {
        if is_cut_off(state, client) {
            state.held_syns.push_back(client);
        } else {
            send_syn(state, client);
        }
    }
    for id in state.ids() {
        let is_held = state.stream(id).is_some_and(|stream| stream.held);
        if is_held && !is_cut_off(state, id) {
            send_again(state, id);
        }
    }
}

/// A socket wants to connect: its first message is on its way.
pub(crate) fn send_syn(state: &mut State, client: u64) {
    let latency = state.rules.draw_latency(&mut state.random);
    let due = state.due_in(latency);
    state.launch(due, Flight::Syn { client });
}

/// Does nothing pass between the two ends of this socket's connection?
pub(crate) fn is_cut_off(state: &State, id: u64) -> bool {
    let socket = state.socket(id);
    socket.is_some_and(|socket| state.is_cut(socket.local, socket.remote))
}

/// What was held is under way again, and keeps its order.
fn send_again(state: &mut State, to: u64) {
    let latency = state.rules.draw_latency(&mut state.random);
    let (earliest, _) = state.due_in(latency);
    let Some(stream) = state.stream(to) else {
        return;
    };
    stream.held = false;
    for (time, ..) in &mut stream.arriving {
        *time = earliest.max(*time);
    }
    if let Some(first) = stream.first_arrival() {
        state.launch(first, Flight::Segment { to });
    }
}
