//! The one-call way into filch.

use crate::builder::Builder;
use crate::rt::Runtime;
use std::time::Duration;

/// How long [`run`] waits for blocking jobs after everything else has ended.
pub(crate) const BLOCKING_GRACE: Duration = Duration::from_secs(10);

/// Makes a multi_thread runtime, runs `main` on it to its end, ends everything that it left behind, and returns its output. (The name and the idea are
/// asyncio's.)
///
/// When this returns no task is alive and no worker is running: tasks that were left over are cancelled, and their destructors have run. Blocking
/// jobs are waited for, up to 10 s.
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
        Ok(runtime) => run_on(runtime, main),
        Err(error) => panic!("filch could not start a runtime: {error}"),
    }
}

#[track_caller]
fn run_on<F: Future>(runtime: Runtime, main: F) -> F::Output {
    struct Finish(Option<Runtime>);
    impl Drop for Finish {
        fn drop(&mut self) {
            if let Some(runtime) = self.0.take() {
                runtime.finish(BLOCKING_GRACE);
            }
        }
    }
    let finish = Finish(Some(runtime));
    match &finish.0 {
        Some(runtime) => runtime.block_on(main),
        None => unreachable!("it is taken on drop only"),
    }
}
