//! Every planted bug is seen by some model: this is what shows that the models look.

use super::harness::caught;

caught! {
    wait_without_recheck: "WaitWithoutRecheck" by "readiness::an_event_while_a_task_begins_to_wait_is_not_lost";
    clear_ignores_tick: "ClearIgnoresTick" by "readiness::clearing_what_was_seen_keeps_what_came_since";
    clear_removes_closed: "ClearRemovesClosed" by "readiness::closed_stays_closed";
    token_without_generation: "TokenWithoutGeneration" by "reactor::a_late_event_misses_the_slots_next_owner";
    source_stays: "SourceStays" by "deregister::closing_against_a_turn_and_a_rescue";
    load_set_to_zero: "LoadSetToZero" by "deregister::closing_against_the_shutdown";
    shutdown_wakes_nobody: "ShutdownWakesNobody" by "shutdown::shutdown_stays_and_wakes";
    rescuer_takes_unpark: "RescuerTakesUnpark" by "unpark::an_unpark_is_not_lost_to_a_rescuer";
    unpark_checked_too_early: "UnparkCheckedTooEarly" by "unpark::an_unpark_is_not_lost_to_a_rescuer";
}
