//! The models can fail: each planted bug is caught by the model that is meant for it.

use super::harness::{assert_caught, seeded_bug};
use crate::sync::Bug;

#[test]
fn seeded_bugs_are_caught() {
    if seeded_bug().is_some() {
        return;
    }
    let plan = [
        (
            Bug::WaitWithoutRecheck,
            "models::readiness::an_event_while_a_task_begins_to_wait_is_not_lost",
        ),
        (
            Bug::ClearIgnoresTick,
            "models::readiness::clearing_what_was_seen_keeps_what_came_since",
        ),
        (Bug::ClearRemovesClosed, "models::readiness::closed_stays_closed"),
        (
            Bug::TokenWithoutGeneration,
            "models::reactor::a_late_event_misses_the_slots_next_owner",
        ),
        (Bug::ShutdownWakesNobody, "models::shutdown::shutdown_stays_and_wakes"),
        (
            Bug::RescuerTakesUnpark,
            "models::unpark::an_unpark_is_not_lost_to_a_rescuer",
        ),
        (
            Bug::UnparkCheckedTooEarly,
            "models::unpark::an_unpark_is_not_lost_to_a_rescuer",
        ),
    ];
    for (bug, model) in plan {
        assert_caught(&format!("{bug:?}"), model);
    }
}
