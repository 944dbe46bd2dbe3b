//! The threads of a runtime's workers: those that it starts with, and those that take over.
//!
//! A worker is a [`Core`], whichever thread has it. Each starts on a thread of its own. From there on two things may happen: the
//! thread blocks in a poll and says so, then another one takes over its core; or the watcher finds all workers stuck, then a thread
//! takes over as a spare, with a core that rested until then. These threads come from a pool, and go back to it: when the poll is over whose core
//! was given away, or when a spare finds nothing more to do.

use crate::blocking::{After, BlockingPool};
use crate::driver::wake_all;
use crate::handle::{self, Driving, Handle};
use crate::inner::Inner;
use crate::scheduler::shared::Shared;
use crate::scheduler::watch::Duty;
use crate::scheduler::watcher::Watcher;
use crate::scheduler::worker::{Away, Context, Core, Relief};
use crate::settings::Settings;
use crate::shim::{Bug, Condvar, Mutex, ThreadHandle, seeded};
use std::io;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// How many spares a runtime has: as many as workers, and one that is kept for what reactors and timers wake.
pub(crate) fn spares(settings: &Settings) -> usize {
    match settings.multi_thread && settings.deterministic.is_none() {
        true => settings.workers + 1,
        false => 0,
    }
}

/// The threads that a multi_thread runtime starts with, and the way to the others.
pub(crate) struct Workers {
    threads: Vec<ThreadHandle>,
    staff: Arc<Staff>,
}

struct Staff {
    runtime: Weak<Inner>,
    /// The threads that take over.
    pool: Arc<BlockingPool>,
    /// The cores of the spares that no thread has.
    #[allow(clippy::vec_box, reason = "as below")]
    resting: Mutex<Vec<Box<Core>>>,
    /// So many more threads may give their core away and block: those of the spares are not for them.
    places: Arc<Mutex<usize>>,
    /// Threads that run a core, or are in the last poll of one that another thread has now.
    left: Mutex<usize>,
    over: Condvar,
}

impl Workers {
    /// Starts the workers, and gets the watcher ready. If one cannot be started, the error says so, and those that were are to be joined.
    #[allow(clippy::vec_box, reason = "a core is one box all its life, whoever owns it")]
    pub(crate) fn start(handle: &Handle, settings: &Settings, mut cores: Vec<Box<Core>>) -> (Self, io::Result<()>) {
        let shared = &handle.inner().shared;
        let resting = cores.split_off(shared.regular().len());
        let staff = Arc::new(Staff {
            runtime: Arc::downgrade(handle.inner()),
            pool: BlockingPool::new(
                settings.threads.clone(),
                // A thread for each core, and one for each that has given its own away.
                (cores.len() + resting.len()).saturating_add(settings.max_blocking_threads),
                settings.keep_alive,
            ),
            resting: Mutex::new(resting),
            places: Arc::new(Mutex::new(settings.max_blocking_threads)),
            left: Mutex::new(cores.len()),
            over: Condvar::new(),
        });
        staff.install_watcher(shared, settings);
        let mut workers = Self {
            threads: Vec::new(),
            staff,
        };
        let started = workers.start_threads(handle, settings, cores);
        (workers, started)
    }

    #[allow(clippy::vec_box, reason = "as above")]
    fn start_threads(&mut self, handle: &Handle, settings: &Settings, cores: Vec<Box<Core>>) -> io::Result<()> {
        let mut missing = cores.len();
        let mut started = Ok(());
        for core in cores {
            let (handle, leaving) = (handle.clone(), handle.clone());
            let (staff, end) = (self.staff.clone(), self.staff.clone());
            let run = move || staff.work(&handle, core);
            let last = move || end.leave(1, &leaving.inner().shared);
            match settings.threads.spawn(run, last) {
                Ok(thread) => {
                    self.threads.push(thread);
                    missing -= 1;
                }
                Err(error) => started = Err(error),
            }
        }
        self.staff.leave(missing, &handle.inner().shared);
        started
    }

    /// How the watcher puts a spare to work.
    pub(crate) fn call_spares(&self) -> impl Fn(usize) + Send + use<> {
        self.staff.call_spares()
    }

    /// Waits for the threads until `deadline` (`None`: for ever). True if they are gone.
    pub(crate) fn join(self, deadline: Option<Instant>) -> bool {
        let staff = &self.staff;
        let mut left = staff.left.lock();
        while *left > 0 {
            match deadline {
                None => left = staff.over.wait(left),
                Some(deadline) => {
                    let rest = deadline.saturating_duration_since(Instant::now());
                    if rest.is_zero() {
                        return false;
                    }
                    left = staff.over.wait_timeout(left, rest).0;
                }
            }
        }
        drop(left);
        for thread in self.threads {
            // Tasks' and hooks' panics are caught on the thread.
            let _ = thread.join();
        }
        let is_over = staff.pool.shutdown(deadline);
        if let Some(inner) = staff.runtime.upgrade() {
            inner.shared.watch.join();
        }
        is_over
    }
}

impl Staff {
    fn install_watcher(self: &Arc<Self>, shared: &Arc<Shared>, settings: &Settings) {
        let (call, watched) = (self.call_spares(), Arc::downgrade(shared));
        let threads = settings.watcher_threads();
        shared.watch.install(Box::new(move |alarm| {
            let watched = watched
                .upgrade()
                .ok_or_else(|| io::Error::other("the runtime is gone"))?;
            let (watcher, call) = (Watcher::new(&watched), call.clone());
            threads.spawn(move || watcher.run(&watched, &alarm, call), || ())
        }));
    }

    fn call_spares(self: &Arc<Self>) -> impl Fn(usize) + Clone + Send + use<> {
        let staff = Arc::downgrade(self);
        move |spare| {
            if let Some(staff) = staff.upgrade() {
                staff.call(spare);
            }
        }
    }

    /// Runs a core on this thread.
    fn work(self: &Arc<Self>, handle: &Handle, core: Box<Core>) {
        let shared = &handle.inner().shared;
        let (index, size) = (core.index(), shared.regular().len());
        let driving = Driving::new("a worker", Some(handle.enter_worker(index % size)));
        let context = Context::new(shared.clone(), core).with_relief(self.clone());
        match index < size {
            true => context.enter(Context::run),
            false => context.enter(Context::run_spare),
        }
        drop(driving);
        // A worker's core comes back when the runtime is over; and it does not, if another thread has it now.
        if let Some(core) = context.into_core().filter(|_| index >= size) {
            self.rest(shared, core);
        }
    }

    /// Finds a thread for a core. Gives it back if there is none.
    fn hire(self: &Arc<Self>, handle: Handle, core: Box<Core>, after: After) -> Result<(), Box<Core>> {
        {
            let mut left = self.left.lock();
            if *left == 0 {
                return Err(core);
            }
            *left += 1;
        }
        let shared = handle.inner().shared.clone();
        let place = Arc::new(Mutex::new(Some(core)));
        let (staff, taken) = (self.clone(), place.clone());
        let job = move || {
            let core = taken.lock().take();
            if let Some(core) = core {
                staff.work(&handle, core);
            }
            staff.leave(1, &handle.inner().shared);
        };
        self.pool.spawn_now(job, after, Location::caller()).map_err(|_| {
            self.leave(1, &shared);
            place.lock().take().expect("nobody has taken the job")
        })
    }

    /// A spare's core is put aside.
    fn rest(&self, shared: &Shared, core: Box<Core>) {
        let index = core.index();
        self.resting.lock().push(core);
        shared.workers[index].pulse.set_duty(Duty::Rests);
        shared.gate.leave();
    }

    /// Puts the spare with this index to work. Only the watcher. If it cannot be, the next look may ask again.
    fn call(self: &Arc<Self>, index: usize) {
        let Some(inner) = self.runtime.upgrade() else { return };
        let shared = inner.shared.clone();
        if !shared.gate.enter_spare() {
            return;
        }
        let core = {
            let mut resting = self.resting.lock();
            let place = resting.iter().position(|core| core.index() == index);
            place.map(|place| resting.swap_remove(place))
        };
        let Some(core) = core else {
            shared.gate.leave();
            return;
        };
        if !seeded(Bug::CalledLate) {
            shared.call_spare(index);
        }
        let handle = Handle::new(inner);
        let hold = handle::hold(&handle);
        match self.hire(handle, core, hold) {
            Ok(()) => shared.spare_calls.bump(),
            Err(_) if seeded(Bug::RefusedForgotten) => {}
            Err(core) => self.rest(&shared, core),
        }
        if seeded(Bug::CalledLate) {
            shared.call_spare(index);
        }
    }

    /// Some threads are through, or will never come. The last one closes the house.
    fn leave(&self, workers: usize, shared: &Shared) {
        let last = {
            let mut left = self.left.lock();
            *left -= workers;
            *left == 0 && workers > 0
        };
        if last {
            let mut ready = Vec::new();
            for remote in shared.regular() {
                remote.driver.shutdown(&mut ready);
            }
            wake_all(&mut ready);
            shared.watch.close();
            // Waits for nobody: this may be a thread of the pool.
            self.pool.shutdown(Some(Instant::now()));
            self.over.notify_all();
        }
    }
}

impl Relief for Staff {
    fn relieve(self: Arc<Self>, core: Box<Core>) -> Result<Away, Box<Core>> {
        let Some(inner) = self.runtime.upgrade() else {
            return Err(core);
        };
        let Some(place) = Place::take(&self.places) else {
            return Err(core);
        };
        let handle = Handle::new(inner);
        let hold = handle::hold(&handle);
        self.hire(handle, core, None)
            .map(|()| Some(Box::new((hold, place)) as Box<dyn Send>))
    }
}

/// A thread's right to block without a core.
struct Place(Arc<Mutex<usize>>);

impl Place {
    fn take(places: &Arc<Mutex<usize>>) -> Option<Self> {
        let mut left = places.lock();
        *left = left.checked_sub(1)?;
        Some(Self(places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.lock() += 1;
    }
}
