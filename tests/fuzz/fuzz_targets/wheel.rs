//! See the check itself.
#![no_main]

#[path = "../../../timer/tests/wheel_model/mod.rs"]
mod wheel_model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wheel_model::check_bytes(bytes));
