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
    retry_ends_search: "RetryEndsSearch" by "pool::a_retry_moves_on_to_the_next_victim";
    watcher_wakes_nobody: "WatcherWakesNobody" by "pool::the_slot_of_a_stuck_worker_is_served";
    leaver_breaks_promise: "LeaverBreaksPromise" by "blocking::a_thread_that_leaves_is_promised_no_job";
    leaver_still_counted: "LeaverStillCounted" by "blocking::a_thread_that_leaves_is_promised_no_job";
    end_forgets_jobs: "EndForgetsJobs" by "blocking::a_job_runs_or_is_cancelled_by_the_shutdown";
    stillness_ignores_news: "StillnessIgnoresNews" by "stillness::time_stands_while_a_wake_is_under_way";
    stillness_takes_first: "StillnessTakesFirst" by "stillness::time_stands_while_a_wake_is_under_way";
    clock_let_go_early: "ClockLetGoEarly" by "runtime::a_paused_clock_does_not_jump_over_a_job";
    hold_seen_late: "HoldSeenLate" by "runtime::a_paused_clock_does_not_jump_over_a_job";
    set_join_no_fence: "SetJoinNoFence" by "join::a_joiner_is_woken_or_sees_the_outcome";
    unset_join_no_fence: "UnsetJoinNoFence" by "join::changing_the_join_waker_loses_no_wake";
    drop_join_no_fence: "DropJoinNoFence" by "join::dropping_the_handle_against_completion";
    give_back_no_fence: "GiveBackNoFence" by "idle::two_pushes_are_not_slept_over";
    release_no_fence: "ReleaseNoFence" by "idle::a_searcher_that_stays_busy_leaves_nothing_to_sleepers";
    main_wake_no_fence: "MainWakeNoFence" by "solo::a_wake_of_the_main_future_is_not_slept_over";
    core_given_back_in_silence: "CoreGivenBackInSilence" by "solo::two_threads_share_the_core";
    sleepers_no_fence: "SleepersNoFence" by "runtime::a_spawn_beside_the_shutdown_runs_or_is_cancelled";
    drained_in_silence: "DrainedInSilence" by "runtime::several_workers_end_together";
    started_no_fence: "StartedNoFence" by "watcher::a_running_worker_is_watched";
    rest_no_fence: "RestNoFence" by "watcher::a_running_worker_is_watched";
    rescue_loses_slot: "RescueLosesSlot" by "pool::the_slot_of_a_stuck_worker_is_served";
    rescue_leaves_reactor: "RescueLeavesReactor" by "pool::the_socket_of_a_stuck_worker_is_served";
    rescue_leaves_timers: "RescueLeavesTimers" by "pool::the_timer_of_a_stuck_worker_is_served";
    token_thrown_away: "TokenThrownAway" by "park::an_unpark_is_kept_for_the_next_park";
    line_no_recheck: "LineNoRecheck" by "lane::a_wake_is_not_slept_over";
    driver_leaves_late: "DriverLeavesLate" by "lane::a_spawn_beside_the_drivers_end_is_driven";
    second_driver: "SecondDriver" by "lane::one_task_at_a_time";
    close_forgets_woken: "CloseForgetsWoken" by "lane::a_wake_beside_the_end_is_waited_for";
    watcher_no_recheck: "WatcherNoRecheck" by "watcher::a_running_worker_is_watched";
}
