//! Who has which lock, and who waits for it.
//!
//! Each guard and permit of `filch::sync` that is made in debug mode carries a [`Hold`], by which it stands in a table here until it is dropped; each wait for a lock stands in another. Debug
//! mode's thread looks through both. It tells
//!
//! - of a mutex or rwlock that a task has had for long, and not only in the poll in which it took it (what is long within one poll is a slow poll), whether or not somebody waits;
//! - of a mutex or rwlock that anybody has had for long, and that somebody has waited for as long;
//! - of a semaphore when somebody has waited for long, and all that time no permit was given out. Permits may be held as long as one likes while nobody misses them: a
//!   limit on connections is as long as the connections are. It is told of who has had one longest; no other hold that is there at that time is told of later.
//!
//! Each hold is told of once. It belongs to whoever took it, wherever the guard goes.

use crate::debug::probe;
use crate::debug::report::{About, Report, ReportKind};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::Location;
// No protocol rests on it: it is std's in every build.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What somebody has or waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Mutex,
    Read,
    Write,
    Permits,
}

/// A lock, by its place in memory, which it keeps while somebody has it or waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lock {
    what: What,
    address: usize,
}

/// Tells locks apart. What a lock guards may stand where the lock does, and be a lock of another kind.
type LockKey = (bool, bool, usize);

impl Lock {
    pub(crate) fn new<T: ?Sized>(what: What, lock: &T) -> Self {
        let address = std::ptr::from_ref(lock).cast::<()>().addr();
        Self { what, address }
    }

    fn key(self) -> LockKey {
        (self.what == What::Mutex, self.what == What::Permits, self.address)
    }
}

/// Somebody who took a lock, or waits for one.
#[derive(Clone)]
struct Holder {
    /// `None`: code outside of tasks.
    about: Option<About>,
    place: &'static Location<'static>,
    since: Instant,
}

impl Holder {
    fn new(place: &'static Location<'static>) -> Self {
        Self {
            about: probe::here(),
            place,
            since: Instant::now(),
        }
    }

    fn who(&self) -> String {
        match &self.about {
            Some(about) => about.to_string(),
            None => "code outside of tasks".to_owned(),
        }
    }
}

#[derive(Clone)]
struct Holding {
    lock: Lock,
    by: Holder,
    /// The debug mode, and the poll, in which it was taken.
    taken_in: Option<(usize, u64)>,
    told: bool,
}

struct Wait {
    lock: Lock,
    owner: usize,
    by: Holder,
}

struct Locks {
    /// Those who came first, first.
    holds: BTreeMap<u64, Holding>,
    waits: BTreeMap<u64, Wait>,
    last: u64,
}

static LOCKS: Mutex<Locks> = Mutex::new(Locks {
    holds: BTreeMap::new(),
    waits: BTreeMap::new(),
    last: 0,
});

fn locks() -> MutexGuard<'static, Locks> {
    LOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Locks {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The holds to be told of whatever poll they are of, and those to be told of unless the poll that is named is still running.
    fn overdue(&self, owner: usize, limit: Duration) -> (Vec<u64>, Vec<(u64, u64)>) {
        let (mut due, mut unmissed) = (Vec::new(), Vec::new());
        let missed: HashSet<LockKey> = self
            .waits
            .values()
            .filter(|wait| wait.owner == owner && wait.by.since.elapsed() >= limit)
            .map(|wait| wait.lock.key())
            .collect();
        // Of each semaphore that is missed: who has had a permit longest, and whether that is to be told: it was not, and nobody has got one lately.
        let mut permits: HashMap<LockKey, (u64, bool)> = HashMap::new();
        for (number, holding) in &self.holds {
            let (key, long) = (holding.lock.key(), holding.by.since.elapsed() >= limit);
            let is_missed = missed.contains(&key);
            if holding.lock.what == What::Permits {
                if is_missed {
                    permits.entry(key).or_insert((*number, !holding.told)).1 &= long;
                }
            } else if long && !holding.told {
                match holding.taken_in {
                    _ if is_missed => due.push(*number),
                    Some((by, poll)) if by == owner => unmissed.push((*number, poll)),
                    _ => {}
                }
            }
        }
        due.extend(
            permits
                .into_values()
                .filter(|(_, told)| *told)
                .map(|(number, _)| number),
        );
        (due, unmissed)
    }
}

/// A hold that debug mode knows of, or none: the number of its entry, or zero. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Hold(u64);

impl Hold {
    /// Not in debug mode.
    pub(crate) const NONE: Self = Self(0);

    /// This thread, and the task that it polls, took a lock.
    #[cold]
    pub(crate) fn new(lock: Lock, place: &'static Location<'static>) -> Self {
        let holding = Holding {
            lock,
            by: Holder::new(place),
            taken_in: probe::now().map(|now| (now.owner(), now.number())),
            told: false,
        };
        let mut locks = locks();
        let number = locks.number();
        locks.holds.insert(number, holding);
        Self(number)
    }

    /// A part of what is held goes its own way.
    pub(crate) fn split(&self) -> Self {
        if self.0 == 0 {
            return Self::NONE;
        }
        let mut locks = locks();
        let Some(holding) = locks.holds.get(&self.0).cloned() else {
            return Self::NONE;
        };
        let number = locks.number();
        locks.holds.insert(number, holding);
        Self(number)
    }

    /// What is held becomes a part of this.
    pub(crate) fn merge(&mut self, other: Self) {
        if self.0 == 0 {
            *self = other;
        }
    }

    #[cold]
    fn end(&self) {
        let holding = locks().holds.remove(&self.0);
        drop(holding);
    }
}

impl Drop for Hold {
    #[inline]
    fn drop(&mut self) {
        if self.0 != 0 {
            self.end();
        }
    }
}

/// Somebody in a runtime in debug mode waits for a lock, until this is dropped.
pub(crate) struct Waiting(u64);

impl Waiting {
    pub(crate) fn new(owner: usize, lock: Lock, place: &'static Location<'static>) -> Self {
        let by = Holder::new(place);
        let mut locks = locks();
        let number = locks.number();
        locks.waits.insert(number, Wait { lock, owner, by });
        Self(number)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let gone = locks().waits.remove(&self.0);
        drop(gone);
    }
}

/// What there is to tell of holds to the debug mode `owner`. See the head of this file.
pub(crate) fn held_long(owner: usize, limit: Duration) -> Vec<Report> {
    let (mut due, unmissed) = locks().overdue(owner, limit);
    if !unmissed.is_empty() {
        // Looked up behind the table: a poll that is not running now is over, for its hold was there before.
        let running = probe::running();
        let elsewhere = unmissed.into_iter().filter(|(_, poll)| !running.contains(poll));
        due.extend(elsewhere.map(|(number, _)| number));
    }
    due.into_iter().filter_map(tell).collect()
}

/// Tells of a hold, if it has not ended meanwhile.
fn tell(number: u64) -> Option<Report> {
    let mut locks = locks();
    let holding = locks.holds.get_mut(&number).filter(|holding| !holding.told)?;
    holding.told = true;
    let holding = holding.clone();
    let key = holding.lock.key();
    let mut others = 0;
    if holding.lock.what == What::Permits {
        let of_it = locks.holds.values_mut().filter(|other| other.lock.key() == key);
        others = of_it.map(|other| other.told = true).count() - 1;
    }
    let waits = locks.waits.values().filter(|wait| wait.lock.key() == key);
    let waiter = waits.map(|wait| wait.by.clone()).next();
    drop(locks);
    Some(report(&holding, others, waiter.as_ref()))
}

fn report(holding: &Holding, others: usize, waiter: Option<&Holder>) -> Report {
    let Holding { lock, by, .. } = holding;
    let elapsed = by.since.elapsed();
    let what = match lock.what {
        What::Mutex => "the mutex",
        What::Read => "the read lock",
        What::Write => "the write lock",
        What::Permits => "the semaphore's permit",
    };
    let others = match others {
        0 => String::new(),
        others => format!(" ({others} more are held)"),
    };
    let waits = match waiter {
        Some(waiter) => format!("{} waits for it at {}", waiter.who(), waiter.place),
        None => "nobody waits for it".to_owned(),
    };
    let message = format!(
        "{what} that {} took at {} has been held for {elapsed:.1?}{others}; {waits}",
        by.who(),
        by.place
    );
    let about = About {
        place: Some(by.place),
        ..by.about.clone().unwrap_or_default()
    };
    Report::new(ReportKind::LongLock, about, message).with_elapsed(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);
    const ME: usize = 7;

    /// Somebody who came `seconds` ago.
    #[track_caller]
    fn ago(seconds: u64) -> Holder {
        Holder {
            about: None,
            place: Location::caller(),
            since: Instant::now()
                .checked_sub(Duration::from_secs(seconds))
                .expect("a time"),
        }
    }

    struct Case(Locks);

    impl Case {
        fn new() -> Self {
            Self(Locks {
                holds: BTreeMap::new(),
                waits: BTreeMap::new(),
                last: 0,
            })
        }

        fn holds(mut self, what: What, since: u64, taken_in: Option<(usize, u64)>) -> Self {
            let (lock, by) = (Lock { what, address: 1 }, ago(since));
            let (told, number) = (false, self.0.number());
            let holding = Holding {
                lock,
                by,
                taken_in,
                told,
            };
            self.0.holds.insert(number, holding);
            self
        }

        fn waits(mut self, what: What, since: u64, owner: usize) -> Self {
            let (lock, by, number) = (Lock { what, address: 1 }, ago(since), self.0.number());
            self.0.waits.insert(number, Wait { lock, owner, by });
            self
        }

        fn due(&self) -> (Vec<u64>, Vec<(u64, u64)>) {
            self.0.overdue(ME, LIMIT)
        }
    }

    #[test]
    fn what_is_held_long_is_due() {
        let mine = Some((ME, 30));
        assert_eq!(Case::new().holds(What::Mutex, 5, mine).due(), (vec![], vec![(1, 30)]));
        assert_eq!(Case::new().holds(What::Mutex, 0, mine).due(), (vec![], vec![]));
        // Of another runtime, or of code outside of tasks: its own affair, as long as nobody misses it.
        for other in [None, Some((8, 30))] {
            let case = Case::new().holds(What::Write, 5, other);
            assert_eq!(case.due(), (vec![], vec![]));
            let case = case.waits(What::Read, 5, 8);
            assert_eq!(case.due(), (vec![], vec![]));
            assert_eq!(case.waits(What::Read, 5, ME).due(), (vec![1], vec![]));
        }
        // A lock of another kind may stand at the same place.
        let case = Case::new().holds(What::Mutex, 5, None);
        assert_eq!(case.waits(What::Write, 5, ME).due(), (vec![], vec![]));
    }

    #[test]
    fn a_semaphore_is_due_when_nobody_gets_in() {
        let (permits, mine) = (What::Permits, Some((ME, 30)));
        let case = Case::new().holds(permits, 9, mine).holds(permits, 5, None);
        assert_eq!(case.due(), (vec![], vec![]));
        let case = case.waits(permits, 0, ME).waits(permits, 5, 8);
        assert_eq!(case.due(), (vec![], vec![]));
        let mut case = case.waits(permits, 5, ME);
        assert_eq!(case.due(), (vec![1], vec![]));
        // Told.
        case.0.holds.get_mut(&1).expect("the first").told = true;
        assert_eq!(case.due(), (vec![], vec![]));
        case.0.holds.get_mut(&1).expect("the first").told = false;
        // Somebody has just got in.
        assert_eq!(case.holds(permits, 0, mine).due(), (vec![], vec![]));
    }
}
