//! Random trees of groups, scopes, shields, clean-ups, deadlines, cancels, failures and drops, held against what must be true of each.
//!
//! The model is slow and plain: a link for every scope and group, with the number of bodies and clean-ups that live in it or below. When a scope or a group
//! is over, its number is 0; every body is dropped once, every clean-up runs to its end once; and where a tree by itself decides what comes of a part of it,
//! that is what comes. A part that is ended from around gives nothing, and so can give nothing wrong.
//!
//! `FILCH_TREES=n` tries n trees on the paused clock of runtimes with 1, 2, 4 and 8 workers (10,000), and a tenth as many seeds of the deterministic mode. `FILCH_TREE=seed` tries that one alone.

use filch::group::{Failure, Group, GroupError};
use filch::runtime::{Builder, Handle};
use filch::scope::Scope;
use filch::time::{sleep, timeout};
use filch::{scope, task};
use filch_tests::lock;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Trees on the paused clock, in all.
const TREES: u64 = 10_000;

/// Trees that grow in one runtime, side by side.
const GROVE: u64 = 50;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

// ---------------------------------------------------------------------------------------------------- trees

/// What a body does, in order.
#[derive(Debug)]
enum Step {
    Yield,
    Sleep(u64),
    /// A clean-up that takes so long, and has one of its own or not. Its guard lives as long as the body, or no time at all.
    Defer {
        takes: u64,
        nested: bool,
        at_once: bool,
    },
    Inside(Region),
    /// Dropped after so long.
    InsideFor(u64, Region),
    /// In the body of a group: the child, whose handle is awaited, aborted or dropped.
    Child(Arc<Child>),
    /// Of the innermost scope or group.
    Cancel,
    CancelLater(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scope,
    /// With a deadline that never comes, or that surely does.
    Never,
    Soon(u64),
    Group,
    Shield,
}

#[derive(Debug)]
struct Region {
    id: u64,
    kind: Kind,
    steps: Vec<Step>,
    /// At the end it waits for ever: it is surely cancelled.
    waits: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Value,
    Fail,
    Panic,
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Detached,
    Awaited,
    Aborted,
    Cancelled,
}

#[derive(Debug)]
struct Child {
    id: u64,
    steps: Vec<Step>,
    end: End,
    fate: Fate,
}

/// A generator of numbers.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

struct Gardener {
    random: Random,
    next: u64,
}

impl Gardener {
    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn region(&mut self, depth: u64) -> Region {
        let kind = match self.random.below(8) {
            0 | 1 => Kind::Scope,
            2 => Kind::Never,
            3 => Kind::Soon(self.random.below(8)),
            4 => Kind::Shield,
            _ => Kind::Group,
        };
        let id = self.id();
        let mut steps = self.steps(depth, kind == Kind::Group, kind != Kind::Shield);
        let ends = matches!(kind, Kind::Soon(_)) || steps.iter().any(ends_its_region);
        if !matches!(kind, Kind::Soon(_)) {
            steps.iter_mut().for_each(|step| spare(step, !ends));
        }
        Region {
            id,
            kind,
            steps,
            waits: ends && (matches!(kind, Kind::Soon(_)) || self.random.one_in(2)),
        }
    }

    fn steps(&mut self, depth: u64, group: bool, cancels: bool) -> Vec<Step> {
        let count = self.random.below(6) + 1 + u64::from(group);
        (0..count).map(|_| self.step(depth, group, cancels)).collect()
    }

    fn step(&mut self, depth: u64, group: bool, cancels: bool) -> Step {
        match self.random.below(16) {
            0 => Step::Yield,
            1 | 2 => Step::Sleep(self.random.below(6)),
            3..=5 => Step::Defer {
                takes: self.random.below(6),
                nested: self.random.one_in(4),
                at_once: self.random.one_in(3),
            },
            6 if cancels && self.random.one_in(2) => Step::Cancel,
            7 if cancels && self.random.one_in(2) => Step::CancelLater(self.random.below(8)),
            8 if depth > 0 => Step::InsideFor(self.random.below(8), self.region(depth - 1)),
            9..=11 if depth > 0 => Step::Inside(self.region(depth - 1)),
            12.. if group => Step::Child(Arc::new(self.child(depth.saturating_sub(1)))),
            _ => Step::Yield,
        }
    }

    fn child(&mut self, depth: u64) -> Child {
        let id = self.id();
        let steps = self.steps(depth, false, false);
        let end = match self.random.below(8) {
            0 => End::Fail,
            1 if self.random.one_in(2) => End::Panic,
            2 | 3 => End::Wait,
            _ => End::Value,
        };
        let fate = match self.random.below(8) {
            0 | 1 => Fate::Awaited,
            2 => Fate::Aborted,
            3 => Fate::Cancelled,
            _ => Fate::Detached,
        };
        Child { id, steps, end, fate }
    }
}

/// Whether the region is surely cancelled by itself, if nobody around is quicker.
fn ends_its_region(step: &Step) -> bool {
    match step {
        Step::Cancel | Step::CancelLater(_) => true,
        Step::Child(child) => {
            matches!(child.end, End::Fail | End::Panic) && matches!(child.fate, Fate::Detached | Fate::Awaited)
        }
        _ => false,
    }
}

/// Nobody waits for a child that waits for a cancel which comes behind it, or, with `all`, which never comes.
fn spare(step: &mut Step, all: bool) {
    if let Step::Child(child) = step {
        let ended = matches!(child.fate, Fate::Aborted | Fate::Cancelled);
        if child.end == End::Wait && !ended && (all || child.fate == Fate::Awaited) {
            Arc::get_mut(child).expect("nobody has it yet").end = End::Value;
        }
    }
}

// ---------------------------------------------------------------------------------------------------- the model

/// What must come of a region, if anything does.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// It ends well.
    Value,
    /// It is cancelled, and nothing in it fails.
    Nothing,
    /// It has failures, of these children alone.
    Failures(Vec<u64>),
    /// It is cancelled, or one of these fails before.
    NothingOr(Vec<u64>),
    /// It depends on who is quicker.
    Either,
}

fn due(region: &Region) -> Due {
    let failing = |sure: bool| {
        let fails = move |step: &Step| match step {
            Step::Child(child) if matches!(child.end, End::Fail | End::Panic) => {
                let undisturbed = matches!(child.fate, Fate::Detached | Fate::Awaited);
                (undisturbed || !sure).then_some(child.id)
            }
            _ => None,
        };
        region.steps.iter().filter_map(fails).collect::<Vec<_>>()
    };
    let cancels = |step: &Step| matches!(step, Step::Cancel | Step::CancelLater(_));
    let cancelled = matches!(region.kind, Kind::Soon(_)) || region.steps.iter().any(cancels);
    let (may, sure) = (failing(false), failing(true));
    match (cancelled, may.is_empty(), sure.is_empty()) {
        (false, true, _) => Due::Value,
        (false, false, false) => Due::Failures(may),
        (false, false, true) => Due::Either,
        (true, true, _) if region.waits => Due::Nothing,
        (true, false, _) if region.waits => Due::NothingOr(may),
        (true, ..) => Due::Either,
    }
}

/// What a region came to.
#[derive(Debug)]
enum Came {
    Value,
    Nothing,
    Failures(Vec<u64>),
}

fn judge(region: &Region, link: &Link, came: &Came) -> bool {
    let only = |who: &Vec<u64>, may: &Vec<u64>| !who.is_empty() && who.iter().all(|id| may.contains(id));
    match (due(region), came) {
        (Due::Value, Came::Value) | (Due::Nothing | Due::NothingOr(_), Came::Nothing) | (Due::Either, _) => true,
        (Due::Failures(may) | Due::NothingOr(may), Came::Failures(who)) => only(who, &may),
        // A child that would have failed was refused, and the body was done.
        (Due::Failures(_), Came::Value) => link.refused.load(Ordering::SeqCst),
        _ => false,
    }
}

/// The number of what lives in a scope and below.
struct Link {
    alive: AtomicUsize,
    /// A child came too late for its group, which was cancelled from around.
    refused: AtomicBool,
    /// What is in it may be dropped as it stands, by an abort or a timeout.
    droppable: bool,
    around: Option<Arc<Link>>,
}

impl Link {
    fn new(around: Option<&Arc<Link>>, droppable: bool) -> Arc<Self> {
        Arc::new(Self {
            alive: AtomicUsize::new(0),
            refused: AtomicBool::new(false),
            droppable: droppable || around.is_some_and(|around| around.droppable),
            around: around.cloned(),
        })
    }
}

/// Something that lives.
struct Alive {
    link: Arc<Link>,
    world: Arc<World>,
}

impl Alive {
    fn new(world: &Arc<World>, link: &Arc<Link>) -> Self {
        let alive = Self {
            link: link.clone(),
            world: world.clone(),
        };
        world.born.fetch_add(1, Ordering::SeqCst);
        alive.each(|link| link.alive.fetch_add(1, Ordering::SeqCst));
        alive
    }

    fn each(&self, change: impl Fn(&Link) -> usize) {
        let mut link = Some(&self.link);
        while let Some(here) = link {
            change(here);
            link = here.around.as_ref();
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.each(|link| link.alive.fetch_sub(1, Ordering::SeqCst));
        self.world.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// A clean-up, or what a shield holds, which must come to its end; or need not, if the flag is up.
struct Duty(Arc<World>, bool);

impl Duty {
    fn new(world: &Arc<World>) -> Self {
        world.duties.fetch_add(1, Ordering::SeqCst);
        Self(world.clone(), false)
    }

    fn done(mut self) {
        self.1 = true;
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if !self.1 {
            self.0.wrong(String::from(
                "a clean-up, or what a shield holds, was dropped before its end",
            ));
        }
        self.0.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// What was seen of a tree.
#[derive(Default)]
struct World {
    born: AtomicUsize,
    dropped: AtomicUsize,
    duties: AtomicUsize,
    done: AtomicUsize,
    wrongs: Mutex<Vec<String>>,
}

impl World {
    fn wrong(&self, what: String) {
        lock(&self.wrongs).push(what);
    }

    /// A scope is over.
    fn over(&self, what: &str, link: &Link) {
        let alive = link.alive.load(Ordering::SeqCst);
        if alive > 0 {
            self.wrong(format!("{what} is over, and {alive} still live in it"));
        }
    }
}

// ---------------------------------------------------------------------------------------------------- growing

#[derive(Debug)]
struct Failed(u64);

/// By which the innermost scope or group is cancelled.
#[derive(Clone)]
struct Axe(Scope);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

fn inside<'a>(world: &'a Arc<World>, around: &'a Arc<Link>, region: &'a Region, droppable: bool) -> Boxed<'a, ()> {
    Box::pin(async move {
        let link = Link::new(Some(around), droppable);
        let came = match region.kind {
            Kind::Shield => {
                let whole = Duty::new(world);
                let shielded = async {
                    // No cancel cuts it; a plain drop does.
                    let mut whole = whole;
                    whole.1 = link.droppable;
                    body(world, &link, region, None, None).await;
                    whole.done();
                };
                filch::shield(shielded).await;
                Some(())
            }
            Kind::Scope => scope(async |scope| body(world, &link, region, Some(Axe(scope.clone())), None).await).await,
            Kind::Never => {
                let hour = Duration::from_secs(3600);
                filch::move_on_after(hour, async |scope| {
                    body(world, &link, region, Some(Axe(scope.clone())), None).await;
                })
                .await
            }
            Kind::Soon(limit) => {
                filch::move_on_after(ms(limit), async |scope| {
                    body(world, &link, region, Some(Axe(scope.clone())), None).await;
                })
                .await
            }
            Kind::Group => return in_group(world, &link, region).await,
        };
        let came = came.map_or(Came::Nothing, |()| Came::Value);
        finish(world, &link, region, &came);
    })
}

async fn in_group(world: &Arc<World>, link: &Arc<Link>, region: &Region) {
    let outcome: Result<(), GroupError<Failed>> = filch::group(async |group| {
        body(world, link, region, Some(Axe(group.scope())), Some(group.clone())).await;
        Ok(())
    })
    .await;
    let came = match outcome {
        Ok(()) => Came::Value,
        Err(error) if error.is_cancelled() => Came::Nothing,
        Err(error) => {
            let of = |failure: Failure<Failed>| match failure {
                Failure::Error(Failed(id)) => id,
                Failure::Panic(panic) => *panic.into_payload().downcast::<u64>().expect("a child's number"),
            };
            Came::Failures(error.into_failures().into_iter().map(of).collect())
        }
    };
    finish(world, link, region, &came);
}

fn finish(world: &Arc<World>, link: &Link, region: &Region, came: &Came) {
    world.over(&format!("{:?} {}", region.kind, region.id), link);
    if !judge(region, link, came) {
        world.wrong(format!(
            "{:?} {} came to {came:?}, {:?} was due",
            region.kind,
            region.id,
            due(region)
        ));
    }
}

fn body<'a>(
    world: &'a Arc<World>,
    link: &'a Arc<Link>,
    region: &'a Region,
    axe: Option<Axe>,
    group: Option<Group<Failed>>,
) -> Boxed<'a, ()> {
    Box::pin(async move {
        let _alive = Alive::new(world, link);
        walk(world, link, &region.steps, axe.as_ref(), group.as_ref()).await;
        if region.waits {
            pending::<()>().await;
        }
    })
}

fn walk<'a>(
    world: &'a Arc<World>,
    link: &'a Arc<Link>,
    steps: &'a [Step],
    axe: Option<&'a Axe>,
    group: Option<&'a Group<Failed>>,
) -> Boxed<'a, ()> {
    Box::pin(async move {
        let mut guards = Vec::new();
        for step in steps {
            match step {
                Step::Yield => task::yield_now().await,
                Step::Sleep(n) => sleep(ms(*n)).await,
                Step::Defer { takes, nested, at_once } => {
                    let guard = filch::defer(clean_up(world, link, *takes, *nested));
                    match at_once {
                        true => drop(guard),
                        false => guards.push(guard),
                    }
                }
                Step::Inside(region) => inside(world, link, region, false).await,
                Step::InsideFor(n, region) => drop(timeout(ms(*n), inside(world, link, region, true)).await),
                Step::Child(child) => plant(world, link, child, group.expect("only groups have children")).await,
                Step::Cancel => drop(axe.map(|axe| axe.0.cancel())),
                Step::CancelLater(n) => {
                    if let Some(axe) = axe.cloned() {
                        let n = *n;
                        filch::spawn(async move {
                            sleep(ms(n)).await;
                            axe.0.cancel();
                        });
                    }
                }
            }
        }
    })
}

fn clean_up(world: &Arc<World>, link: &Arc<Link>, takes: u64, nested: bool) -> impl Future<Output = ()> + Send + use<> {
    let (world, link) = (world.clone(), link.clone());
    let (alive, duty) = (Alive::new(&world, &link), Duty::new(&world));
    async move {
        let alive = alive;
        let _inner = nested.then(|| filch::defer(clean_up_once(&world, &link)));
        match takes {
            0 => {}
            1 => task::yield_now().await,
            n => sleep(ms(n)).await,
        }
        duty.done();
        drop(alive);
    }
}

fn clean_up_once(world: &Arc<World>, link: &Arc<Link>) -> impl Future<Output = ()> + Send + use<> {
    let (alive, duty) = (Alive::new(world, link), Duty::new(world));
    async move {
        sleep(ms(1)).await;
        duty.done();
        drop(alive);
    }
}

/// The future of a child.
fn grow(world: Arc<World>, link: Arc<Link>, child: Arc<Child>) -> Boxed<'static, Result<(), Failed>> {
    let alive = Alive::new(&world, &link);
    Box::pin(async move {
        let _alive = alive;
        walk(&world, &link, &child.steps, None, None).await;
        match child.end {
            End::Value => Ok(()),
            End::Fail => Err(Failed(child.id)),
            End::Panic => std::panic::resume_unwind(Box::new(child.id)),
            End::Wait => pending().await,
        }
    })
}

async fn plant(world: &Arc<World>, link: &Arc<Link>, child: &Arc<Child>, group: &Group<Failed>) {
    if group.scope().is_cancelled() {
        link.refused.store(true, Ordering::SeqCst);
    }
    let link = Link::new(Some(link), child.fate == Fate::Aborted);
    let handle = group.spawn(grow(world.clone(), link, child.clone()));
    match child.fate {
        Fate::Detached => {}
        Fate::Aborted => handle.abort(),
        Fate::Cancelled => drop(handle.cancel()),
        Fate::Awaited => {
            let fits = match handle.await {
                Ok(()) => child.end == End::Value,
                Err(error) if error.is_failed() => matches!(child.end, End::Fail | End::Panic),
                Err(error) => error.is_cancelled(),
            };
            if !fits {
                world.wrong(format!(
                    "the handle of child {} says something else than {:?}",
                    child.id, child.end
                ));
            }
        }
    }
}

/// Grows the tree of a seed, and says what was wrong with it.
async fn tree(seed: u64) -> Vec<String> {
    let mut gardener = Gardener {
        random: Random::new(seed),
        next: 0,
    };
    let mut child = gardener.child(5);
    // At the top nobody hears of failures.
    child.end = match child.fate {
        Fate::Aborted | Fate::Cancelled => child.end,
        Fate::Detached | Fate::Awaited => End::Value,
    };
    let after = ms(gardener.random.below(10));
    let world = Arc::new(World::default());
    let link = Link::new(None, child.fate == Fate::Aborted);
    let child = Arc::new(child);
    let task = filch::spawn(grow(world.clone(), link.clone(), child.clone()));
    match child.fate {
        Fate::Detached | Fate::Awaited => {}
        Fate::Aborted => {
            sleep(after).await;
            task.abort();
        }
        Fate::Cancelled => {
            sleep(after).await;
            task.cancel();
        }
    }
    let fits = match (task.await, child.end) {
        (Ok(Ok(())), End::Value) | (Ok(Err(_)), End::Fail) => true,
        (Ok(_), _) => false,
        (Err(error), end) => match error.is_panic() {
            true => end == End::Panic,
            false => matches!(child.fate, Fate::Aborted | Fate::Cancelled),
        },
    };
    if !fits {
        world.wrong(format!("the task came to something else than {:?}", child.end));
    }
    world.over("the task", &link);
    let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    if count(&world.born) != count(&world.dropped) || count(&world.duties) != count(&world.done) {
        world.wrong(format!(
            "{} lives began and {} ended, of {} clean-ups and shields {} were",
            count(&world.born),
            count(&world.dropped),
            count(&world.duties),
            count(&world.done)
        ));
    }
    std::mem::take(&mut *lock(&world.wrongs))
}

/// Grows some trees side by side in this runtime, after which nothing is alive.
async fn grove(seeds: std::ops::Range<u64>) {
    let trees: Vec<_> = seeds.map(|seed| (seed, filch::spawn(tree(seed)))).collect();
    for (seed, tree) in trees {
        let wrongs = tree.await.expect("a tree's own checks");
        assert!(wrongs.is_empty(), "the tree of FILCH_TREE={seed}: {wrongs:#?}");
    }
    // Those who cancel late are detached.
    sleep(ms(100)).await;
    assert_eq!(
        Handle::current().metrics().num_alive_tasks(),
        0,
        "something is left over"
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The seeds to be tried, in groves.
fn seeds(share: u64) -> Vec<std::ops::Range<u64>> {
    if let Some(seed) = number("FILCH_TREE") {
        return std::iter::once(seed..seed + 1).collect();
    }
    let all = number("FILCH_TREES").unwrap_or(TREES) / share;
    (0..all.div_ceil(GROVE))
        .map(|grove| grove * GROVE..all.min((grove + 1) * GROVE))
        .collect()
}

#[test]
fn trees_on_a_paused_clock() {
    for (index, seeds) in seeds(1).into_iter().enumerate() {
        let workers = [1, 2, 4, 8][index % 4];
        let name = format!("{seeds:?} with {workers} workers");
        let grown = std::panic::catch_unwind(|| {
            filch_tests::within(move || {
                let mut builder = Builder::new_multi_thread();
                let runtime = builder.worker_threads(workers).start_paused(true).build().unwrap();
                runtime.block_on(grove(seeds));
            });
        });
        if let Err(payload) = grown {
            eprintln!("this happened in the grove {name}");
            std::panic::resume_unwind(payload);
        }
    }
}

#[test]
fn trees_in_the_deterministic_mode() {
    for seed in seeds(10).into_iter().flatten() {
        let grown = std::panic::catch_unwind(|| {
            filch_tests::within(move || {
                let mut builder = Builder::new_multi_thread();
                let runtime = builder.worker_threads(4).deterministic(seed).build().unwrap();
                runtime.block_on(grove(seed..seed + 1));
            });
        });
        if let Err(payload) = grown {
            eprintln!("this happened with FILCH_TREE={seed}");
            std::panic::resume_unwind(payload);
        }
    }
}

#[test]
fn trees_are_worth_the_while() {
    // The generator makes all that can come of a region, and all kinds of them.
    fn look(steps: &[Step], seen: &mut Vec<String>) {
        for step in steps {
            match step {
                Step::Inside(region) | Step::InsideFor(_, region) => {
                    let due = format!("{:?}", due(region));
                    let due = due.split('(').next().expect("a name");
                    let kind = format!("{:?}", region.kind);
                    seen.push(format!("{} {due}", kind.split('(').next().expect("a name")));
                    look(&region.steps, seen);
                }
                Step::Child(child) => {
                    seen.push(format!("{:?} {:?}", child.end, child.fate));
                    look(&child.steps, seen);
                }
                _ => {}
            }
        }
    }
    let mut seen = Vec::new();
    for seed in 0..2000 {
        let mut gardener = Gardener {
            random: Random::new(seed),
            next: 0,
        };
        look(&gardener.child(5).steps, &mut seen);
    }
    for due in ["Value", "Nothing", "Failures", "NothingOr", "Either"] {
        assert!(seen.contains(&format!("Group {due}")), "no group has to come to {due}");
    }
    for kind in [
        "Scope Value",
        "Scope Nothing",
        "Never Value",
        "Soon Nothing",
        "Shield Value",
    ] {
        assert!(seen.contains(&kind.to_string()), "{kind}");
    }
    for end in ["Value", "Fail", "Panic", "Wait"] {
        for fate in ["Detached", "Awaited", "Aborted", "Cancelled"] {
            // Nobody awaits a child that waits for its group's end.
            let never = (end, fate) == ("Wait", "Awaited");
            assert!(seen.contains(&format!("{end} {fate}")) != never, "{end} {fate}");
        }
    }
}
