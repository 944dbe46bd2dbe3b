//! The reactor, readiness and sockets of the filch runtime.
