//! The one-call way into filch.

use crate::builder::{Builder, Interrupt};
use crate::interrupt::{Ear, Listening, end_process};
use crate::rt::Runtime;
use crate::scope::driven::Driven;
use crate::scope::node::{Kind, Node};
use crate::scope::{self, Reason, ReasonKind};
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

/// How long [`run`] waits for blocking jobs after everything else has ended.
pub(crate) const BLOCKING_GRACE: Duration = Duration::from_secs(10);

/// Makes a multi_thread runtime, runs `main` on it to its end, ends everything that it left behind, and returns its output. (The name and the idea are
/// asyncio's.)
///
/// When this returns no task is alive and no worker is running: tasks that were left over are cancelled, as by
/// [`JoinHandle::cancel`](crate::task::JoinHandle::cancel), and have ended: what waits in [`cancelled`](crate::cancelled) is told, what is inside a [`shield`](crate::shield()) goes
/// on to its end, and clean-ups and destructors have run. Blocking
/// jobs are waited for, up to 10 s.
///
/// # Ctrl-C
///
/// A Ctrl-C (SIGINT) cancels `main`, as a [scope](crate::scope()) is cancelled: what waits in [`cancelled`](crate::cancelled) is told, clean-ups run, and `main` is dropped. Then
/// everything ends as it does when `main` returns, and at last the process ends by the signal, as its parent expects (a shell says status
/// 130); but if `main` gives a value after it was told, that is returned. A second Ctrl-C ends the process at once. Once the program listens by itself (`signal::ctrl_c`), the signal is the program's. See
/// [`Builder::on_interrupt`](crate::runtime::Builder::on_interrupt).
///
/// # Panics
///
/// If `main` panics, after the same cleaning up. If the system gives no threads or file descriptors for a runtime. Inside a task or
/// another `run`.
///
/// ```
/// use std::time::Duration;
///
/// let answer = filch::run(async {
///     let slow = filch::spawn(async {
///         filch::time::sleep(Duration::from_millis(5)).await;
///         40
///     });
///     slow.await.unwrap() + 2
/// });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
pub fn run<F: Future>(main: F) -> F::Output {
    run_with(&mut Builder::new_multi_thread(), main)
}

/// As [`run`], with settings.
///
/// # Panics
///
/// As [`run`].
#[track_caller]
pub fn run_with<F: Future>(builder: &mut Builder, main: F) -> F::Output {
    match builder.build() {
        Ok(runtime) => run_on(runtime, builder.interrupt(), main),
        Err(error) => panic!("filch could not start a runtime: {error}"),
    }
}

#[track_caller]
fn run_on<F: Future>(runtime: Runtime, interrupt: Interrupt, main: F) -> F::Output {
    struct Finish(Option<Runtime>);
    impl Drop for Finish {
        fn drop(&mut self) {
            if let Some(runtime) = self.0.take() {
                runtime.finish(BLOCKING_GRACE);
            }
        }
    }
    let mut ear = Ear::new(runtime.handle(), interrupt);
    let mut listening = ear.listen();
    let finish = Finish(Some(runtime));
    let result = match &finish.0 {
        Some(runtime) => runtime.block_on(or_interrupted(main, &mut listening)),
        None => unreachable!("it is taken on drop only"),
    };
    drop(finish);
    match result {
        Ok(output) => output,
        Err(Interrupted(())) => end_process(),
    }
}

/// A run was ended by a Ctrl-C (SIGINT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted(());

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted by SIGINT")
    }
}

impl std::error::Error for Interrupted {}

/// Runs `main`, in a scope that a Ctrl-C cancels.
#[track_caller]
pub(crate) fn or_interrupted<F: Future>(
    main: F,
    listening: &mut Listening<'_>,
) -> impl Future<Output = Result<F::Output, Interrupted>> {
    let location = Location::caller();
    async move {
        let scope = Node::new(scope::current(), Kind::Scope, None);
        let mut main = pin!(Driven::at(scope.clone(), location, main));
        poll_fn(|cx| {
            loop {
                // A value that is there comes before a Ctrl-C, and one that main gives after it was told is one, too.
                if let Poll::Ready(output) = main.as_mut().poll(cx) {
                    return Poll::Ready(output.ok_or(Interrupted(())));
                }
                ready!(listening.poll(cx));
                let reason = Reason::new(ReasonKind::Interrupt, None, None, location);
                if !scope.cancel(reason, None) {
                    // It is ending already.
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}
