//! A small runtime for these tests: one thread for each reactor that turns it and wakes, and a `block_on`.

#![allow(dead_code, reason = "each test uses the part it needs")]

pub(crate) mod simulated;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use filch_io::{Handle, Hooks, Reactor};

/// How long anything here may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Driver {
    pub(crate) handle: Handle,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Driver {
    pub(crate) fn new(workers: usize) -> Driver {
        Driver::with(
            workers,
            Hooks {
                resolve: |name| Box::pin(resolve(name)),
                ..Hooks::default()
            },
        )
    }

    pub(crate) fn with(workers: usize, hooks: Hooks) -> Driver {
        let reactors: Vec<Reactor> = (0..workers).map(|_| Reactor::new().unwrap()).collect();
        let handle = Handle::new(reactors.clone(), hooks);
        let stop = Arc::new(AtomicBool::new(false));
        let threads = reactors.into_iter().map(|reactor| {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut ready = Vec::new();
                while !stop.load(Ordering::Acquire) {
                    reactor.turn(None, &mut ready).unwrap();
                    ready.drain(..).for_each(Waker::wake);
                }
            })
        });
        let threads = threads.collect();
        Driver { handle, stop, threads }
    }

    /// Runs `future` to its end, on this thread, inside the runtime.
    #[track_caller]
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let _inside = self.handle.enter();
        block_on(future)
    }

    /// Stops the workers and closes the reactors.
    pub(crate) fn shutdown(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.handle.reactors().iter().for_each(Reactor::unpark);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        let mut woken = Vec::new();
        self.handle
            .reactors()
            .iter()
            .for_each(|reactor| reactor.shutdown(&mut woken));
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shutdown();
    }
}

async fn resolve(name: String) -> std::io::Result<Vec<std::net::SocketAddr>> {
    match name.strip_prefix("here:") {
        Some(port) => Ok(vec![([127, 0, 0, 1], port.parse().unwrap()).into()]),
        None => Err(std::io::Error::other("no such host in this test")),
    }
}

/// Runs `future` to its end on this thread.
#[track_caller]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let begin = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(PATIENCE);
        assert!(begin.elapsed() < PATIENCE, "nothing happened for {PATIENCE:?}");
    }
}

/// Polls `future` once.
pub(crate) fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "it never came true: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Count(std::sync::atomic::AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls two futures until both are done.
pub(crate) async fn join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|cx| {
        if first.is_none() {
            if let Poll::Ready(output) = a.as_mut().poll(cx) {
                first = Some(output);
            }
        }
        if second.is_none() {
            if let Poll::Ready(output) = b.as_mut().poll(cx) {
                second = Some(output);
            }
        }
        if first.is_some() && second.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    (first.unwrap(), second.unwrap())
}
