//! The two intrusive chains that tasks stand in: a queue of runnables, and the list of live tasks.

use crate::shim::UnsafeCell;
use crate::task::id::Id;
use crate::task::raw::{AbortRef, Header, Links, Runnable, abort_listed, describe_listed, refer_listed, wake_listed};
use std::panic::Location;
use std::ptr::NonNull;

/// A queue of runnables, linked through the tasks themselves: pushing never allocates.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    ends: Option<Ends>,
    len: usize,
}

/// The first and the last runnable. The queue owns both and all between them.
#[derive(Debug)]
struct Ends {
    head: NonNull<Header>,
    tail: NonNull<Header>,
}

// SAFETY: the queue owns runnables, which are Send.
unsafe impl Send for RunQueue {}

impl RunQueue {
    pub(crate) fn push(&mut self, task: Runnable) {
        task.set_next(None);
        let header = task.into_raw();
        match &mut self.ends {
            None => {
                self.ends = Some(Ends {
                    head: header,
                    tail: header,
                })
            }
            Some(ends) => {
                // SAFETY: the queue owns the runnable at its tail and gives it up only in `pop`; it is used as a link here and put back.
                let tail = unsafe { Runnable::from_raw(ends.tail) };
                tail.set_next(Some(header));
                ends.tail = tail.into_raw();
                ends.tail = header;
            }
        }
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<Runnable> {
        let ends = self.ends.as_mut()?;
        // SAFETY: the queue owns the runnable at its head and forgets it below.
        let task = unsafe { Runnable::from_raw(ends.head) };
        match task.take_next() {
            Some(next) => ends.head = next,
            None => self.ends = None,
        }
        self.len -= 1;
        Some(task)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// The live tasks of one home, newest first. A task enters before it is first queued and leaves before it is complete.
#[derive(Debug, Default)]
pub(crate) struct TaskList {
    head: Option<NonNull<Header>>,
    len: usize,
}

// SAFETY: the list only reaches `links`, which its lock guards, and the state words, which are atomics.
unsafe impl Send for TaskList {}

impl TaskList {
    /// Adds the task of `task`, which is not in a list yet.
    pub(crate) fn insert(&mut self, task: &Runnable) {
        let header = task.as_ptr();
        let head = self.head.replace(header);
        set(header, Links { prev: None, next: head });
        if let Some(head) = head {
            let links = get(head);
            set(
                head,
                Links {
                    prev: Some(header),
                    ..links
                },
            );
        }
        self.len += 1;
    }

    /// Takes a task out; false if it is not in this list.
    pub(crate) fn remove(&mut self, header: NonNull<Header>) -> bool {
        let links = get(header);
        match links.prev {
            Some(prev) => {
                let neighbour = get(prev);
                set(
                    prev,
                    Links {
                        next: links.next,
                        ..neighbour
                    },
                );
            }
            None if self.head == Some(header) => self.head = links.next,
            None => return false,
        }
        if let Some(next) = links.next {
            let neighbour = get(next);
            set(
                next,
                Links {
                    prev: links.prev,
                    ..neighbour
                },
            );
        }
        self.len -= 1;
        true
    }

    /// Aborts every task of the list; the runnables that this made are added to `runnables`.
    pub(crate) fn abort_all(&self, runnables: &mut Vec<Runnable>) {
        let mut next = self.head;
        while let Some(header) = next {
            // SAFETY: a task leaves the list before it gives up the reference of its life, so a listed task is alive.
            runnables.extend(unsafe { abort_listed(header) });
            next = get(header).next;
        }
    }

    /// Wakes the task at place `index`, for nothing. As [`abort_all`](Self::abort_all), if that made a runnable.
    pub(crate) fn wake(&self, index: usize) -> Option<Runnable> {
        let header = self.iter().nth(index)?;
        // SAFETY: as in `abort_all`.
        unsafe { wake_listed(header) }
    }

    /// The tasks, and where they were spawned; the newest first.
    pub(crate) fn describe(&self) -> impl Iterator<Item = (Id, &'static Location<'static>)> {
        // SAFETY: as in `abort_all`.
        self.iter().map(|header| unsafe { describe_listed(header) })
    }

    /// References to the tasks, the newest first.
    pub(crate) fn refer(&self) -> impl Iterator<Item = AbortRef> {
        // SAFETY: as in `abort_all`.
        self.iter().map(|header| unsafe { refer_listed(header) })
    }

    fn iter(&self) -> impl Iterator<Item = NonNull<Header>> {
        std::iter::successors(self.head, |header| get(*header).next)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

fn links<'a>(header: NonNull<Header>) -> &'a UnsafeCell<Links> {
    // SAFETY: listed tasks, and those being listed, are alive.
    unsafe { &(*header.as_ptr()).links }
}

fn get(header: NonNull<Header>) -> Links {
    // SAFETY: `&TaskList` is reached under its lock only, which guards the links of its tasks.
    links(header).with(|links| unsafe { *links })
}

fn set(header: NonNull<Header>, value: Links) {
    // SAFETY: as in `get`, and `&mut TaskList` excludes other users.
    links(header).with_mut(|links| unsafe { *links = value });
}
