//! What of `filch::sync` is filch's own: events, conditions, queues, limiters, barriers and channels.

use filch::sync::channel::{TryRecvError, TrySendError, channel, unbounded};
use filch::sync::{
    BreakableBarrier, CapacityLimiter, Closed, Condition, Event, LifoQueue, Mutex, PriorityQueue, Queue, Shutdown,
    TryBorrowError, TryGetError, TryPutError,
};
use filch::task::{JoinHandle, yield_now};
use filch_tests::{MANY, beside_another, current, lock, multi, within};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

const WORKERS: [usize; 4] = [1, 2, 4, 8];

fn on_all<F: Future<Output = ()>>(body: impl Fn() -> F + Send + Copy + 'static) {
    for workers in WORKERS {
        within(move || multi(workers).block_on(body()));
    }
}

/// Somebody who waits, polled by hand, and how often it was woken.
struct Guest<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<'a, T> Guest<'a, T> {
    fn new(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self {
            future: Box::pin(future),
            bell: Arc::default(),
        }
    }

    /// Somebody who has to wait.
    #[track_caller]
    fn waiting(future: impl Future<Output = T> + Send + 'a) -> Self {
        let mut this = Self::new(future);
        assert!(this.poll().is_none(), "it need not wait");
        this
    }

    fn poll(&mut self) -> Option<T> {
        let waker = Waker::from(self.bell.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    fn rings(&self) -> usize {
        self.bell.0.load(Ordering::SeqCst)
    }

    #[track_caller]
    fn woken(mut self) -> T {
        assert_eq!(self.rings(), 1, "it was not woken once");
        self.poll().expect("it was woken for nothing")
    }

    #[track_caller]
    fn asleep(&mut self) {
        assert_eq!(self.rings(), 0, "it was woken");
        assert!(self.poll().is_none(), "it need not wait");
    }
}

/// Lets others run until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

async fn join_all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut values = Vec::new();
    for task in tasks {
        values.push(task.await.expect("a task"));
    }
    values
}

// The poll budget.

macro_rules! yields {
    ($($name:ident: $before:block, $($state:ident),* => $operation:expr;)*) => {
        $(#[test]
        fn $name() {
            beside_another(|turn| async move {
                let ($($state,)*) = $before;
                for _ in 0..MANY {
                    if turn.load(Ordering::SeqCst) {
                        return;
                    }
                    $operation;
                }
            });
        })*
    };
}

yields! {
    event_yields: { let event = Event::new(); event.set(); (event,) }, event => event.wait().await;
    queue_put_yields: { (Queue::bounded(1),) }, queue => { queue.put(1).await.expect("open"); queue.try_get().expect("it is there"); };
    queue_get_yields: { (Queue::bounded(1),) }, queue => { queue.try_put(1).expect("room"); queue.get().await.expect("it is there"); };
    queue_join_yields: { (Queue::<u8>::bounded(1),) }, queue => queue.join().await;
    priority_queue_yields: { (PriorityQueue::bounded(1),) }, queue => { queue.try_put(1).expect("room"); queue.get().await.expect("it is there"); };
    lifo_queue_yields: { (LifoQueue::bounded(1),) }, queue => { queue.try_put(1).expect("room"); queue.get().await.expect("it is there"); };
    limiter_yields: { (CapacityLimiter::new(1),) }, limiter => drop(limiter.borrow().await);
    breakable_yields: { (BreakableBarrier::new(1),) }, barrier => { barrier.wait().await.expect("whole"); };
    channel_send_yields: { channel(1) }, sender, receiver => { sender.send(1).await.expect("open"); receiver.try_recv().expect("it is there"); };
    channel_recv_yields: { channel(1) }, sender, receiver => { sender.try_send(1).expect("room"); receiver.recv().await.expect("it is there"); };
    condition_yields: { (Mutex::new(0), Condition::new()) }, mutex, condition => drop(condition.wait_for(mutex.lock().await, |_| true).await);
}

/// Waiting costs nothing, so whoever asks without end is not held up when there is something.
#[test]
fn waiting_is_not_charged() {
    within(|| {
        let task = async {
            let queue = Queue::bounded(1);
            let mut get = Guest::waiting(queue.get());
            for _ in 0..MANY {
                assert!(get.poll().is_none());
            }
            queue.try_put(1).expect("room");
            assert!(get.poll().is_some(), "the budget was used up by waiting");
        };
        multi(1).block_on(async { filch::spawn(task).await.expect("the task") });
    });
}

// Events.

#[test]
fn who_waits_at_set_goes_though_it_is_cleared() {
    let event = Event::new();
    let (first, second) = (Guest::waiting(event.wait()), Guest::waiting(event.wait()));
    event.set();
    event.clear();
    assert!(!event.is_set());
    let mut late = Guest::waiting(event.wait());
    first.woken();
    second.woken();
    late.asleep();
    event.set();
    late.woken();
    assert!(Guest::new(event.wait()).poll().is_some());
}

#[test]
fn events_let_tasks_go_on_all_workers() {
    on_all(|| async {
        let (event, gone) = (Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        for round in 1..=100 {
            let begun = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let (event, gone, begun) = (event.clone(), gone.clone(), begun.clone());
                    filch::spawn(async move {
                        let mut wait = std::pin::pin!(event.wait());
                        std::future::poll_fn(|cx| {
                            let poll = wait.as_mut().poll(cx);
                            if poll.is_pending() {
                                begun.fetch_add(1, Ordering::SeqCst);
                            }
                            poll
                        })
                        .await;
                        gone.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            until(|| begun.load(Ordering::SeqCst) >= 10).await;
            event.set();
            event.clear();
            join_all(tasks).await;
            assert_eq!(gone.load(Ordering::SeqCst), 10 * round);
        }
    });
}

/// A waker that looks at the event whenever anything happens to it: under the event's lock it would wait for itself.
struct Curious(Arc<Event>, AtomicUsize);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        self.0.is_set();
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Curious {
    fn drop(&mut self) {
        self.0.is_set();
    }
}

#[test]
fn no_waker_is_touched_under_the_lock() {
    within(|| {
        let event = Arc::new(Event::new());
        let mut wait = Box::pin(event.wait());
        let poll = |wait: &mut Pin<Box<_>>| {
            // The list has the only waker from here on, so it is dropped where the list drops it.
            let waker = Waker::from(Arc::new(Curious(event.clone(), AtomicUsize::new(0))));
            let wait: &mut Pin<Box<dyn Future<Output = ()>>> = wait;
            wait.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        };
        let mut erased: Pin<Box<dyn Future<Output = ()>>> = Box::pin(event.wait());
        assert!(!poll(&mut erased));
        assert!(!poll(&mut erased), "another waker takes the place of the first");
        drop(erased);
        let mut erased: Pin<Box<dyn Future<Output = ()>>> = Box::pin(event.wait());
        assert!(!poll(&mut erased));
        event.set();
        assert!(poll(&mut erased));
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    });
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new("a waker"));
    }
}

#[test]
fn a_waker_that_panics_is_its_owners_business() {
    let event = Event::new();
    let mut first = Box::pin(event.wait());
    let waker = Waker::from(Arc::new(Panics));
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let second = Guest::waiting(event.wait());
    event.set();
    second.woken();
}

#[test]
fn the_latest_waker_is_woken() {
    let event = Event::new();
    let mut wait = Box::pin(event.wait());
    let (old, new) = (Arc::<Bell>::default(), Arc::<Bell>::default());
    for bell in [&old, &new] {
        let waker = Waker::from(bell.clone());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    event.set();
    assert_eq!((old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)), (0, 1));
}

// Queues.

#[test]
fn queues_have_their_orders() {
    let (fifo, sorted, lifo) = (Queue::unbounded(), PriorityQueue::unbounded(), LifoQueue::unbounded());
    for value in [3, 1, 2] {
        fifo.try_put(value).expect("room");
        sorted.try_put(value).expect("room");
        lifo.try_put(value).expect("room");
    }
    let three = [0; 3];
    assert_eq!(three.map(|_| *fifo.try_get().expect("there")), [3, 1, 2]);
    assert_eq!(three.map(|_| *sorted.try_get().expect("there")), [1, 2, 3]);
    assert_eq!(three.map(|_| *lifo.try_get().expect("there")), [2, 1, 3]);
}

#[test]
fn equals_come_out_in_the_order_of_putting() {
    #[derive(Clone, Copy, Debug)]
    struct Same(usize);
    impl PartialEq for Same {
        fn eq(&self, _: &Self) -> bool {
            true
        }
    }
    impl Eq for Same {}
    impl PartialOrd for Same {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Same {
        fn cmp(&self, _: &Self) -> std::cmp::Ordering {
            std::cmp::Ordering::Equal
        }
    }
    let queue = PriorityQueue::unbounded();
    for number in 0..100 {
        queue.try_put(Same(number)).expect("room");
    }
    for number in 0..100 {
        assert_eq!(queue.try_get().expect("there").0, number);
    }
}

#[test]
fn a_queue_has_a_limit() {
    let queue = Queue::bounded(2);
    assert_eq!(queue.capacity(), Some(2));
    queue.try_put(1).expect("room");
    queue.try_put(2).expect("room");
    assert_eq!(queue.try_put(3), Err(TryPutError::Full(3)));
    let first = Guest::waiting(queue.put(3));
    let mut second = Guest::waiting(queue.put(4));
    assert_eq!(queue.len(), 2);
    assert_eq!(*queue.try_get().expect("there"), 1);
    // The room is the first's, though it has not run yet.
    assert_eq!(queue.try_put(5), Err(TryPutError::Full(5)));
    assert_eq!(first.woken(), Ok(()));
    second.asleep();
    assert_eq!(*queue.try_get().expect("there"), 2);
    assert_eq!(*queue.try_get().expect("there"), 3);
    assert_eq!(second.woken(), Ok(()));
    assert!(Queue::<u8>::unbounded().capacity().is_none());
    assert!(std::panic::catch_unwind(|| Queue::<u8>::bounded(0)).is_err());
}

#[test]
fn a_getter_that_goes_passes_its_item_on() {
    let queue = Queue::bounded(4);
    let (first, second) = (Guest::waiting(queue.get()), Guest::waiting(queue.get()));
    queue.try_put(1).expect("room");
    assert_eq!(first.rings(), 1);
    // It is promised.
    assert_eq!(queue.try_get().expect_err("it is promised"), TryGetError::Empty);
    let mut late = Guest::waiting(queue.get());
    drop(first);
    assert_eq!(*second.woken().expect("an item"), 1);
    late.asleep();
    queue.try_put(2).expect("room");
    drop(late);
    assert_eq!(*queue.try_get().expect("nobody has it"), 2);
}

#[test]
fn a_putter_that_goes_passes_its_room_on() {
    let queue = Queue::bounded(1);
    queue.try_put(1).expect("room");
    let (first, second) = (Guest::waiting(queue.put(2)), Guest::waiting(queue.put(3)));
    drop(queue.try_get().expect("there"));
    assert_eq!(first.rings(), 1);
    drop(first);
    assert_eq!(second.woken(), Ok(()));
    assert_eq!(*queue.try_get().expect("there"), 3);
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn an_item_is_done_when_it_is_dropped() {
    let queue = Queue::unbounded();
    queue.try_put(String::from("one")).expect("room");
    queue.try_put(String::from("two")).expect("room");
    let mut join = Guest::waiting(queue.join());
    let mut one = queue.try_get().expect("there");
    one.push('!');
    assert_eq!(*one, "one!");
    drop(one);
    join.asleep();
    assert_eq!(queue.unfinished(), 1);
    let (text, done) = queue.try_get().expect("there").take();
    assert_eq!(text, "two");
    join.asleep();
    drop(done);
    // Something new does not hold up who waited before.
    queue.try_put(String::from("three")).expect("room");
    join.woken();
    Guest::waiting(queue.join()).asleep();
}

#[test]
fn a_drained_queue_gives_what_it_has() {
    let queue = Queue::bounded(1);
    queue.try_put(1).expect("room");
    let putter = Guest::waiting(queue.put(2));
    queue.shutdown(Shutdown::Drain);
    assert!(queue.is_shut_down());
    assert_eq!(putter.woken(), Err(Closed(2)));
    assert_eq!(queue.try_put(3), Err(TryPutError::Closed(3)));
    assert_eq!(Guest::new(queue.put(3)).poll(), Some(Err(Closed(3))));
    assert_eq!(queue.unfinished(), 1);
    assert_eq!(*Guest::new(queue.get()).poll().expect("ready").expect("an item"), 1);
    assert!(Guest::new(queue.get()).poll().expect("ready").is_none());
    assert_eq!(queue.try_get().expect_err("empty"), TryGetError::Closed);
    let waiting = Queue::<u8>::bounded(1);
    let (first, second) = (Guest::waiting(waiting.get()), Guest::waiting(waiting.get()));
    waiting.try_put(7).expect("room");
    waiting.shutdown(Shutdown::Drain);
    assert_eq!(*first.woken().expect("an item"), 7);
    assert!(second.woken().is_none());
}

/// Its destructor asks the queue, which would wait for itself under the queue's lock.
struct Asks(Queue<Asks>);

impl Drop for Asks {
    fn drop(&mut self) {
        self.0.len();
    }
}

#[test]
fn items_are_dropped_outside_of_the_lock() {
    within(|| {
        let queue = Queue::unbounded();
        assert!(queue.try_put(Asks(queue.clone())).is_ok());
        queue.shutdown(Shutdown::Now);
        assert_eq!(queue.unfinished(), 0);
    });
}

/// asyncio's `test_shutdown_immediate_with_unfinished`.
#[test]
fn a_shutdown_at_once_counts_only_what_it_drains() {
    on_all(|| async {
        for _ in 0..100 {
            let queue = Queue::unbounded();
            for value in 0..5 {
                queue.put(value).await.expect("open");
            }
            let (one, two) = (queue.get().await.expect("an item"), queue.get().await.expect("an item"));
            let joined = Arc::new(AtomicBool::new(false));
            let join = filch::spawn({
                let (queue, joined) = (queue.clone(), joined.clone());
                async move {
                    queue.join().await;
                    joined.store(true, Ordering::SeqCst);
                }
            });
            queue.shutdown(Shutdown::Now);
            assert_eq!((queue.len(), queue.unfinished()), (0, 2));
            assert!(queue.get().await.is_none());
            let other = filch::spawn(async move { drop(one) });
            other.await.expect("the task");
            for _ in 0..5 {
                yield_now().await;
            }
            assert!(!joined.load(Ordering::SeqCst), "one is not done");
            drop(two);
            join.await.expect("the task");
            assert_eq!(queue.unfinished(), 0);
        }
    });
}

/// asyncio's `test_get_cancel_drop_one_pending_reader`, at large: getters and putters are aborted all the time.
#[test]
fn who_is_aborted_loses_no_item() {
    on_all(|| async {
        const ITEMS: usize = 2000;
        let queue = Queue::bounded(3);
        let seen = Arc::new(Seen::default());
        let (putters, accepted) = (4, Arc::new(Seen::default()));
        let mut tasks = Vec::new();
        for putter in 0..putters {
            let (queue, accepted) = (queue.clone(), accepted.clone());
            tasks.push(filch::spawn(async move {
                for number in 0..ITEMS / putters {
                    let (queue, accepted) = (queue.clone(), accepted.clone());
                    let value = putter * ITEMS + number;
                    let put = filch::spawn(async move {
                        queue.put(value).await.expect("open");
                        accepted.add(value);
                    });
                    if number % 3 == 0 {
                        yield_now().await;
                        put.abort();
                    }
                    let _ = put.await;
                }
            }));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let getters: Vec<_> = (0..4)
            .map(|number| {
                let (queue, seen, stop) = (queue.clone(), seen.clone(), stop.clone());
                filch::spawn(async move {
                    while !stop.load(Ordering::SeqCst) || !queue.is_empty() {
                        let (queue, seen) = (queue.clone(), seen.clone());
                        let get = filch::spawn(async move {
                            if let Some(item) = queue.get().await {
                                seen.add(*item);
                            }
                        });
                        if number % 2 == 0 {
                            yield_now().await;
                            get.abort();
                        }
                        let _ = get.await;
                    }
                })
            })
            .collect();
        join_all(tasks).await;
        stop.store(true, Ordering::SeqCst);
        until(|| queue.is_empty()).await;
        queue.shutdown(Shutdown::Drain);
        join_all(getters).await;
        queue.join().await;
        assert_eq!(seen.take(), accepted.take(), "what was put in is not what came out");
    });
}

/// Values, each at most once.
#[derive(Default)]
struct Seen(std::sync::Mutex<BTreeSet<usize>>);

impl Seen {
    fn add(&self, value: usize) {
        assert!(lock(&self.0).insert(value), "{value} was seen twice");
    }

    fn take(&self) -> BTreeSet<usize> {
        std::mem::take(&mut lock(&self.0))
    }
}

// Limiters.

#[test]
fn nobody_borrows_twice() {
    let limiter = CapacityLimiter::new(2);
    let one = limiter.try_borrow_for(1).expect("a token");
    assert_eq!(
        limiter.try_borrow_for(1).expect_err("it has one"),
        TryBorrowError::AlreadyBorrows
    );
    assert!(Guest::new(limiter.borrow_for(1)).poll().expect("at once").is_err());
    let two = limiter.try_borrow_for(2).expect("a token");
    assert_eq!(
        limiter.try_borrow_for(3).expect_err("no token"),
        TryBorrowError::NoTokens
    );
    let three = Guest::waiting(limiter.borrow_for(3));
    assert!(
        Guest::new(limiter.borrow_for(3)).poll().expect("at once").is_err(),
        "it waits for one"
    );
    let stats = limiter.stats();
    assert_eq!((stats.total, stats.borrowed, stats.waiting), (2, 2, 1));
    assert_eq!(stats.borrowers, [one.borrower(), two.borrower()]);
    drop(one);
    let three = three.woken().expect("it has none");
    assert_eq!(limiter.stats().borrowers, [two.borrower(), three.borrower()]);
    // Who gave up waiting may ask again.
    drop(Guest::waiting(limiter.borrow_for(1)));
    drop(three);
    assert!(limiter.try_borrow_for(1).is_ok());
}

#[test]
fn the_task_borrows() {
    within(|| {
        multi(2).block_on(async {
            let limiter = CapacityLimiter::new(4);
            let handle = filch::spawn({
                let limiter = limiter.clone();
                async move {
                    let token = limiter.borrow().await.expect("the first");
                    limiter.borrow().await.expect_err("the task has one");
                    limiter.try_borrow().expect_err("the task has one");
                    assert_eq!(token.borrower(), filch::task::id().into());
                    assert_eq!(limiter.borrowed(), 1);
                }
            });
            handle.await.expect("the task");
            assert_eq!(limiter.borrowed(), 0);
            // Outside of tasks each is somebody else.
            let here = (limiter.borrow().await, limiter.borrow().await);
            assert_ne!(here.0.expect("one").borrower(), here.1.expect("one").borrower());
        });
    });
}

#[test]
fn the_number_of_tokens_changes() {
    let limiter = CapacityLimiter::new(0);
    let first = Guest::waiting(limiter.borrow_for(1));
    let second = Guest::waiting(limiter.borrow_for(2));
    let mut third = Guest::waiting(limiter.borrow_for(3));
    limiter.set_total(2);
    let (one, two) = (first.woken().expect("new"), second.woken().expect("new"));
    third.asleep();
    limiter.set_total(1);
    drop(one);
    third.asleep();
    assert_eq!((limiter.total(), limiter.borrowed()), (1, 1));
    drop(two);
    let three = third.woken().expect("new");
    limiter.set_total(CapacityLimiter::UNLIMITED);
    let many: Vec<_> = (10..1000)
        .map(|number| limiter.try_borrow_for(number).expect("no limit"))
        .collect();
    assert_eq!(limiter.borrowed(), 991);
    drop((many, three));
    assert_eq!(limiter.borrowed(), 0);
}

/// asyncio's `test_acquire_fifo_order_4`: what becomes free is theirs who wait, and a late comer comes late.
#[test]
fn a_late_comer_does_not_overtake() {
    let limiter = CapacityLimiter::new(0);
    let (one, two, three) = (
        Guest::waiting(limiter.borrow_for(1)),
        Guest::waiting(limiter.borrow_for(2)),
        Guest::waiting(limiter.borrow_for(3)),
    );
    limiter.set_total(3);
    // None of them has run yet.
    assert!(limiter.try_borrow_for(4).is_err());
    let mut four = Guest::waiting(limiter.borrow_for(4));
    let tokens = [three.woken(), one.woken(), two.woken()];
    four.asleep();
    drop(tokens);
    assert!(four.woken().is_ok());
}

#[test]
fn a_late_comer_does_not_overtake_on_any_number_of_workers() {
    on_all(|| async {
        for _ in 0..50 {
            let (limiter, log) = (CapacityLimiter::new(0), Arc::new(std::sync::Mutex::new(Vec::new())));
            let release = Arc::new(Event::new());
            let mut tasks = Vec::new();
            for number in 1..=4_u64 {
                if number == 4 {
                    limiter.set_total(3);
                }
                let (of_task, log, release) = (limiter.clone(), log.clone(), release.clone());
                tasks.push(filch::spawn(async move {
                    let _token = of_task.borrow_for(number).await.expect("new");
                    lock(&log).push(number);
                    release.wait().await;
                }));
                if number < 4 {
                    until(|| limiter.stats().waiting as u64 == number).await;
                }
            }
            until(|| lock(&log).len() == 3 && limiter.stats().waiting == 1).await;
            let first: BTreeSet<u64> = lock(&log).iter().copied().collect();
            assert_eq!(first, BTreeSet::from([1, 2, 3]));
            release.set();
            join_all(tasks).await;
            assert_eq!(lock(&log).last(), Some(&4));
        }
    });
}

/// asyncio's `test_cancel_release_race`: a release beside the end of who is next makes one new owner.
#[test]
fn a_release_beside_a_cancel_has_one_new_owner() {
    on_all(|| async {
        let inside = Arc::new(AtomicUsize::new(0));
        let enter = |inside: &Arc<AtomicUsize>| {
            let inside = inside.clone();
            async move {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "there are two owners");
                yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
            }
        };
        for _ in 0..300 {
            let limiter = CapacityLimiter::new(1);
            let held = limiter.borrow_for(0).await.expect("new");
            let mut owners = [1, 2].map(|number| {
                let (limiter, inside) = (limiter.clone(), enter(&inside));
                // What is inside is not aborted half-way: the first is aborted only while it waits, or is a finished task.
                Some(filch::spawn(async move {
                    let token = limiter.borrow_for(number).await.expect("new");
                    if number == 2 {
                        inside.await;
                    }
                    drop(token);
                }))
            });
            until(|| limiter.stats().waiting == 2).await;
            let (first, second) = (owners[0].take().expect("there"), owners[1].take().expect("there"));
            let release = filch::spawn(async move { drop(held) });
            first.abort();
            let _ = first.await;
            second.await.expect("nobody has passed the token on");
            release.await.expect("the task");
            assert_eq!(limiter.borrowed(), 0);

            let mutex = Arc::new(Mutex::new(()));
            let guard = mutex.clone().lock_owned().await;
            let first = filch::spawn({
                let mutex = mutex.clone();
                async move { drop(mutex.lock().await) }
            });
            let second = filch::spawn({
                let (mutex, inside) = (mutex.clone(), enter(&inside));
                async move {
                    let _guard = mutex.lock().await;
                    inside.await;
                }
            });
            yield_now().await;
            let release = filch::spawn(async move { drop(guard) });
            first.abort();
            let _ = first.await;
            second.await.expect("nobody has passed the lock on");
            release.await.expect("the task");
            assert!(mutex.try_lock().is_ok());
        }
    });
}

// Barriers.

/// asyncio's `test_filling_tasks_cancel_one` and `test_reset_barrier_while_tasks_waiting`.
#[test]
fn a_barrier_lets_go_breaks_and_mends() {
    let barrier = BreakableBarrier::new(3);
    assert_eq!(barrier.parties(), 3);
    let (first, leaves) = (Guest::waiting(barrier.wait()), Guest::waiting(barrier.wait()));
    drop(leaves);
    assert_eq!(barrier.waiting(), 1);
    let mut second = Guest::waiting(barrier.wait());
    let last = Guest::new(barrier.wait())
        .poll()
        .expect("all are there")
        .expect("whole");
    assert_eq!(last.index(), 2);
    // Who comes now is of the next round.
    let next = Guest::waiting(barrier.wait());
    let told = second.poll().expect("all were there").expect("whole");
    assert_eq!((told.index(), told.is_leader()), (1, false));
    assert!(first.woken().expect("whole").is_leader());
    barrier.reset();
    assert!(next.woken().is_err());
    assert!(!barrier.is_broken());
    let waits = Guest::waiting(barrier.wait());
    barrier.abort();
    assert!(barrier.is_broken());
    assert!(waits.woken().is_err());
    assert!(Guest::new(barrier.wait()).poll().expect("at once").is_err());
    barrier.reset();
    drop(Guest::waiting(barrier.wait()));
    // One that has passed and looks only after a reset has passed all the same.
    let passed = [Guest::waiting(barrier.wait()), Guest::waiting(barrier.wait())];
    assert!(Guest::new(barrier.wait()).poll().expect("all are there").is_ok());
    barrier.reset();
    for guest in passed {
        guest.woken().expect("it has passed");
    }
    assert!(std::panic::catch_unwind(|| BreakableBarrier::new(0)).is_err());
}

#[test]
fn barriers_hold_tasks_up_on_all_workers() {
    on_all(|| async {
        const PARTIES: usize = 5;
        let barrier = Arc::new(BreakableBarrier::new(PARTIES));
        let rounds = Arc::new(AtomicUsize::new(0));
        let sum = Arc::new(AtomicUsize::new(0));
        let tasks = (0..PARTIES)
            .map(|_| {
                let (barrier, rounds, sum) = (barrier.clone(), rounds.clone(), sum.clone());
                filch::spawn(async move {
                    for round in 0..200 {
                        // Comes and goes first.
                        let visitor = filch::spawn({
                            let barrier = barrier.clone();
                            async move { barrier.is_broken() }
                        });
                        assert!(!visitor.await.expect("the task"));
                        let arrival = barrier.wait().await.expect("whole");
                        sum.fetch_add(arrival.index(), Ordering::SeqCst);
                        if arrival.is_leader() {
                            assert_eq!(rounds.fetch_add(1, Ordering::SeqCst), round);
                        }
                        barrier.wait().await.expect("whole");
                        assert_eq!(rounds.load(Ordering::SeqCst), round + 1);
                        barrier.wait().await.expect("whole");
                    }
                })
            })
            .collect();
        join_all(tasks).await;
        assert_eq!(sum.load(Ordering::SeqCst), 200 * (PARTIES * (PARTIES - 1) / 2));
    });
}

#[test]
fn a_reset_breaks_who_waits_on_all_workers() {
    on_all(|| async {
        for _ in 0..100 {
            let barrier = Arc::new(BreakableBarrier::new(4));
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let barrier = barrier.clone();
                    filch::spawn(async move { barrier.wait().await.is_err() })
                })
                .collect();
            until(|| barrier.waiting() == 3).await;
            barrier.reset();
            assert_eq!(join_all(tasks).await, [true; 3]);
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let barrier = barrier.clone();
                    filch::spawn(async move { barrier.wait().await.expect("whole").index() })
                })
                .collect();
            let indexes: BTreeSet<usize> = join_all(tasks).await.into_iter().collect();
            assert_eq!(indexes, BTreeSet::from([0, 1, 2, 3]));
        }
    });
}

// Channels.

#[test]
fn a_channel_keeps_so_much() {
    let (sender, receiver) = channel(2);
    sender.try_send(1).expect("room");
    sender.try_send(2).expect("room");
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    let waits = Guest::waiting(sender.send(3));
    let stats = receiver.stats();
    assert_eq!(
        (stats.len, stats.peak, stats.capacity, stats.sends_waiting),
        (2, 2, Some(2), 1)
    );
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(waits.woken(), Ok(()));
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(2), Ok(3)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let other = receiver.clone();
    let (first, second) = (Guest::waiting(receiver.recv()), Guest::waiting(other.recv()));
    assert_eq!(receiver.stats().recvs_waiting, 2);
    sender.try_send(4).expect("room");
    drop(first);
    assert_eq!(second.woken(), Some(4));
    let stats = sender.stats();
    assert_eq!((stats.len, stats.peak, stats.senders, stats.receivers), (0, 2, 1, 2));
}

#[test]
fn the_last_end_closes() {
    let (sender, receiver) = channel(3);
    let (second, other) = (sender.clone(), receiver.clone());
    sender.try_send(1).expect("room");
    drop(sender);
    assert!(!receiver.is_closed());
    second.try_send(2).expect("room");
    drop(second);
    assert!(receiver.is_closed());
    assert_eq!(Guest::new(receiver.recv()).poll(), Some(Some(1)));
    assert_eq!(other.try_recv(), Ok(2));
    assert_eq!(Guest::new(receiver.recv()).poll(), Some(None));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));

    let (sender, receiver) = channel(1);
    let value = Arc::new(());
    sender.try_send(value.clone()).expect("room");
    let waits = Guest::waiting(sender.send(value.clone()));
    drop(receiver.clone());
    assert!(!sender.is_closed());
    drop(receiver);
    assert!(sender.is_closed());
    assert!(waits.woken().is_err());
    assert_eq!(Arc::strong_count(&value), 1, "what nobody can receive stays");
    assert_eq!(sender.try_send(value.clone()), Err(TrySendError::Closed(value)));

    let (sender, receiver) = unbounded();
    let waits = Guest::waiting(receiver.recv());
    for value in 0..1000 {
        sender.try_send(value).expect("there is always room");
    }
    assert_eq!(waits.woken(), Some(0));
    assert_eq!((sender.stats().capacity, sender.stats().len), (None, 999));
}

#[test]
fn a_rendezvous_is_from_hand_to_hand() {
    let (sender, receiver) = channel(0);
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let mut sends = Guest::waiting(sender.send(2));
    let comes = Guest::waiting(receiver.recv());
    assert_eq!(sends.rings(), 1);
    // The receiver goes before the sender could give it anything: nothing is sent.
    drop(comes);
    assert!(sends.poll().is_none());
    let comes = Guest::waiting(receiver.recv());
    assert_eq!(sends.rings(), 2);
    assert_eq!(sends.poll(), Some(Ok(())));
    assert_eq!(comes.woken(), Some(2));
    // One who waits is there for whoever does not.
    let comes = Guest::waiting(receiver.recv());
    sender.try_send(3).expect("somebody waits");
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)), "nobody else waits");
    // It goes with the value given, which is not lost, and still in no one's way.
    drop(comes);
    assert_eq!(Guest::new(receiver.recv()).poll(), Some(Some(3)));
    let (gone, stays) = (Guest::waiting(sender.send(5)), Guest::waiting(sender.send(6)));
    let comes = Guest::waiting(receiver.recv());
    drop(gone);
    assert_eq!(stays.woken(), Ok(()));
    assert_eq!(comes.woken(), Some(6));
    assert_eq!(sender.stats().peak, 1, "the value that its receiver left");
}

fn channels_lose_nothing(capacity: usize) {
    for workers in WORKERS {
        within(move || {
            multi(workers).block_on(async move {
                const SENDERS: usize = 6;
                const EACH: usize = 300;
                let (sender, receiver) = channel(capacity);
                let (sent, seen) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
                let mut tasks: Vec<_> = (0..SENDERS)
                    .map(|number| {
                        let (sender, sent) = (sender.clone(), sent.clone());
                        filch::spawn(async move {
                            for round in 0..EACH {
                                let value = number * EACH + round;
                                let (sender, sent) = (sender.clone(), sent.clone());
                                let send = filch::spawn(async move {
                                    sender.send(value).await.expect("open");
                                    sent.add(value);
                                });
                                if round % 4 == 0 {
                                    yield_now().await;
                                    send.abort();
                                }
                                let _ = send.await;
                            }
                        })
                    })
                    .collect();
                drop(sender);
                for number in 0..4 {
                    let (receiver, seen) = (receiver.clone(), seen.clone());
                    tasks.push(filch::spawn(async move {
                        loop {
                            let (receiver, seen) = (receiver.clone(), seen.clone());
                            let recv = filch::spawn(async move {
                                let value = receiver.recv().await;
                                if let Some(value) = value {
                                    seen.add(value);
                                }
                                value.is_some()
                            });
                            if number % 2 == 0 {
                                yield_now().await;
                                recv.abort();
                            }
                            if matches!(recv.await, Ok(false)) {
                                return;
                            }
                        }
                    }));
                }
                drop(receiver);
                join_all(tasks).await;
                assert_eq!(seen.take(), sent.take(), "what was sent is not what was received");
            });
        });
    }
}

#[test]
fn a_rendezvous_loses_nothing() {
    channels_lose_nothing(0);
}

#[test]
fn a_channel_for_one_loses_nothing() {
    channels_lose_nothing(1);
}

#[test]
fn a_channel_for_seven_loses_nothing() {
    channels_lose_nothing(7);
}

// Conditions.

#[test]
fn a_condition_unlocks_and_locks_again() {
    let (mutex, condition) = (Mutex::new(0), Condition::new());
    let guard = mutex.try_lock().expect("free");
    let mut first = Guest::waiting(condition.wait(guard));
    let mut second = Guest::waiting(condition.wait(mutex.try_lock().expect("it was unlocked")));
    let mut third = Guest::waiting(condition.wait(mutex.try_lock().expect("it was unlocked")));
    let held = mutex.try_lock().expect("it was unlocked");
    condition.notify(2);
    assert_eq!([first.rings(), second.rings(), third.rings()], [1, 1, 0]);
    assert!(first.poll().is_none() && second.poll().is_none(), "the lock is held");
    drop(held);
    let guard = first.poll().expect("the lock is free");
    assert!(mutex.try_lock().is_err(), "it comes back with the lock");
    assert!(second.poll().is_none());
    drop(guard);
    drop(second.poll().expect("the lock is free"));
    third.asleep();
    condition.notify_all();
    drop(third.woken());
    // Nobody waits: nothing is kept.
    condition.notify_one();
    Guest::waiting(condition.wait(mutex.try_lock().expect("free"))).asleep();
}

#[test]
fn a_notice_is_passed_on() {
    let (mutex, condition) = (Arc::new(Mutex::new(0)), Condition::new());
    let wait = || {
        let mutex = mutex.clone();
        let condition = &condition;
        async move { drop(condition.wait_owned(mutex.try_lock_owned().expect("free")).await) }
    };
    // Dropped after it was notified and before it has looked.
    let (first, second) = (Guest::waiting(wait()), Guest::waiting(wait()));
    condition.notify_one();
    assert_eq!(first.rings(), 1);
    drop(first);
    second.woken();
    // Dropped while it waits for the lock.
    let (mut first, second) = (Guest::waiting(wait()), Guest::waiting(wait()));
    condition.notify_one();
    let held = mutex.try_lock().expect("free");
    assert!(first.poll().is_none());
    assert_eq!(second.rings(), 0);
    drop(first);
    assert_eq!(second.rings(), 1);
    drop(held);
    second.woken();
}

/// A store with room for a few, by hand: two conditions on one lock.
#[test]
fn conditions_make_a_bounded_store() {
    on_all(|| async {
        let shared = Arc::new((Mutex::new(Vec::new()), Condition::new(), Condition::new()));
        let producers: Vec<_> = (0..8)
            .map(|number| {
                let shared = shared.clone();
                filch::spawn(async move {
                    let (store, room, items) = &*shared;
                    for round in 0..100 {
                        let mut store = room.wait_while(store.lock().await, |store| store.len() >= 3).await;
                        store.push(number * 100 + round);
                        drop(store);
                        items.notify_one();
                    }
                })
            })
            .collect();
        let consumers: Vec<_> = (0..8)
            .map(|_| {
                let shared = shared.clone();
                filch::spawn(async move {
                    let (store, room, items) = &*shared;
                    let mut sum = 0;
                    for _ in 0..100 {
                        let mut store = items.wait_for(store.lock().await, |store| !store.is_empty()).await;
                        sum += store.pop().expect("not empty");
                        drop(store);
                        room.notify_one();
                    }
                    sum
                })
            })
            .collect();
        join_all(producers).await;
        let sum: usize = join_all(consumers).await.into_iter().sum();
        assert_eq!(sum, 800 * 799 / 2);
    });
}

// Schedules.

/// Aborts each when the schedule likes to.
fn abort_some_time(tasks: [&JoinHandle<()>; 2]) {
    for task in tasks {
        let task = task.abort_handle();
        filch::spawn(async move {
            yield_now().await;
            yield_now().await;
            task.abort();
        });
    }
}

/// One who puts and one who gets go at any time: nobody else waits for ever, and what was put in comes out.
#[filch::test(deterministic, worker_threads = 3, seeds = 0..300)]
async fn a_queue_under_any_schedule() {
    let queue = Queue::bounded(1);
    let (accepted, seen) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
    let mut putters = Vec::new();
    let mut getters = Vec::new();
    for number in 0..4 {
        let (of_getter, seen) = (queue.clone(), seen.clone());
        getters.push(filch::spawn(async move {
            while let Some(item) = of_getter.get().await {
                seen.add(*item);
            }
        }));
        let (of_putter, accepted) = (queue.clone(), accepted.clone());
        putters.push(filch::spawn(async move {
            for round in 0..3 {
                let value = 10 * number + round;
                of_putter.put(value).await.expect("open");
                accepted.add(value);
            }
        }));
    }
    abort_some_time([&putters[0], &getters[0]]);
    for (number, putter) in putters.into_iter().enumerate() {
        let ended = putter.await;
        assert!(number == 0 || ended.is_ok());
    }
    queue.join().await;
    queue.shutdown(Shutdown::Drain);
    for (number, getter) in getters.into_iter().enumerate() {
        let ended = getter.await;
        assert!(number == 0 || ended.is_ok());
    }
    assert_eq!(seen.take(), accepted.take());
}

/// The same from hand to hand, where a value that its receiver left goes to the next.
#[filch::test(deterministic, worker_threads = 3, seeds = 0..300)]
async fn a_rendezvous_under_any_schedule() {
    let (sender, receiver) = channel(0);
    let (accepted, seen) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for number in 0..2 {
        let (receiver, seen) = (receiver.clone(), seen.clone());
        receivers.push(filch::spawn(async move {
            while let Some(value) = receiver.recv().await {
                seen.add(value);
            }
        }));
        let (of_task, accepted) = (sender.clone(), accepted.clone());
        senders.push(filch::spawn(async move {
            for round in 0..3 {
                let value = 10 * number + round;
                of_task.send(value).await.expect("open");
                accepted.add(value);
            }
        }));
    }
    abort_some_time([&senders[0], &receivers[0]]);
    for (number, task) in senders.into_iter().enumerate() {
        let ended = task.await;
        assert!(number == 0 || ended.is_ok());
    }
    let first = receivers.remove(0);
    let _ = first.await;
    // What the first receiver left is not there for the taking while the second waits: in so many steps that has run.
    let settled = || receiver.stats().recvs_waiting == 1 && receiver.stats().len == 0;
    for _ in 0..1000 {
        if settled() {
            break;
        }
        yield_now().await;
    }
    assert!(settled(), "nobody was told of what the first left");
    drop(sender);
    join_all(receivers).await;
    assert_eq!(seen.take(), accepted.take());
}

/// Tokens and notices go to the next.
#[filch::test(deterministic, worker_threads = 3, seeds = 0..300)]
async fn a_turn_under_any_schedule() {
    let limiter = CapacityLimiter::new(1);
    let shared = Arc::new((Mutex::new(()), Condition::new()));
    let begun = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (limiter, shared, begun) = (limiter.clone(), shared.clone(), begun.clone());
            filch::spawn(async move {
                let token = limiter.borrow().await.expect("new");
                yield_now().await;
                drop(token);
                let guard = shared.0.lock().await;
                begun.fetch_add(1, Ordering::SeqCst);
                drop(shared.1.wait(guard).await);
                // One notice goes through all.
                shared.1.notify_one();
            })
        })
        .collect();
    until(|| begun.load(Ordering::SeqCst) == 3).await;
    // Whoever began to wait has unlocked.
    drop(shared.0.lock().await);
    shared.1.notify_one();
    tasks[1].abort();
    for (number, task) in tasks.into_iter().enumerate() {
        let ended = task.await;
        assert!(number == 1 || ended.is_ok());
    }
    let waits = [1, 2].map(|number| {
        let limiter = limiter.clone();
        filch::spawn(async move { drop(limiter.borrow_for(number).await.expect("new")) })
    });
    let held = limiter.try_borrow_for(9);
    yield_now().await;
    drop(held);
    waits[0].abort();
    let [first, second] = waits;
    let _ = first.await;
    second.await.expect("nobody has kept the token");
    assert_eq!(limiter.borrowed(), 0);
}

// Threads.

#[test]
fn foreign_threads_take_part() {
    within(|| {
        let runtime = multi(2);
        let (tasks, answers) = (Queue::bounded(1), channel(0));
        let (event, barrier) = (Arc::new(Event::new()), Arc::new(BreakableBarrier::new(2)));
        let limiter = CapacityLimiter::new(1);
        let shared = Arc::new((Mutex::new(0), Condition::new()));
        let worker = runtime.spawn({
            let (tasks, sender, receiver) = (tasks.clone(), answers.0.clone(), answers.1.clone());
            let (event, barrier, limiter, shared) = (event.clone(), barrier.clone(), limiter.clone(), shared.clone());
            async move {
                while let Some(item) = tasks.get().await {
                    let token = limiter.borrow().await.expect("new");
                    sender.send(*item).await.expect("open");
                    drop(token);
                    assert_eq!(receiver.recv().await, Some(*item + 1));
                }
                barrier.wait().await.expect("whole");
                event.set();
                *shared.0.lock().await = 1;
                shared.1.notify_all();
            }
        });
        for value in 0..100 {
            tasks.put_blocking(value).expect("open");
            assert_eq!(answers.1.recv_blocking(), Some(value));
            drop(limiter.borrow_blocking().expect("new"));
            answers.0.send_blocking(value + 1).expect("open");
            tasks.join_blocking();
        }
        let local = Queue::bounded(1);
        local.put_blocking(1).expect("open");
        assert_eq!(local.get_blocking().map(|item| *item), Some(1));
        let guard = shared.0.blocking_lock();
        assert_eq!(*guard, 0);
        tasks.shutdown(Shutdown::Drain);
        barrier.wait_blocking().expect("whole");
        let guard = shared.1.wait_blocking(guard);
        assert_eq!(*guard, 1);
        drop(guard);
        event.wait_blocking();
        runtime.block_on(worker).expect("the task");
    });
}

/// Workers, a lane, a local set, another runtime and a thread of no runtime at one queue, one lock and one barrier.
#[test]
fn everybody_meets() {
    const ROUNDS: usize = 50;

    /// One of the five: gives and takes, counts, and waits for the others.
    async fn take_part(shared: Arc<Shared>) {
        for round in 0..ROUNDS {
            shared.queue.put(round).await.expect("open");
            let item = shared.queue.get().await.expect("as many are put as got");
            *shared.sum.lock().await += *item;
            drop(item);
            shared.sender.send(round).await.expect("open");
            shared.barrier.wait().await.expect("whole");
        }
    }

    struct Shared {
        queue: Queue<usize>,
        sum: Mutex<usize>,
        sender: filch::sync::channel::Sender<usize>,
        barrier: BreakableBarrier,
    }

    within(|| {
        let (sender, receiver) = channel(0);
        let shared = Arc::new(Shared {
            queue: Queue::bounded(2),
            sum: Mutex::new(0),
            sender,
            barrier: BreakableBarrier::new(5),
        });
        let receiving = std::thread::spawn(move || {
            let mut sum = 0;
            while let Some(value) = receiver.recv_blocking() {
                sum += value;
            }
            sum
        });
        let no_runtime = std::thread::spawn({
            let shared = shared.clone();
            move || {
                for round in 0..ROUNDS {
                    shared.queue.put_blocking(round).expect("open");
                    let item = shared.queue.get_blocking().expect("as many are put as got");
                    *shared.sum.blocking_lock() += *item;
                    drop(item);
                    shared.sender.send_blocking(round).expect("open");
                    shared.barrier.wait_blocking().expect("whole");
                }
            }
        });
        let another = std::thread::spawn({
            let shared = shared.clone();
            move || current().block_on(take_part(shared))
        });
        multi(2).block_on(async {
            let local = filch::task::LocalSet::new();
            let tasks = vec![
                filch::spawn(take_part(shared.clone())),
                filch::lane().spawn(take_part(shared.clone())),
            ];
            let here = local.spawn_local(take_part(shared.clone()));
            local.run_until(here).await.expect("the task");
            join_all(tasks).await;
            shared.queue.join().await;
        });
        another.join().expect("no panic");
        no_runtime.join().expect("no panic");
        let each = ROUNDS * (ROUNDS - 1) / 2;
        assert_eq!(*shared.sum.blocking_lock(), 5 * each);
        drop(shared);
        assert_eq!(receiving.join().expect("no panic"), 5 * each);
    });
}

#[test]
fn blocking_calls_refuse_a_thread_that_runs_tasks() {
    fn refused(what: &str, f: impl FnOnce()) {
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("it blocked");
        let text = payload.downcast_ref::<String>().expect("a message");
        assert!(
            text.starts_with(&format!("`{what}` was called on a thread that runs")),
            "{text}"
        );
    }
    fn all() {
        // All of them would be ready: it is the call that is wrong.
        let queue = Queue::bounded(2);
        queue.try_put(1).expect("room");
        refused("Queue::put_blocking", || _ = queue.put_blocking(1));
        refused("Queue::get_blocking", || _ = queue.get_blocking());
        refused("PriorityQueue::join_blocking", || {
            PriorityQueue::<u8>::unbounded().join_blocking()
        });
        refused("LifoQueue::put_blocking", || _ = LifoQueue::unbounded().put_blocking(1));
        let (sender, receiver) = channel(2);
        sender.try_send(1).expect("room");
        refused("channel::Sender::send_blocking", || _ = sender.send_blocking(1));
        refused("channel::Receiver::recv_blocking", || _ = receiver.recv_blocking());
        let event = Event::new();
        event.set();
        refused("Event::wait_blocking", || event.wait_blocking());
        refused("BreakableBarrier::wait_blocking", || {
            _ = BreakableBarrier::new(1).wait_blocking()
        });
        refused("CapacityLimiter::borrow_blocking", || {
            _ = CapacityLimiter::new(1).borrow_blocking()
        });
        let (mutex, condition) = (Mutex::new(0), Condition::new());
        refused("Condition::wait_blocking", || {
            _ = condition.wait_blocking(mutex.try_lock().expect("free"))
        });
    }
    within(|| {
        multi(1).block_on(async {
            all();
            filch::spawn(async { all() }).await.expect("the task");
        });
        current().block_on(async { all() });
    });
}

#[test]
fn all_goes_from_thread_to_thread() {
    fn both<T: Send + Sync>() {}
    use std::cell::Cell;
    both::<Event>();
    both::<Condition>();
    both::<Queue<Cell<u8>>>();
    both::<PriorityQueue<Cell<u8>>>();
    both::<LifoQueue<Cell<u8>>>();
    both::<CapacityLimiter>();
    both::<BreakableBarrier>();
    both::<filch::sync::channel::Sender<Cell<u8>>>();
    both::<filch::sync::channel::Receiver<Cell<u8>>>();
    fn send<T: Send>(_: &T) {}
    let queue = Queue::<Cell<u8>>::unbounded();
    send(&queue.put(Cell::new(1)));
    send(&queue.get());
    send(&queue.join());
    let (sender, receiver) = channel::<Cell<u8>>(1);
    send(&sender.send(Cell::new(1)));
    send(&receiver.recv());
    send(&CapacityLimiter::new(1).borrow());
}
