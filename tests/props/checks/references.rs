//! The count of a task's references at its limit.

use crate::task::state::State;

/// Makes one reference more than a task may have, beginning with a state that has as many as it may: the process ends there.
pub fn too_many() {
    let state = State::with_refs(State::MAX_REFS);
    // The last one that is let through.
    state.ref_inc();
    eprintln!("as many as there may be");
    state.ref_inc();
    eprintln!("more than there may be");
}
