//! A flag that is set and cleared, against who waits for it.

use super::harness::model;
use super::support::Guest;
use crate::sync::Event;
use loom::thread;
use std::sync::Arc;

#[test]
fn who_waits_when_it_is_set_goes() {
    model("who_waits_when_it_is_set_goes", None, || {
        let event = Arc::new(Event::new());
        let wait = |event: &Arc<Event>| {
            let event = event.clone();
            async move { event.wait().await }
        };
        let mut early = Guest::waiting(wait(&event));
        let other = thread::spawn({
            let event = event.clone();
            move || {
                event.set();
                event.clear();
            }
        });
        // It may look again at any time; somebody else comes before, between or after.
        let mut late = Guest::new(wait(&event));
        let passed = late.poll().is_some();
        let went = early.poll().is_some();
        other.join().expect("joined");
        if !went {
            early.woken();
        }
        if !passed && late.poll().is_none() {
            // It came after the flag was cleared.
            event.set();
            late.woken();
        }
    });
}

#[test]
fn a_wait_that_is_dropped_takes_nothing_away() {
    model("a_wait_that_is_dropped_takes_nothing_away", None, || {
        let event = Arc::new(Event::new());
        let wait = |event: &Arc<Event>| {
            let event = event.clone();
            async move { event.wait().await }
        };
        let (gone, stays) = (Guest::waiting(wait(&event)), Guest::waiting(wait(&event)));
        let other = thread::spawn(move || drop(gone));
        event.set();
        other.join().expect("joined");
        stays.woken();
    });
}
