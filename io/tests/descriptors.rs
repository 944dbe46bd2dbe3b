//! File descriptors: a shut down reactor keeps none, and running out of them is an error that passes.
//!
//! One test, since it counts what the whole process has open.

mod support;

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::pin::pin;

use filch_io::net::{TcpListener, TcpStream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::simulated::Simulated;
use support::{Driver, poll_once};

fn open() -> usize {
    // Without the one that reads the directory.
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

#[test]
fn descriptors_are_counted() {
    shutdown_closes_the_reactors_though_sockets_live();
    accept_without_descriptors_keeps_the_connection();
    a_simulated_reactor_has_none_and_a_simulated_socket_one();
}

fn a_simulated_reactor_has_none_and_a_simulated_socket_one() {
    let before = open();
    let sim = Simulated::new(1);
    assert_eq!(open(), before);
    sim.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:80").await.unwrap();
        let client = TcpStream::connect("127.0.0.1:80").await.unwrap();
        assert_eq!(open(), before + 2, "the connection that waits has none");

        let limit = getrlimit(Resource::Nofile);
        let lowest = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
        let full = Rlimit {
            current: Some(lowest as u64),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, full).unwrap();
        let error = listener.accept().await.unwrap_err();
        let refused = TcpStream::connect("127.0.0.1:80").await.unwrap_err();
        setrlimit(Resource::Nofile, limit).unwrap();
        assert_eq!(
            (error.raw_os_error(), refused.raw_os_error()),
            (Some(24), Some(24)),
            "EMFILE"
        );
        // The connection stayed, and the other one was never begun.
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(poll_once(pin!(listener.accept())).is_pending());
        drop((listener, client, server));
    });
    assert_eq!(open(), before);
}

fn shutdown_closes_the_reactors_though_sockets_live() {
    let before = open();
    let mut driver = Driver::new(3);
    assert_eq!(open(), before + 9, "three descriptors for each reactor");
    let handle = driver.handle.clone();
    let (listener, stream) = driver.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener, stream)
    });
    driver.shutdown();
    assert_eq!(open(), before + 2, "the two sockets alone");
    drop((listener, stream));
    assert_eq!(open(), before);
    drop((driver, handle));
    assert_eq!(open(), before);
}

fn accept_without_descriptors_keeps_the_connection() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clients: Vec<_> = (0..2)
            .map(|_| std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap())
            .collect();
        let spare = std::fs::File::open("/dev/null").unwrap();
        let limit = getrlimit(Resource::Nofile);
        // The limit is on the number of a descriptor, and a new one gets the lowest that is free.
        let lowest = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
        let full = Rlimit {
            current: Some(lowest as u64),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, full).unwrap();

        for _ in 0..3 {
            let error = listener.accept().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(24), "EMFILE: {error}");
        }
        let error = TcpListener::bind("127.0.0.1:0").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(24), "{error}");
        assert_eq!(filch_io::Reactor::new().unwrap_err().raw_os_error(), Some(24));

        // One is free again: no new event comes, and the connection is found all the same.
        drop(spare);
        let first = listener.accept().await.unwrap();
        assert_eq!(listener.accept().await.unwrap_err().raw_os_error(), Some(24));
        setrlimit(Resource::Nofile, limit).unwrap();
        let second = listener.accept().await.unwrap();
        assert!(poll_once(pin!(listener.accept())).is_pending());
        drop((first, second, clients));
        let error = TcpStream::connect(("127.0.0.1", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}
