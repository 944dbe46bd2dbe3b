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
//! While everybody sleeps the watcher does too. A worker that has left its park and found a task sets the alarm if it is not set
//! (the first one ever starts the thread); the watcher, before it lets the alarm be, looks once more whether somebody has just started:
//!
//! ```text
//! worker:   clear own idle bit;  fence;  alarm not set? -> set it
//! watcher:  mark alarm unset;    fence;  some idle bit clear? -> set it
//! ```

use crate::alarm::Alarm;
use crate::scheduler::shared::Shared;
use crate::shim::{Bug, seeded};

/// What the watcher remembers from look to look.
#[derive(Debug)]
pub(crate) struct Watcher {
    seen: Vec<Seen>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    beat: usize,
    turns: usize,
    /// The worker was running at the last look.
    running: bool,
}

impl Watcher {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            seen: vec![Seen::default(); workers],
        }
    }

    /// The thread of the watcher.
    pub(crate) fn run(mut self, shared: &Shared, alarm: &Alarm) {
        loop {
            alarm.wait();
            if shared.is_over() {
                return;
            }
            if self.look(shared) {
                shared.watch.set_alarm();
            } else {
                shared.watch.rest(|| shared.has_running_worker());
            }
        }
    }

    /// One look at every worker. True if any of them runs.
    pub(crate) fn look(&mut self, shared: &Shared) -> bool {
        let mut anyone_runs = false;
        let mut trouble = false;
        for (index, (remote, seen)) in shared.workers.iter().zip(&mut self.seen).enumerate() {
            if shared.idle.is_parked(index) || !shared.gate.admits(index) {
                seen.running = false;
                continue;
            }
            anyone_runs = true;
            let now = Seen {
                beat: remote.pulse.count(),
                turns: remote.counters.turns.get(),
                running: true,
            };
            let before = std::mem::replace(seen, now);
            if !before.running {
                continue;
            }
            if now.beat % 2 == 1 && now.beat == before.beat {
                if shared.waits_for(index) {
                    trouble = true;
                    remote.pulse.call_help();
                }
            } else if now.turns == before.turns {
                remote.pulse.call_driver();
            }
        }
        shared.watch.set_trouble(trouble);
        if trouble && !seeded(Bug::WatcherWakesNobody) {
            // Its fence stands between the flags and the look at the sleepers.
            shared.wake_one(shared.idle.notify());
        }
        anyone_runs
    }
}
