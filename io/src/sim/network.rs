//! The handle to a network: its knobs, its time, and its lock.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::ready::Ready;
use crate::sim::deliver::advance;
use crate::sim::reset::reset;
use crate::sim::rules::Rules;
use crate::sim::state::State;
use crate::sim::wire::{cut, mend};
use crate::sync::{Mutex, StdArc};

/// A simulated network. A clone is another handle to the same one.
///
/// It is passive, and it knows no clock: time goes on only when [`advance_to`](Self::advance_to) says so. See the
/// [module](crate::sim) on what is simulated.
#[derive(Clone)]
pub struct Network {
    /// No waker and no other code of a user is in it, or called under its lock.
    state: StdArc<Mutex<State>>,
}

impl Network {
    /// A network in which it is `now`. All that is random in it comes from `seed`.
    pub fn new(seed: u64, now: Instant) -> Network {
        Network {
            state: StdArc::new(Mutex::new(State::new(seed, now))),
        }
    }

    /// When the first of what is under way arrives; `None` if nothing is under way. What a partition holds up is not.
    pub fn next_due(&self) -> Option<Instant> {
        self.state.lock().next_due()
    }

    /// It is `now`: everything that is due by then arrives, each thing at its own time, and the reactors hear of it at
    /// their next turn. A time before the last one changes nothing.
    pub fn advance_to(&self, now: Instant) {
        advance(&mut self.state.lock(), now);
    }

    /// A hash of everything that happened so far, in its order and with its time. Two runs that gave the same hash did
    /// the same to the network, and it did the same to them.
    ///
    /// It contains what was sent, but no names of Unix sockets: those often contain the number of the process.
    pub fn trace(&self) -> u64 {
        self.state.lock().trace.hash()
    }

    /// How long each message is under way, one way: anything from `min` to `max`, drawn anew for each segment of a TCP
    /// stream and each UDP datagram. Segments of one stream keep their order, datagrams do not. It is zero at first:
    /// everything arrives within the call that sends it. Unix sockets know no latency.
    ///
    /// # Panics
    ///
    /// If `max` is smaller than `min`.
    #[track_caller]
    pub fn set_latency(&self, min: Duration, max: Duration) {
        assert!(
            min <= max,
            "the latency's maximum, {max:?}, is smaller than its minimum, {min:?}"
        );
        self.rules(|rules| rules.latency = (min, max));
    }

    /// How probable it is that a stream's read or write moves only a part of what it could, at least one byte. It is zero
    /// at first.
    ///
    /// # Panics
    ///
    /// If `probability` is not between 0 and 1.
    #[track_caller]
    pub fn set_short_io(&self, probability: f64) {
        let probability = checked(probability);
        self.rules(|rules| rules.short_io = probability);
    }

    /// How much later than it could, at most, a reactor is told that a socket is ready; drawn for each socket, so the order
    /// changes too. It is zero at first.
    pub fn set_readiness_delay(&self, max: Duration) {
        self.rules(|rules| rules.readiness_delay = max);
    }

    /// How probable it is that a UDP datagram is lost. It is zero at first.
    ///
    /// # Panics
    ///
    /// If `probability` is not between 0 and 1.
    #[track_caller]
    pub fn set_loss(&self, probability: f64) {
        let probability = checked(probability);
        self.rules(|rules| rules.loss = probability);
    }

    /// Nothing passes between two addresses any more, in both directions. Data of streams waits, connecting waits,
    /// datagrams are lost. What is under way when the partition begins does not arrive either.
    pub fn partition(&self, a: IpAddr, b: IpAddr) {
        cut(&mut self.state.lock(), a, b);
    }

    /// Ends a [`partition`](Self::partition). What waited is sent again now, and takes its time.
    pub fn repair(&self, a: IpAddr, b: IpAddr) {
        self.with(|state| mend(state, a, b));
    }

    /// Resets every TCP connection that has an end at `address`, and says how many that were. Both ends meet the error
    /// `ConnectionReset`; what was not read is lost. For a listener's address, those are its accepted connections; it goes
    /// on to listen.
    pub fn reset(&self, address: SocketAddr) -> usize {
        self.with(|state| reset(state, address))
    }

    /// Does `f`, and lets everything arrive that is due at once because of it.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = f(&mut state);
        let now = state.now;
        advance(&mut state, now);
        result
    }

    pub(crate) fn is(&self, other: &Network) -> bool {
        StdArc::ptr_eq(&self.state, &other.state)
    }

    fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.state.lock().rules);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

/// What one reactor hears of a network. It is closed when it is dropped.
pub(crate) struct Queue {
    network: Network,
    reactor: u64,
}

impl Queue {
    pub(crate) fn open(network: &Network) -> Queue {
        Queue {
            network: network.clone(),
            reactor: network.with(State::open_reactor),
        }
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Its name in the network.
    pub(crate) fn reactor(&self) -> u64 {
        self.reactor
    }

    pub(crate) fn take(&self, events: &mut Vec<(usize, Ready)>) {
        events.clear();
        self.network.with(|state| state.events(self.reactor, events));
    }

    pub(crate) fn has_events(&self) -> bool {
        self.network.with(|state| state.has_events(self.reactor))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.network.with(|state| state.close_reactor(self.reactor));
    }
}

#[track_caller]
fn checked(probability: f64) -> f64 {
    assert!(
        (0.0..=1.0).contains(&probability),
        "a probability is between 0 and 1, and {probability} is not"
    );
    probability
}
