//! Tokens that come back, or become more, against those who wait for them and go.

use super::harness::model;
use super::support::Guest;
use crate::sync::{AlreadyBorrows, CapacityLimiter, Token};
use loom::thread;

fn borrow(limiter: &CapacityLimiter, borrower: u64) -> impl Future<Output = Result<Token, AlreadyBorrows>> + 'static {
    let limiter = limiter.clone();
    async move { limiter.borrow_for(borrower).await }
}

#[test]
fn a_token_is_passed_on() {
    model("a_token_is_passed_on", None, || {
        let limiter = CapacityLimiter::new(1);
        let held = limiter.try_borrow_for(1).expect("there is one");
        let (first, second) = (Guest::waiting(borrow(&limiter, 2)), Guest::waiting(borrow(&limiter, 3)));
        let other = thread::spawn(move || drop(held));
        drop(first);
        other.join().expect("joined");
        let token = second.woken().expect("it has none yet");
        assert_eq!(token.borrower(), 3.into());
        assert_eq!(limiter.borrowed(), 1, "there are two owners");
        drop(token);
        assert_eq!(limiter.borrowed(), 0);
    });
}

#[test]
fn more_tokens_are_lent() {
    model("more_tokens_are_lent", None, || {
        let limiter = CapacityLimiter::new(0);
        let other = thread::spawn({
            let limiter = limiter.clone();
            move || limiter.set_total(1)
        });
        let mut first = Guest::new(borrow(&limiter, 1));
        let at_once = first.poll();
        other.join().expect("joined");
        let token = at_once.unwrap_or_else(|| first.woken()).expect("it has none yet");
        assert!(limiter.try_borrow_for(2).is_err(), "there is one only");
        drop(token);
    });
}

#[test]
fn fewer_tokens_are_never_lent_too_often() {
    model("fewer_tokens_are_never_lent_too_often", None, || {
        let limiter = CapacityLimiter::new(2);
        let (one, two) = (limiter.try_borrow_for(1), limiter.try_borrow_for(2));
        let (one, two) = (one.expect("there are two"), two.expect("there are two"));
        let mut waits = Guest::waiting(borrow(&limiter, 3));
        let other = thread::spawn({
            let limiter = limiter.clone();
            move || {
                limiter.set_total(1);
                drop(one);
            }
        });
        let at_once = waits.poll();
        other.join().expect("joined");
        assert!(at_once.is_none(), "nothing had come back yet that is to be lent");
        assert!(waits.poll().is_none(), "one of one is borrowed");
        drop(two);
        let token = waits.woken().expect("it has none yet");
        assert_eq!(limiter.borrowed(), 1);
        drop(token);
    });
}

#[test]
fn nobody_borrows_twice() {
    model("nobody_borrows_twice", None, || {
        let limiter = CapacityLimiter::new(2);
        let other = thread::spawn({
            let limiter = limiter.clone();
            move || limiter.try_borrow_for(1)
        });
        let here = limiter.try_borrow_for(1);
        let there = other.join().expect("joined");
        assert_ne!(here.is_ok(), there.is_ok());
        assert_eq!(limiter.borrowed(), 1);
    });
}
