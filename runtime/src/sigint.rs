//! Whose SIGINT is: what the process does at a Ctrl-C, now and later.
//!
//! The handler stays once it is there, so it has to do what the system would do, whenever nobody listens. What it does, in this order:
//!
//! 1. if the mark `fatal` is up: the signal's default action, which ends the process;
//! 2. for each runtime that listens: puts the mark up, and writes a byte into the runtime's socket, which wakes its main future.
//!
//! The mark is down only while somebody listens and was not interrupted yet. So a second Ctrl-C ends the process inside the handler, whatever the program's threads are
//! stuck in; and between two runs the first one does. A program that listens by itself takes the signal away from all of this, for good.

use signal_hook::consts::SIGINT;
use signal_hook::low_level::unregister;
use signal_hook::{SigId, flag};
// Between the process's signal handler and whoever listens: in every build std's.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The process's handling of SIGINT.
#[derive(Debug)]
pub(crate) struct House {
    /// There when the handler is.
    fatal: Option<(Arc<AtomicBool>, SigId)>,
    /// Runtimes that listen, or have it ignored.
    listeners: usize,
    /// What puts the mark up, of those that listen.
    marks: Vec<SigId>,
    /// The signal is the program's own.
    pub(crate) taken: bool,
}

static HOUSE: Mutex<House> = Mutex::new(House {
    fatal: None,
    listeners: 0,
    marks: Vec::new(),
    taken: false,
});

pub(crate) fn house() -> MutexGuard<'static, House> {
    HOUSE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A listener in the house.
#[derive(Debug)]
pub(crate) struct Entered {
    mark: Option<SigId>,
}

impl House {
    /// Whether SIGINT is ours to handle: it is not the program's, and was neither ignored nor handled when we came.
    fn is_ours(&mut self) -> bool {
        if self.taken {
            return false;
        }
        self.fatal.is_some() || has_default_action()
    }

    /// Somebody listens, or has it ignored. `marks`: the first signal puts the mark up.
    pub(crate) fn enter(&mut self, marks: bool) -> Option<Entered> {
        if !self.is_ours() {
            return None;
        }
        if self.fatal.is_none() {
            let mark = Arc::new(AtomicBool::new(true));
            let id = flag::register_conditional_default(SIGINT, mark.clone()).ok()?;
            self.fatal = Some((mark, id));
        }
        let (fatal, _) = self.fatal.as_ref()?;
        let mark = match marks {
            true => Some(flag::register(SIGINT, fatal.clone()).ok()?),
            false => None,
        };
        // Relaxed, here and in `leave`: a signal that comes at the same time finds the one or the other.
        fatal.store(false, Ordering::Relaxed);
        self.marks.extend(mark);
        self.listeners += 1;
        Some(Entered { mark })
    }

    pub(crate) fn leave(&mut self, entered: Entered) {
        self.listeners -= 1;
        if self.listeners == 0 {
            if let Some((fatal, _)) = &self.fatal {
                fatal.store(true, Ordering::Relaxed);
            }
        }
        if let Some(mark) = entered.mark {
            self.marks.retain(|id| *id != mark);
            unregister(mark);
        }
    }
}

/// The program listens to SIGINT: from now on it is the program's.
pub(crate) fn take_over() {
    let mut house = house();
    house.taken = true;
    let fatal = house.fatal.take().map(|(_, id)| id);
    let marks = std::mem::take(&mut house.marks);
    for id in marks.into_iter().chain(fatal) {
        unregister(id);
    }
}

/// Whether SIGINT is neither ignored nor handled, as far as the system tells.
fn has_default_action() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return true;
    };
    ["SigIgn:", "SigCgt:"].iter().all(|name| {
        let set = status.lines().find_map(|line| line.strip_prefix(name));
        let bits = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
        bits.is_none_or(|bits| bits & (1 << (SIGINT - 1)) == 0)
    })
}
