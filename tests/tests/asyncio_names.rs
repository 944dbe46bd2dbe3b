//! Every public name of asyncio (3.14) either has its place in the guide's table, or stands in docs/differences.md among those that do not exist here; and what is
//! shown instead of some of these.

use filch::sync::{Semaphore, oneshot};
use filch::task::yield_now;
use filch_tests::everywhere;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `asyncio.__all__` of 3.14, and what it leaves out by mistake.
const MODULE: &str = "ALL_COMPLETED AbstractEventLoop AbstractEventLoopPolicy AbstractServer Barrier BaseEventLoop BaseProtocol BaseTransport \
    BoundedSemaphore BrokenBarrierError BufferedProtocol CancelledError Condition DatagramProtocol DatagramTransport DefaultEventLoopPolicy Event EventLoop \
    FIRST_COMPLETED FIRST_EXCEPTION FrameCallGraphEntry Future FutureCallGraph Handle IncompleteReadError InvalidStateError LifoQueue LimitOverrunError Lock \
    PriorityQueue ProactorEventLoop Protocol Queue QueueEmpty QueueFull QueueShutDown ReadTransport Runner SelectorEventLoop Semaphore SendfileNotAvailableError \
    Server StreamReader StreamReaderProtocol StreamWriter SubprocessProtocol SubprocessTransport Task TaskGroup Timeout TimeoutError TimerHandle Transport \
    WriteTransport all_tasks as_completed capture_call_graph create_eager_task_factory create_subprocess_exec create_subprocess_shell create_task current_task \
    eager_task_factory ensure_future format_call_graph future_add_to_awaited_by future_discard_from_awaited_by gather get_event_loop get_event_loop_policy \
    get_running_loop iscoroutine iscoroutinefunction isfuture new_event_loop open_connection open_unix_connection print_call_graph run run_coroutine_threadsafe \
    set_event_loop set_event_loop_policy shield sleep start_server start_unix_server timeout timeout_at to_thread wait wait_for wrap_future";

/// The methods of an event loop.
const LOOP: &str = "add_reader add_signal_handler add_writer call_at call_exception_handler call_later call_soon call_soon_threadsafe close \
    connect_accepted_socket connect_read_pipe connect_write_pipe create_connection create_datagram_endpoint create_future create_server create_task \
    create_unix_connection create_unix_server default_exception_handler get_debug get_exception_handler get_task_factory getaddrinfo getnameinfo is_closed \
    is_running remove_reader remove_signal_handler remove_writer run_forever run_in_executor run_until_complete sendfile set_debug set_default_executor \
    set_exception_handler set_task_factory shutdown_asyncgens shutdown_default_executor slow_callback_duration sock_accept sock_connect sock_recv \
    sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendfile sock_sendto start_tls stop subprocess_exec subprocess_shell time";

/// The methods of tasks, futures, groups, runners, time limits and callbacks.
const TASKS: &str = "add_done_callback cancel cancelled cancelling done exception get_context get_coro get_loop get_name get_stack print_stack \
    remove_done_callback result set_exception set_name set_result uncancel reschedule when expired";

/// The methods of what synchronises.
const SYNC: &str = "abort acquire broken clear empty full get get_nowait is_set join locked maxsize n_waiting notify notify_all parties put put_nowait qsize \
    release reset set shutdown task_done";

/// The methods of streams and servers.
const STREAMS: &str = "abort_clients at_eof can_write_eof close_clients drain feed_data feed_eof get_extra_info is_closing is_serving read readexactly readline \
    readuntil serve_forever set_transport sockets start_serving wait_closed write write_eof writelines";

/// Absent names that mean something else here: that of a channel.
const OTHERWISE: [&str; 1] = ["is_closed"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of each row of the table that follows a headline.
fn table(text: &str, headline: &str) -> Vec<Vec<String>> {
    let (_, rest) = text
        .split_once(headline)
        .unwrap_or_else(|| panic!("there is no {headline}"));
    rest.lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_string())
                .collect()
        })
        .collect()
}

/// What stands between backticks, without what stands in front of a dot or behind a bracket.
fn names(cell: &str) -> BTreeSet<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(|text| text.split('(').next().unwrap_or_default().split(", "));
    words
        .filter_map(|word| word.rsplit('.').next())
        .map(str::to_string)
        .collect()
}

#[test]
fn every_name_has_its_place() {
    let guide = table(&read("docs/from-asyncio.md"), "## Where every name went");
    let there: BTreeSet<_> = guide.iter().flat_map(|row| names(&row[0])).collect();
    let absent: BTreeSet<_> = table(
        &read("docs/differences.md"),
        "## Names of asyncio that do not exist here",
    )
    .iter()
    .flat_map(|row| names(&row[0]))
    .collect();
    let all: BTreeSet<String> = [MODULE, LOOP, TASKS, SYNC, STREAMS]
        .iter()
        .flat_map(|list| list.split_whitespace())
        .map(str::to_string)
        .collect();
    let lost: Vec<_> = all
        .iter()
        .filter(|name| !there.contains(*name) && !absent.contains(*name))
        .collect();
    assert!(lost.is_empty(), "nobody says where these went: {lost:?}");
    let without: BTreeSet<_> = guide
        .iter()
        .filter(|row| row[1].starts_with("none") || row[1].starts_with("not there yet"))
        .flat_map(|row| names(&row[0]))
        .collect();
    assert_eq!(
        without, absent,
        "the guide and docs/differences.md agree on what is absent"
    );
    let unknown: Vec<_> = absent.difference(&all).collect();
    assert!(unknown.is_empty(), "these are no names of asyncio: {unknown:?}");
}

/// Public items of the three crates, and where.
fn public_items() -> BTreeMap<String, PathBuf> {
    fn visit(folder: &Path, found: &mut BTreeMap<String, PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                for line in std::fs::read_to_string(&path).expect("a source").lines() {
                    let Some(item) = line.trim_start().strip_prefix("pub ") else {
                        continue;
                    };
                    let item = item.trim_start_matches("async ").trim_start_matches("const ");
                    let Some((kind, rest)) = item.split_once(' ') else {
                        continue;
                    };
                    if ["fn", "struct", "enum", "trait", "type", "mod", "static"].contains(&kind) {
                        let end = rest
                            .find(|c: char| !c.is_alphanumeric() && c != '_')
                            .unwrap_or(rest.len());
                        found.insert(rest[..end].to_string(), path.clone());
                    }
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    for folder in ["runtime/src", "io/src", "timer/src"] {
        visit(&root().join(folder), &mut found);
    }
    found
}

#[test]
fn the_absent_are_absent_and_each_has_its_reason_and_its_test() {
    let items = public_items();
    assert!(
        items.contains_key("spawn") && items.contains_key("JoinHandle"),
        "the look at the sources finds nothing"
    );
    for row in table(
        &read("docs/differences.md"),
        "## Names of asyncio that do not exist here",
    ) {
        let [absent, here, why, tests] = &row[..] else {
            panic!("a row of four: {row:?}")
        };
        assert!(!here.is_empty() && why.len() > 10, "{row:?}");
        for name in names(absent).iter().filter(|name| !OTHERWISE.contains(&name.as_str())) {
            assert!(!items.contains_key(name), "`{name}` exists: {:?}", items[name]);
        }
        let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row:?}");
        for name in tests {
            let (file, test) = name.split_once(": ").expect("a file and a test");
            let source = read(&format!("tests/tests/{file}.rs"));
            let (before, _) = source
                .split_once(&format!("\nfn {test}()"))
                .unwrap_or_else(|| panic!("there is no {name}"));
            let attributes = before.rsplit("\n\n").next().unwrap_or_default();
            assert!(attributes.contains("#[test]"), "{name} is no test");
        }
    }
}

/// Instead of eager tasks: what is awaited in place begins at once, in the same poll, and what is ready lets nobody in between.
#[test]
fn what_is_awaited_in_place_is_eager() {
    everywhere(|| async {
        let others = Arc::new(AtomicUsize::new(0));
        let (counts, lane) = (others.clone(), filch::lane());
        let task = lane.spawn(async move {
            filch::lane();
            let before = counts.load(Ordering::SeqCst);
            let mut steps = 0;
            for _ in 0..10 {
                steps += async { 1 }.await;
            }
            assert_eq!(counts.load(Ordering::SeqCst), before);
            steps
        });
        let counts = others.clone();
        let other = lane.spawn(async move { counts.fetch_add(1, Ordering::SeqCst) });
        assert_eq!(task.await.unwrap(), 10);
        other.await.unwrap();
    });
}

/// Instead of a `BoundedSemaphore`: a permit is given back by its drop, which happens once.
#[test]
fn a_permit_is_given_back_once() {
    everywhere(|| async {
        let semaphore = Semaphore::new(1);
        for _ in 0..3 {
            let permit = semaphore.acquire().await.unwrap();
            assert_eq!(semaphore.available_permits(), 0);
            drop(permit);
            assert_eq!(semaphore.available_permits(), 1);
        }
    });
}

/// Instead of an `InvalidStateError`: a sender is used up by its one value, and whoever waits hears of one that is dropped.
#[test]
fn a_promise_is_kept_once_or_broken() {
    everywhere(|| async {
        let (promise, future) = oneshot::channel();
        let task = filch::spawn(future);
        yield_now().await;
        promise.send(1).unwrap();
        assert_eq!(task.await.unwrap(), Ok(1));
        let (promise, future) = oneshot::channel::<i32>();
        drop(promise);
        assert!(future.await.is_err());
    });
}
