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

#[test]
fn a_handler_is_any_expression() {
    type Pair<A, B> = std::marker::PhantomData<(A, B)>;
    trait Two<A, B> {
        fn two(self) -> Self;
    }
    impl Two<u8, u8> for u8 {
        fn two(self) -> u8 {
            self + 2
        }
    }
    run(async {
        let add =
            select! { number = ready(1) => move |a: u8, b: u8| a + b + number, _ = pending::<()>() => unreachable!() };
        assert_eq!(add(2, 3), 6);
        let _: Pair<u8, u8> = select! { _ = ready(()) => std::marker::PhantomData as Pair<u8, u8>, };
        let path = select! { number = ready(1) => <u8 as Two<u8, u8>>::two(number), () = pending() => 0 };
        assert_eq!(path, 3);
        let smaller = select! { number = ready(1) => number < 3, () = pending() => 2 > 1 };
        assert!(smaller);
        let sum = select! { number = ready(1) => if number > 0 { 1 } else { 2 } + 1, () = pending() => 0 };
        assert_eq!(sum, 2);
        let tried: Result<u8, u8> = async { Ok(select! { number = ready(1) => { Ok::<u8, u8>(number) }?, }) }.await;
        assert_eq!(tried, Ok(1));
        let blocks = select! { number = ready(1) => { number } () = pending(), if true => { 2 } else => { 3 } };
        assert_eq!(blocks, 1);
        let only = select! { else => if run_now(ready(true)) { 4 } else { 5 } };
        assert_eq!(only, 4);
    });
}

#[test]
fn a_pattern_is_any_pattern() {
    struct Point {
        x: u8,
        y: u8,
    }
    run(async {
        let value = 5;
        let one_of_two = select! { (&a, b) = ready((&value, 2)) => a + b };
        assert_eq!(one_of_two, 7);
        let inside = select! { Some(&a) = ready(Some(&value)) => a, else => 0 };
        assert_eq!(inside, 5);
        let mut place = 6;
        let outside = select! { &mut a = ready(&mut place) => a };
        assert_eq!(outside, 6);
        let changed = select! { Some(ref mut a) = ready(Some(7)) => { *a += 1; *a } else => 0 };
        assert_eq!(changed, 8);
        let fields = select! { Point { mut x, ref y } = ready(Point { x: 1, y: 2 }) => { x += 1; x + *y } };
        assert_eq!(fields, 4);
        let ends = select! { [a, .., b] = ready([1, 2, 3]) => a + b };
        assert_eq!(ends, 4);
        let from = select! { 5.. = ready(7) => true, else => false };
        assert!(from);
    });
}

#[test]
fn what_a_macro_took_apart_is_read_again() {
    macro_rules! choose {
        ($pattern:pat, $future:expr, $condition:expr, $handler:expr, $block:block) => {
            select! { biased; $pattern = $future, if $condition => $handler, () = ready(()) => $block () = ready(()) => $block }
        };
    }
    let choose = |on: bool| {
        run_now(async {
            choose!(
                Some(1) | None,
                ready(Some(1)),
                on || number_of(&AtomicUsize::new(0)) == 1,
                1 + 1,
                { 3 }
            )
        })
    };
    assert_eq!((choose(true), choose(false)), (2, 3));
}

#[test]
fn a_future_may_borrow_from_what_its_expression_made() {
    let got = run(async {
        select! {
            number = &mut Box::pin(async { sleep(Duration::from_millis(1)).await; 1 }) => number,
            () = pending() => 2,
        }
    });
    assert_eq!(got, 1);
}

#[test]
fn conditions_futures_conversions_and_drops_come_in_the_order_of_the_branches() {
    type Log<'a> = &'a std::cell::RefCell<Vec<String>>;
    struct Made<'a>(&'static str, bool, Log<'a>);
    struct Waits<'a>(Made<'a>);
    impl<'a> IntoFuture for Made<'a> {
        type Output = ();
        type IntoFuture = Waits<'a>;
        fn into_future(self) -> Waits<'a> {
            self.2.borrow_mut().push(format!("convert {}", self.0));
            Waits(self)
        }
    }
    impl Future for Waits<'_> {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
            if self.0.1 { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    impl Drop for Waits<'_> {
        fn drop(&mut self) {
            self.0.2.borrow_mut().push(format!("drop {}", self.0.0));
        }
    }
    let log = std::cell::RefCell::new(Vec::new());
    let make = |name, ready| {
        log.borrow_mut().push(format!("make {name}"));
        Made(name, ready, &log)
    };
    let allow = |name| {
        log.borrow_mut().push(format!("condition {name}"));
        true
    };
    run_now(async {
        select! {
            biased;
            () = make("a", false), if allow("a") => {}
            () = make("b", true), if allow("b") => log.borrow_mut().push("handler".to_owned()),
            () = make("c", false) => {}
        }
    });
    let expected = [
        "condition a",
        "condition b",
        "make a",
        "make b",
        "make c",
        "convert a",
        "convert b",
        "convert c",
        "drop a",
        "drop b",
        "drop c",
        "handler",
    ];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_future_that_never_ends_needs_no_value() {
    async fn never() -> std::convert::Infallible {
        pending().await
    }
    let got = run_now(async {
        select! { never = never() => match never {}, number = ready(1) => number }
    });
    assert_eq!(got, 1);
}

#[test]
fn more_than_128_branches() {
    macro_rules! many {
        ($($number:literal)*) => {
            select! { biased; $(() = pending() => $number, () = pending() => { $number })* last = ready(1000) => last }
        };
    }
    let got = run_now(async {
        many!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
            40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69)
    });
    assert_eq!(got, 1000);
}
