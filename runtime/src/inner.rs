//! The parts of a runtime, as its handles share them.

use crate::blocking::BlockingPool;
use crate::calls::Calls;
use crate::debug::main_future::{Main, watched};
use crate::debug::monitor::Monitor;
use crate::scheduler::lane::Line;
use crate::scheduler::shared::Shared;
use crate::scheduler::simulation::Simulation;
use crate::scheduler::solo::Solo;
use crate::scope::reason::{Reason, ReasonKind};
use crate::shim::Mutex;
use crate::stillness::Stillness;
use crate::stop::Stop;
use crate::task::cold::Cold;
use filch_timer::Clock;
use std::panic::Location;
use std::sync::{Arc, Weak};

/// The parts of a runtime.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) blocking: Arc<BlockingPool>,
    /// Name resolution has threads of its own: jobs of the program cannot starve it.
    pub(crate) resolver: Arc<BlockingPool>,
    pub(crate) io: filch_io::Handle,
    pub(crate) timer: filch_timer::Handle,
    pub(crate) clock: Clock,
    /// The lanes that there are, and some that were.
    pub(crate) lanes: Mutex<Vec<Weak<Line>>>,
    pub(crate) calls: Arc<Calls>,
    /// In a multi_thread runtime whose clock can be paused.
    pub(crate) stillness: Option<Arc<Stillness>>,
    pub(crate) multi_thread: bool,
    pub(crate) stop: Stop,
    /// In debug mode.
    pub(crate) debug: Option<Arc<Monitor>>,
    /// Only in a current_thread runtime.
    pub(crate) solo: Option<Solo>,
    /// Only in a deterministic runtime, of either flavor.
    pub(crate) sim: Option<Simulation>,
}

impl Inner {
    /// The cold part of a task that is spawned: in debug mode there is one.
    #[inline]
    pub(crate) fn watch(&self, cold: Option<Box<Cold>>) -> Option<Box<Cold>> {
        match &self.debug {
            None => cold,
            Some(monitor) => monitor.watch(cold),
        }
    }

    /// The future of a `block_on` at `place`.
    pub(crate) fn watch_main<F>(&self, future: F, place: &'static Location<'static>) -> Main<F> {
        watched(self.debug.as_ref().map(|monitor| monitor.main(place)), future)
    }

    /// Lets no further task in, and cancels those that are there: those of lanes first, whose drivers go on as long as they have tasks.
    pub(crate) fn end_tasks(&self, location: &'static Location<'static>) {
        let reason = Reason::new(ReasonKind::Shutdown, None, None, location);
        // Before the lanes are looked at: a lane that is made from here on finds no driver, and refuses its tasks.
        let tasks = self.shared.lock_up();
        let lanes: Vec<_> = self.lanes.lock().iter().filter_map(Weak::upgrade).collect();
        let drivers = lanes.iter().filter_map(|line| line.end(&reason)).collect();
        self.shared.end(&tasks, &reason, &drivers);
    }
}
