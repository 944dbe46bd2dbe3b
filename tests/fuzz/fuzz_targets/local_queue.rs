//! See the check itself.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| filch_props::checks::local_queue(bytes));
