//! Test support for filch: one test file per promise stands in `tests/`.
