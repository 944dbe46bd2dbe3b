//! The sheet on which a thread writes its own return addresses.

use super::harness::model;
use crate::debug::sheet::Sheet;
use loom::sync::Arc;
use loom::thread;

/// A thread in the signal's handler.
fn handler(sheet: &Arc<Sheet>, number: usize) -> thread::JoinHandle<()> {
    let sheet = sheet.clone();
    thread::spawn(move || {
        if sheet.begin(number) {
            assert!(sheet.write(0, number * 10));
            assert!(!sheet.write(1, number * 10 + 1));
            sheet.finish(2);
        }
    })
}

/// One thread is asked, and is late; then another one is.
#[test]
fn a_stack_is_seen_whole_or_not_at_all() {
    model("a_stack_is_seen_whole_or_not_at_all", None, || {
        let sheet = Arc::new(Sheet::new(2));
        assert!(sheet.ask(1));
        let first = handler(&sheet, 1);
        let seen = sheet.collect();
        assert!(seen.as_deref().is_none_or(|seen| seen == [10, 11]), "{seen:?}");
        let asks_again = seen.is_some() || sheet.give_up(1);
        let second = (asks_again && sheet.ask(2)).then(|| handler(&sheet, 2));
        let seen = sheet.collect();
        let expected = if second.is_some() { [20, 21] } else { [10, 11] };
        assert!(seen.as_deref().is_none_or(|seen| seen == expected), "{seen:?}");
        first.join().expect("joined");
        if let Some(second) = second {
            second.join().expect("joined");
        }
        // Whatever was given up, the next one is not disturbed by it.
        let late = seen.is_none().then(|| sheet.collect()).flatten();
        assert!(late.as_deref().is_none_or(|late| late == expected), "{late:?}");
        assert!(sheet.ask(3));
    });
}
