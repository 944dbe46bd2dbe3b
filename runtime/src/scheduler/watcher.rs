//! The watcher: a thread that looks, at most once a millisecond and only while some worker runs, whether a worker is stuck in a long
//! poll while work waits for it.
//!
//! A worker beats its [`Pulse`] at the begin and the end of each poll: a plain store in its own line. The watcher
//! keeps the time. A worker whose beat is odd and the same at two looks has been in one poll for a millisecond. If something waits in its
//! slot, its queue, its reactor or its timers, the watcher announces it as stuck: a flag, then the same election
//! of a sleeper as for a push from outside. Whoever is elected finds the flag in its search and serves the stuck
//! worker's things; a worker that is busy with short polls sees it at its next turn of the driver.
//!
//! A worker that polls briskly but did not come to turn its driver since the last look is asked to: so the bound
//! on that is in time as well as in polls, and no poll reads a clock.
//!
//! It also counts the polls from look to look; workers that park do so themselves. Where polls are short, two tasks in the queue are not yet a surplus, but as many as take 0.1 ms: to
//! wake another worker takes longer than to run a few, and tasks that wake each other get slower with each worker that they are spread over. If a long poll comes after all, the next
//! looks find it, and a look that finds fewer polls wakes another worker for what is queued.
//!
//! When every worker has been in one poll for [`STUCK`] looks and something is due, nobody is free to come. Then the watcher has a *spare* called: a thread
//! with a core of its own, that takes over what the stuck ones have queued, and serves their reactors and timers, until it finds nothing
//! more or a worker is free again. As long as the spares are stuck as well, one more is called every [`STUCK`] looks, as many as there are workers. The very last
//! one takes no queued tasks, only those that a reactor or a timer wakes, so that long computations cannot use up all threads.
//!
//! While everybody sleeps the watcher does too. A worker that has left its park and found a task sets the alarm if it is not set
//! (the first one ever starts the thread); the watcher, before it lets the alarm be, looks once more whether somebody has just started:
//!
//! ```text
//! worker:   clear own idle bit;  fence;  alarm not set? -> set it
//! watcher:  mark alarm unset;    fence;  some idle bit clear? -> set it
//! ```

use crate::alarm::Alarm;
use crate::scheduler::shared::Shared;
use crate::scheduler::watch::Duty;
use crate::shim::{Bug, LOOK, STUCK, seeded};

/// What the watcher remembers from look to look.
#[derive(Debug)]
pub(crate) struct Watcher {
    seen: Vec<Seen>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    beat: usize,
    turns: usize,
    parks: usize,
    /// The worker was running at the last look.
    running: bool,
    /// At so many looks in a row it was in the same poll.
    looks: u32,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Some worker runs: there will be another look.
    pub(crate) anyone_runs: bool,
    /// This spare is to be called.
    pub(crate) call: Option<usize>,
}

impl Watcher {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self {
            seen: vec![Seen::default(); shared.workers.len()],
        }
    }

    /// The thread of the watcher. `call` gives a spare a thread.
    pub(crate) fn run(mut self, shared: &Shared, alarm: &Alarm, call: impl Fn(usize)) {
        loop {
            alarm.wait();
            if shared.is_over() {
                return;
            }
            let look = self.look(shared);
            if let Some(spare) = look.call {
                call(spare);
            }
            if look.anyone_runs {
                shared.watch.set_alarm();
            } else {
                shared.watch.rest(|| shared.has_running_worker());
            }
        }
    }

    /// One look at every worker.
    pub(crate) fn look(&mut self, shared: &Shared) -> Look {
        let size = shared.regular().len();
        let mut anyone_runs = false;
        // A worker that parks, or is in another poll than at the last look.
        let mut worker_is_free = false;
        let mut all_are_stuck = true;
        let (mut trouble, mut last_is_due) = (false, false);
        // Somebody kept tasks to itself that turned out to take long.
        let mut kept = false;
        for (index, remote) in shared.in_use().iter().enumerate() {
            let seen = &mut self.seen[index];
            let is_spare = index >= size;
            let is_away = match is_spare {
                true => remote.pulse.duty() == Duty::Rests,
                false => shared.idle.is_parked(index) || !shared.gate.admits(index),
            };
            if is_away {
                seen.running = false;
                if is_spare {
                    // It never parks, and may be called for something else the next time.
                    remote.pulse.forget_pace();
                }
                if !is_spare && shared.gate.admits(index) {
                    (worker_is_free, all_are_stuck) = (true, false);
                }
                continue;
            }
            anyone_runs = true;
            let mut now = Seen {
                beat: remote.pulse.count(),
                turns: remote.counters.turns.get(),
                parks: remote.counters.parks.get(),
                running: true,
                looks: 0,
            };
            let before = *seen;
            // Who parked meanwhile has found out by itself how fast it is.
            let runs_on = before.running && now.parks == before.parks;
            if runs_on && remote.pulse.set_pace(now.beat.wrapping_sub(before.beat) / 2, LOOK) {
                kept |= remote.stealer.len() >= remote.pulse.surplus();
            }
            // A spare whose thread does not come is as good as stuck, and so is a worker that was given away to such a one: its beat stays odd.
            let polls = now.beat % 2 == 1 || remote.pulse.duty() == Duty::Called;
            if before.running && polls && now.beat == before.beat {
                now.looks = before.looks.saturating_add(1);
                if shared.waits_for(index) {
                    trouble = true;
                    // What is queued may have been woken by a reactor or a timer.
                    last_is_due |= !remote.stealer.is_empty() || !is_spare && remote.driver.is_due();
                    remote.pulse.call_help();
                }
            } else if before.running && now.turns == before.turns {
                remote.pulse.call_driver();
            }
            worker_is_free |= !is_spare && now.looks == 0;
            // The last spare takes nothing that is queued: that it is not stuck helps nobody else.
            all_are_stuck &= now.looks >= STUCK || is_spare && index == shared.workers.len() - 1;
            *seen = now;
        }
        shared.watch.set_trouble(trouble);
        if (trouble || kept) && !seeded(Bug::WatcherWakesNobody) {
            // Its fence stands between the flags and the look at the sleepers.
            shared.wake_one(shared.idle.notify());
        }
        if worker_is_free {
            shared.in_use()[size..].iter().for_each(|spare| spare.pulse.dismiss());
        }
        let call = match all_are_stuck && anyone_runs {
            true => choose(shared, trouble || !shared.inbox.is_empty(), last_is_due),
            false => None,
        };
        Look { anyone_runs, call }
    }
}

/// Which spare is to be called: the last one only if there may be something that a reactor or a timer woke.
fn choose(shared: &Shared, work_is_due: bool, last_is_due: bool) -> Option<usize> {
    let size = shared.regular().len();
    let last = shared.workers.len() - 1;
    let rests = |index: &usize| shared.workers[*index].pulse.duty() == Duty::Rests;
    match (size..last).find(rests) {
        Some(spare) => Some(spare).filter(|_| work_is_due),
        None => Some(last).filter(|last| last_is_due && *last >= size && rests(last)),
    }
}
