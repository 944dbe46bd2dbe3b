//! Unparking: the owner's turn always returns, whoever else turns the reactor.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::harness::model;
use super::runtime;
use crate::Reactor;

/// The owner: waits until it sees `work`, in turns without a timeout. A lost unpark is a deadlock.
fn wait_for(reactor: &Reactor, work: &[&AtomicUsize]) {
    // Relaxed: the unpark has to make it visible.
    while work.iter().any(|work| work.load(Ordering::Relaxed) == 0) {
        reactor.turn(None, &mut Vec::new()).unwrap();
    }
}

fn give_work(reactor: &Reactor, work: &AtomicUsize) {
    work.store(1, Ordering::Relaxed);
    reactor.unpark();
}

#[test]
fn an_unpark_is_not_lost_to_a_rescuer() {
    model("an_unpark_is_not_lost_to_a_rescuer", Some(3), || {
        let (reactor, _handle) = runtime();
        let work = Arc::new(AtomicUsize::new(0));
        let rescuer = thread::spawn({
            let reactor = reactor.clone();
            move || assert!(reactor.try_turn(&mut Vec::new()).is_ok())
        });
        let other = thread::spawn({
            let (reactor, work) = (reactor.clone(), work.clone());
            move || give_work(&reactor, &work)
        });
        wait_for(&reactor, &[&work]);
        rescuer.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn two_unparks_are_both_seen() {
    model("two_unparks_are_both_seen", Some(3), || {
        let (reactor, _handle) = runtime();
        let (one, two) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let threads = [one.clone(), two.clone()].map(|work| {
            let reactor = reactor.clone();
            thread::spawn(move || give_work(&reactor, &work))
        });
        wait_for(&reactor, &[&one, &two]);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn an_unpark_before_the_turn_ends_it_at_once() {
    model("an_unpark_before_the_turn_ends_it_at_once", None, || {
        let (reactor, _handle) = runtime();
        let rescuer = thread::spawn({
            let reactor = reactor.clone();
            move || assert!(reactor.try_turn(&mut Vec::new()).is_ok())
        });
        reactor.waker().wake_by_ref();
        let turned = reactor.turn(None, &mut Vec::new()).unwrap();
        assert!(turned.unparked);
        rescuer.join().unwrap();
    });
}
