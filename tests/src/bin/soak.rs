//! A soak: `cargo run --release -p filch-tests --bin soak -- [SECONDS]` (600).
//!
//! A thousand loopback connections echo bytes, are closed, reset by either end and given up half-way, and begin anew; beside them go storms of
//! spawns, aborts, timeouts, blocking jobs, sets of tasks and whole runtimes. Twenty times all of it pauses at a quiet point: every connection
//! is open and idle, and nothing else is alive. There, like is compared with like:
//!
//! - The numbers of file descriptors, threads, tasks, registered sockets and armed timers are *exactly* those of the first quiet point.
//! - Resident memory stays within [`GROWTH`]: the median of the last five points against the median of the five after the warm-up.
//!
//! All along, echoed bytes are those that were sent, a connection ends only if one end was told to reset it, no timer fires early, every task ends
//! once and is dropped once. Whatever is found wrong, and a minute without a quiet point, ends the process with status 1.

use filch::net::{TcpListener, TcpSocket, TcpStream};
use filch::runtime::{Builder, RuntimeMetrics};
use filch::sync::{Notify, RwLock};
use filch::task::{JoinSet, spawn_blocking, yield_now};
use filch::time::{Duration, Instant, sleep, timeout};
use filch_tests::OnDrop;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

const CONNECTIONS: usize = 1000;

/// Quiet points, and how many of them belong to the warm-up.
const ROUNDS: usize = 20;
const WARM_UP: usize = 5;

/// How much resident memory, in KiB, may grow after the warm-up. The allocator's unsteadiness was seen to be 2.5 MiB at most. In ten minutes,
/// with some 20 million tasks and 250,000 connections after the warm-up, this is 17 bytes a connection, or one task in a thousand that is not freed; in half
/// a minute one task in fifty.
const GROWTH: u64 = 4096;

/// How long the way to a quiet point may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = match &arguments[..] {
        [] => Some(600),
        // With less of it the allocator is not warm.
        [seconds] => seconds
            .parse()
            .ok()
            .filter(|seconds| (20..=1_000_000).contains(seconds)),
        _ => None,
    };
    let Some(seconds) = seconds else {
        eprintln!("usage: soak [SECONDS] (20 at least)");
        return ExitCode::from(2);
    };
    let needed = 2 * CONNECTIONS as u64 + 500;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let more = Rlimit {
            current: Some(needed),
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, more) {
            eprintln!("soak: it needs {needed} file descriptors: {error}");
            return ExitCode::FAILURE;
        }
    }
    // What a task finds wrong is not to stay in its handle.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::exit(1);
    }));

    let before = (descriptors(), threads());
    let round = Duration::from_secs(seconds) / ROUNDS as u32;
    let state = Arc::new(State::new());
    watch(state.clone(), round + PATIENCE);
    let runtime = Builder::new_multi_thread()
        // So that no thread of a storm is left when it is quiet.
        .thread_keep_alive(Duration::from_millis(100))
        .build()
        .expect("a runtime");
    runtime.block_on(soak(&state, &runtime.metrics(), round));
    drop(runtime);
    wait("descriptors and threads are those of before", || {
        (descriptors(), threads()) == before
    });
    println!("soak: passed, and nothing is left");
    ExitCode::SUCCESS
}

/// What everybody shares.
struct State {
    /// Whoever does a step of his work holds it for reading; who holds it for writing has it quiet.
    pause: RwLock<()>,
    counts: Counts,
    /// For each client the number of its latest connection that somebody was to reset.
    resets: Vec<AtomicU64>,
    /// Quiet points so far.
    rounds: AtomicUsize,
}

impl State {
    fn new() -> Self {
        Self {
            pause: RwLock::new(()),
            counts: Counts::default(),
            resets: (0..CONNECTIONS).map(|_| AtomicU64::new(0)).collect(),
            rounds: AtomicUsize::new(0),
        }
    }
}

/// What has been done. Nothing is decided by these numbers: they are relaxed.
#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    exchanges: AtomicU64,
    bytes: AtomicU64,
    /// Resets by the client, by the server, and after an exchange that was given up.
    resets: [AtomicU64; 3],
    tasks: AtomicU64,
    aborted: AtomicU64,
    timers: AtomicU64,
    jobs: AtomicU64,
    runtimes: AtomicU64,
}

impl Counts {
    fn get(&self) -> [u64; 11] {
        let [client, server, given_up] = &self.resets;
        [
            &self.connections,
            &self.exchanges,
            &self.bytes,
            client,
            server,
            given_up,
            &self.tasks,
            &self.aborted,
            &self.timers,
            &self.jobs,
            &self.runtimes,
        ]
        .map(|count| count.load(Relaxed))
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Relaxed);
}

/// Ends the process if there is no new quiet point for so long. A thread of its own: the runtime may be what hangs.
fn watch(state: Arc<State>, patience: Duration) {
    std::thread::spawn(move || {
        let (mut seen, mut since) = (0, std::time::Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let rounds = state.rounds.load(Relaxed);
            if rounds >= ROUNDS {
                return;
            }
            if rounds != seen {
                (seen, since) = (rounds, std::time::Instant::now());
            }
            if since.elapsed() > patience {
                eprintln!("soak: it hangs: no quiet point after the {rounds} so far");
                std::process::exit(1);
            }
        }
    });
}

/// Blocks until it is true.
fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "this never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

async fn soak(state: &Arc<State>, metrics: &RuntimeMetrics, round: Duration) {
    // A queue that all of them fit into: for a shorter one the kernel guards itself by cookies, and resets whoever cannot show his.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(2 * CONNECTIONS as u32).expect("an open socket");
    let address = listener.local_addr().expect("an address");
    filch::spawn(accept(listener, state.clone()));
    for number in 0..CONNECTIONS {
        filch::spawn(client(state.clone(), address, number));
    }
    let seeds = (CONNECTIONS as u64..).map(Random);
    for (kind, random) in (0..4).zip(seeds) {
        filch::spawn(storms(state.clone(), kind, random));
    }

    // Connections at both ends, who accepts, and the storms.
    let tasks = 2 * CONNECTIONS + 1 + 4;
    let mut first = None;
    let mut memory = Vec::new();
    let mut done = state.counts.get();
    println!(
        "seconds  connections exchanges MiB  resets(client server given-up)  tasks aborted timers jobs runtimes  RSS/KiB fds threads"
    );
    for number in 0..ROUNDS {
        let began = Instant::now();
        sleep(round).await;
        assert!(began.elapsed() >= round, "a timer was early");
        let quiet = state.pause.write().await;
        wait("only what waits is alive", || {
            metrics.num_alive_tasks() == tasks
                && metrics.num_blocking_threads() == 0
                && sum(metrics, RuntimeMetrics::worker_io_sources) == 2 * CONNECTIONS + 1
                && sum(metrics, RuntimeMetrics::worker_timers) == 0
        });
        let held = *first.get_or_insert_with(|| (descriptors(), threads()));
        wait(&format!("descriptors and threads are {held:?}, as at first"), || {
            (descriptors(), threads()) == held
        });
        let now = state.counts.get();
        assert!(
            done.iter().zip(&now).all(|(before, now)| before < now),
            "something does not go on: {done:?}, then {now:?}"
        );
        done = now;
        memory.push(resident());
        let [
            connections,
            exchanges,
            bytes,
            client,
            server,
            given_up,
            tasks,
            aborted,
            timers,
            jobs,
            runtimes,
        ] = now;
        println!(
            "{:7.1}  {connections} {exchanges} {}  {client} {server} {given_up}  {tasks} {aborted} {timers} {jobs} {runtimes}  {} {} {}",
            round.as_secs_f64() * (number + 1) as f64,
            bytes >> 20,
            memory[number],
            held.0,
            held.1,
        );
        state.rounds.store(number + 1, Relaxed);
        drop(quiet);
    }
    let (begin, end) = (median(&memory[WARM_UP..WARM_UP + 5]), median(&memory[ROUNDS - 5..]));
    println!("resident memory: {begin} KiB after the warm-up, {end} KiB at the end");
    assert!(end <= begin + GROWTH, "it has grown by more than {GROWTH} KiB");
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}

fn sum(metrics: &RuntimeMetrics, of_worker: impl Fn(&RuntimeMetrics, usize) -> usize) -> usize {
    (0..metrics.num_workers())
        .map(|worker| of_worker(metrics, worker))
        .sum()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a /proc").count()
}

fn threads() -> usize {
    // Without the thread that watches, which may end before all else or after it.
    let names = std::fs::read_dir("/proc/self/task").expect("a /proc").flatten();
    let names = names.filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok());
    names.filter(|name| name.starts_with("filch")).count()
}

/// Resident memory in KiB, counted page by page: the cheaper figures of the kernel are estimates.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("a /proc");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .expect("a line Rss");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Splitmix64 (Steele, Lea and Flood, 2014): each task has its own, so that nobody waits for it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn micros(&mut self, bound: usize) -> Duration {
        Duration::from_micros(self.below(bound) as u64)
    }
}

// --- connections -----------------------------------------------------------------------------------------------------------------

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, peer) = listener.accept().await.expect("a connection");
        filch::spawn(serve(stream, peer, state.clone()));
    }
}

/// Whether this is what one sees of a peer that resets.
fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// What a client says first: after how many bytes the server is to reset the connection, whose it is, and its number.
type Header = [u64; 3];

/// Echoes.
async fn serve(mut stream: TcpStream, peer: SocketAddr, state: Arc<State>) {
    let mut header: Option<Header> = None;
    let result = async {
        let mut bytes = [0; size_of::<Header>()];
        stream.read_exact(&mut bytes).await?;
        let word = |place: usize| u64::from_le_bytes(bytes[8 * place..][..8].try_into().expect("eight bytes"));
        let [mut left, client, number] = *header.insert([word(0), word(1), word(2)]);
        let mut buffer = [0; 4096];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return stream.shutdown().await;
            }
            left = left.saturating_sub(length as u64);
            if left == 0 {
                state.resets[client as usize].fetch_max(number, Relaxed);
                return stream.set_zero_linger();
            }
            stream.write_all(&buffer[..length]).await?;
        }
    };
    let result: io::Result<()> = result.await;
    if let Err(error) = result {
        let expected = header.is_none_or(|[_, client, number]| state.resets[client as usize].load(Relaxed) >= number);
        assert!(
            expected && is_reset(&error),
            "at the server of {peer}, {header:?}: {error}"
        );
    }
}

/// One connection, as its client sees it.
struct Connection {
    stream: TcpStream,
    header: Header,
    /// After so many more bytes the server resets it.
    left: u64,
}

impl Connection {
    async fn open(state: &State, address: SocketAddr, random: &mut Random, client: usize, number: u64) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an open socket");
        let left = if random.one_in(4) {
            1 + random.below(100_000) as u64
        } else {
            u64::MAX
        };
        let header = [left, client as u64, number];
        let bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        stream.write_all(&bytes).await.expect("nobody resets yet");
        count(&state.counts.connections, 1);
        Self { stream, header, left }
    }

    /// Makes its end a reset.
    fn reset(&self, state: &State) {
        let [_, client, number] = self.header;
        state.resets[client as usize].fetch_max(number, Relaxed);
        self.stream.set_zero_linger().expect("an open socket");
    }

    /// Sends bytes and receives them, both at a time. Says whether the server has reset the connection, as it has to.
    async fn exchange(&mut self, sent: &[u8]) -> bool {
        self.left = self.left.saturating_sub(sent.len() as u64);
        let address = self.stream.local_addr();
        let (mut reader, mut writer) = self.stream.split();
        let mut rest = sent;
        let receive = async {
            let mut buffer = [0; 4096];
            while !rest.is_empty() {
                let room = buffer.len().min(rest.len());
                let length = reader.read(&mut buffer[..room]).await?;
                assert!(length > 0, "an end that nobody has asked for");
                assert!(buffer[..length] == rest[..length], "the echo is not what was sent");
                rest = &rest[length..];
            }
            Ok(())
        };
        match filch::try_join!(writer.write_all(sent), receive) {
            Ok(_) => {
                assert!(self.left > 0, "the server was to reset this connection");
                false
            }
            Err(error) => {
                assert!(
                    self.left == 0 && is_reset(&error),
                    "at the client {address:?}, {:?}, {} left, {} of {} bytes back: {error}",
                    self.header,
                    self.left,
                    sent.len() - rest.len(),
                    sent.len()
                );
                true
            }
        }
    }
}

async fn client(state: Arc<State>, address: SocketAddr, client: usize) {
    let mut random = Random(client as u64);
    let mut connection = {
        let _step = state.pause.read().await;
        Connection::open(&state, address, &mut random, client, 1).await
    };
    loop {
        sleep(random.micros(200_000)).await;
        // At the end of a step there is an open connection, and nothing on its way.
        let _step = state.pause.read().await;
        let length = match random.below(400) {
            // More than the kernel's buffers hold.
            0 => 1 << 20,
            number => 1 + random.below(1 << (number % 14)),
        };
        // Not kept from step to step: each client would grow to the longest that it ever had.
        let bytes = std::iter::repeat_with(|| random.next()).flat_map(u64::to_le_bytes);
        let payload: Vec<u8> = bytes.take(length).collect();
        match random.below(128) {
            0..4 => {
                // A reset, with an echo under way.
                let sent = connection.stream.write(&payload).await;
                assert!(sent.is_ok_and(|length| length > 0), "there was room");
                connection.reset(&state);
                count(&state.counts.resets[0], 1);
            }
            4..6 => {
                // An exchange that is given up wherever it is. Only what is reset now may be reset.
                if timeout(random.micros(300), connection.exchange(&payload))
                    .await
                    .is_err()
                {
                    count(&state.counts.resets[2], 1);
                }
                connection.reset(&state);
            }
            6 => {
                connection.stream.shutdown().await.expect("an open socket");
                let end = connection.stream.read(&mut [0]).await.expect("nobody resets");
                assert_eq!(end, 0, "there was nothing to come");
            }
            _ => {
                let reset = connection.exchange(&payload).await;
                count(&state.counts.exchanges, 1);
                count(&state.counts.bytes, payload.len());
                if !reset {
                    continue;
                }
                count(&state.counts.resets[1], 1);
            }
        }
        let number = connection.header[2] + 1;
        connection = Connection::open(&state, address, &mut random, client, number).await;
    }
}

// --- storms ----------------------------------------------------------------------------------------------------------------------

async fn storms(state: Arc<State>, kind: usize, mut random: Random) {
    loop {
        sleep(random.micros(20_000)).await;
        let _step = state.pause.read().await;
        match kind {
            0 => spawns_and_aborts(&state.counts, &mut random).await,
            1 => timeouts(&state.counts, &mut random).await,
            2 => jobs(&state.counts, &mut random).await,
            _ => runtimes(&state.counts, &mut random).await,
        }
    }
}

/// Tasks of four kinds, of which some are aborted: each ends, and is dropped, once.
async fn spawns_and_aborts(counts: &Counts, random: &mut Random) {
    let many = 1 + random.below(1000);
    let (drops, notify) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut tasks = Vec::with_capacity(many);
    for number in 0..many {
        let (dropped, notify) = (drops.clone(), notify.clone());
        let guard = OnDrop(move || {
            dropped.fetch_add(1, Relaxed);
        });
        let pause = random.micros(2000);
        tasks.push(filch::spawn(async move {
            let _guard = guard;
            match number % 4 {
                0 => yield_now().await,
                1 => sleep(pause).await,
                2 => notify.notified().await,
                _ => pending().await,
            }
            number
        }));
        if random.one_in(3) {
            tasks[random.below(number + 1)].abort();
        }
    }
    if random.one_in(2) {
        yield_now().await;
    }
    for task in tasks.iter().skip(3).step_by(4) {
        task.abort();
    }
    // One permit for each that waits, or will.
    for _ in 0..many {
        notify.notify_one();
        notify.notify_waiters();
        if random.one_in(64) {
            yield_now().await;
        }
    }
    let mut aborted = 0;
    for (number, task) in tasks.into_iter().enumerate() {
        while !task.is_finished() && number % 4 == 2 {
            notify.notify_one();
            yield_now().await;
        }
        match task.await {
            Ok(value) => assert_eq!(value, number),
            Err(error) => {
                assert!(error.is_cancelled(), "{error}");
                aborted += 1;
            }
        }
    }
    assert_eq!(drops.load(Relaxed), many, "a future was not dropped, or twice");
    // A set that is dropped with its tasks, and one that is joined.
    for joined in [false, true] {
        let mut set = JoinSet::new();
        for _ in 0..random.below(100) {
            let pause = random.micros(1000);
            set.spawn(async move { sleep(pause).await });
        }
        count(&counts.tasks, set.len());
        while joined && set.join_next().await.is_some() {}
    }
    count(&counts.tasks, many);
    count(&counts.aborted, aborted);
}

/// Sleeps under timeouts of about the same length: whichever wins is not early.
async fn timeouts(counts: &Counts, random: &mut Random) {
    let mut set = JoinSet::new();
    let many = 1 + random.below(500);
    for _ in 0..many {
        let (limit, pause) = (random.micros(4000), random.micros(4000));
        set.spawn(async move {
            let begin = Instant::now();
            let least = match timeout(limit, sleep(pause)).await {
                Ok(()) => pause,
                Err(_) => limit,
            };
            assert!(begin.elapsed() >= least, "a timer was early");
        });
    }
    while let Some(result) = set.join_next().await {
        result.expect("no panic");
    }
    // Armed, moved and forgotten.
    for _ in 0..many {
        let mut forgotten = Box::pin(sleep(Duration::from_secs(3600)));
        assert!(filch_tests::poll_once(forgotten.as_mut()).await.is_pending());
        let pause = if random.one_in(2) { 1_000 } else { 7_200_000_000 };
        forgotten.as_mut().reset(Instant::now() + random.micros(pause));
    }
    count(&counts.timers, 3 * many);
}

/// Blocking jobs, some of them aborted before they could begin.
async fn jobs(counts: &Counts, random: &mut Random) {
    let many = 1 + random.below(50);
    let jobs: Vec<_> = (0..many)
        .map(|number| {
            let pause = random.micros(300);
            let job = spawn_blocking(move || {
                std::thread::sleep(pause);
                number
            });
            if random.one_in(4) {
                job.abort();
            }
            job
        })
        .collect();
    for (number, job) in jobs.into_iter().enumerate() {
        match job.await {
            Ok(value) => assert_eq!(value, number),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }
    count(&counts.jobs, many);
}

/// A runtime that begins, works and ends with work left.
async fn runtimes(counts: &Counts, random: &mut Random) {
    let workers = random.below(3);
    let job = spawn_blocking(move || {
        let runtime = match workers {
            0 => Builder::new_current_thread().build(),
            _ => Builder::new_multi_thread().worker_threads(workers).build(),
        };
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            for _ in 0..20 {
                filch::spawn(pending::<()>());
                filch::spawn(sleep(Duration::from_secs(3600)));
                filch::spawn(yield_now()).await.expect("no panic");
            }
            spawn_blocking(|| ()).await.expect("no panic");
        });
    });
    job.await.expect("no panic");
    count(&counts.runtimes, 1);
}
