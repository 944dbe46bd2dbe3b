//! Signals of the operating system, awaited.
//!
//! A listener owns one end of a pair of sockets; the handler writes a byte into the other. So a listener is a socket like
//! any other: it has no thread, and it belongs to the reactor of the worker that made it. (The handler, and the care that several of them
//! live together in one process, are crate signal-hook's.)
//!
//! **Once a program listens to a signal, that signal's default action is gone for the rest of the process**, also when the
//! listener is dropped: a program that listened to Ctrl-C once does not end by it any more. That holds for what [`run`](crate::run) does at a Ctrl-C, too.

use crate::signal::unix::SignalKind;
use std::io;

/// Waits for the next Ctrl-C (SIGINT).
///
/// The listening begins with the first poll. See the [module](self) on what that does to the default action.
///
/// # Errors
///
/// If the system gives no sockets or no handler.
///
/// # Cancel safety
///
/// A Ctrl-C that comes after the wait was dropped is lost to it; listeners of [`unix::signal`] keep what comes between two waits.
///
/// # Panics
///
/// Outside of a runtime.
pub async fn ctrl_c() -> io::Result<()> {
    let mut interrupts = unix::signal(SignalKind::interrupt())?;
    match interrupts.recv().await {
        Some(()) => Ok(()),
        None => Err(io::Error::other("the listener for signals was closed with its runtime")),
    }
}

/// Listening to any signal.
pub mod unix {
    use crate::sigint;
    use filch_io::net::UnixStream;
    use signal_hook::SigId;
    use signal_hook::consts;
    use signal_hook::low_level::{pipe, unregister};
    use std::io;
    use std::os::raw::c_int;
    use std::task::{Context, Poll};

    /// Which signal.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct SignalKind(c_int);

    impl SignalKind {
        /// A signal by its number in the system.
        pub const fn from_raw(signum: c_int) -> Self {
            Self(signum)
        }

        /// The number of the signal in the system.
        pub const fn as_raw_value(&self) -> c_int {
            self.0
        }

        /// SIGALRM.
        pub const fn alarm() -> Self {
            Self(consts::SIGALRM)
        }

        /// SIGCHLD.
        pub const fn child() -> Self {
            Self(consts::SIGCHLD)
        }

        /// SIGHUP.
        pub const fn hangup() -> Self {
            Self(consts::SIGHUP)
        }

        /// SIGINT, the Ctrl-C of a terminal.
        pub const fn interrupt() -> Self {
            Self(consts::SIGINT)
        }

        /// SIGPIPE.
        pub const fn pipe() -> Self {
            Self(consts::SIGPIPE)
        }

        /// SIGQUIT.
        pub const fn quit() -> Self {
            Self(consts::SIGQUIT)
        }

        /// SIGTERM.
        pub const fn terminate() -> Self {
            Self(consts::SIGTERM)
        }

        /// SIGUSR1.
        pub const fn user_defined1() -> Self {
            Self(consts::SIGUSR1)
        }

        /// SIGUSR2.
        pub const fn user_defined2() -> Self {
            Self(consts::SIGUSR2)
        }

        /// SIGWINCH.
        pub const fn window_change() -> Self {
            Self(consts::SIGWINCH)
        }
    }

    impl From<c_int> for SignalKind {
        fn from(signum: c_int) -> Self {
            Self(signum)
        }
    }

    impl From<SignalKind> for c_int {
        fn from(kind: SignalKind) -> Self {
            kind.0
        }
    }

    /// A listener, from [`signal`]. Every listener of a signal is told of it.
    #[derive(Debug)]
    pub struct Signal {
        pipe: UnixStream,
        id: SigId,
    }

    /// Begins to listen to a signal.
    ///
    /// Signals that come before they are asked for count as one, as the system itself may count them.
    ///
    /// # Errors
    ///
    /// If the signal cannot be handled (SIGKILL, SIGSTOP), must not be (SIGILL, SIGFPE, SIGSEGV), or does not exist; if the
    /// system gives no sockets.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[track_caller]
    pub fn signal(kind: SignalKind) -> io::Result<Signal> {
        let signal = Signal::listen(kind)?;
        if kind == SignalKind::interrupt() {
            sigint::take_over();
        }
        Ok(signal)
    }

    impl Signal {
        /// As [`signal`], without taking SIGINT away from `run`.
        #[track_caller]
        pub(crate) fn listen(kind: SignalKind) -> io::Result<Signal> {
            if consts::FORBIDDEN.contains(&kind.0) || kind.0 <= 0 {
                let text = format!("signal {} cannot be listened to", kind.0);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            let (read, write) = std::os::unix::net::UnixStream::pair()?;
            read.set_nonblocking(true)?;
            let pipe = UnixStream::from_std(read)?;
            // The handler does not wait if the pipe is full: then the listener has something to read anyhow.
            let id = pipe::register(kind.0, write)?;
            Ok(Signal { pipe, id })
        }

        /// Waits for the signal. `None` if the runtime is shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: a signal that comes between two waits ends the second one at once.
        pub async fn recv(&mut self) -> Option<()> {
            std::future::poll_fn(|cx| self.poll_recv(cx)).await
        }

        /// Asks for the signal. As [`recv`](Self::recv).
        pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
            loop {
                let mut bytes = [0; 64];
                match self.pipe.try_read(&mut bytes) {
                    Ok(0) => return Poll::Ready(None),
                    Ok(_) => {
                        // What else has come counts as the same.
                        while matches!(self.pipe.try_read(&mut bytes), Ok(1..)) {}
                        return Poll::Ready(Some(()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => return Poll::Ready(None),
                }
                match self.pipe.poll_read_ready(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
    }

    impl Drop for Signal {
        fn drop(&mut self) {
            unregister(self.id);
        }
    }
}
