//! Everything in one network: its sockets, what is under way in it, and which reactors are to hear of what.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::ready::Ready;
use crate::sim::entry::{Due, Kind, Registration, Socket, Told};
use crate::sim::listener::Listener;
use crate::sim::local::Local;
use crate::sim::name::Name;
use crate::sim::ports::Ports;
use crate::sim::random::{Random, Trace};
use crate::sim::readiness::Look;
use crate::sim::rules::Rules;
use crate::sim::stream::Stream;
use crate::sim::udp::Udp;

/// What is under way.
#[derive(Debug)]
pub(crate) enum Flight {
    /// A socket wants to connect.
    Syn { client: u64 },
    /// The first of what is under way to an end of a stream.
    Segment { to: u64 },
    Datagram {
        sender: u64,
        source: SocketAddr,
        target: SocketAddr,
        data: Vec<u8>,
    },
    /// Nobody took a datagram.
    Unreachable {
        sender: u64,
        source: SocketAddr,
        target: SocketAddr,
    },
    /// A reactor is to hear of a socket.
    Tell { of: u64 },
}

/// Names in the trace.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Opened = 1,
    Closed,
    Bound,
    Listening,
    Connecting,
    Accepted,
    Read,
    Written,
    Sent,
    Received,
    Shutdown,
    Lost,
    Arrived,
    Held,
    Told,
    Reset,
    Cut,
    Mended,
}

#[derive(Debug)]
pub(crate) struct State {
    start: Instant,
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) rules: Rules,
    pub(crate) tcp: Ports,
    pub(crate) udp: Ports,
    pub(crate) names: BTreeMap<Name, u64>,
    /// Those whose first message met a partition.
    pub(crate) held_syns: VecDeque<u64>,
    sockets: BTreeMap<u64, Socket>,
    flights: BTreeMap<Due, Flight>,
    /// Sockets that each reactor is to look at.
    reactors: BTreeMap<u64, VecDeque<u64>>,
    last_id: u64,
    last_flight: u64,
}

impl State {
    pub(crate) fn new(seed: u64, now: Instant) -> State {
        State {
            start: now,
            now,
            random: Random::new(seed),
            trace: Trace::new(),
            rules: Rules::default(),
            tcp: Ports::default(),
            udp: Ports::default(),
            names: BTreeMap::new(),
            held_syns: VecDeque::new(),
            sockets: BTreeMap::new(),
            flights: BTreeMap::new(),
            reactors: BTreeMap::new(),
            last_id: 0,
            last_flight: 0,
        }
    }

    /// Notes that something happened, now, to a socket.
    pub(crate) fn note(&mut self, event: Event, id: u64, amount: usize) {
        let time = self.now.saturating_duration_since(self.start).as_nanos() as u64;
        for number in [event as u64, time, id, amount as u64] {
            self.trace.number(number);
        }
    }

    // Sockets.

    pub(crate) fn open(&mut self, kind: Kind) -> u64 {
        self.last_id += 1;
        self.sockets.insert(self.last_id, Socket::new(kind));
        self.note(Event::Opened, self.last_id, 0);
        self.last_id
    }

    pub(crate) fn socket(&self, id: u64) -> Option<&Socket> {
        self.sockets.get(&id)
    }

    pub(crate) fn socket_mut(&mut self, id: u64) -> Option<&mut Socket> {
        self.sockets.get_mut(&id)
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.sockets.keys().copied().collect()
    }

    pub(crate) fn stream(&mut self, id: u64) -> Option<&mut Stream> {
        match &mut self.sockets.get_mut(&id)?.kind {
            Kind::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn listener(&mut self, id: u64) -> Option<&mut Listener> {
        match &mut self.sockets.get_mut(&id)?.kind {
            Kind::Listener(listener) => Some(listener),
            _ => None,
        }
    }

    pub(crate) fn udp(&mut self, id: u64) -> Option<&mut Udp> {
        match &mut self.sockets.get_mut(&id)?.kind {
            Kind::Udp(udp) => Some(udp),
            _ => None,
        }
    }

    pub(crate) fn local(&mut self, id: u64) -> Option<&mut Local> {
        match &mut self.sockets.get_mut(&id)?.kind {
            Kind::Local(local) => Some(local),
            _ => None,
        }
    }

    /// The error that the socket has noted, if any; it is noted no more.
    pub(crate) fn take_error(&mut self, id: u64) -> Option<Errno> {
        match &mut self.sockets.get_mut(&id)?.kind {
            Kind::Stream(stream) => stream.error.take(),
            Kind::Udp(udp) => udp.error.take(),
            Kind::Local(local) => local.error.take(),
            Kind::Fresh { .. } | Kind::Listener(_) => None,
        }
    }

    /// Takes a socket away, with its addresses and with what is under way to it.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Socket> {
        self.detach(id);
        let socket = self.sockets.remove(&id)?;
        if let (Some(local), true) = (socket.local, socket.owns_local) {
            let ports = if matches!(socket.kind, Kind::Udp(_)) {
                &mut self.udp
            } else {
                &mut self.tcp
            };
            ports.release(local, id);
        }
        if let (Some(name), true) = (&socket.name, socket.owns_name) {
            self.names.remove(name);
        }
        if let Kind::Stream(stream) = &socket.kind {
            self.recall(stream.first_arrival());
        }
        self.held_syns.retain(|&held| held != id);
        self.note(Event::Closed, id, 0);
        Some(socket)
    }

    // What is under way.

    /// The place of what is sent now and arrives after `latency`.
    pub(crate) fn due_in(&mut self, latency: Duration) -> Due {
        self.last_flight += 1;
        // Later than any clock can say is as late as now: there is no such latency in practice.
        (self.now.checked_add(latency).unwrap_or(self.now), self.last_flight)
    }

    pub(crate) fn launch(&mut self, due: Due, flight: Flight) {
        self.flights.insert(due, flight);
    }

    /// What was to arrive then does not.
    pub(crate) fn recall(&mut self, due: Option<Due>) {
        if let Some(due) = due {
            self.flights.remove(&due);
        }
    }

    /// The first of what is due by `until`. The time is then when that was due.
    pub(crate) fn land(&mut self, until: Instant) -> Option<Flight> {
        let first = self.flights.first_entry().filter(|entry| entry.key().0 <= until)?;
        let ((due, _), flight) = first.remove_entry();
        self.now = self.now.max(due);
        Some(flight)
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.flights.first_key_value().map(|((due, _), _)| *due)
    }

    /// Does nothing pass between the two?
    pub(crate) fn is_cut(&self, a: Option<SocketAddr>, b: Option<SocketAddr>) -> bool {
        let ips: Option<(IpAddr, IpAddr)> = a.zip(b).map(|(a, b)| (a.ip(), b.ip()));
        ips.is_some_and(|(a, b)| self.rules.is_cut(a, b))
    }

    // Readiness.

    pub(crate) fn open_reactor(&mut self) -> u64 {
        self.last_id += 1;
        self.reactors.insert(self.last_id, VecDeque::new());
        self.last_id
    }

    pub(crate) fn close_reactor(&mut self, reactor: u64) {
        self.reactors.remove(&reactor);
    }

    pub(crate) fn attach(&mut self, id: u64, registration: Registration) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(&id).ok_or(Errno::BADF)?;
        if socket.registration.is_some() {
            return Err(Errno::EXIST);
        }
        socket.registration = Some(registration);
        // As epoll: whoever comes late is told what is the case already.
        self.mark(id);
        Ok(())
    }

    pub(crate) fn detach(&mut self, id: u64) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        socket.registration = None;
        if let Told::Soon(due) = std::mem::replace(&mut socket.told, Told::No) {
            self.recall(Some(due));
        }
    }

    /// Something about the socket changed: its reactor is to look at it, now or a little later.
    pub(crate) fn mark(&mut self, id: u64) {
        let Some(socket) = self.sockets.get(&id) else {
            return;
        };
        if socket.registration.is_none() || !matches!(socket.told, Told::No) {
            return;
        }
        let delay = self.random.between(Duration::ZERO, self.rules.readiness_delay);
        if delay.is_zero() {
            self.tell(id);
            return;
        }
        let due = self.due_in(delay);
        self.launch(due, Flight::Tell { of: id });
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.told = Told::Soon(due);
        }
    }

    /// The socket's reactor is to look at it.
    pub(crate) fn tell(&mut self, id: u64) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let registration = socket.registration;
        let queue = registration.and_then(|registration| self.reactors.get_mut(&registration.reactor));
        if let Some(queue) = queue {
            socket.told = Told::Yes;
            queue.push_back(id);
        }
    }

    /// Would a reactor see anything?
    pub(crate) fn has_events(&self, reactor: u64) -> bool {
        let queue = self.reactors.get(&reactor);
        queue.is_some_and(|queue| queue.iter().any(|&id| self.event(id).is_some()))
    }

    /// A reactor looks: what there is to see of the sockets that it was told of.
    pub(crate) fn events(&mut self, reactor: u64, events: &mut Vec<(usize, Ready)>) {
        let queue = self.reactors.get_mut(&reactor).map(std::mem::take).unwrap_or_default();
        for id in queue {
            if let Some((token, ready)) = self.event(id) {
                self.note(Event::Told, id, ready.bits());
                events.push((token, ready));
            }
            self.seen(id);
        }
    }

    fn event(&self, id: u64) -> Option<(usize, Ready)> {
        let registration = self.sockets.get(&id)?.registration?;
        let ready = self.look(id).event(registration.interest);
        (!ready.is_empty()).then_some((registration.token, ready))
    }

    /// A look found that there is no room: as in Linux, that is a wish to hear when there is some.
    fn seen(&mut self, id: u64) {
        let look = self.look(id);
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        if matches!(socket.told, Told::Yes) {
            socket.told = Told::No;
        }
        if look.writable {
            return;
        }
        let peer = match &mut socket.kind {
            Kind::Stream(stream) => {
                stream.note_no_room();
                None
            }
            Kind::Local(local) => local.peer,
            _ => None,
        };
        if let Some(peer) = peer.and_then(|peer| self.local(peer)) {
            peer.keep_waiting(id);
        }
    }

    fn look(&self, id: u64) -> Look {
        match self.sockets.get(&id).map(|socket| &socket.kind) {
            Some(Kind::Listener(listener)) => listener.look(),
            Some(Kind::Stream(stream)) => stream.look(),
            Some(Kind::Udp(udp)) => udp.look(),
            Some(Kind::Local(local)) => local.look(!self.is_full(local.peer, id)),
            Some(Kind::Fresh { .. }) | None => Look::default(),
        }
    }

    fn is_full(&self, peer: Option<u64>, sender: u64) -> bool {
        let full = |peer: u64| match self.sockets.get(&peer).map(|peer| &peer.kind) {
            Some(Kind::Local(local)) => local.is_full(peer, sender),
            _ => false,
        };
        peer.is_some_and(full)
    }
}
