//! Streams at work: reading, writing, and the end.

use std::io::IoSlice;
use std::time::Duration;

use rustix::io::Errno;

use crate::sim::state::{Event, State};
use crate::sim::stream::{Phase, Segment};
use crate::sim::wire::{send, send_after};

/// Reads up to `bytes`, which are copied piece by piece in their order; says how many.
pub(crate) fn read(state: &mut State, id: u64, bytes: usize, copy: impl FnMut(&[u8])) -> Result<usize, Errno> {
    let most = state.stream(id).ok_or(Errno::NOTCONN)?.readable(bytes)?;
    let part = state.rules.draw_part(&mut state.random, most);
    let stream = state.stream(id).ok_or(Errno::NOTCONN)?;
    let freed = stream.read(part, copy);
    let peer = stream.peer;
    state.note(Event::Read, id, part);
    if let (Some(peer), Some(freed)) = (peer, freed) {
        send(state, peer, Segment::Window(freed));
    }
    if part < most {
        // Readers may conclude from a short read that nothing is left. So it is as if the rest came just after it.
        state.mark(id);
    }
    Ok(part)
}

/// As [`read`], and leaves all there.
pub(crate) fn peek(state: &mut State, id: u64, bytes: usize, copy: impl FnMut(&[u8])) -> Result<usize, Errno> {
    let stream = state.stream(id).ok_or(Errno::NOTCONN)?;
    let most = stream.readable(bytes)?;
    stream.peek(most, copy);
    Ok(most)
}

/// Writes the buffers, one after the other, as far as there is room; says how many bytes.
pub(crate) fn write(state: &mut State, id: u64, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let bytes = bufs.iter().map(|buf| buf.len()).sum();
    let most = state.stream(id).ok_or(Errno::NOTCONN)?.writable(bytes)?;
    let part = state.rules.draw_part(&mut state.random, most);
    let stream = state.stream(id).ok_or(Errno::NOTCONN)?;
    stream.write(part);
    let peer = stream.peer;
    let data: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter()).take(part).copied().collect();
    state.note(Event::Written, id, part);
    state.trace.bytes(&data);
    if part < most {
        // As for a short read.
        state.mark(id);
    }
    let Some(peer) = peer.filter(|_| part > 0) else {
        return Ok(part);
    };
    if state.stream(peer).is_some() {
        send(state, peer, Segment::Data(data));
    } else {
        answer_with_reset(state, id, Duration::ZERO);
    }
    Ok(part)
}

/// Closes the writing direction.
pub(crate) fn shutdown_write(state: &mut State, id: u64) -> Result<(), Errno> {
    let stream = state.stream(id).ok_or(Errno::NOTCONN)?;
    if stream.closed || stream.phase == Phase::Connecting {
        return Err(Errno::NOTCONN);
    }
    let was_ended = std::mem::replace(&mut stream.write_ended, true);
    let peer = stream.peer;
    if !was_ended {
        state.note(Event::Shutdown, id, 0);
        peer.into_iter().for_each(|peer| send(state, peer, Segment::Fin));
        state.mark(id);
    }
    Ok(())
}

/// An end is dropped. With `abort`, or if it leaves data unread, the peer is told that the connection is gone; else that
/// no more will come.
pub(crate) fn close(state: &mut State, id: u64, abort: bool) {
    let Some(stream) = state.stream(id) else {
        return;
    };
    let (is_tcp, peer) = (stream.is_tcp, stream.peer);
    let unread = stream.has_unread();
    let had_ended = stream.write_ended;
    let was_closed = stream.closed;
    let is_connecting = stream.phase == Phase::Connecting;
    let mut arriving = stream.arriving.iter();
    let data = arriving.find(|(.., segment)| matches!(segment, Segment::Data(_)));
    let data = data.map(|(time, ..)| *time);
    // A TCP connection that has ended both ways is over, and whoever drops its end says nothing more.
    let is_over = was_closed || (is_tcp && !is_connecting && !has_peer(state, id));
    state.remove(id);
    let Some(peer) = peer.filter(|_| !is_over) else {
        return;
    };
    if !is_tcp {
        send(state, peer, Segment::Gone { unread });
        return;
    }
    if abort || unread || is_connecting {
        send(state, peer, Segment::Reset);
        return;
    }
    if !had_ended {
        send(state, peer, Segment::Fin);
    }
    if let Some(time) = data {
        // What is still under way will find nobody.
        answer_with_reset(state, peer, time.saturating_duration_since(state.now));
    }
}

/// Can an end still say who its peer is? In Linux, not when both directions are closed.
pub(crate) fn has_peer(state: &mut State, id: u64) -> bool {
    let Some(stream) = state
        .stream(id)
        .filter(|stream| !stream.closed && stream.phase != Phase::Connecting)
    else {
        return false;
    };
    let (both_ended, peer) = (stream.read_ended && stream.write_ended, stream.peer);
    let heard = |state: &mut State, peer| state.stream(peer).is_none_or(|peer| peer.read_ended);
    !(both_ended && peer.is_none_or(|peer| heard(state, peer)))
}

/// Something that `id` sent, and that is `delay` from where it goes to, meets nobody there.
fn answer_with_reset(state: &mut State, id: u64, delay: Duration) {
    let is_first = |state: &mut State| match state.stream(id) {
        Some(stream) => !std::mem::replace(&mut stream.answered_by_reset, true),
        None => false,
    };
    if is_first(state) {
        // Without a time to arrive, it has one way to go itself; the answer has the other.
        let there = if delay.is_zero() {
            state.rules.draw_latency(&mut state.random)
        } else {
            delay
        };
        send_after(state, id, there, Segment::Reset);
    }
}
