//! The park of a thread in `block_on`.

use super::harness::model;
use crate::park::Parker;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[test]
fn an_unpark_is_kept_for_the_next_park() {
    model("an_unpark_is_kept_for_the_next_park", Some(3), || {
        let parker = Parker::new();
        let value = Arc::new(AtomicUsize::new(0));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (parker, value) = (parker.clone(), value.clone());
                thread::spawn(move || {
                    value.fetch_add(1, Ordering::Relaxed);
                    parker.unpark();
                })
            })
            .collect();
        while value.load(Ordering::Relaxed) < 2 {
            parker.park();
        }
        for other in others {
            other.join().expect("joined");
        }
    });
}
