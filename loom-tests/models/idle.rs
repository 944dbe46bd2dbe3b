//! Nobody sleeps on announced work: pushers from outside against workers that go to sleep.

use super::harness::model;
use super::house::House;
use loom::sync::atomic::Ordering;
use loom::thread;

#[test]
fn a_push_is_not_slept_over() {
    model("a_push_is_not_slept_over", Some(3), || {
        let house = House::new(1);
        let pusher = thread::spawn({
            let house = house.clone();
            move || house.push()
        });
        house.worker(0, 1);
        pusher.join().expect("joined");
    });
}

#[test]
fn two_pushes_are_not_slept_over() {
    model("two_pushes_are_not_slept_over", Some(2), || {
        let house = House::new(1);
        let pushers: Vec<_> = (0..2)
            .map(|_| {
                let house = house.clone();
                thread::spawn(move || house.push())
            })
            .collect();
        house.worker(0, 2);
        for pusher in pushers {
            pusher.join().expect("joined");
        }
    });
}

#[test]
fn two_workers_and_a_pusher() {
    model("two_workers_and_a_pusher", Some(1), || {
        let house = House::new(2);
        let other = thread::spawn({
            let house = house.clone();
            move || house.worker(1, 2)
        });
        let pusher = thread::spawn({
            let house = house.clone();
            move || {
                house.push();
                house.push();
            }
        });
        house.worker(0, 2);
        pusher.join().expect("joined");
        other.join().expect("joined");
    });
}

/// What a searcher found keeps it busy until somebody else has done the other piece.
#[test]
fn a_searcher_that_stays_busy_leaves_nothing_to_sleepers() {
    model("a_searcher_that_stays_busy_leaves_nothing_to_sleepers", Some(2), || {
        let house = House::new(2);
        house.push();
        assert!(house.take() && house.idle.try_search());
        let other = thread::spawn({
            let house = house.clone();
            move || house.worker(1, 1)
        });
        let pusher = thread::spawn({
            let house = house.clone();
            move || house.push()
        });
        house.settle();
        while house.done.load(Ordering::Acquire) == 0 {
            house.parkers[0].park();
        }
        pusher.join().expect("joined");
        other.join().expect("joined");
    });
}

#[test]
fn one_of_two_sleepers_is_woken() {
    model("one_of_two_sleepers_is_woken", Some(2), || {
        let house = House::new(2);
        let other = thread::spawn({
            let house = house.clone();
            move || house.worker(1, 1)
        });
        let pusher = thread::spawn({
            let house = house.clone();
            move || house.push()
        });
        house.worker(0, 1);
        pusher.join().expect("joined");
        other.join().expect("joined");
    });
}
