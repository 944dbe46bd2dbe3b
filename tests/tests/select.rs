//! `select!`: its grammar, its order, and what it drops.

use filch::select;
use filch::time::{Duration, sleep};
use std::future::{pending, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

fn run<F: Future>(future: F) -> F::Output {
    filch::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn every_form_of_branch_is_read() {
    run(async {
        let block = select! { () = ready(()) => { 1 } };
        let block_and_comma = select! { () = ready(()) => { 2 }, };
        let expression = select! { number = ready(2) => number + 1, };
        let no_comma = select! { number = ready(3) => number + 1 };
        assert_eq!((block, block_and_comma, expression, no_comma), (1, 2, 3, 4));

        let method_of_a_block = select! { _ = ready(()) => { Some(5) }.unwrap(), };
        assert_eq!(method_of_a_block, 5);
        let generics = select! {
            number = ready("6") => str::parse::<u8>(number).map_err(Vec::<(u8, u8)>::from_error).unwrap(),
            () = pending() => 0,
        };
        assert_eq!(generics, 6);
        let tuple = select! { (a, mut b) = ready((1, vec![2])) => { b.push(3); (a, b) } };
        assert_eq!(tuple, (1, vec![2, 3]));
        let range = select! { number @ 1..=9 = ready(7) => number, else => 0 };
        assert_eq!(range, 7);
        let reference = select! { ref text = ready(String::from("x")) => text.len() };
        assert_eq!(reference, 1);
        let either = select! { Some(7) | None = ready(Some(7)) => true, else => false };
        assert!(either);
        let comparison = select! { same = ready(1 == 1), if 2 >= 1 => same, };
        assert!(comparison);
        let closure = select! { number = async { let same = |a: u8| -> u8 { a }; same(8) } => number };
        assert_eq!(closure, 8);
        let into_future = select! { number = Soon => number };
        assert_eq!(into_future, 9);
    });
}

trait FromError {
    fn from_error(error: std::num::ParseIntError) -> Self;
}

impl FromError for Vec<(u8, u8)> {
    fn from_error(_: std::num::ParseIntError) -> Self {
        Vec::new()
    }
}

struct Soon;

impl IntoFuture for Soon {
    type Output = u8;
    type IntoFuture = std::future::Ready<u8>;
    fn into_future(self) -> Self::IntoFuture {
        ready(9)
    }
}

#[test]
fn handlers_see_the_function_around_them() {
    async fn find() -> Result<u8, String> {
        let disabled = "the user's own names";
        let cx = 1;
        loop {
            select! {
                _ = sleep(Duration::from_millis(1)) => {
                    sleep(Duration::from_millis(1)).await;
                    assert_eq!(disabled, "the user's own names");
                    let inner = select! { number = ready(cx) => number };
                    if inner == 1 { break }
                }
                () = pending() => return Ok(0),
            }
        }
        select! {
            number = ready("x".parse::<u8>()) => Ok(number.map_err(|error| error.to_string())?),
        }
    }
    assert_eq!(run(find()), Err("invalid digit found in string".to_owned()));
}

#[test]
fn conditions_disable_and_futures_are_made_all_the_same() {
    run(async {
        let made = AtomicUsize::new(0);
        let make = |number| {
            made.fetch_add(1, Ordering::Relaxed);
            ready(number)
        };
        let off = false;
        let got = select! {
            number = make(1), if off => number,
            number = make(2), if !off && number_of(&made) == 0 => number,
            else => 3,
        };
        assert_eq!(got, 2);
        assert_eq!(number_of(&made), 2);
        let got = select! {
            number = make(1), if off => number,
            else => 3,
        };
        assert_eq!(got, 3);
    });
}

fn number_of(made: &AtomicUsize) -> usize {
    made.load(Ordering::Relaxed)
}

#[test]
fn what_does_not_fit_its_pattern_disables_its_branch() {
    run(async {
        let got = select! {
            biased;
            Some(number) = ready(None::<u8>) => number,
            Ok(number) = async { sleep(Duration::from_millis(1)).await; Ok::<u8, ()>(4) } => number,
            else => 0,
        };
        assert_eq!(got, 4);
        let got = select! {
            Some(number) = ready(None::<u8>) => number,
            Err(number) = ready(Ok::<(), u8>(())) => number,
            else => 5,
        };
        assert_eq!(got, 5);
    });
}

#[test]
#[should_panic(expected = "all branches of `select!` are disabled")]
fn without_else_there_is_nothing_to_give() {
    run(async {
        select! { Some(_) = ready(None::<u8>) => () }
    });
}

#[test]
fn the_losers_are_dropped_before_the_handler_runs() {
    struct Guard(Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    run(async {
        let drops = Arc::new(AtomicUsize::new(0));
        let guard = Guard(drops.clone());
        let seen = select! {
            () = async move { let _guard = guard; pending().await } => 0,
            () = sleep(Duration::from_millis(1)) => drops.load(Ordering::Relaxed),
        };
        assert_eq!(seen, 1);
    });
}

#[test]
fn futures_by_reference_are_waited_for_again() {
    run(async {
        let mut slow = std::pin::pin!(sleep(Duration::from_millis(20)));
        let mut rounds = 0;
        loop {
            select! {
                biased;
                () = &mut slow => break,
                () = sleep(Duration::from_millis(3)) => rounds += 1,
            }
        }
        assert!(rounds >= 1);
    });
}

fn firsts(times: usize) -> [usize; 3] {
    let mut count = [0; 3];
    for _ in 0..times {
        let first = run_now(async {
            select! { () = ready(()) => 0, () = ready(()) => 1, () = ready(()) => 2 }
        });
        count[first] += 1;
    }
    count
}

fn run_now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it is ready"),
    }
}

#[test]
fn each_branch_is_first_now_and_then_and_the_first_always_with_biased() {
    let count = firsts(3_000);
    assert!(count.iter().all(|&count| count > 700), "{count:?}");
    for _ in 0..100 {
        let first = run_now(async {
            select! { biased; () = ready(()) => 0, () = ready(()) => 1 }
        });
        assert_eq!(first, 0);
    }
}

#[test]
fn the_seed_of_a_deterministic_runtime_chooses() {
    let draws = |seed| {
        let runtime = filch::runtime::Builder::new_multi_thread()
            .deterministic(seed)
            .build()
            .unwrap();
        runtime.block_on(async {
            let task = filch::spawn(async { firsts(30) });
            (firsts(30), task.await.unwrap())
        })
    };
    assert_eq!(draws(1), draws(1));
    assert!((2..10).any(|seed| draws(seed) != draws(1)));
}

#[test]
fn more_than_64_branches() {
    macro_rules! many {
        ($($number:literal)*) => {
            select! { $(() = pending() => $number,)* last = ready(1000) => last }
        };
    }
    let got = run_now(async {
        many!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
            40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69)
    });
    assert_eq!(got, 1000);
}

#[test]
fn it_is_send_if_its_futures_are() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let future = send(async {
        let mut polls = 0;
        select! {
            number = poll_fn(|_| { polls += 1; Poll::Ready(polls) }) => number,
            () = sleep(Duration::from_secs(1)) => 0,
        }
    });
    assert_eq!(run(future), 1);
}
