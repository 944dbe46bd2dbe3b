//! Models of readiness and of the reactor.
