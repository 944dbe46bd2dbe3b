//! Time limits.

mod driver;

use std::future::{IntoFuture, Ready, pending, poll_fn, ready};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use driver::{now, paused, real};
use filch_timer::error::Elapsed;
use filch_timer::{Instant, Stats, sleep, timeout, timeout_at};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_limit_passes_exactly_when_it_should() {
    let driver = paused();
    driver.block_on(async {
        let begin = Instant::now();
        assert!(timeout(SECOND, pending::<()>()).await.is_err());
        assert_eq!(begin.elapsed(), SECOND);
        assert!(timeout_at(begin + 3 * SECOND, pending::<()>()).await.is_err());
        assert_eq!(begin.elapsed(), 3 * SECOND);
        assert_eq!(timeout(SECOND, sleep(SECOND / 2)).await, Ok(()));
        assert_eq!(
            timeout(SECOND, sleep(SECOND)).await,
            Ok(()),
            "ready at the limit is in time"
        );
        assert_eq!(begin.elapsed(), Duration::from_millis(4_500));
    });
    assert_eq!(driver.timers.stats().pending, 0);
}

#[test]
fn the_future_is_polled_first_even_without_any_time() {
    let driver = real();
    driver.block_on(async {
        assert_eq!(timeout(Duration::ZERO, ready(7)).await, Ok(7));
        assert_eq!(timeout_at(Instant::now() - SECOND, ready(7)).await, Ok(7));
        let mut polls = 0;
        let counting = poll_fn(|_| {
            polls += 1;
            Poll::<()>::Pending
        });
        assert!(timeout(Duration::ZERO, counting).await.is_err());
        assert_eq!(polls, 1);
    });
    assert_eq!(driver.timers.stats(), Stats::default(), "none of this needs the wheel");
}

#[test]
fn a_limit_that_is_dropped_before_the_next_turn_leaves_nothing() {
    let driver = real();
    let _inside = driver.handle.enter();
    for _ in 0..1_000 {
        assert!(now(pin!(timeout(30 * SECOND, pending::<()>()))).is_pending());
    }
    assert_eq!(
        driver.timers.stats(),
        Stats {
            armed: 1_000,
            fired: 0,
            pending: 0
        }
    );
}

#[test]
fn the_longest_limit_and_the_limit_of_a_panicking_future() {
    let driver = paused();
    assert!(driver.block_on(async { timeout(Duration::MAX, sleep(SECOND)).await.is_ok() }));
    let (message, _) = driver::panics(|| {
        driver.block_on(async {
            let panicking = async {
                sleep(SECOND / 2).await;
                panic!("inside")
            };
            let _: Result<(), Elapsed> = timeout(SECOND, panicking).await;
        });
    });
    assert_eq!(message, "inside");
    assert_eq!(driver.timers.stats().pending, 0);
}

#[test]
fn takes_what_becomes_a_future_and_gives_it_back() {
    struct Later(u8);
    impl IntoFuture for Later {
        type Output = u8;
        type IntoFuture = Ready<u8>;
        fn into_future(self) -> Ready<u8> {
            ready(self.0)
        }
    }
    let driver = real();
    assert_eq!(driver.block_on(async { timeout(SECOND, Later(7)).await }), Ok(7));

    let _inside = driver.handle.enter();
    let mut limited = timeout(SECOND, Box::pin(ready(7)));
    let first: *const Ready<u8> = &**limited.get_ref();
    assert!(std::ptr::eq(first, &**limited.get_mut()));
    assert_eq!(driver.block_on(limited.into_inner()), 7);
}

#[test]
fn the_error_says_what_happened() {
    let driver = paused();
    let elapsed: Elapsed = driver
        .block_on(async { timeout(SECOND, pending::<()>()).await })
        .unwrap_err();
    assert_eq!(elapsed.to_string(), "deadline has elapsed");
    let error = io::Error::from(elapsed);
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.into_inner().is_some_and(|inner| inner.is::<Elapsed>()));
}
