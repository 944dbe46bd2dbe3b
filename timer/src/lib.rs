//! The timers of the filch runtime.
