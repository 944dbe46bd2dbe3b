//! `filch::sync` with Tokio's names: it charges the poll budget, works from everywhere, and is otherwise what crate tokio's is.

use filch::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch};
use filch_tests::{MANY, beside_another, multi, within};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

mod own {
    pub(crate) struct RecvError(pub(crate) u8);
}

/// A test that a loop over an operation that is always ready lets others run.
macro_rules! yields {
    ($($name:ident: $before:block, $($state:ident),* => $operation:expr;)*) => {
        $(#[test]
        fn $name() {
            beside_another(|turn| async move {
                #[allow(unused_mut, reason = "some operations need it to be mutable")]
                let ($(mut $state,)*) = $before;
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
    mutex_yields: { (Mutex::new(0),) }, mutex => { *mutex.lock().await += 1; };
    mutex_owned_yields: { (Arc::new(Mutex::new(0)),) }, mutex => { *mutex.clone().lock_owned().await += 1; };
    rwlock_read_yields: { (RwLock::new(0),) }, lock => { drop(lock.read().await); };
    rwlock_write_yields: { (RwLock::new(0),) }, lock => { drop(lock.write().await); };
    rwlock_read_owned_yields: { (Arc::new(RwLock::new(0)),) }, lock => { drop(lock.clone().read_owned().await); };
    rwlock_write_owned_yields: { (Arc::new(RwLock::new(0)),) }, lock => { drop(lock.clone().write_owned().await); };
    semaphore_yields: { (Semaphore::new(1),) }, semaphore => { drop(semaphore.acquire().await); };
    semaphore_many_yields: { (Semaphore::new(3),) }, semaphore => { drop(semaphore.acquire_many(3).await); };
    semaphore_owned_yields: { (Arc::new(Semaphore::new(1)),) }, semaphore => { drop(semaphore.clone().acquire_owned().await); };
    semaphore_many_owned_yields: { (Arc::new(Semaphore::new(3)),) }, semaphore => { drop(semaphore.clone().acquire_many_owned(3).await); };
    notify_yields: { (Notify::new(),) }, notify => { notify.notify_one(); notify.notified().await; };
    notify_owned_yields: { (Arc::new(Notify::new()),) }, notify => { notify.notify_one(); notify.clone().notified_owned().await; };
    barrier_yields: { (Barrier::new(1),) }, barrier => { barrier.wait().await; };
    once_cell_yields: { (OnceCell::new(),) }, cell => { cell.get_or_init(|| async { 1 }).await; };
    once_cell_try_yields: { (OnceCell::new(),) }, cell => { cell.get_or_try_init(|| async { Ok::<u8, ()>(1) }).await.expect("made"); };
    set_once_yields: { (SetOnce::from(1),) }, cell => { cell.wait().await; };
    oneshot_yields: { (1,) }, value => { let (sender, receiver) = oneshot::channel(); sender.send(value).expect("open"); value = receiver.await.expect("sent"); };
    oneshot_closed_yields: { oneshot::channel::<u8>() }, sender, receiver => { receiver.close(); sender.closed().await; };
    oneshot_poll_closed_yields: { oneshot::channel::<u8>() }, sender, receiver => { receiver.close(); std::future::poll_fn(|cx| sender.poll_closed(cx)).await; };
    broadcast_yields: { broadcast::channel(4) }, sender, receiver => { sender.send(1).expect("open"); receiver.recv().await.expect("sent"); };
    broadcast_closed_yields: { (broadcast::Sender::<u8>::new(1),) }, sender => { sender.closed().await; };
    watch_yields: { watch::channel(0) }, sender, receiver => { sender.send(1).expect("open"); receiver.changed().await.expect("sent"); };
    watch_wait_for_yields: { watch::channel(0) }, sender, receiver => { sender.send(1).expect("open"); receiver.wait_for(|value| *value == 1).await.expect("sent"); };
    watch_closed_yields: { (watch::Sender::new(0),) }, sender => { sender.closed().await; };
    mpsc_recv_yields: { mpsc::channel(4) }, sender, receiver => { sender.try_send(1).expect("room"); receiver.recv().await.expect("sent"); };
    mpsc_poll_recv_yields: { mpsc::channel(4) }, sender, receiver => { sender.try_send(1).expect("room"); std::future::poll_fn(|cx| receiver.poll_recv(cx)).await.expect("sent"); };
    mpsc_send_yields: { mpsc::channel(4) }, sender, receiver => { sender.send(1).await.expect("open"); receiver.try_recv().expect("sent"); };
    mpsc_recv_many_yields: { mpsc::channel(4) }, sender, receiver => { sender.try_send(1).expect("room"); receiver.recv_many(&mut Vec::new(), 4).await; };
    mpsc_poll_recv_many_yields: { mpsc::channel(4) }, sender, receiver => {
        sender.try_send(1).expect("room");
        std::future::poll_fn(|cx| receiver.poll_recv_many(cx, &mut Vec::new(), 4)).await;
    };
    mpsc_reserve_yields: { mpsc::channel::<u8>(4) }, sender, receiver => { drop(sender.reserve().await.expect("open")); receiver.try_recv().expect_err("empty"); };
    mpsc_reserve_many_yields: { mpsc::channel::<u8>(4) }, sender, receiver => { drop(sender.reserve_many(3).await.expect("open")); receiver.try_recv().expect_err("empty"); };
    mpsc_reserve_owned_yields: { mpsc::channel::<u8>(4) }, sender, receiver => { drop(sender.clone().reserve_owned().await.expect("open")); receiver.try_recv().expect_err("empty"); };
    mpsc_send_timeout_yields: { mpsc::channel(4) }, sender, receiver => { sender.send_timeout(1, Duration::from_secs(60)).await.expect("open"); receiver.try_recv().expect("sent"); };
    mpsc_closed_yields: { mpsc::channel::<u8>(4) }, sender, receiver => { receiver.close(); sender.closed().await; };
    unbounded_recv_yields: { mpsc::unbounded_channel() }, sender, receiver => { sender.send(1).expect("open"); receiver.recv().await.expect("sent"); };
    unbounded_recv_many_yields: { mpsc::unbounded_channel() }, sender, receiver => { sender.send(1).expect("open"); receiver.recv_many(&mut Vec::new(), 4).await; };
    unbounded_closed_yields: { mpsc::unbounded_channel::<u8>() }, sender, receiver => { receiver.close(); sender.closed().await; };
}

/// The control: crate tokio's own type is not charged here, so the loop above does notice.
#[test]
fn the_type_of_crate_tokio_does_not_yield() {
    within(|| {
        filch_tests::current().block_on(async {
            filch::spawn(async {
                let turn = Arc::new(AtomicBool::new(false));
                let raise = turn.clone();
                let other = filch::spawn(async move { raise.store(true, Ordering::SeqCst) });
                let mutex = tokio::sync::Mutex::new(0);
                for _ in 0..MANY {
                    *mutex.lock().await += 1;
                }
                assert!(!turn.load(Ordering::SeqCst), "nothing has let the other task run");
                other.await.expect("the other task");
            })
            .await
            .expect("the task");
        });
    });
}

/// An operation that has to wait costs nothing: a task may ask as often as it likes.
#[test]
fn only_what_is_ready_is_charged() {
    within(|| {
        filch_tests::current().block_on(async {
            filch::spawn(async {
                let (sender, mut receiver) = mpsc::channel::<u8>(1);
                for _ in 0..MANY {
                    let mut cx = Context::from_waker(Waker::noop());
                    assert!(receiver.poll_recv(&mut cx).is_pending());
                }
                sender.try_send(1).expect("room");
                let mut cx = Context::from_waker(Waker::noop());
                assert_eq!(
                    receiver.poll_recv(&mut cx),
                    Poll::Ready(Some(1)),
                    "the budget was used up by waiting"
                );
            })
            .await
            .expect("the task");
        });
    });
}

const WORKERS: [usize; 4] = [1, 2, 4, 8];
const TASKS: usize = 40;
const ROUNDS: usize = 250;

fn on_all<F: Future<Output = ()>>(body: impl Fn() -> F + Send + Copy + 'static) {
    for workers in WORKERS {
        within(move || multi(workers).block_on(body()));
    }
}

async fn join_all(tasks: Vec<filch::task::JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("a task");
    }
}

#[test]
fn locks_and_permits_exclude() {
    on_all(|| async {
        let mutex = Arc::new(Mutex::new(0_usize));
        let lock = Arc::new(RwLock::new(0_usize));
        let semaphore = Arc::new(Semaphore::new(3));
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks = (0..TASKS)
            .map(|number| {
                let (mutex, lock, semaphore, inside) = (mutex.clone(), lock.clone(), semaphore.clone(), inside.clone());
                filch::spawn(async move {
                    for round in 0..ROUNDS {
                        {
                            let mut value = mutex.lock().await;
                            let before = *value;
                            if (round + number) % 16 == 0 {
                                filch::task::yield_now().await;
                            }
                            *value = before + 1;
                        }
                        if round % 2 == 0 {
                            let mut value = lock.clone().write_owned().await;
                            let before = *value;
                            filch::task::yield_now().await;
                            *value = before + 1;
                        } else {
                            let value = lock.read().await;
                            let before = *value;
                            filch::task::yield_now().await;
                            assert_eq!(before, *value, "somebody wrote while this task read");
                        }
                        let _permit = semaphore.clone().acquire_owned().await.expect("open");
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 3, "too many have a permit");
                        if round % 8 == 0 {
                            filch::task::yield_now().await;
                        }
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        join_all(tasks).await;
        assert_eq!(*mutex.lock().await, TASKS * ROUNDS);
        assert_eq!(*lock.read().await, TASKS * ROUNDS / 2);
        assert_eq!(semaphore.available_permits(), 3);
    });
}

#[test]
fn channels_lose_nothing() {
    on_all(|| async {
        let (sender, mut receiver) = mpsc::channel(4);
        let (free, mut unbounded) = mpsc::unbounded_channel();
        let (news, _) = broadcast::channel(TASKS * ROUNDS);
        let mut readers: Vec<_> = (0..3).map(|_| news.subscribe()).collect();
        let mut tasks: Vec<_> = (0..TASKS)
            .map(|number| {
                let (sender, free, news) = (sender.clone(), free.clone(), news.clone());
                filch::spawn(async move {
                    for round in 0..ROUNDS {
                        let value = number * ROUNDS + round;
                        sender.send(value).await.expect("open");
                        free.send(value).expect("open");
                        news.send(value).expect("open");
                    }
                })
            })
            .collect();
        drop((sender, free, news));
        let all = TASKS * ROUNDS;
        let sum = all * (all - 1) / 2;
        for mut reader in readers.drain(..) {
            tasks.push(filch::spawn(async move {
                let mut seen = 0;
                while let Ok(value) = reader.recv().await {
                    seen += value;
                }
                assert_eq!(seen, sum, "the broadcast lost something");
            }));
        }
        tasks.push(filch::spawn(async move {
            let mut seen = 0;
            while let Some(value) = unbounded.recv().await {
                seen += value;
            }
            assert_eq!(seen, sum, "the unbounded channel lost something");
        }));
        let mut last = vec![None; TASKS];
        let mut seen = 0;
        while let Some(value) = receiver.recv().await {
            seen += value;
            let before = last[value / ROUNDS].replace(value);
            assert!(before < Some(value), "a sender's values changed their order");
        }
        assert_eq!(seen, sum, "the channel lost something");
        join_all(tasks).await;
    });
}

#[test]
fn notices_arrive() {
    on_all(|| async {
        let (sender, receiver) = watch::channel(0);
        let barrier = Arc::new(Barrier::new(TASKS));
        let leaders = Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(OnceCell::new());
        let made = Arc::new(AtomicUsize::new(0));
        let notify = Arc::new(Notify::new());
        let tasks = (0..TASKS)
            .map(|_| {
                let (mut receiver, barrier, leaders) = (receiver.clone(), barrier.clone(), leaders.clone());
                let (cell, made, notify) = (cell.clone(), made.clone(), notify.clone());
                filch::spawn(async move {
                    for _ in 0..10 {
                        if barrier.wait().await.is_leader() {
                            leaders.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    let value = cell
                        .get_or_init(|| async {
                            filch::task::yield_now().await;
                            made.fetch_add(1, Ordering::SeqCst) + 1
                        })
                        .await;
                    assert_eq!(*value, 1, "the cell was filled twice");
                    receiver.wait_for(|value| *value == 100).await.expect("open");
                    // Each passes one on, so the last of the chain hears it too.
                    notify.notified().await;
                    notify.notify_one();
                })
            })
            .collect();
        for value in 1..=100 {
            sender.send(value).expect("there are receivers");
            filch::task::yield_now().await;
        }
        notify.notify_one();
        join_all(tasks).await;
        assert_eq!(leaders.load(Ordering::SeqCst), 10);
        assert_eq!(made.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn foreign_threads_take_part() {
    within(|| {
        let runtime = multi(2);
        let (sender, mut receiver) = mpsc::channel(1);
        let (back, mut answers) = mpsc::unbounded_channel();
        let (once, last) = oneshot::channel();
        let mutex = Arc::new(Mutex::new(0));
        let semaphore = Arc::new(Semaphore::new(1));
        let lock = Arc::new(RwLock::new(0));
        let task = runtime.spawn({
            let (mutex, semaphore, lock) = (mutex.clone(), semaphore.clone(), lock.clone());
            async move {
                while let Some(value) = receiver.recv().await {
                    *mutex.lock().await += 1;
                    let permit = semaphore.acquire().await.expect("open");
                    *lock.write().await += 1;
                    drop(permit);
                    back.send(value).expect("open");
                }
                once.send(7).expect("open");
            }
        });
        for value in 0..100 {
            sender.blocking_send(value).expect("open");
            *mutex.blocking_lock() += 1;
            let permit = semaphore.blocking_acquire().expect("open");
            *lock.blocking_write() += 1;
            drop(permit);
            assert_eq!(answers.blocking_recv(), Some(value));
        }
        drop(sender);
        assert_eq!(last.blocking_recv(), Ok(7));
        runtime.block_on(task).expect("the task");
        assert_eq!(*mutex.clone().blocking_lock_owned(), 200);
        assert_eq!(*lock.blocking_read(), 200);
        // On the threads for what blocks they are allowed, too.
        let (sender, mut receiver) = broadcast::channel(1);
        let job = runtime.spawn_blocking(move || receiver.blocking_recv());
        sender.send(1).expect("open");
        assert_eq!(runtime.block_on(job).expect("the job"), Ok(1));
    });
}

/// What has no blocking form: threads with runtimes of their own await it.
#[test]
fn other_runtimes_take_part() {
    within(|| {
        let (news, seen) = watch::channel(0);
        let (barrier, cell, once) = (
            Arc::new(Barrier::new(3)),
            Arc::new(OnceCell::new()),
            Arc::new(SetOnce::new()),
        );
        let (bell, all) = (Arc::new(Notify::new()), broadcast::Sender::new(4));
        let part = |here: usize| {
            let (mut seen, barrier, cell, once) = (seen.clone(), barrier.clone(), cell.clone(), once.clone());
            let (bell, mut all) = (bell.clone(), all.subscribe());
            async move {
                seen.wait_for(|value| *value == 1).await.expect("open");
                barrier.wait().await;
                let first = *cell.get_or_init(|| async { here }).await;
                assert_eq!(*once.wait().await, 7);
                assert_eq!(all.recv().await, Ok(3));
                bell.notified().await;
                first
            }
        };
        let runtime = multi(2);
        let tasks = [runtime.spawn(part(0)), runtime.spawn(part(1))];
        let thread = std::thread::spawn({
            let part = part(2);
            move || filch_tests::current().block_on(part)
        });
        news.send(1).expect("there are receivers");
        once.set(7).expect("nobody else does");
        all.send(3).expect("there are receivers");
        // One each; a notice that nobody waits for yet is kept, but only one.
        let handles = || tasks.iter().all(filch::task::JoinHandle::is_finished);
        while !handles() || !thread.is_finished() {
            bell.notify_one();
            std::thread::yield_now();
        }
        let there = thread.join().expect("no panic");
        for task in tasks {
            assert_eq!(runtime.block_on(task).expect("the task"), there, "there are two values");
        }
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
        let (sender, mut receiver) = mpsc::channel::<u8>(1);
        // All of them would be ready: it is the call that is wrong.
        refused("mpsc::Sender::blocking_send", || _ = sender.blocking_send(1));
        refused("mpsc::Receiver::blocking_recv", || _ = receiver.blocking_recv());
        refused("mpsc::Receiver::blocking_recv_many", || {
            _ = receiver.blocking_recv_many(&mut Vec::new(), 0);
        });
        let (sender, mut receiver) = mpsc::unbounded_channel::<u8>();
        sender.send(1).expect("open");
        refused("mpsc::UnboundedReceiver::blocking_recv", || {
            _ = receiver.blocking_recv();
        });
        let mut none = Vec::new();
        refused("mpsc::UnboundedReceiver::blocking_recv_many", || {
            _ = receiver.blocking_recv_many(&mut none, 0);
        });
        let (sender, receiver) = oneshot::channel();
        sender.send(1).expect("open");
        refused("oneshot::Receiver::blocking_recv", || _ = receiver.blocking_recv());
        let (sender, mut receiver) = broadcast::channel(1);
        sender.send(1).expect("open");
        refused("broadcast::Receiver::blocking_recv", || _ = receiver.blocking_recv());
        let mutex = Arc::new(Mutex::new(0));
        refused("Mutex::blocking_lock", || drop(mutex.blocking_lock()));
        refused("Mutex::blocking_lock_owned", || {
            drop(mutex.clone().blocking_lock_owned())
        });
        let lock = RwLock::new(0);
        refused("RwLock::blocking_read", || drop(lock.blocking_read()));
        refused("RwLock::blocking_write", || drop(lock.blocking_write()));
        let semaphore = Arc::new(Semaphore::new(1));
        refused("Semaphore::blocking_acquire", || drop(semaphore.blocking_acquire()));
        refused("Semaphore::blocking_acquire_many", || {
            drop(semaphore.blocking_acquire_many(1))
        });
        refused("Semaphore::blocking_acquire_owned", || {
            drop(semaphore.clone().blocking_acquire_owned())
        });
        refused("Semaphore::blocking_acquire_many_owned", || {
            drop(semaphore.clone().blocking_acquire_many_owned(1))
        });
    }
    within(|| {
        let runtime = multi(1);
        runtime.block_on(async {
            all();
            filch::spawn(async { all() }).await.expect("the task");
        });
    });
}

#[test]
fn a_send_gives_up_when_its_time_is_over() {
    filch_tests::paused().block_on(async {
        let (sender, receiver) = mpsc::channel(1);
        let limit = Duration::from_secs(5);
        sender.send_timeout(1, limit).await.expect("room");
        let begin = filch::time::Instant::now();
        let error = sender.send_timeout(2, limit).await.expect_err("no room");
        assert_eq!(error, mpsc::error::SendTimeoutError::Timeout(2));
        assert!(begin.elapsed() >= limit);
        drop(receiver);
        let error = sender.send_timeout(3, limit).await.expect_err("closed");
        assert_eq!(error, mpsc::error::SendTimeoutError::Closed(3));
        assert_eq!(error.into_inner(), 3);
    });
}

#[test]
fn owned_permits_give_their_sender_back() {
    filch_tests::current().block_on(async {
        let (sender, mut receiver) = mpsc::channel(1);
        let permit = sender.reserve_owned().await.expect("open");
        let sender = permit.send(1);
        let sender = match sender.try_reserve_owned() {
            Err(mpsc::error::TrySendError::Full(sender)) => sender,
            other => panic!("there is no room: {other:?}"),
        };
        assert_eq!(receiver.recv().await, Some(1));
        let permit = sender.try_reserve_owned().expect("room");
        let sender = permit.release();
        assert_eq!(sender.capacity(), 1);
        drop(receiver);
        assert!(sender.reserve_owned().await.is_err());
    });
}

/// What guards and permits do: the same code with filch's types and with crate tokio's.
macro_rules! guards {
    ($name:ident, $($sync:ident)::+) => {
        #[test]
        fn $name() {
            use $($sync)::+::{
                MappedMutexGuard, Mutex, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedRwLockMappedWriteGuard,
                OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, RwLockMappedWriteGuard,
                RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit,
            };
            type Both = (u8, [u8; 2]);

            fn text(shown: impl std::fmt::Debug + std::fmt::Display) -> String {
                format!("{shown:?} {shown}")
            }

            async fn of_mutex(mutex: &Mutex<Both>) {
                let mut guard: MutexGuard<'_, Both> = mutex.lock().await;
                guard.0 += 1;
                assert_eq!(format!("{guard:?}"), "(2, [2, 3])");
                let inside: &Mutex<Both> = MutexGuard::mutex(&guard);
                assert!(std::ptr::eq(inside, mutex) && inside.try_lock().is_err());
                let guard = MutexGuard::try_map(guard, |_| None::<&mut u8>).expect_err("there is none");
                let guard: MappedMutexGuard<'_, [u8]> = MutexGuard::map(guard, |both| &mut both.1[..]);
                let guard = MappedMutexGuard::try_map(guard, |_| None::<&mut u8>).expect_err("there is none");
                let mut guard = MappedMutexGuard::map(guard, |slice| &mut slice[1]);
                *guard += 1;
                assert_eq!(text(guard), "4 4");
                let guard = MutexGuard::try_map(mutex.lock().await, |both| Some(&mut both.1[..])).expect("there is one");
                let guard = MappedMutexGuard::try_map(guard, |slice| slice.first_mut()).expect("there is one");
                assert_eq!(*guard, 2);
                assert!(mutex.try_lock().is_err());
            }

            async fn of_owned_mutex(mutex: Arc<Mutex<Both>>) {
                let mut guard: OwnedMutexGuard<Both> = mutex.clone().lock_owned().await;
                guard.0 += 1;
                assert_eq!(format!("{guard:?}"), "(3, [2, 4])");
                let inside: &Arc<Mutex<Both>> = OwnedMutexGuard::mutex(&guard);
                assert!(Arc::ptr_eq(inside, &mutex) && mutex.try_lock_owned().is_err());
                let mutex = inside.clone();
                let guard = OwnedMutexGuard::try_map(guard, |_| None::<&mut u8>).expect_err("there is none");
                let guard: OwnedMappedMutexGuard<Both, [u8]> = OwnedMutexGuard::map(guard, |both| &mut both.1[..]);
                let guard = OwnedMappedMutexGuard::try_map(guard, |_| None::<&mut u8>).expect_err("there is none");
                let mut guard = OwnedMappedMutexGuard::map(guard, |slice| &mut slice[1]);
                *guard += 1;
                assert_eq!(text(guard), "5 5");
                let guard = mutex.clone().try_lock_owned().expect("it is free");
                let guard = OwnedMutexGuard::try_map(guard, |both| Some(&mut both.1[..])).expect("there is one");
                let guard = OwnedMappedMutexGuard::try_map(guard, |slice| slice.first_mut()).expect("there is one");
                assert_eq!(*guard, 2);
                drop(guard);
                assert_eq!(Arc::into_inner(mutex).expect("nobody has it any more").into_inner(), (3, [2, 5]));
            }

            async fn of_lock(lock: &RwLock<Both>) {
                let guard: RwLockReadGuard<'_, Both> = lock.read().await;
                assert_eq!(format!("{guard:?}"), "(1, [2, 3])");
                let guard = RwLockReadGuard::try_map(guard, |_| None::<&u8>).expect_err("there is none");
                let guard: RwLockReadGuard<'_, [u8]> = RwLockReadGuard::map(guard, |both| &both.1[..]);
                let guard = RwLockReadGuard::try_map(guard, |slice| slice.first()).expect("there is one");
                assert_eq!(text(&guard), "2 2");
                assert!(lock.try_write().is_err());
                drop(guard);
                let mut guard: RwLockWriteGuard<'_, Both> = lock.write().await;
                guard.0 += 1;
                let guard = RwLockWriteGuard::try_map(guard, |_| None::<&mut u8>).expect_err("there is none");
                let guard = RwLockWriteGuard::try_downgrade_map(guard, |_| None::<&u8>).expect_err("there is none");
                let guard: RwLockMappedWriteGuard<'_, [u8]> = RwLockWriteGuard::map(guard, |both| &mut both.1[..]);
                let guard = RwLockMappedWriteGuard::try_map(guard, |_| None::<&mut u8>).expect_err("there is none");
                let guard = RwLockMappedWriteGuard::try_map(guard, |slice| Some(slice)).expect("there is one");
                let mut guard = RwLockMappedWriteGuard::map(guard, |slice| &mut slice[1]);
                *guard += 1;
                assert_eq!(text(guard), "4 4");
                let guard = RwLockWriteGuard::try_map(lock.write().await, |both| Some(&mut both.0)).expect("there is one");
                assert_eq!(*guard, 2);
                drop(guard);
                let mut guard: RwLockMappedWriteGuard<'_, Both> = RwLockWriteGuard::into_mapped(lock.write().await);
                guard.0 += 1;
                drop(guard);
                let guard: RwLockReadGuard<'_, Both> = lock.write().await.downgrade();
                assert_eq!(guard.0, 3);
                assert!(lock.try_read().is_ok() && lock.try_write().is_err());
                drop(guard);
                let guard: RwLockReadGuard<'_, u8> = RwLockWriteGuard::downgrade_map(lock.write().await, |both| &both.0);
                assert!(*guard == 3 && lock.try_read().is_ok());
                drop(guard);
                let guard = RwLockWriteGuard::try_downgrade_map(lock.write().await, |both| Some(&both.0));
                assert!(*guard.expect("there is one") == 3);
                assert!(lock.try_write().is_ok());
            }

            async fn of_owned_lock(lock: Arc<RwLock<Both>>) {
                let guard: OwnedRwLockReadGuard<Both> = lock.clone().read_owned().await;
                assert!(Arc::ptr_eq(OwnedRwLockReadGuard::rwlock(&guard), &lock));
                let guard = OwnedRwLockReadGuard::try_map(guard, |_| None::<&u8>).expect_err("there is none");
                let guard: OwnedRwLockReadGuard<Both, [u8]> = OwnedRwLockReadGuard::map(guard, |both| &both.1[..]);
                assert!(Arc::ptr_eq(OwnedRwLockReadGuard::rwlock(&guard), &lock));
                let guard = OwnedRwLockReadGuard::try_map(guard, |slice| slice.first()).expect("there is one");
                assert_eq!(text(&guard), "2 2");
                drop(guard);
                let mut guard: OwnedRwLockWriteGuard<Both> = lock.clone().write_owned().await;
                guard.0 += 1;
                assert!(Arc::ptr_eq(OwnedRwLockWriteGuard::rwlock(&guard), &lock));
                let guard = OwnedRwLockWriteGuard::try_map(guard, |_| None::<&mut u8>).expect_err("there is none");
                let guard = OwnedRwLockWriteGuard::try_downgrade_map(guard, |_| None::<&u8>).expect_err("there is none");
                let guard: OwnedRwLockMappedWriteGuard<Both, [u8]> = OwnedRwLockWriteGuard::map(guard, |both| &mut both.1[..]);
                assert!(Arc::ptr_eq(OwnedRwLockMappedWriteGuard::rwlock(&guard), &lock));
                let guard = OwnedRwLockMappedWriteGuard::try_map(guard, |_| None::<&mut u8>).expect_err("there is none");
                let guard = OwnedRwLockMappedWriteGuard::try_map(guard, |slice| Some(slice)).expect("there is one");
                let mut guard = OwnedRwLockMappedWriteGuard::map(guard, |slice| &mut slice[1]);
                *guard += 1;
                assert_eq!(text(guard), "5 5");
                let write = || lock.clone().write_owned();
                let guard = OwnedRwLockWriteGuard::try_map(write().await, |both| Some(&mut both.0)).expect("there is one");
                assert_eq!(*guard, 4);
                drop(guard);
                let guard: OwnedRwLockMappedWriteGuard<Both> = OwnedRwLockWriteGuard::into_mapped(write().await);
                assert!(lock.try_read().is_err());
                drop(guard);
                let guard: OwnedRwLockReadGuard<Both> = write().await.downgrade();
                assert!(guard.0 == 4 && lock.try_read().is_ok());
                drop(guard);
                let guard: OwnedRwLockReadGuard<Both, u8> = OwnedRwLockWriteGuard::downgrade_map(write().await, |both| &both.0);
                assert!(*guard == 4 && lock.clone().try_write_owned().is_err());
                drop(guard);
                let guard = OwnedRwLockWriteGuard::try_downgrade_map(write().await, |both| Some(&both.0));
                assert!(*guard.expect("there is one") == 4);
                assert_eq!(Arc::into_inner(lock).expect("nobody has it any more").into_inner(), (4, [2, 5]));
            }

            async fn of_permits(semaphore: Arc<Semaphore>) {
                let mut permit: SemaphorePermit<'_> = semaphore.acquire_many(3).await.expect("open");
                assert!(std::ptr::eq(permit.semaphore(), &*semaphore));
                let other = permit.split(1).expect("there are three");
                assert!(permit.split(3).is_none());
                assert_eq!((permit.num_permits(), other.num_permits()), (2, 1));
                other.forget();
                permit.merge(semaphore.acquire().await.expect("open"));
                assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 4));
                drop(permit);
                let mut permit: OwnedSemaphorePermit = semaphore.clone().acquire_many_owned(3).await.expect("open");
                assert!(Arc::ptr_eq(permit.semaphore(), &semaphore));
                let other = permit.split(1).expect("there are three");
                assert!(permit.split(3).is_none());
                other.forget();
                permit.merge(semaphore.clone().acquire_owned().await.expect("open"));
                assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 3));
                drop(permit);
                assert_eq!(semaphore.available_permits(), 6);
                let strangers = Semaphore::new(1);
                let strange = std::panic::AssertUnwindSafe(|| {
                    semaphore.try_acquire().expect("there is one").merge(strangers.try_acquire().expect("there is one"));
                });
                assert!(std::panic::catch_unwind(strange).is_err());
                assert_eq!((semaphore.available_permits(), strangers.available_permits()), (6, 1));
            }

            filch_tests::current().block_on(async {
                let mutex = Mutex::new((1, [2, 3]));
                of_mutex(&mutex).await;
                of_owned_mutex(Arc::new(Mutex::new((2, [2, 4])))).await;
                assert_eq!(mutex.into_inner(), (2, [2, 4]));
                let lock = RwLock::new((1, [2, 3]));
                of_lock(&lock).await;
                of_owned_lock(Arc::new(lock)).await;
                of_permits(Arc::new(Semaphore::new(8))).await;
            });
        }
    };
}

guards!(guards_do_what_crate_tokios_do, filch::sync);
guards!(crate_tokios_guards_do_the_same, tokio::sync);

/// Tokio has an `mpsc::error::RecvError`, deprecated, which nothing returns.
#[test]
fn what_nothing_returns_is_left_out() {
    #[allow(unused_imports, reason = "what is there beside it is not the point")]
    mod both {
        // A second one of that name would make the use below ambiguous.
        pub(super) use crate::own::*;
        pub(super) use filch::sync::mpsc::error::*;
    }
    let both::RecvError(number) = both::RecvError(7);
    assert_eq!(number, 7);
}

/// Unsized contents work, owned guards too.
#[test]
fn locks_hold_unsized_values() {
    filch_tests::current().block_on(async {
        let mutex: Arc<Mutex<dyn Fn() -> u8 + Send>> = Arc::new(Mutex::new(|| 3));
        assert_eq!((mutex.lock().await)(), 3);
        let guard = mutex.clone().lock_owned().await;
        assert!(mutex.try_lock().is_err(), "the owned guard holds another mutex");
        assert_eq!(guard(), 3);
        drop(guard);
        let slice: Arc<RwLock<[u8]>> = Arc::new(RwLock::new([1, 2, 3]));
        slice.clone().write_owned().await[1] = 7;
        assert_eq!(slice.read().await[..], [1, 7, 3]);
    });
}

/// The automatic traits of each type are those of crate tokio's type.
mod traits {
    use std::cell::Cell;
    use std::marker::PhantomData;
    use std::panic::{RefUnwindSafe, UnwindSafe};
    use std::rc::Rc;

    struct Probe<T: ?Sized>(PhantomData<T>);

    /// What holds if the automatic trait does not: an associated constant of the type itself, where it exists, goes before one of a trait.
    trait Otherwise {
        const SEND: bool = false;
        const SYNC: bool = false;
        const UNPIN: bool = false;
        const UNWIND: bool = false;
        const REF_UNWIND: bool = false;
    }

    impl<T: ?Sized> Otherwise for Probe<T> {}
    impl<T: ?Sized + Send> Probe<T> {
        const SEND: bool = true;
    }
    impl<T: ?Sized + Sync> Probe<T> {
        const SYNC: bool = true;
    }
    impl<T: ?Sized + Unpin> Probe<T> {
        const UNPIN: bool = true;
    }
    impl<T: ?Sized + UnwindSafe> Probe<T> {
        const UNWIND: bool = true;
    }
    impl<T: ?Sized + RefUnwindSafe> Probe<T> {
        const REF_UNWIND: bool = true;
    }

    macro_rules! probe {
        ($type:ty) => {
            (
                Probe::<$type>::SEND,
                Probe::<$type>::SYNC,
                Probe::<$type>::UNPIN,
                Probe::<$type>::UNWIND,
                Probe::<$type>::REF_UNWIND,
            )
        };
    }

    macro_rules! alike {
        ($($($name:ident)::+;)*) => {
            $(alike! { one $($name)::+ < u8 > }
            alike! { one $($name)::+ < Cell<u8> > }
            alike! { one $($name)::+ < Rc<u8> > }
            alike! { one $($name)::+ < std::sync::MutexGuard<'static, u8> > })*
        };
        (one $($name:ident)::+ < $value:ty >) => {
            assert_eq!(
                probe!(filch::sync::$($name)::+<$value>),
                probe!(tokio::sync::$($name)::+<$value>),
                "{} of {}",
                stringify!($($name)::+),
                stringify!($value)
            );
        };
    }

    macro_rules! plain {
        ($($($name:ident)::+;)*) => {
            $(assert_eq!(probe!(filch::sync::$($name)::+), probe!(tokio::sync::$($name)::+), "{}", stringify!($($name)::+));)*
        };
    }

    #[test]
    fn are_those_of_crate_tokio() {
        assert_eq!(probe!(u8), (true, true, true, true, true));
        assert_eq!(probe!(Rc<Cell<u8>>), (false, false, true, false, false));
        assert_eq!(probe!(std::marker::PhantomPinned), (true, true, false, true, true));
        alike! {
            MutexGuard; MappedMutexGuard; OwnedMutexGuard; OwnedMappedMutexGuard;
            RwLockReadGuard; RwLockWriteGuard; RwLockMappedWriteGuard;
            OwnedRwLockReadGuard; OwnedRwLockWriteGuard; OwnedRwLockMappedWriteGuard;
            Mutex; RwLock; OnceCell; SetOnce;
            oneshot::Sender; oneshot::Receiver;
            broadcast::Sender; broadcast::WeakSender; broadcast::Receiver;
            watch::Sender; watch::Receiver;
            mpsc::Sender; mpsc::WeakSender; mpsc::Receiver; mpsc::OwnedPermit;
            mpsc::UnboundedSender; mpsc::WeakUnboundedSender; mpsc::UnboundedReceiver;
        }
        plain! {
            Semaphore; SemaphorePermit; OwnedSemaphorePermit; Notify; Barrier; futures::Notified; futures::OwnedNotified;
        }
    }

    fn send<T: Send>(_: &T) {}

    /// Their futures go from worker to worker.
    #[test]
    fn of_the_futures() {
        use filch::sync::{Mutex, Semaphore, mpsc, watch};
        let (mutex, semaphore) = (Mutex::new(0_u8), Semaphore::new(1));
        let (sender, mut receiver) = mpsc::channel::<u8>(1);
        let (changes, mut changed) = watch::channel(0_u8);
        send(&mutex.lock());
        send(&semaphore.acquire());
        send(&sender.send(1));
        send(&sender.reserve());
        send(&receiver.recv());
        send(&changed.changed());
        send(&changes.closed());
    }
}
