//! P1: a task is polled by one thread at a time, and what one poll did is visible to the next, wherever that runs.
//!
//! The tasks here wake themselves, are woken by each other and by foreign threads, and wander between workers. Each carries plain
//! memory (a `Vec`, no atomics), whose contents tell whether a poll has missed what the poll before wrote, and a flag that two
//! polls at the same time would find set.

use filch_tests::{current, multi, within};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

/// Two polls at the same time were seen so often.
static OVERLAPS: AtomicUsize = AtomicUsize::new(0);

/// A future that looks for company in its polls.
struct Alone<F> {
    inside: Arc<AtomicBool>,
    polls: usize,
    future: F,
}

impl<F: Future + Unpin> Future for Alone<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Relaxed: the flag must not be what makes one poll happen before the next.
        if self.inside.swap(true, Ordering::Relaxed) {
            OVERLAPS.fetch_add(1, Ordering::Relaxed);
        }
        let result = Pin::new(&mut self.future).poll(cx);
        // What leaves the processor to somebody else makes an overlap likelier to be seen. Not always: on a busy machine that takes long.
        self.polls += 1;
        if self.polls % 16 == 0 {
            std::thread::yield_now();
        }
        self.inside.store(false, Ordering::Relaxed);
        result
    }
}

/// Sees to it that the task is woken, after its poll of this number.
type WakeSoon = Box<dyn FnMut(usize, &Waker) + Send>;

/// Writes one entry into plain memory in each poll, and hands its waker to who is to wake it next.
struct Steps {
    left: usize,
    seen: Vec<usize>,
    threads: Vec<ThreadId>,
    wake: WakeSoon,
}

impl Future for Steps {
    /// The number of threads that polled.
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let number = self.seen.len();
        assert!(
            self.seen.iter().copied().eq(0..number),
            "a poll has missed what the one before wrote"
        );
        self.seen.push(number);
        let thread = std::thread::current().id();
        if !self.threads.contains(&thread) {
            self.threads.push(thread);
        }
        if self.left == 0 {
            return Poll::Ready(self.threads.len());
        }
        self.left -= 1;
        (self.wake)(number, cx.waker());
        Poll::Pending
    }
}

fn steps(left: usize, wake: impl FnMut(usize, &Waker) + Send + 'static) -> Alone<Steps> {
    Alone {
        inside: Arc::default(),
        polls: 0,
        future: Steps {
            left,
            seen: Vec::new(),
            threads: Vec::new(),
            wake: Box::new(wake),
        },
    }
}

/// Threads that wake whatever they are given, some of it twice.
fn wakers(count: usize) -> Vec<Sender<Waker>> {
    let make = |_| {
        let (sender, receiver) = channel::<Waker>();
        std::thread::spawn(move || {
            for waker in receiver {
                waker.wake_by_ref();
                waker.wake();
            }
        });
        sender
    };
    (0..count).map(make).collect()
}

fn stress(runtime: filch::runtime::Runtime) {
    let foreign = wakers(2);
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for task in 0..40 {
            let foreign = foreign.clone();
            tasks.push(filch::spawn(steps(60, move |number, waker| {
                match (task + number) % 4 {
                    0 => waker.wake_by_ref(),
                    1 => foreign[0].send(waker.clone()).expect("the waking thread lives"),
                    2 => foreign[1].send(waker.clone()).expect("the waking thread lives"),
                    // Both at the same time, and itself: three wakes for one poll.
                    _ => {
                        foreign[0].send(waker.clone()).expect("the waking thread lives");
                        foreign[1].send(waker.clone()).expect("the waking thread lives");
                        waker.wake_by_ref();
                    }
                }
            })));
        }
        for task in tasks {
            task.await.expect("no poll has missed anything");
        }
    });
    assert_eq!(
        OVERLAPS.load(Ordering::Relaxed),
        0,
        "two threads polled a task at the same time"
    );
}

#[test]
fn with_1_worker() {
    within(|| stress(multi(1)));
}

#[test]
fn with_2_workers() {
    within(|| stress(multi(2)));
}

#[test]
fn with_4_workers() {
    within(|| stress(multi(4)));
}

#[test]
fn with_8_workers() {
    within(|| stress(multi(8)));
}

#[test]
fn on_the_current_thread() {
    within(|| stress(current()));
}

/// A poll that is woken while it runs is not started a second time before it has returned.
#[test]
fn a_wake_during_a_poll_waits_for_its_end() {
    within(|| {
        let runtime = multi(4);
        let worst = runtime.block_on(async {
            let inside = Arc::new(AtomicUsize::new(0));
            let worst = Arc::new(AtomicUsize::new(0));
            let (depth, deepest) = (inside.clone(), worst.clone());
            let mut left = 60;
            let task = filch::spawn(std::future::poll_fn(move |cx| {
                let now = depth.fetch_add(1, Ordering::SeqCst) + 1;
                deepest.fetch_max(now, Ordering::SeqCst);
                // The waker is used by another thread, and that thread is done with it before this poll ends.
                let waker = cx.waker().clone();
                std::thread::scope(|scope| {
                    scope.spawn(move || waker.wake());
                });
                std::thread::yield_now();
                depth.fetch_sub(1, Ordering::SeqCst);
                left -= 1;
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            }));
            task.await.expect("no panic");
            worst.load(Ordering::SeqCst)
        });
        assert_eq!(worst, 1);
    });
}

/// What a waker's thread wrote before the wake is there in the poll that follows, also if the task was awake already.
#[test]
fn a_poll_sees_what_was_written_before_its_wake() {
    within(|| {
        let runtime = multi(2);
        for round in 0..60 {
            let message: Arc<Mutex<Option<Waker>>> = Arc::default();
            // Relaxed on both sides: only the wake orders it.
            let value = Arc::new(AtomicUsize::new(0));
            let (slot, read) = (message.clone(), value.clone());
            let task = runtime.spawn(std::future::poll_fn(move |cx| {
                if read.load(Ordering::Relaxed) == 1 {
                    return Poll::Ready(());
                }
                *filch_tests::lock(&slot) = Some(cx.waker().clone());
                if round % 2 == 0 {
                    // Half of the rounds it is scheduled already when the wake comes.
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }));
            let waker = loop {
                if let Some(waker) = filch_tests::lock(&message).take() {
                    break waker;
                }
                std::thread::yield_now();
            };
            value.store(1, Ordering::Relaxed);
            waker.wake();
            runtime.block_on(task).expect("it has seen the value");
        }
    });
}
