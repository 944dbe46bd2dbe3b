//! `select!`, as its users see it.

/// Waits for several futures at once, and runs the handler of the first that is done. The others are dropped.
///
/// ```text
/// select! {
///     pattern = future [, if condition] => handler,
///     ...
///     [else => handler]
/// }
/// ```
///
/// All conditions are computed first, then all futures are made, also those whose condition is false; these are never polled. The futures are
/// polled one after the other on the task that waits, beginning each time with another one, which this thread's generator of random numbers chooses (in a
/// [deterministic runtime](crate::sim): the seed). With `biased;` in front of the branches it is always the first one; then a branch that is always ready keeps those behind it
/// from ever being polled.
///
/// A future whose output does not fit its pattern disables its branch. When all branches are disabled the handler of `else` runs.
///
/// A handler may use `.await`, `?`, `break` and `return` of the function around it. A handler that is no block ends with a comma.
///
/// The grammar is that of Tokio's macro of this name, without its limit of 64 branches. The losers are dropped before the handler runs, in the order of their branches.
///
/// # Panics
///
/// If all branches are disabled and there is no `else`.
///
/// # Cancel safety
///
/// The futures of the branches that lose are dropped half-way. Those that are waited for again in the next round of a loop must
/// lose nothing by that, or be made before the loop and given by reference.
///
/// ```
/// # filch::run(async {
/// use std::time::Duration;
///
/// let answer = filch::select! {
///     () = filch::time::sleep(Duration::from_secs(60)) => "late",
///     number = async { 42 } => {
///         assert_eq!(number, 42);
///         "early"
///     }
/// };
/// assert_eq!(answer, "early");
/// # });
/// ```
#[macro_export]
macro_rules! select {
    ($($tokens:tt)*) => {
        $crate::__private::select!(($crate) $($tokens)*)
    };
}

/// Has the compiler read the branches of `select!`: what is a pattern, what an expression.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_branches {
    (
        ($($biased:tt)?) ($($otherwise:expr $(,)?)?)
        $($pattern:pat = $future:expr $(, if $condition:expr)? => $handler:expr),* $(,)?
    ) => {
        $crate::__private::select_branches!(
            ($crate) ($($biased)?) ($($otherwise)?) $(($pattern) ($future) ($($condition)?) ($handler))*
        )
    };
}

/// A `select!` that has an `else` only.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_else {
    ($otherwise:expr $(,)?) => {
        $otherwise
    };
}
