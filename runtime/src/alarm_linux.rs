//! A one-shot alarm: setting it is one system call and wakes nobody before its time. Linux: a timerfd.

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?))
    }

    /// Goes off once, after `delay`, instead of when it would have before. `delay` is not zero.
    pub(crate) fn set(&self, delay: Duration) {
        const OFF: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: delay.subsec_nanos().into(),
        };
        // It fails only for a bad descriptor or a bad time.
        let set = timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval: OFF,
                it_value: value,
            },
        );
        debug_assert!(set.is_ok());
    }

    /// Waits until it goes off; it may return too early.
    pub(crate) fn wait(&self) {
        let mut expirations = [0; 8];
        // An interruption by a signal is a return that comes too early.
        let _ = rustix::io::read(&self.0, &mut expirations);
    }
}
