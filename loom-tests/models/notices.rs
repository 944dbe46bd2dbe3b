//! What a condition is without its lock: a notice against who is dropped.

use super::harness::model;
use super::support::Guest;
use crate::sync::notices::{Notices, Received};
use loom::thread;
use std::sync::Arc;

/// Waits as a condition does: the notice is used, or passed on.
async fn wait(notices: Arc<Notices>, use_it: bool) {
    notices.enlist().await;
    let notice = Received::new(&notices);
    if use_it {
        notice.use_up();
    }
}

#[test]
fn a_notice_is_passed_on() {
    model("a_notice_is_passed_on", None, || {
        let notices = Arc::new(Notices::new());
        let first = Guest::waiting(wait(notices.clone(), true));
        let second = Guest::waiting(wait(notices.clone(), true));
        let other = thread::spawn({
            let notices = notices.clone();
            move || notices.notify(1)
        });
        drop(first);
        other.join().expect("joined");
        second.woken();
        assert_eq!(notices.waiting(), 0);
    });
}

#[test]
fn a_notice_that_is_not_used_is_passed_on() {
    model("a_notice_that_is_not_used_is_passed_on", None, || {
        let notices = Arc::new(Notices::new());
        let mut first = Guest::waiting(wait(notices.clone(), false));
        let second = Guest::waiting(wait(notices.clone(), true));
        let other = thread::spawn({
            let notices = notices.clone();
            move || notices.notify(1)
        });
        let at_once = first.poll().is_some();
        other.join().expect("joined");
        if !at_once {
            first.woken();
        }
        second.woken();
    });
}
