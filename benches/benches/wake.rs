//! How long does a runtime that sleeps take to hear of something? `cargo bench --bench wake`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::stats::percentile;
use filch_benches::{Rt, WORKERS, all};
use futures_channel::mpsc;
use mio::{Events, Poll, Token, Waker};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A task waits for a message of a thread outside, which sends one when all has been still for a while.
fn wake<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    let (to, mut from) = mpsc::unbounded::<Instant>();
    let (back, times) = std::sync::mpsc::channel();
    R::detach(runtime.spawn_on(async move {
        while let Ok(sent) = from.recv().await {
            back.send(sent.elapsed()).expect("it counts");
        }
    }));
    messages(run, || to.unbounded_send(Instant::now()).expect("it receives"), &times);
}

/// What the system takes for it: a thread that waits in epoll, and one that writes to an eventfd there.
fn bare(run: &mut Run) {
    let mut poll = Poll::new().expect("there is an epoll");
    let waker = Waker::new(poll.registry(), Token(0)).expect("there is an eventfd");
    let (to, from) = std::sync::mpsc::channel::<Instant>();
    let (back, times) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut events = Events::with_capacity(16);
        loop {
            poll.poll(&mut events, None).expect("epoll waits");
            for sent in from.try_iter() {
                back.send(sent.elapsed()).expect("it counts");
            }
        }
    });
    let send = || {
        to.send(Instant::now()).expect("it receives");
        waker.wake().expect("the eventfd takes it");
    };
    messages(run, send, &times);
}

/// Sends messages one by one, each when all has been still for a while; says how long they took.
fn messages(run: &mut Run, send: impl Fn(), times: &Receiver<Duration>) {
    let count = if run.counts { 200 } else { 500 };
    let time = |_| {
        // More than a millisecond, and not in time with anything.
        std::thread::sleep(Duration::from_micros(1_337));
        send();
        times.recv().expect("it answers").as_nanos() as f64 / 1e3
    };
    let times: Vec<f64> = (0..count).map(time).collect();
    run.operations = f64::from(count);
    run.say("wake", percentile(&times, 0.5));
}

fn main() {
    ask(
        "wake",
        &[Case {
            name: "wake",
            rows: &[Row {
                name: "wake",
                unit: "us",
                what: "from a thread's message to the task that waits for it, the runtime having been idle for more than a millisecond; the median of 500 (bare: a thread in epoll_wait, woken through an eventfd)",
                target: Some(Target::Most(0.7)),
            }],
            contenders: all!(wake, bare),
            base: "tokio",
            points: ONCE,
            full: false,
            drive: None,
        }],
    );
}
