//! What happens to the whole process: it forks, it starts programs, it is stopped and continued.

use filch::net::{TcpListener, TcpStream, UnixStream};
use filch::runtime::Runtime;
use filch::signal::unix::{SignalKind, signal};
use filch::task::spawn_blocking;
use filch::time::{Duration, Instant, MissedTickBehavior, interval, sleep, sleep_until};
use filch_tests::{Holdings, alone, command, current, eventually, is_child, lock, multi, within};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as Pair;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

// --- fork ------------------------------------------------------------------------------------------------------------------------

unsafe extern "C" {
    /// Of the C library: the number of the child, 0 in the child, -1 for an error.
    fn fork() -> i32;
    /// Of the C library: ends the process at once, and runs nothing on the way.
    fn _exit(status: i32) -> !;
}

/// A child by `fork`, without `exec`: it does nothing but wait for a byte of `until`, if there is one, and exit with status 7.
fn forked(until: Option<&Pair>) -> Pid {
    if let Some(until) = until {
        // If the parent fails, nobody sends that byte: the child has the other end, too. And whoever reads the test's output waits for the child.
        until.set_read_timeout(Some(Duration::from_secs(20))).expect("open");
    }
    // SAFETY: `fork` has no preconditions of its own. In the child there is only this thread, so it may do nothing that needs a lock or memory:
    // it makes one system call through std, on a socket that nobody else uses, and `_exit`.
    let number = unsafe { fork() };
    if number == 0 {
        if let Some(mut until) = until {
            let _ = until.read(&mut [0]);
        }
        // SAFETY: it takes any status, and nothing of this process is used after it.
        unsafe { _exit(7) }
    }
    Pid::from_raw(number).expect("a child")
}

/// Ends a child that waits, and sees how it has ended.
#[track_caller]
fn reap(child: Pid, wake: Option<Pair>) {
    if let Some(mut wake) = wake {
        wake.write_all(&[1]).expect("it listens");
    }
    let (_, status) = waitpid(Some(child), WaitOptions::empty())
        .expect("our child")
        .expect("it was waited for");
    assert_eq!(status.exit_status(), Some(7), "{status:?}");
}

/// Whether an epoll of this process is set for this descriptor.
fn is_watched(descriptor: i32) -> bool {
    let entries = std::fs::read_dir("/proc/self/fdinfo").expect("a /proc").flatten();
    let mut texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.any(|text| {
        let targets = text.lines().filter_map(|line| line.strip_prefix("tfd:"));
        let mut numbers = targets.filter_map(|line| line.split_whitespace().next()?.parse().ok());
        numbers.any(|number: i32| number == descriptor)
    })
}

/// A bit of everything goes on as it should.
async fn assert_goes_on(near: &mut TcpStream) {
    for number in 0..20_u8 {
        near.write_all(&[number]).await.expect("open");
        let mut back = [0];
        near.read_exact(&mut back).await.expect("open");
        assert_eq!(back, [number]);
        sleep(Duration::from_micros(50)).await;
        let task = filch::spawn(async move { spawn_blocking(move || number).await.expect("no panic") });
        assert_eq!(task.await.expect("no panic"), number);
    }
}

async fn echo(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        filch::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            let _ = filch::io::copy(&mut reader, &mut writer).await;
        });
    }
}

/// Whoever forks: a task, a blocking job, or a thread that knows nothing of the runtime. The children wait, or are gone at once; meanwhile and afterwards
/// everything goes on in the parent.
#[test]
fn a_child_that_only_exits_leaves_the_parent_whole() {
    alone("a_child_that_only_exits_leaves_the_parent_whole", || {
        let before = Holdings::now();
        for runtime in [current(), multi(2)] {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                filch::spawn(echo(listener));
                let mut near = TcpStream::connect(address).await.expect("a connection");
                assert_goes_on(&mut near).await;
                for round in 0..30 {
                    let waits = round % 2 == 0;
                    let (wake, until) = waits.then(|| Pair::pair().expect("a pair")).unzip();
                    let child = match round % 3 {
                        0 => filch::spawn(async move { forked(until.as_ref()) }).await,
                        1 => spawn_blocking(move || forked(until.as_ref())).await,
                        _ => Ok(std::thread::spawn(move || forked(until.as_ref()))
                            .join()
                            .expect("no panic")),
                    };
                    // The child lives, with a copy of all descriptors, if it waits.
                    assert_goes_on(&mut near).await;
                    near = TcpStream::connect(address).await.expect("a connection");
                    assert_goes_on(&mut near).await;
                    reap(child.expect("no panic"), wake);
                    assert_goes_on(&mut near).await;
                }
            });
            drop(runtime);
        }
        eventually("nothing is left", || Holdings::now() == before);
    });
}

/// The child has a copy of the descriptor, so the kernel does not take a socket out of the epoll when the parent closes it; the parent has to do that
/// itself, or it would go on to be told of a socket that it does not have any more.
#[test]
fn a_socket_that_a_child_has_too_is_taken_out() {
    alone("a_socket_that_a_child_has_too_is_taken_out", || {
        for runtime in [current(), multi(2)] {
            runtime.block_on(async {
                let (near, _far) = UnixStream::pair().expect("a pair");
                let descriptor = near.as_raw_fd();
                assert!(is_watched(descriptor));
                let (wake, until) = Pair::pair().expect("a pair");
                let child = forked(Some(&until));
                drop(near);
                assert!(!is_watched(descriptor), "the epoll still has the socket");
                reap(child, Some(wake));
            });
        }
    });
}

// --- exec ------------------------------------------------------------------------------------------------------------------------

#[test]
fn a_program_that_is_started_inherits_nothing() {
    fn inherited() -> Vec<String> {
        let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output().expect("ls");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("names");
        let targets = text.lines().filter_map(|line| line.split(" -> ").nth(1));
        let kinds = ["socket", "eventpoll", "eventfd", "timerfd"];
        let mut targets: Vec<_> = targets
            .filter(|target| kinds.iter().any(|kind| target.contains(kind)))
            .map(ToOwned::to_owned)
            .collect();
        targets.sort();
        targets
    }
    alone("a_program_that_is_started_inherits_nothing", || {
        let before = inherited();
        for runtime in [current(), multi(2)] {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let near = TcpStream::connect(address).await.expect("a connection");
                let far = listener.accept().await.expect("a connection");
                let pair = UnixStream::pair().expect("a pair");
                let unbound = filch::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
                let signals = signal(SignalKind::user_defined1()).expect("a signal");
                sleep(Duration::from_micros(100)).await;
                filch::spawn(async { sleep(Duration::from_micros(100)).await })
                    .await
                    .expect("no panic");
                let held = Holdings::now().descriptors.len();
                assert!(held >= 3, "an epoll, an eventfd and a timerfd at least, not {held}");
                assert_eq!(inherited(), before);
                drop((near, far, pair, unbound, signals));
            });
        }
    });
}

// --- stop and continue -----------------------------------------------------------------------------------------------------------

const PERIOD: Duration = Duration::from_millis(20);
const STOP: Duration = Duration::from_millis(600);

/// Counts its wakes.
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Ticks = Arc<Mutex<Vec<Instant>>>;

/// For what moments the ticks were planned.
fn ticks(behavior: MissedTickBehavior) -> Ticks {
    let planned = Ticks::default();
    let log = planned.clone();
    filch::spawn(async move {
        let mut interval = interval(PERIOD);
        interval.set_missed_tick_behavior(behavior);
        loop {
            let moment = interval.tick().await;
            assert!(Instant::now() >= moment, "a tick was early");
            lock(&log).push(moment);
        }
    });
    planned
}

/// The program that is stopped: it echoes, and counts timers, until its input ends.
async fn is_stopped_and_goes_on() {
    let begin = Instant::now();
    let timers: Vec<_> = (1..=100)
        .map(|number| {
            let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
            let mut timer = Box::pin(sleep_until(begin + STOP / 100 * number));
            let waker = Waker::from(wakes.clone());
            assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            (timer, wakes)
        })
        .collect();
    let [burst, skip, delay] = [
        MissedTickBehavior::Burst,
        MissedTickBehavior::Skip,
        MissedTickBehavior::Delay,
    ]
    .map(ticks);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("at {}", listener.local_addr().expect("an address"));
    filch::spawn(echo(listener));
    spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .expect("no panic")
        .expect("an end");

    // The last of them has fired by now, or will.
    for (timer, wakes) in timers {
        timer.await;
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "a timer that was due once");
    }
    let distances = |ticks: &Ticks| {
        let ticks = lock(ticks).clone();
        assert!(ticks.len() > 10, "only {} ticks", ticks.len());
        let steps = ticks.windows(2).map(|pair| pair[1] - pair[0]);
        steps.collect::<Vec<_>>()
    };
    let (burst, skip, delay) = (distances(&burst), distances(&skip), distances(&delay));
    assert!(
        burst.iter().all(|step| *step == PERIOD),
        "every tick of the plan: {burst:?}"
    );
    let whole = |step: &Duration| step.as_nanos() % PERIOD.as_nanos() == 0 && !step.is_zero();
    assert!(skip.iter().all(whole), "ticks of the plan only: {skip:?}");
    assert!(skip.iter().any(|step| *step > PERIOD), "some were skipped: {skip:?}");
    assert!(delay.iter().all(|step| *step >= PERIOD), "never closer: {delay:?}");
    assert!(
        delay.iter().any(|step| *step > STOP / 2),
        "the plan was put off: {delay:?}"
    );
    println!("went on");
}

/// The state of a process, as the kernel calls it.
fn state_of(process: u32) -> char {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives");
    // Behind its name, which is in parentheses and may have anything in it.
    let rest = text.rsplit(") ").next().expect("a line");
    rest.chars().next().expect("a state")
}

fn stopped_and_continued(name: &str, make: fn() -> Runtime) {
    if is_child(name) {
        within(move || make().block_on(is_stopped_and_goes_on()));
        return;
    }
    let mut command = command(name);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let (number, input) = (child.id(), child.stdin.take());
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let test = move || {
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(output.read_line(&mut line).expect("lines") > 0, "it has ended");
            // The harness does not end the line in which it names the test.
            if let Some((_, address)) = line.trim_end().split_once("at 127.") {
                break format!("127.{address}");
            }
        };
        let mut stream = std::net::TcpStream::connect(&address).expect("it listens");
        let exchange = |stream: &mut std::net::TcpStream, length: usize, between: &mut dyn FnMut()| {
            let sent: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            stream.write_all(&sent).expect("there is room");
            between();
            let mut back = vec![0; length];
            stream.read_exact(&mut back).expect("an echo");
            assert_eq!(back, sent);
        };
        exchange(&mut stream, 10_000, &mut || ());
        let pid = Pid::from_raw(i32::try_from(number).expect("a number")).expect("a number");
        kill_process(pid, Signal::STOP).expect("our child");
        eventually("it is stopped", || state_of(number) == 'T');
        // What comes meanwhile: bytes, another connection, and its bytes.
        let mut another = std::net::TcpStream::connect(&address).expect("there is a queue");
        exchange(&mut stream, 20_000, &mut || {
            exchange(&mut another, 20_000, &mut || {
                std::thread::sleep(STOP);
                assert_eq!(state_of(number), 'T');
                kill_process(pid, Signal::CONT).expect("our child");
            });
        });
        exchange(&mut stream, 10_000, &mut || ());
        // A little life after it.
        std::thread::sleep(20 * PERIOD);
        drop(input);
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("lines");
        rest
    };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| within(test)));
    if result.is_err() {
        // It may be stopped.
        let _ = child.kill();
    }
    let status = child.wait().expect("our child");
    match result {
        Ok(rest) => assert!(status.success() && rest.contains("went on"), "{status}: {rest}"),
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// While a process is stopped the clock goes on: timers that were due meanwhile fire when it continues, once each; intervals do what they are set to; bytes
/// and connections wait.
#[test]
fn stop_and_continue() {
    stopped_and_continued("stop_and_continue", || multi(2));
}

#[test]
fn stop_and_continue_on_one_thread() {
    stopped_and_continued("stop_and_continue_on_one_thread", current);
}
