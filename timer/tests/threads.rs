//! Many threads at the timers of two workers: arming, cancelling, resetting, turning and rescuing at once.

mod driver;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use driver::{Driver, poll};
use filch_timer::{Clock, Hooks, Instant, Sleep, sleep};

const SLEEPERS: usize = 2;
const ROUNDS: usize = 4_000;

/// Wakes a thread, and counts.
struct Unpark {
    thread: thread::Thread,
    wakes: AtomicUsize,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// A cheap sequence of numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn no_timer_is_lost_early_or_fired_twice() {
    let workers: Arc<[Driver]> = Driver::workers(2, Clock::new(), Hooks::default()).into();
    let done = Arc::new(AtomicBool::new(false));
    let owners = [0, 1].map(|index| {
        let (workers, done) = (Arc::clone(&workers), Arc::clone(&done));
        thread::spawn(move || {
            let finished = std::future::poll_fn(|_| {
                if done.load(Ordering::Acquire) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            });
            workers[index].block_on(finished);
        })
    });
    let rescuer = {
        let (workers, done) = (Arc::clone(&workers), Arc::clone(&done));
        thread::spawn(move || {
            let mut fired = Vec::new();
            while !done.load(Ordering::Acquire) {
                for worker in workers.iter() {
                    worker.timers.try_turn(std::time::Instant::now(), &mut fired);
                    fired.drain(..).for_each(Waker::wake);
                }
                thread::sleep(Duration::from_micros(300));
            }
        })
    };
    let sleepers: Vec<_> = (0..SLEEPERS)
        .map(|seed| {
            let workers = Arc::clone(&workers);
            thread::spawn(move || sleeper(&workers, seed as u64 + 1))
        })
        .collect();
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
    done.store(true, Ordering::Release);
    for worker in workers.iter() {
        worker.waker().wake();
    }
    for owner in owners {
        owner.join().unwrap();
    }
    rescuer.join().unwrap();
    for worker in workers.iter() {
        assert_eq!(worker.timers.stats().pending, 0);
    }
}

/// Keeps some sleeps, and does something to one of them at a time.
fn sleeper(workers: &[Driver], seed: u64) {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let unpark = Arc::new(Unpark {
        thread: thread::current(),
        wakes: AtomicUsize::new(0),
    });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut sleeps: Vec<Pin<Box<Sleep>>> = Vec::new();
    let mut armed = 0;
    for _ in 0..ROUNDS {
        let home = &workers[numbers.below(2) as usize].handle;
        let _inside = home.enter();
        let soon = Duration::from_micros(numbers.below(3_000));
        match numbers.below(10) {
            0..4 => {
                let mut new = Box::pin(sleep(soon));
                if poll(new.as_mut(), &waker).is_pending() {
                    armed += 1;
                    sleeps.push(new);
                }
            }
            4..6 if !sleeps.is_empty() => {
                drop(sleeps.swap_remove(numbers.below(sleeps.len() as u64) as usize));
            }
            6..8 if !sleeps.is_empty() => {
                let index = numbers.below(sleeps.len() as u64) as usize;
                sleeps[index].as_mut().reset(Instant::now() + soon);
                // It may have fired before; then this arms it anew.
                if poll(sleeps[index].as_mut(), &waker).is_pending() {
                    armed += 1;
                } else {
                    drop(sleeps.swap_remove(index));
                }
            }
            _ if !sleeps.is_empty() => {
                // Waits for one of them to its end.
                let mut sleep = sleeps.swap_remove(numbers.below(sleeps.len() as u64) as usize);
                let late = sleep.deadline() + Duration::from_secs(20);
                while poll(sleep.as_mut(), &waker).is_pending() {
                    assert!(Instant::now() < late, "a timer was lost");
                    thread::park_timeout(Duration::from_secs(21));
                }
                assert!(Instant::now() >= sleep.deadline(), "fired early");
            }
            _ => {}
        }
    }
    drop(sleeps);
    assert!(
        unpark.wakes.load(Ordering::Relaxed) <= armed,
        "more wakes than armed timers"
    );
}
