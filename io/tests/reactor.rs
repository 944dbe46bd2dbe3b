//! The reactor by itself: time, unparking, rescue.

mod support;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use filch_io::net::UdpSocket;
use filch_io::{Handle, Hooks, Reactor};
use support::Count;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_timeout_is_never_early_and_finer_than_a_millisecond() {
    let reactor = Reactor::new().unwrap();
    let mut best = Duration::MAX;
    for _ in 0..50 {
        let timeout = Duration::from_micros(300);
        let begin = Instant::now();
        reactor.turn(Some(timeout), &mut Vec::new()).unwrap();
        let took = begin.elapsed();
        assert!(took >= timeout, "{took:?}");
        best = best.min(took);
    }
    assert!(best < Duration::from_micros(900), "whole milliseconds only: {best:?}");
    for timeout in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(2),
        Duration::from_micros(2_500),
    ] {
        let begin = Instant::now();
        reactor.turn(Some(timeout), &mut Vec::new()).unwrap();
        assert!(begin.elapsed() >= timeout);
    }
}

#[test]
fn an_unpark_ends_the_turn_now_or_next() {
    let reactor = Reactor::new().unwrap();
    let waker = reactor.waker();
    waker.wake_by_ref();
    waker.wake_by_ref();
    let begin = Instant::now();
    assert!(reactor.turn(Some(SOON), &mut Vec::new()).unwrap().unparked);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        let mut turns = 0;
        // What is left of the first unpark's edge may end one turn with nothing.
        while !reactor.turn(Some(SOON), &mut Vec::new()).unwrap().unparked {
            turns += 1;
        }
        assert!(turns <= 1, "{turns} turns for nothing");
    });
    assert!(begin.elapsed() < SOON);
    let mut turned = reactor.turn(Some(Duration::ZERO), &mut Vec::new()).unwrap();
    assert!(!turned.unparked, "each unpark is for one turn");
    turned = reactor
        .turn(Some(Duration::from_micros(1_500)), &mut Vec::new())
        .unwrap();
    assert_eq!((turned.events, turned.unparked), (0, false));
}

#[test]
fn a_very_long_timeout_is_a_wait() {
    let reactor = Reactor::new().unwrap();
    thread::scope(|scope| {
        for timeout in [
            Duration::MAX,
            Duration::from_secs(u64::from(u32::MAX)),
            Duration::from_millis(1 << 32),
        ] {
            let begin = Instant::now();
            let unpark = scope.spawn(|| {
                thread::sleep(Duration::from_millis(30));
                reactor.unpark();
            });
            while !reactor.turn(Some(timeout), &mut Vec::new()).unwrap().unparked {}
            assert!(begin.elapsed() >= Duration::from_millis(30));
            unpark.join().unwrap();
        }
    });
}

#[test]
fn a_stuck_owner_is_rescued() {
    let reactor = Reactor::new().unwrap();
    let handle = Handle::new(vec![reactor.clone()], Hooks::default());
    let _inside = handle.enter();
    let (one, other) = support::block_on(async {
        (
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        )
    });
    reactor.turn(Some(Duration::ZERO), &mut Vec::new()).unwrap();
    assert!(!reactor.has_events());

    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    assert!(one.poll_recv_ready(&mut Context::from_waker(&waker)).is_pending());
    other.try_send_to(b"x", one.local_addr().unwrap()).unwrap();
    assert!(reactor.has_events());
    assert!(reactor.has_events(), "looking takes nothing");
    let mut ready = Vec::new();
    let turned = reactor.try_turn(&mut ready).unwrap().unwrap();
    assert!(turned.events >= 1);
    assert_eq!((ready.len(), count.get()), (1, 0), "collected, not woken");
    ready.into_iter().for_each(Waker::wake);
    assert_eq!(count.get(), 1);
    let Poll::Ready(result) = one.poll_recv_ready(&mut Context::from_waker(&waker)) else {
        panic!("rescued and not ready");
    };
    result.unwrap();
    assert!(!reactor.has_events());
}

#[test]
fn an_owner_that_waits_is_left_alone() {
    let reactor = Reactor::new().unwrap();
    thread::scope(|scope| {
        let owner = scope.spawn(|| reactor.turn(None, &mut Vec::new()).unwrap());
        support::eventually("the owner waits", || {
            matches!(reactor.try_turn(&mut Vec::new()), Ok(None))
        });
        reactor.unpark();
        assert!(owner.join().unwrap().unparked);
    });
}

#[test]
fn shutdown_ends_a_turn_and_all_that_follow() {
    let reactor = Reactor::new().unwrap();
    thread::scope(|scope| {
        let owner = scope.spawn(|| while reactor.turn(None, &mut Vec::new()).is_ok() {});
        thread::sleep(Duration::from_millis(10));
        reactor.shutdown(&mut Vec::new());
        owner.join().unwrap();
    });
    reactor.turn(None, &mut Vec::new()).unwrap_err();
    reactor.try_turn(&mut Vec::new()).unwrap_err();
    reactor.unpark();
    assert!(!reactor.has_events());
    reactor.shutdown(&mut Vec::new());
}

#[test]
fn entering_nests() {
    let outer = Handle::new(vec![Reactor::new().unwrap()], Hooks::default());
    let inner = Handle::new(vec![Reactor::new().unwrap(), Reactor::new().unwrap()], Hooks::default());
    let workers = || Handle::try_current().map(|handle| handle.reactors().len());
    assert_eq!(workers(), None);
    let outside = outer.enter();
    assert_eq!(workers(), Some(1));
    let inside = inner.at(1).enter();
    assert_eq!(workers(), Some(2));
    drop(inside);
    assert_eq!(workers(), Some(1));
    drop(outside);
    assert_eq!(workers(), None);
}
