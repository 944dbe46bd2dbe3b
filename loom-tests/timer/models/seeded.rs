//! Every planted bug is seen by some model: this is what shows that the models look.

use super::harness::caught;

caught! {
    arm_ignores_parked: "ArmIgnoresParked" by "park::arm_against_park";
    park_in_two_sections: "ParkInTwoSections" by "park::arm_against_park";
    fire_keeps_entry: "FireKeepsEntry" by "race::cancel_against_fire";
    fire_keeps_entry_of_a_rescue: "FireKeepsEntry" by "rescue::owner_against_rescuer_against_cancel";
    fire_keeps_entry_of_three: "FireKeepsEntry" by "together::a_poll_and_a_cancel_against_fire";
    reset_of_nothing: "ResetOfNothing" by "together::a_reset_between_owner_and_rescuer";
    move_leaves_copy: "MoveLeavesCopy" by "together::a_moving_timer_between_two_turns";
    arm_leaves_next: "ArmLeavesNext" by "race::arm_against_turn";
    arm_before_lock: "ArmBeforeLock" by "shutdown::arm_against_shutdown";
    poll_loses_waker: "PollLosesWaker" by "race::poll_against_fire";
}
