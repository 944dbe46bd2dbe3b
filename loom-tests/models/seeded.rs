//! Every planted bug is seen by some model: this is what shows that the models look.

use super::harness::caught;

caught! {
    lost_wake: "LostWake" by "task::wake_during_poll_is_not_lost";
    wake_no_release: "WakeNoRelease" by "task::two_wakers_one_poller";
    cancel_ignored: "CancelIgnored" by "task::abort_during_poll_ends_the_task";
    complete_relaxed: "CompleteRelaxed" by "join::a_joiner_is_woken_or_sees_the_outcome";
    join_no_recheck: "JoinNoRecheck" by "join::a_joiner_is_woken_or_sees_the_outcome";
    ref_dec_relaxed: "RefDecRelaxed" by "task::the_last_reference_frees";
    join_slot_not_taken_back: "JoinSlotNotTakenBack" by "join::changing_the_join_waker_loses_no_wake";
    set_wakes_nobody: "SetWakesNobody" by "join_set::every_member_is_joined";
    slot_no_exchange: "SlotNoExchange" by "slot::owner_and_rescuer_share_the_slot";
    inbox_late_clear: "InboxLateClear" by "inbox::every_push_is_popped_once";
    inbox_forgets_rest: "InboxForgetsRest" by "inbox::every_push_is_popped_once";
    idle_no_fence: "IdleNoFence" by "idle::a_push_is_not_slept_over";
    idle_no_recheck: "IdleNoRecheck" by "idle::a_push_is_not_slept_over";
    notify_no_fence: "NotifyNoFence" by "idle::a_push_is_not_slept_over";
    token_no_rescan: "TokenNoRescan" by "idle::two_pushes_are_not_slept_over";
    steal_gives_up: "StealGivesUp" by "pool::a_thief_and_the_owner_run_each_task_once";
    watcher_wakes_nobody: "WatcherWakesNobody" by "pool::the_slot_of_a_stuck_worker_is_served";
    leaver_breaks_promise: "LeaverBreaksPromise" by "blocking::a_thread_that_leaves_is_promised_no_job";
    leaver_still_counted: "LeaverStillCounted" by "blocking::a_thread_that_leaves_is_promised_no_job";
    end_forgets_jobs: "EndForgetsJobs" by "blocking::a_job_runs_or_is_cancelled_by_the_shutdown";
    stillness_ignores_news: "StillnessIgnoresNews" by "stillness::time_stands_while_a_wake_is_under_way";
    stillness_takes_first: "StillnessTakesFirst" by "stillness::time_stands_while_a_wake_is_under_way";
    watcher_no_recheck: "WatcherNoRecheck" by "watcher::a_running_worker_is_watched";
}
