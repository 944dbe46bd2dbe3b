//! The whole scheduler with two workers over fake kernels: the callers of the queues, a shutdown, and the rescue of a stuck worker.

use super::harness::model;
use super::support::{Counts, Output, Socket, counted, outcome};
use crate::driver::Driver;
use crate::handle::park_on;
use crate::park::Parker;
use crate::scheduler::gate::ALL;
use crate::scheduler::shared::Shared;
use crate::scheduler::watch::Duty;
use crate::scheduler::watcher::Watcher;
use crate::scheduler::worker::{self, Context, Core, Tick};
use crate::task::JoinHandle;
use crate::task::raw::Plain;
use filch_io::{Interest, Kind, Ready, Registered};
use filch_timer::Clock;
use loom::thread;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context as TaskContext;
use std::time::Duration;

#[allow(clippy::vec_box, reason = "as the runtime makes them")]
fn house(workers: usize) -> (Arc<Shared>, Vec<Box<Core>>) {
    house_by(&Clock::new(), workers)
}

#[allow(clippy::vec_box, reason = "as the runtime makes them")]
fn house_by(clock: &Clock, workers: usize) -> (Arc<Shared>, Vec<Box<Core>>) {
    staffed(clock, workers, 0)
}

/// With so many spares, whose cores come last.
#[allow(clippy::vec_box, reason = "as the runtime makes them")]
fn staffed(clock: &Clock, workers: usize, spares: usize) -> (Arc<Shared>, Vec<Box<Core>>) {
    let drivers = (0..workers)
        .map(|_| Driver::new(clock).expect("a fake kernel"))
        .collect();
    let mut queues = Vec::new();
    let shared = Arc::new_cyclic(|pool| {
        let (shared, locals) = Shared::new(drivers, spares, pool, ALL);
        queues = locals;
        shared
    });
    let cores = queues
        .into_iter()
        .enumerate()
        .map(|(index, queue)| match index < workers {
            true => Core::new(index, queue),
            false => Core::spare(index, queue, index == workers + spares - 1),
        })
        .collect();
    (shared, cores)
}

fn ready(shared: &Arc<Shared>, counts: &Arc<Counts>) -> JoinHandle<Output> {
    worker::spawn(shared, Plain::new(counted(counts, |_| true), Location::caller()))
}

/// A worker's thread, for as long as the runtime is open.
fn run(shared: &Arc<Shared>, core: Box<Core>) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || Context::new(shared, core).enter(Context::run))
}

#[test]
fn a_task_from_outside_runs_or_is_cancelled() {
    model("a_task_from_outside_runs_or_is_cancelled", Some(2), || {
        let (shared, mut cores) = house(1);
        let counts = Counts::new();
        let worker = run(&shared, cores.remove(0));
        let handle = ready(&shared, &counts);
        shared.close();
        worker.join().expect("joined");
        let polled = counts.polls() == 1;
        assert_eq!(outcome(handle).is_ok(), polled);
        assert_eq!(counts.future_drops(), 1);
        assert_eq!(counts.output_drops(), usize::from(polled));
    });
}

#[test]
fn a_task_from_outside_is_not_slept_over() {
    model("a_task_from_outside_is_not_slept_over", Some(2), || {
        let (shared, mut cores) = house(1);
        let counts = Counts::new();
        let worker = run(&shared, cores.remove(0));
        let handle = ready(&shared, &counts);
        assert_eq!(park_on(pin!(handle), None).expect("a value").read(), 7);
        shared.close();
        worker.join().expect("joined");
    });
}

#[test]
fn a_thief_and_the_owner_run_each_task_once() {
    model("a_thief_and_the_owner_run_each_task_once", Some(2), || {
        let (shared, mut cores) = house(2);
        let counts = Counts::new();
        let thief = Context::new(shared.clone(), cores.pop().expect("a core"));
        let owner = Context::new(shared.clone(), cores.pop().expect("a core"));
        let handles: Vec<_> = owner.enter(|_| (0..3).map(|_| ready(&shared, &counts)).collect());
        shared.workers[0].stealer.refuse(1);
        let other = thread::spawn({
            let counts = counts.clone();
            move || {
                let found = thief.enter(Context::tick);
                assert!(
                    found == Tick::Ran || counts.polls() > 0,
                    "a thief gave up although there was work"
                );
                while thief.enter(Context::tick) == Tick::Ran {}
                thief
            }
        });
        while owner.enter(Context::tick) == Tick::Ran {}
        let thief = other.join().expect("joined");
        while thief.enter(Context::tick) == Tick::Ran {}
        while owner.enter(Context::tick) == Tick::Ran {}
        assert_eq!(counts.polls(), 3, "a task was lost or run twice");
        assert!(handles.iter().all(JoinHandle::is_finished));
    });
}

/// A task in the slot of worker 0.
fn into_slot(shared: &Arc<Shared>, _: &Context, counts: &Arc<Counts>) -> JoinHandle<Output> {
    let handle = ready(shared, counts);
    let slot = &shared.workers[0].slot;
    assert!(shared.inbox.take(0, 1, |task| assert!(slot.replace(task).is_none())));
    handle
}

/// Worker 0 is in a poll that does not end: its beat is odd. What waits for it is run by worker 1, which may be asleep or about to be,
/// once the watcher has looked twice.
fn rescued(
    name: &str,
    clock: fn() -> Clock,
    put: impl Fn(&Arc<Shared>, &Context, &Arc<Counts>) -> JoinHandle<Output> + Send + Sync + 'static,
) {
    model(name, Some(3), move || {
        let (shared, mut cores) = house_by(&clock(), 2);
        let counts = Counts::new();
        let free = Context::new(shared.clone(), cores.pop().expect("a core"));
        let stuck = Context::new(shared.clone(), cores.pop().expect("a core"));
        let handle = put(&shared, &stuck, &counts);
        shared.workers[0].pulse.beat();
        // The first look only notes the beat.
        let mut watcher = Watcher::new(&shared);
        assert!(watcher.look(&shared).anyone_runs);
        let worker = thread::spawn(move || {
            free.enter(|free| {
                // A rescue that does not come is a park that does not end.
                // It sleeps, or is about to: what it finds when it looks first is not the point here.
                free.park(|| false);
                while free.tick() == Tick::Idle {
                    free.park(|| false);
                }
            });
        });
        assert!(watcher.look(&shared).anyone_runs);
        worker.join().expect("joined");
        assert_eq!(outcome(handle).expect("a value").read(), 7);
        assert_eq!(counts.future_drops(), 1);
        assert!(shared.workers[1].counters.rescues.get() > 0);
    });
}

#[test]
fn the_slot_of_a_stuck_worker_is_served() {
    rescued("the_slot_of_a_stuck_worker_is_served", Clock::new, into_slot);
}

#[test]
fn the_queue_of_a_stuck_worker_is_served() {
    let put = |shared: &_, stuck: &Context, counts: &_| stuck.enter(|_| ready(shared, counts));
    rescued("the_queue_of_a_stuck_worker_is_served", Clock::new, put);
}

/// A task on worker 0 that has been polled and waits.
fn waiting(
    shared: &Arc<Shared>,
    stuck: &Context,
    counts: &Arc<Counts>,
    poll: impl FnMut(&mut TaskContext<'_>) -> bool + 'static,
) -> JoinHandle<Output> {
    stuck.enter(|stuck| {
        let handle = worker::spawn(shared, Plain::new(counted(counts, poll), Location::caller()));
        assert_eq!(stuck.tick(), Tick::Ran);
        assert!(!handle.is_finished());
        handle
    })
}

#[test]
fn the_socket_of_a_stuck_worker_is_served() {
    rescued(
        "the_socket_of_a_stuck_worker_is_served",
        Clock::new,
        |shared, stuck, counts| {
            let reactor = shared.workers[0].driver.reactor().clone();
            let inside = filch_io::Handle::new(vec![reactor], filch_io::Hooks::default()).enter();
            let io = Registered::new(Socket(None), Interest::READABLE, Kind::Other).expect("an open reactor");
            drop(inside);
            let line = io.get_ref().0.clone().expect("it is registered");
            let handle = waiting(shared, stuck, counts, move |cx| io.poll_read_ready(cx).is_ready());
            line.edge(Ready::READABLE);
            handle
        },
    );
}

#[test]
fn the_timer_of_a_stuck_worker_is_served() {
    let paused = || {
        let clock = Clock::pausable();
        clock.pause();
        clock
    };
    rescued(
        "the_timer_of_a_stuck_worker_is_served",
        paused,
        |shared, stuck, counts| {
            let timers = shared.workers[0].driver.timers().clone();
            let clock = timers.clock().clone();
            let inside = filch_timer::Handle::new(clock.clone(), vec![timers], filch_timer::Hooks::default()).enter();
            let mut sleep = Box::pin(filch_timer::sleep(Duration::from_secs(1)));
            drop(inside);
            let handle = waiting(shared, stuck, counts, move |cx| sleep.as_mut().poll(cx).is_ready());
            clock.advance(Duration::from_secs(1));
            handle
        },
    );
}

/// The owner comes back from its long poll while all that it has is taken from it, and a task from outside comes in.
#[test]
fn owner_and_rescuer_run_each_task_once() {
    model("owner_and_rescuer_run_each_task_once", Some(2), || {
        let (shared, mut cores) = house(2);
        let counts = Counts::new();
        let free = Context::new(shared.clone(), cores.pop().expect("a core"));
        let owner = Context::new(shared.clone(), cores.pop().expect("a core"));
        let mut handles = vec![into_slot(&shared, &owner, &counts)];
        handles.extend(owner.enter(|_| (0..2).map(|_| ready(&shared, &counts)).collect::<Vec<_>>()));
        shared.workers[0].pulse.beat();
        let mut watcher = Watcher::new(&shared);
        assert!(watcher.look(&shared).anyone_runs && watcher.look(&shared).anyone_runs);
        handles.push(ready(&shared, &counts));
        let rescuer = thread::spawn(move || {
            while free.enter(Context::tick) == Tick::Ran {}
            free
        });
        shared.workers[0].pulse.beat();
        while owner.enter(Context::tick) == Tick::Ran {}
        let free = rescuer.join().expect("joined");
        while free.enter(Context::tick) == Tick::Ran {}
        while owner.enter(Context::tick) == Tick::Ran {}
        assert_eq!(counts.polls(), 4, "a task was lost or run twice");
        assert!(handles.iter().all(JoinHandle::is_finished));
    });
}

/// One victim always answers `Retry`: the thief goes on to the other.
#[test]
fn a_retry_moves_on_to_the_next_victim() {
    model("a_retry_moves_on_to_the_next_victim", Some(2), || {
        let (shared, mut cores) = house(3);
        let counts = Counts::new();
        let thief = Context::new(shared.clone(), cores.pop().expect("a core"));
        let victim = Context::new(shared.clone(), cores.pop().expect("a core"));
        let unlucky = Context::new(shared.clone(), cores.pop().expect("a core"));
        let mut handles: Vec<_> = victim.enter(|_| (0..3).map(|_| ready(&shared, &counts)).collect());
        handles.extend(unlucky.enter(|_| (0..2).map(|_| ready(&shared, &counts)).collect::<Vec<_>>()));
        shared.workers[0].stealer.refuse(usize::MAX);
        let other = thread::spawn(move || {
            // The victim runs one of its three, so two are left in any case.
            assert_eq!(thief.enter(Context::tick), Tick::Ran, "a thief stopped at a `Retry`");
            thief
        });
        assert_eq!(victim.enter(Context::tick), Tick::Ran);
        let thief = other.join().expect("joined");
        for context in [&victim, &thief, &unlucky] {
            while context.enter(Context::tick) == Tick::Ran {}
        }
        assert_eq!(counts.polls(), 5, "a task was lost or run twice");
        assert!(handles.iter().all(JoinHandle::is_finished));
    });
}

/// A thief that always meets `Retry` comes to an end, holds no token for ever, and sleeps over nothing that is announced.
#[test]
fn a_thief_that_is_always_refused_ends_its_search() {
    model("a_thief_that_is_always_refused_ends_its_search", Some(3), || {
        let (shared, mut cores) = house(2);
        let counts = Counts::new();
        let thief = Context::new(shared.clone(), cores.pop().expect("a core"));
        let owner = Context::new(shared.clone(), cores.pop().expect("a core"));
        let mut handles: Vec<_> = owner.enter(|_| (0..2).map(|_| ready(&shared, &counts)).collect());
        shared.workers[0].stealer.refuse(usize::MAX);
        let outside = thread::spawn({
            let (shared, counts) = (shared.clone(), counts.clone());
            move || ready(&shared, &counts)
        });
        // Asleep until the task from outside comes: nothing else is there for it.
        thief.enter(|thief| {
            while thief.tick() == Tick::Idle {
                thief.park(|| false);
            }
        });
        handles.push(outside.join().expect("joined"));
        while owner.enter(Context::tick) == Tick::Ran {}
        assert_eq!(counts.polls(), 3, "a task was lost or run twice");
        assert!(handles.iter().all(JoinHandle::is_finished));
    });
}

/// The only worker is stuck, a spare is called, and is sent home while it polls: what that task has spawned is the worker's to run, who is back, and may be
/// asleep by then.
#[test]
fn a_spare_that_is_sent_home_leaves_nothing_behind() {
    model("a_spare_that_is_sent_home_leaves_nothing_behind", Some(2), || {
        let (shared, mut cores) = staffed(&Clock::new(), 1, 2);
        let counts = Counts::new();
        drop(cores.pop());
        let spare = Context::new(shared.clone(), cores.pop().expect("a spare's core"));
        let owner = Context::new(shared.clone(), cores.pop().expect("a core"));
        let (house, polled) = (shared.clone(), counts.clone());
        let body = move |_: &mut TaskContext<'_>| {
            drop(ready(&house, &polled));
            house.workers[1].pulse.dismiss();
            true
        };
        let parent = counted(&Counts::new(), body);
        drop(worker::spawn(&shared, Plain::new(parent, Location::caller())));
        shared.workers[0].pulse.beat();
        let mut watcher = Watcher::new(&shared);
        assert_eq!(watcher.look(&shared).call, None);
        assert_eq!(watcher.look(&shared).call, Some(1));
        shared.call_spare(1);
        // It has its hands on the only task before the worker is back.
        let mut task = None;
        shared.inbox.take(0, 1, |found| task = Some(found));
        let task = task.expect("the task");
        let spare = thread::spawn(move || {
            spare.enter(|spare| {
                spare.run_task(task);
                spare.run_spare();
            });
            spare
        });
        shared.workers[0].pulse.beat();
        owner.enter(|owner| {
            // A child that is left in silence is a park that does not end.
            while counts.polls() == 0 {
                if owner.tick() == Tick::Idle {
                    owner.park(|| false);
                }
            }
        });
        drop(spare.join().expect("joined"));
        assert_eq!(counts.future_drops(), 1);
    });
}

/// The only worker comes back from a long poll while the watcher calls a spare, and sends it home: what is queued is polled once, and the spare rests at last.
#[test]
fn a_worker_comes_back_while_a_spare_is_called() {
    model("a_worker_comes_back_while_a_spare_is_called", Some(2), || {
        let (shared, mut cores) = staffed(&Clock::new(), 1, 2);
        let counts = Counts::new();
        drop(cores.pop());
        let spare = Context::new(shared.clone(), cores.pop().expect("a spare's core"));
        let owner = Context::new(shared.clone(), cores.pop().expect("a core"));
        let polled = Parker::new();
        let tells = polled.clone();
        let task = counted(&counts, move |_| {
            tells.unpark();
            true
        });
        let task = Plain::new(task, Location::caller());
        drop(owner.enter(|_| worker::spawn(&shared, task)));
        shared.workers[0].pulse.beat();
        let mut watcher = Watcher::new(&shared);
        assert_eq!(watcher.look(&shared).call, None);
        // Its thread goes on behind the poll.
        let worker = thread::spawn(move || owner.enter(Context::run));
        let spare = watcher.look(&shared).call.map(|index| {
            assert_eq!(index, 1);
            shared.call_spare(index);
            let shared = shared.clone();
            thread::spawn(move || {
                spare.enter(Context::run_spare);
                shared.workers[index].pulse.set_duty(Duty::Rests);
                spare
            })
        });
        // Sends it home, if the worker is seen to be back.
        watcher.look(&shared);
        // A task that nobody finds is a park that does not end.
        polled.park();
        loom::stop_exploring();
        shared.close();
        worker.join().expect("joined");
        drop(spare.map(|spare| spare.join().expect("joined")));
        loom::explore();
        assert_eq!(shared.workers[1].pulse.duty(), Duty::Rests, "the spare is lost");
        assert_eq!((counts.polls(), counts.future_drops()), (1, 1));
    });
}

/// A worker that announced its park and then found announced work goes on running: the watcher may have gone to rest meanwhile.
#[test]
fn a_worker_that_did_not_park_is_watched() {
    model("a_worker_that_did_not_park_is_watched", Some(3), || {
        let (shared, mut cores) = house(1);
        let counts = Counts::new();
        let context = Context::new(shared.clone(), cores.remove(0));
        // It runs, and the watcher knows.
        let first = ready(&shared, &counts);
        assert_eq!(context.enter(Context::tick), Tick::Ran);
        let second = ready(&shared, &counts);
        let worker = thread::spawn(move || {
            context.enter(|context| {
                context.park(|| false);
                assert_eq!(context.tick(), Tick::Ran);
            });
        });
        let mut watcher = Watcher::new(&shared);
        if !watcher.look(&shared).anyone_runs {
            shared.watch.rest(|| shared.has_running_worker());
        }
        worker.join().expect("joined");
        assert!(!shared.watch.arm(), "a worker runs and nobody will look at it");
        assert!(first.is_finished() && second.is_finished());
    });
}
