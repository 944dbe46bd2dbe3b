//! Queues and channels: putting, getting, going and the end, against each other.

use super::harness::model;
use super::support::Guest;
use crate::sync::channel::{Receiver, Sender, channel};
use crate::sync::{Queue, Shutdown};
use loom::thread;

fn get(queue: &Queue<u32>) -> impl Future<Output = Option<u32>> + 'static {
    let queue = queue.clone();
    async move { queue.get().await.map(|item| *item) }
}

fn put(queue: &Queue<u32>, value: u32) -> impl Future<Output = bool> + 'static {
    let queue = queue.clone();
    async move { queue.put(value).await.is_ok() }
}

#[test]
fn a_promised_item_is_passed_on() {
    model("a_promised_item_is_passed_on", None, || {
        let queue = Queue::unbounded();
        let (first, second) = (Guest::waiting(get(&queue)), Guest::waiting(get(&queue)));
        let other = thread::spawn({
            let queue = queue.clone();
            move || queue.try_put(1).expect("there is room")
        });
        drop(first);
        other.join().expect("joined");
        assert_eq!(second.woken(), Some(1));
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    });
}

#[test]
fn a_promise_to_nobody_leaves_the_item() {
    model("a_promise_to_nobody_leaves_the_item", None, || {
        let queue = Queue::bounded(1);
        let only = Guest::waiting(get(&queue));
        let other = thread::spawn({
            let queue = queue.clone();
            move || queue.try_put(1).expect("there is room")
        });
        drop(only);
        other.join().expect("joined");
        assert!(queue.try_put(2).is_err(), "a promise made room");
        assert_eq!(*queue.try_get().expect("the item is there"), 1);
    });
}

#[test]
fn room_is_passed_on() {
    model("room_is_passed_on", None, || {
        let queue = Queue::bounded(1);
        queue.try_put(1).expect("there is room");
        let (first, second) = (Guest::waiting(put(&queue, 2)), Guest::waiting(put(&queue, 3)));
        let other = thread::spawn({
            let queue = queue.clone();
            move || *queue.try_get().expect("it is there")
        });
        drop(first);
        assert_eq!(other.join().expect("joined"), 1);
        assert!(second.woken());
        assert_eq!(*queue.try_get().expect("it is there"), 3);
        assert!(queue.try_get().is_err(), "who was dropped has put its item");
    });
}

#[test]
fn two_getters_and_two_items() {
    model("two_getters_and_two_items", None, || {
        let queue = Queue::bounded(1);
        let mut waits = Guest::waiting(get(&queue));
        let other = thread::spawn({
            let queue = queue.clone();
            move || {
                queue.try_put(1).expect("there is room");
                let mut second = Guest::new(put(&queue, 2));
                let put = second.poll();
                (second, put)
            }
        });
        // It comes later and takes nothing that was promised.
        let early = queue.try_get().map(|item| *item);
        let at_once = waits.poll();
        let (second, put) = other.join().expect("joined");
        let first = at_once.unwrap_or_else(|| waits.woken());
        assert_eq!(first, Some(1), "somebody took what was promised");
        assert!(put.unwrap_or_else(|| second.woken()));
        let rest = queue.try_get().map(|item| *item);
        assert!(
            matches!((early, rest), (Ok(2), Err(_)) | (Err(_), Ok(2))),
            "{early:?} {rest:?}"
        );
    });
}

#[test]
fn the_end_is_heard() {
    model("the_end_is_heard", None, || {
        let queue = Queue::bounded(1);
        let (first, second) = (Guest::waiting(get(&queue)), Guest::waiting(get(&queue)));
        let other = thread::spawn({
            let queue = queue.clone();
            move || queue.shutdown(Shutdown::Drain)
        });
        let taken = queue.try_put(1).is_ok();
        other.join().expect("joined");
        let got = (first.woken(), second.woken());
        let expected = if taken { (Some(1), None) } else { (None, None) };
        assert_eq!(got, expected);
    });
}

#[test]
fn the_end_gives_items_back() {
    model("the_end_gives_items_back", None, || {
        let queue = Queue::bounded(1);
        queue.try_put(1).expect("there is room");
        let second = Guest::waiting(put(&queue, 2));
        let other = thread::spawn({
            let queue = queue.clone();
            move || queue.shutdown(Shutdown::Now)
        });
        let first = queue.try_get().map(|item| *item);
        other.join().expect("joined");
        assert!(!second.woken(), "something was put in after the end");
        assert!(queue.try_get().is_err());
        assert_eq!(queue.unfinished(), 0, "the one item was taken or dropped: {first:?}");
    });
}

#[test]
fn join_waits_for_the_last() {
    model("join_waits_for_the_last", None, || {
        let queue = Queue::unbounded();
        queue.try_put(1).expect("there is room");
        queue.try_put(2).expect("there is room");
        let (one, two) = (
            queue.try_get().expect("it is there"),
            queue.try_get().expect("it is there"),
        );
        let joins = queue.clone();
        let mut join = Guest::new(async move { joins.join().await });
        let other = thread::spawn(move || drop(one));
        assert!(join.poll().is_none(), "one is not done");
        let (value, done) = two.take();
        assert_eq!(value, 2);
        drop(done);
        other.join().expect("joined");
        join.woken();
    });
}

fn send(sender: &Sender<u32>, value: u32) -> impl Future<Output = bool> + 'static {
    let sender = sender.clone();
    async move { sender.send(value).await.is_ok() }
}

fn recv(receiver: &Receiver<u32>) -> impl Future<Output = Option<u32>> + 'static {
    let receiver = receiver.clone();
    async move { receiver.recv().await }
}

#[test]
fn a_rendezvous_takes_two() {
    model("a_rendezvous_takes_two", None, || {
        let (sender, receiver) = channel(0);
        let mut sends = Guest::waiting(send(&sender, 1));
        let other = thread::spawn({
            let receiver = receiver.clone();
            move || {
                // Asks twice and goes.
                let mut comes = Guest::new(recv(&receiver));
                comes.poll().or_else(|| comes.poll()).flatten()
            }
        });
        let sent = sends.poll();
        let received = other.join().expect("joined");
        if let Some(sent) = sent {
            assert!(sent);
            // Received, or left for the next by the receiver that went.
            let left = receiver.try_recv().ok();
            assert_eq!(received.or(left), Some(1), "what was sent is lost");
            assert!(received.is_none() || left.is_none(), "it was sent twice");
        } else {
            assert_eq!(received, None);
            assert!(sends.poll().is_none(), "it was sent to nobody");
            let comes = Guest::waiting(recv(&receiver));
            assert!(sends.woken());
            assert_eq!(comes.woken(), Some(1));
        }
    });
}

#[test]
fn a_sender_that_goes_has_sent_nothing() {
    model("a_sender_that_goes_has_sent_nothing", None, || {
        let (sender, receiver) = channel(0);
        let (first, second) = (Guest::waiting(send(&sender, 1)), Guest::waiting(send(&sender, 2)));
        let other = thread::spawn(move || drop(first));
        let comes = Guest::waiting(recv(&receiver));
        other.join().expect("joined");
        assert!(second.woken());
        assert_eq!(comes.woken(), Some(2));
    });
}

#[test]
fn the_last_sender_is_missed() {
    model("the_last_sender_is_missed", None, || {
        let (sender, receiver) = channel(0);
        let other = thread::spawn(move || drop(sender));
        let mut comes = Guest::new(recv(&receiver));
        let at_once = comes.poll();
        other.join().expect("joined");
        assert_eq!(at_once.unwrap_or_else(|| comes.woken()), None);
    });
}

#[test]
fn the_last_receiver_is_missed() {
    model("the_last_receiver_is_missed", None, || {
        let (sender, receiver) = channel(1);
        sender.try_send(1).expect("there is room");
        let other = thread::spawn(move || drop(receiver));
        let mut sends = Guest::new(send(&sender, 2));
        let at_once = sends.poll();
        other.join().expect("joined");
        assert!(!at_once.unwrap_or_else(|| sends.woken()), "it was sent to nobody");
        assert_eq!(sender.stats().len, 0, "what nobody can receive stays");
    });
}
