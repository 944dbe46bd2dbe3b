//! Ctrl-C (SIGINT) while `run` or a runner runs. What the process does at one is in `sigint.rs`.

use crate::builder::Interrupt;
use crate::debug::left;
use crate::handle::Handle;
use crate::sigint::{Entered, house};
use crate::signal::unix::{Signal, SignalKind};
use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;
use std::io::Write;
use std::task::{Context, Poll};

/// A runtime's ear for Ctrl-C.
#[derive(Debug)]
pub(crate) struct Ear {
    handle: Handle,
    interrupt: Interrupt,
    /// The runtime's socket, from the first time that it listens.
    signal: Option<Signal>,
}

impl Ear {
    pub(crate) fn new(handle: &Handle, interrupt: Interrupt) -> Self {
        Self {
            handle: handle.clone(),
            interrupt,
            signal: None,
        }
    }

    /// Begins to listen. If the system gives no sockets, the signal keeps its meaning.
    pub(crate) fn listen(&mut self) -> Listening<'_> {
        let mut entered = match self.interrupt {
            Interrupt::Exit => None,
            Interrupt::Ignore => house().enter(false),
            Interrupt::CancelMain => house().enter(true),
        };
        if self.interrupt == Interrupt::CancelMain && entered.is_some() && self.signal.is_none() {
            let _inside = self.handle.enter();
            self.signal = left::own(|| Signal::listen(SignalKind::interrupt())).ok();
        }
        if self.interrupt == Interrupt::CancelMain && self.signal.is_none() {
            if let Some(entered) = entered.take() {
                house().leave(entered);
            }
        }
        Listening { ear: self, entered }
    }
}

/// While a runtime listens.
#[derive(Debug)]
pub(crate) struct Listening<'a> {
    ear: &'a mut Ear,
    entered: Option<Entered>,
}

impl Listening<'_> {
    /// Waits for a Ctrl-C.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (Some(signal), Some(_)) = (&mut self.ear.signal, &self.entered) else {
            return Poll::Pending;
        };
        loop {
            match signal.poll_recv(cx) {
                // A Ctrl-C that the program has taken.
                Poll::Ready(Some(())) if house().taken => {}
                Poll::Ready(Some(())) => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        if let Some(entered) = self.entered.take() {
            house().leave(entered);
        }
    }
}

/// Ends the process as a Ctrl-C does, so that whoever has started it sees that.
pub(crate) fn end_process() -> ! {
    // The signal takes what std has not written yet with it.
    let _ = std::io::stdout().flush();
    let _ = emulate_default_handler(SIGINT);
    std::process::exit(128 + SIGINT)
}
