//! The shortest way through every room.

use std::time::{Duration, Instant};

#[test]
fn spawn_and_join() {
    let n = filch::run(async {
        let handles: Vec<_> = (0..1000).map(|i| filch::spawn(async move { i })).collect();
        let mut sum = 0;
        for h in handles {
            sum += h.await.unwrap();
        }
        sum
    });
    assert_eq!(n, 499_500);
}

#[test]
fn sleep_takes_its_time() {
    let begin = Instant::now();
    filch::run(async {
        let a = filch::spawn(filch::time::sleep(Duration::from_millis(20)));
        let b = filch::spawn(filch::time::sleep(Duration::from_millis(30)));
        a.await.unwrap();
        b.await.unwrap();
    });
    assert!(begin.elapsed() >= Duration::from_millis(30));
}

#[test]
fn current_thread() {
    let rt = filch::runtime::Builder::new_current_thread().build().unwrap();
    let out = rt.block_on(async {
        let t = filch::spawn(async {
            for _ in 0..100 {
                filch::task::yield_now().await;
            }
            filch::task::spawn_blocking(|| 7).await.unwrap()
        });
        t.await.unwrap()
    });
    assert_eq!(out, 7);
    rt.spawn(std::future::pending::<()>());
}

#[test]
fn ping_pong_across() {
    filch::run(async {
        let mut set = filch::task::JoinSet::new();
        for _ in 0..200 {
            set.spawn(async {
                for _ in 0..100 {
                    filch::spawn(async { filch::task::yield_now().await }).await.unwrap();
                }
            });
        }
        let mut n = 0;
        while let Some(r) = set.join_next().await {
            r.unwrap();
            n += 1;
        }
        assert_eq!(n, 200);
    });
}

#[test]
fn leftovers_end() {
    filch::run(async {
        for _ in 0..100 {
            filch::spawn(std::future::pending::<()>());
            filch::spawn(filch::time::sleep(Duration::from_secs(1000)));
        }
    });
}
