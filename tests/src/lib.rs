//! Test support for filch: one test file per promise stands in `tests/`.
//!
//! No test here judges by a clock. The one figure of time is [`PATIENCE`]: after so long a wait is called a hang, and the test
//! fails instead of standing still. `breaks/` holds, for each promise, patches that break it, with the test that notices.

use filch::runtime::{Builder, Runtime};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// After this long a wait is a hang. Far above anything that a busy machine does to a healthy test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The environment variable that tells a test that it is the child of itself.
const CHILD: &str = "FILCH_TEST_CHILD";

/// Runs `f` on a thread of its own and fails if it does not end. Its panic is this test's.
///
/// # Panics
///
/// If `f` panics or hangs.
#[track_caller]
pub fn within<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("test-body".into()).spawn(move || {
        let result = f();
        // Nobody listens any more if this came too late.
        let _ = sender.send(());
        result
    });
    let thread = thread.expect("a thread for the test");
    if let Err(RecvTimeoutError::Timeout) = receiver.recv_timeout(PATIENCE) {
        panic!("this hangs: it has not ended within {PATIENCE:?}");
    }
    match thread.join() {
        Ok(result) => result,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// If it never does.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "this never came true: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A multi_thread runtime.
///
/// # Panics
///
/// If the system refuses.
pub fn multi(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .build()
        .expect("a runtime")
}

/// A current_thread runtime.
///
/// # Panics
///
/// If the system refuses.
pub fn current() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

/// A current_thread runtime whose clock stands.
///
/// # Panics
///
/// If the system refuses.
pub fn paused() -> Runtime {
    Builder::new_current_thread()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Far more than a poll's budget.
pub const MANY: usize = 10_000;

/// Runs `body` as a task of a runtime with one worker; it is given a flag that a second task raises as soon as it has its turn.
///
/// # Panics
///
/// If the other has not had its turn when `body` ends.
pub fn beside_another<F: Future<Output = ()> + Send + 'static>(
    body: impl FnOnce(Arc<AtomicBool>) -> F + Send + 'static,
) {
    within(|| {
        multi(1).block_on(async {
            filch::spawn(async {
                let turn = Arc::new(AtomicBool::new(false));
                let raise = turn.clone();
                let other = filch::spawn(async move { raise.store(true, Ordering::SeqCst) });
                let turn_of_other = turn.clone();
                body(turn).await;
                assert!(
                    turn_of_other.load(Ordering::SeqCst),
                    "the loop never let the other task run"
                );
                other.await.expect("the other task");
            })
            .await
            .expect("the task");
        });
    });
}

/// A signal between threads that a thread may wait for, also inside a poll: it blocks, but not for ever.
#[derive(Debug)]
pub struct Gate {
    sender: Sender<()>,
    receiver: Mutex<Receiver<()>>,
}

impl Default for Gate {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Self {
            sender,
            receiver: Mutex::new(receiver),
        }
    }
}

impl Gate {
    /// A closed gate, to be shared.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Lets one waiter through.
    pub fn open(&self) {
        // The receiver lives as long as the sender.
        let _ = self.sender.send(());
    }

    /// Blocks this thread until somebody opens the gate.
    ///
    /// # Panics
    ///
    /// If nobody does.
    #[track_caller]
    pub fn wait(&self) {
        let result = lock(&self.receiver).recv_timeout(PATIENCE);
        assert!(result.is_ok(), "nobody has opened this gate within {PATIENCE:?}");
    }

    /// Whether the gate was opened; takes the opening.
    pub fn try_wait(&self) -> bool {
        lock(&self.receiver).try_recv().is_ok()
    }
}

/// A log that any thread writes.
#[derive(Debug)]
pub struct Log<T>(Mutex<Vec<T>>);

impl<T: Clone> Log<T> {
    /// An empty log, to be shared.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Vec::new())))
    }

    /// Adds an entry.
    pub fn push(&self, entry: T) {
        lock(&self.0).push(entry);
    }

    /// What was written so far.
    pub fn get(&self) -> Vec<T> {
        lock(&self.0).clone()
    }
}

/// Calls its function when it is dropped.
#[derive(Debug)]
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Locks, whether somebody panicked with the lock or not.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls a future once, as the task that this is awaited in.
pub async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// The text of a panic.
///
/// # Panics
///
/// If it was raised with something else.
#[must_use]
pub fn text(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_string(),
        (_, Some(text)) => text.clone(),
        _ => panic!("a panic without a text"),
    }
}

/// Runs `f`, which has to panic, and gives the text and the place of its panic.
///
/// # Panics
///
/// If `f` does not.
#[track_caller]
pub fn panics<R>(f: impl FnOnce() -> R) -> (String, Option<(String, u32)>) {
    thread_local! {
        static PLACE: std::cell::RefCell<Option<(String, u32)>> = const { std::cell::RefCell::new(None) };
    }
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info
                .location()
                .map(|place: &Location<'_>| (place.file().to_string(), place.line()));
            let _ = PLACE.try_with(|slot| *slot.borrow_mut() = place);
            before(info);
        }));
    });
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(_) => panic!("this should have panicked"),
        Err(payload) => (text(&*payload), PLACE.with(|slot| slot.borrow_mut().take())),
    }
}

/// Whether this process is the child that runs test `name`, see [`child`].
#[must_use]
pub fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == name)
}

/// Test `name` of this binary once more, alone in a process of its own, where [`is_child`] says yes.
///
/// # Panics
///
/// If the name of this program is not to be had.
#[must_use]
pub fn command(name: &str) -> Command {
    let program = std::env::current_exe().expect("the name of this program");
    let mut command = Command::new(program);
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1", "--include-ignored"])
        .env(CHILD, name);
    command
}

/// Runs [`command`] to its end.
///
/// # Panics
///
/// If the process cannot be started.
#[must_use]
pub fn child(name: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = command(name);
    command.envs(environment.iter().copied());
    command.output().expect("a process for the test")
}

/// Runs `body` in a process of its own, where no other test disturbs its counting, and fails if it fails there.
///
/// # Panics
///
/// If `body` does, or hangs.
#[track_caller]
pub fn alone(name: &str, body: impl FnOnce() + Send + 'static) {
    alone_for_long(name, || within(body));
}

/// As [`alone`], for a body that takes so long that it has to ask for hangs ([`within`]) part by part.
///
/// # Panics
///
/// If `body` does.
#[track_caller]
pub fn alone_for_long(name: &str, body: impl FnOnce()) {
    if is_child(name) {
        body();
        println!("{CHILD} is done");
        return;
    }
    let output = child(name, &[]);
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && stdout.contains(&format!("{CHILD} is done")),
        "{} in a process of its own\n{stdout}\n{stderr}",
        output.status
    );
}

/// How often a test does what it does: `quick` times, or, if the environment has `FILCH_FULL`, `full` times.
#[must_use]
pub fn times(quick: usize, full: usize) -> usize {
    if std::env::var_os("FILCH_FULL").is_some() {
        full
    } else {
        quick
    }
}

/// What a process holds of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// Epolls, eventfds and timerfds.
    pub descriptors: Vec<String>,
    /// Names of threads.
    pub threads: Vec<String>,
}

impl Holdings {
    /// What this process holds now: descriptors that a runtime needs, and threads.
    ///
    /// # Panics
    ///
    /// Without a `/proc`.
    #[must_use]
    pub fn now() -> Self {
        let list = |path: &str| std::fs::read_dir(path).expect("a /proc").flatten();
        let mut descriptors: Vec<_> = list("/proc/self/fd")
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .map(|target| target.display().to_string())
            .filter(|target| {
                ["eventpoll", "eventfd", "timerfd"]
                    .iter()
                    .any(|kind| target.contains(kind))
            })
            .collect();
        let mut threads: Vec<_> = list("/proc/self/task")
            .filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok())
            .map(|name| name.trim().to_string())
            .collect();
        descriptors.sort();
        threads.sort();
        Self { descriptors, threads }
    }
}

/// How many seeds a behaviour is tried with in the deterministic mode; `FILCH_SEEDS` sets another number.
const SEEDS: u64 = 200;

/// Runs a behaviour with 1, 2, 4 and 8 workers and on one thread, on a clock that jumps, and in the deterministic mode with many seeds.
///
/// # Panics
///
/// If it panics or hangs anywhere, saying where.
#[track_caller]
pub fn everywhere<F, Fut>(behaviour: F)
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()>,
{
    let seeds = std::env::var("FILCH_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("FILCH_SEEDS is a number"));
    let (sender, places) = channel();
    let body = move || {
        let place = |name: String, runtime: io::Result<Runtime>| {
            // The test listens until this thread has ended, or hangs.
            let _ = sender.send(name.clone());
            place(&name, || runtime.expect("a runtime").block_on(behaviour()));
        };
        for workers in [1, 2, 4, 8] {
            let mut builder = Builder::new_multi_thread();
            let runtime = builder.worker_threads(workers).start_paused(true).build();
            place(format!("{workers} workers"), runtime);
        }
        let runtime = Builder::new_current_thread().start_paused(true).build();
        place("one thread".into(), runtime);
        for seed in 0..seeds {
            let mut builder = Builder::new_multi_thread();
            let runtime = builder.worker_threads(4).deterministic(seed).build();
            place(format!("seed {seed}"), runtime);
        }
    };
    let thread = std::thread::Builder::new().name("test-body".into()).spawn(body);
    let thread = thread.expect("a thread for the test");
    let mut now = "nothing yet".to_owned();
    loop {
        match places.recv_timeout(PATIENCE) {
            Ok(place) => now = place,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("this hangs with {now}: it has not ended within {PATIENCE:?}"),
        }
    }
    if let Err(payload) = thread.join() {
        std::panic::resume_unwind(payload);
    }
}

/// Says where a panic happened.
fn place(name: &str, f: impl FnOnce()) {
    struct Tell<'a>(&'a str);
    impl Drop for Tell<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("this happened with {}", self.0);
            }
        }
    }
    let tell = Tell(name);
    f();
    drop(tell);
}

/// A task that runs, and has come as far as it says: its body sends when it is there.
///
/// # Panics
///
/// If the body ends without that, or outside of a runtime.
pub async fn begun<F>(body: impl FnOnce(filch::sync::oneshot::Sender<()>) -> F) -> filch::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (begun, begins) = filch::sync::oneshot::channel();
    let task = filch::spawn(body(begun));
    begins.await.expect("it begins");
    task
}
