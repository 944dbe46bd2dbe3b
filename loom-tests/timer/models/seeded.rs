//! Each known mistake, planted, is seen by a model.

use super::harness::assert_caught;

#[test]
fn seeded_bugs_are_caught() {
    assert_caught("ArmIgnoresParked", "models::park::arm_against_park");
    assert_caught("ParkInTwoSections", "models::park::arm_against_park");
    assert_caught("FireKeepsEntry", "models::race::cancel_against_fire");
    assert_caught("FireKeepsEntry", "models::rescue::owner_against_rescuer_against_cancel");
    assert_caught("ArmLeavesNext", "models::race::arm_against_turn");
    assert_caught("ArmBeforeLock", "models::shutdown::arm_against_shutdown");
    assert_caught("PollLosesWaker", "models::race::poll_against_fire");
}
