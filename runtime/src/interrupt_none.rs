//! Ctrl-C, in a build without signals: it means what it means without filch.

use crate::builder::Interrupt;
use crate::handle::Handle;
use std::task::{Context, Poll};

/// A runtime's ear for Ctrl-C.
#[derive(Debug)]
pub(crate) struct Ear;

impl Ear {
    pub(crate) fn new(_: &Handle, _: Interrupt) -> Self {
        Self
    }

    /// Begins to listen.
    pub(crate) fn listen(&mut self) -> Listening<'_> {
        Listening(self)
    }
}

/// While a runtime listens.
#[derive(Debug)]
pub(crate) struct Listening<'a>(#[allow(dead_code, reason = "as where there are signals")] &'a mut Ear);

impl Listening<'_> {
    /// Waits for a Ctrl-C.
    pub(crate) fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Ends the process as a Ctrl-C does.
pub(crate) fn end_process() -> ! {
    std::process::exit(130)
}
