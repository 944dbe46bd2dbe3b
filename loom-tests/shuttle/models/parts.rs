//! Single parts with more threads than loom can have.

use super::harness::explore;
use super::house::House;
use crate::blocking::Nowhere;
use crate::park::Parker;
use crate::scheduler::inbox::Inbox;
use crate::shim::Mutex;
use crate::task::raw::{self, Runnable};
use loom::thread;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A task that notes who made it and its number.
fn numbered(producer: usize, number: usize, ran: &Arc<Mutex<Vec<(usize, usize)>>>) -> Runnable {
    let ran = ran.clone();
    let (task, join) = raw::new(
        async move { ran.lock().push((producer, number)) },
        Nowhere,
        Location::caller(),
    );
    drop(crate::task::JoinHandle::new(join));
    task
}

/// Three producers and two consumers: each runnable comes out once.
#[test]
fn an_inbox_gives_each_task_once() {
    const EACH: usize = 4;
    explore("an_inbox_gives_each_task_once", || {
        let inbox = Arc::new(Inbox::new(2));
        let ran = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::new(AtomicUsize::new(0));
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                let (inbox, ran) = (inbox.clone(), ran.clone());
                thread::spawn(move || {
                    for number in 0..EACH {
                        inbox.push(numbered(producer, number, &ran));
                    }
                })
            })
            .collect();
        let consume = |sharers| {
            let (inbox, taken) = (inbox.clone(), taken.clone());
            thread::spawn(move || {
                let mut turn = 0;
                while taken.load(Ordering::Relaxed) < 3 * EACH {
                    turn += 1;
                    let mut batch = Vec::new();
                    inbox.take(turn, sharers, |task| batch.push(task));
                    taken.fetch_add(batch.len(), Ordering::Relaxed);
                    batch.into_iter().for_each(Runnable::run);
                    thread::yield_now();
                }
            })
        };
        let consumers = [consume(2), consume(2)];
        for thread in producers.into_iter().chain(consumers) {
            thread.join().unwrap();
        }
        let mut ran = std::mem::take(&mut *ran.lock());
        ran.sort_unstable();
        let all: Vec<_> = (0..3)
            .flat_map(|producer| (0..EACH).map(move |number| (producer, number)))
            .collect();
        assert_eq!(ran, all);
        assert!(inbox.is_empty());
    });
}

/// One consumer sees each producer's tasks in the order in which they were pushed.
#[test]
fn an_inbox_keeps_each_producers_order() {
    explore("an_inbox_keeps_each_producers_order", || {
        let inbox = Arc::new(Inbox::new(1));
        let ran = Arc::new(Mutex::new(Vec::new()));
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                let (inbox, ran) = (inbox.clone(), ran.clone());
                thread::spawn(move || {
                    for number in 0..3 {
                        inbox.push(numbered(producer, number, &ran));
                    }
                })
            })
            .collect();
        while ran.lock().len() < 9 {
            let mut batch = Vec::new();
            inbox.take(0, 1, |task| batch.push(task));
            batch.into_iter().for_each(Runnable::run);
            thread::yield_now();
        }
        for producer in producers {
            producer.join().unwrap();
        }
        let ran = std::mem::take(&mut *ran.lock());
        for producer in 0..3 {
            let order: Vec<_> = ran
                .iter()
                .filter(|(by, _)| *by == producer)
                .map(|(_, number)| *number)
                .collect();
            assert_eq!(order, [0, 1, 2]);
        }
    });
}

/// Unparks of several threads end as many parks as they must, and none is lost.
#[test]
fn a_parker_keeps_its_token() {
    explore("a_parker_keeps_its_token", || {
        let parker = Parker::new();
        let count = Arc::new(AtomicUsize::new(0));
        let others: Vec<_> = (0..3)
            .map(|_| {
                let (parker, count) = (parker.clone(), count.clone());
                thread::spawn(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    parker.unpark();
                })
            })
            .collect();
        while count.load(Ordering::Relaxed) < 3 {
            parker.park();
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

/// Three threads push while a worker goes to sleep and is woken, again and again: no push is slept over.
#[test]
fn pushes_are_not_slept_over() {
    explore("pushes_are_not_slept_over", || {
        let house = House::new(1);
        let push = || {
            let house = house.clone();
            thread::spawn(move || house.push())
        };
        let pushers = [push(), push(), push()];
        house.worker(0, 3);
        for pusher in pushers {
            pusher.join().unwrap();
        }
    });
}
