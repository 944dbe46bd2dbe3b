//! Code that blocks, in the middle of a task.

use crate::coop;
use crate::handle::{self, Handle, RuntimeFlavor};
use crate::local_set;
use crate::scheduler::worker;

/// Runs a function that blocks in the middle of a task, while another thread takes over everything else that this worker has to do.
///
/// The other tasks of the worker, its sockets and its timers go on at once; without this they would be rescued only when the worker has been stuck for
/// about a millisecond. The task itself waits for the function, and so does what is polled with it: the other branches of a `select!` or a `join!`
/// in it, and if it belongs to a [`Lane`](crate::Lane), the lane's other tasks. Unlike [`spawn_blocking`](crate::task::spawn_blocking) it can borrow, and costs
/// no task of its own; it costs a switch to another thread, so it is for what takes 100 us or more.
///
/// The function may call [`Handle::block_on`](crate::runtime::Handle::block_on), as on any thread that polls no tasks. On a thread outside of the
/// workers (in [`block_on`](crate::runtime::Runtime::block_on)'s own future, a blocking job, any other thread) and in the deterministic runtime it is just
/// called. If no thread can be had to take over, or as many tasks block already as the runtime may have
/// [blocking threads](crate::runtime::Builder::max_blocking_threads), it is just called, too: then the watcher finds the worker stuck, as it would any other.
///
/// A paused clock stands until the poll is over, as it does for blocking jobs: so a `block_on` in the function must not wait for a timer there.
///
/// # Panics
///
/// In a current_thread runtime and in a [`LocalSet`](crate::task::LocalSet): there is nobody who could take over. And if the function does.
///
/// ```
/// # filch::run(async {
/// let task = filch::spawn(async {
///     let text = String::from("Cargo.toml");
///     filch::task::block_in_place(|| std::fs::read(&text)).map(|content| content.len())
/// });
/// assert!(task.await.unwrap().unwrap() > 0);
/// # });
/// ```
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    if handle::is_driving() {
        let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
        assert!(
            flavor != Ok(RuntimeFlavor::CurrentThread),
            "`block_in_place` was called in a current_thread runtime, whose only thread it would block. Use `spawn_blocking`"
        );
        assert!(
            !local_set::is_entered(),
            "`block_in_place` was called in a `LocalSet`, whose only thread it would block. Use `spawn_blocking`"
        );
        worker::give_away_core();
    }
    handle::undriven(|| coop::without_budget(f))
}
