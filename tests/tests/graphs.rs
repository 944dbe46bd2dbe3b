//! Random programs under random schedules: each seed makes a tree of tasks that spawn, sleep, yield, send, block and abort, and the order in
//! which all that happens. Every leaf is counted once, and the sum is that of a function which computes it without any tasks.

use filch::runtime::Builder;
use filch::sim::Slack;
use filch::sync::mpsc;
use filch::task::{JoinSet, spawn_blocking, yield_now};
use filch::time::{Duration, sleep, timeout};
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Leaves = Arc<AtomicUsize>;

/// A program.
#[derive(Debug, Clone)]
enum Node {
    Leaf(u64),
    Yield(u64, Box<Node>),
    Sleep(u64, Box<Node>),
    Block(u64),
    /// Tasks that are joined in order.
    Join(Vec<Node>),
    /// Tasks of a set, joined as they end.
    Set(Vec<Node>),
    /// Tasks that send what they make into one narrow channel.
    Channel(Vec<Node>),
    /// A task that would wait for ever beside one that ends: aborted by hand, by the drop of its set, or by a timeout.
    Hopeless(u64, Box<Node>),
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn node(&mut self, depth: u64) -> Node {
        let kinds = if depth == 0 { 2 } else { 8 };
        let kind = self.below(kinds);
        let value = self.below(100);
        match kind {
            0 => Node::Leaf(value),
            1 => Node::Block(value),
            2 => Node::Yield(value % 4, self.boxed(depth)),
            3 => Node::Sleep(value % 20, self.boxed(depth)),
            4 => Node::Join(self.nodes(depth)),
            5 => Node::Set(self.nodes(depth)),
            6 => Node::Channel(self.nodes(depth)),
            _ => Node::Hopeless(value, self.boxed(depth)),
        }
    }

    fn boxed(&mut self, depth: u64) -> Box<Node> {
        Box::new(self.node(depth - 1))
    }

    fn nodes(&mut self, depth: u64) -> Vec<Node> {
        (0..=self.below(4)).map(|_| self.node(depth - 1)).collect()
    }
}

impl Node {
    /// The sum and the number of the leaves.
    fn expected(&self) -> (u64, usize) {
        match self {
            Node::Leaf(value) | Node::Block(value) => (*value, 1),
            Node::Yield(_, node) | Node::Sleep(_, node) | Node::Hopeless(_, node) => node.expected(),
            Node::Join(nodes) | Node::Set(nodes) | Node::Channel(nodes) => nodes
                .iter()
                .map(Node::expected)
                .fold((0, 0), |(sum, count), (more, leaves)| (sum + more, count + leaves)),
        }
    }

    /// The program, which adds each of its leaves to `leaves` and gives their sum.
    fn run(self, leaves: &Leaves) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        let leaves = leaves.clone();
        Box::pin(async move { self.run_here(&leaves).await })
    }

    async fn run_here(self, leaves: &Leaves) -> u64 {
        match self {
            Node::Leaf(value) => {
                leaves.fetch_add(1, Ordering::Relaxed);
                value
            }
            Node::Block(value) => {
                let leaves = leaves.clone();
                let job = spawn_blocking(move || {
                    leaves.fetch_add(1, Ordering::Relaxed);
                    value
                });
                job.await.unwrap()
            }
            Node::Yield(times, node) => {
                for _ in 0..times {
                    yield_now().await;
                }
                node.run(leaves).await
            }
            Node::Sleep(ms, node) => {
                sleep(Duration::from_millis(ms)).await;
                node.run(leaves).await
            }
            Node::Join(nodes) => {
                let tasks: Vec<_> = nodes.into_iter().map(|node| filch::spawn(node.run(leaves))).collect();
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.unwrap();
                }
                sum
            }
            Node::Set(nodes) => {
                let mut set = JoinSet::new();
                for node in nodes {
                    set.spawn(node.run(leaves));
                }
                let mut sum = 0;
                while let Some(value) = set.join_next().await {
                    sum += value.unwrap();
                }
                sum
            }
            Node::Channel(nodes) => {
                let (sender, mut receiver) = mpsc::channel(1);
                for node in nodes {
                    let (sender, node) = (sender.clone(), node.run(leaves));
                    filch::spawn(async move { sender.send(node.await).await.unwrap() });
                }
                drop(sender);
                let mut sum = 0;
                while let Some(value) = receiver.recv().await {
                    sum += value;
                }
                sum
            }
            Node::Hopeless(how, node) => {
                let node = filch::spawn(node.run(leaves));
                match how % 3 {
                    0 => {
                        let hopeless = filch::spawn(pending::<()>());
                        yield_now().await;
                        hopeless.abort();
                        assert!(hopeless.await.unwrap_err().is_cancelled());
                    }
                    1 => {
                        let mut set = JoinSet::new();
                        set.spawn(pending::<()>());
                        yield_now().await;
                    }
                    _ => assert!(timeout(Duration::from_millis(how), pending::<()>()).await.is_err()),
                }
                node.await.unwrap()
            }
        }
    }
}

fn check(seed: u64) -> u64 {
    let mut random = Random(seed);
    let program = random.node(5);
    let (sum, leaves) = program.expected();
    let slack = Slack::default()
        .late_timers(Duration::from_millis(random.below(5)))
        .spurious_wakes(random.below(3) as f64 / 10.0)
        .steals(random.below(11) as f64 / 10.0);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1 + random.below(4) as usize)
        .deterministic(seed)
        .slack(slack)
        .build()
        .unwrap();
    let counted = Leaves::default();
    let came = runtime.block_on(program.run(&counted));
    assert_eq!(came, sum, "seed {seed}");
    assert_eq!(counted.load(Ordering::Relaxed), leaves, "seed {seed}");
    let sim = runtime.handle().sim().unwrap();
    assert!(sim.is_deterministic());
    // What is left has been aborted or has lost its future; it ends with the runtime.
    let trace = sim.trace();
    drop(runtime);
    assert!(sim.waiting().is_empty(), "seed {seed}: {:?}", sim.waiting());
    trace
}

#[test]
fn random_programs_under_random_schedules() {
    for seed in 0..1_000 {
        check(seed);
    }
}

#[test]
fn they_repeat_themselves() {
    for seed in 0..100 {
        assert_eq!(check(seed), check(seed), "seed {seed}");
    }
}
