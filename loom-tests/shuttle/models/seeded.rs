//! Planted bugs that these programs must notice.

use super::harness::{assert_caught, run_with};

macro_rules! caught {
    ($($test:ident: $bug:literal by $path:literal;)*) => {$(
        #[test]
        fn $test() {
            let _schedule = assert_caught($bug, concat!("models::", $path));
        }
    )*};
}

caught! {
    lost_wake: "LostWake" by "pool::everything_that_is_woken_runs";
    join_no_recheck: "JoinNoRecheck" by "pool::everything_that_is_woken_runs";
    idle_no_recheck: "IdleNoRecheck" by "pool::everything_that_is_woken_runs";
    inbox_forgets_rest: "InboxForgetsRest" by "parts::an_inbox_gives_each_task_once";
    inbox_late_clear: "InboxLateClear" by "parts::an_inbox_gives_each_task_once";
    end_forgets_jobs: "EndForgetsJobs" by "pool::jobs_run_or_are_cancelled";
}

#[test]
fn a_printed_schedule_fails_again() {
    let path = "models::pool::everything_that_is_woken_runs";
    let schedule = assert_caught("JoinNoRecheck", path);
    let (passed, printed) = run_with("JoinNoRecheck", path, Some(&schedule));
    assert!(!passed && printed.contains("deadlock!"), "{printed}");
}
