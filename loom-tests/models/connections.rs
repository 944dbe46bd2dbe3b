//! The connections of a server, without its sockets: one that begins beside an abort, ends, and is the last.

use super::harness::model;
use super::support::{Guest, Yard};
use crate::connections::{Connection, Connections};
use crate::scope::node::{Kind, Node};
use crate::task::cold::Cold;
use crate::task::join::JoinHandle;
use crate::task::raw::{Child, Make, Schedule};
use loom::thread;
use std::panic::Location;
use std::sync::Arc;

/// What a server does with a connection that it has accepted. One that is not served is closed.
fn begin(
    connections: &Arc<Connections>,
    yard: &Yard,
    handler: impl Future<Output = ()> + 'static,
) -> Option<JoinHandle<()>> {
    let number = connections.admit()?;
    let node = Node::new(None, Kind::Scope, None);
    assert!(node.add_child());
    let connections = connections.clone();
    let cold = Box::new(Cold::new(Some(Arc::new(Connection {
        connections: connections.clone(),
        node,
        number,
    }))));
    let future = async move {
        handler.await;
        Some(())
    };
    let location = Location::caller();
    let (task, join) = Child { future, location, cold }.make(yard.clone());
    yard.clone().schedule(task);
    let handle = JoinHandle::new(join);
    connections.keep(number, handle.abort_handle());
    Some(handle)
}

/// Somebody who waits for the end of the server.
fn closed(connections: &Arc<Connections>) -> Guest<()> {
    let connections = connections.clone();
    Guest::waiting(async move { connections.closed().wait().await })
}

/// A connection that would never end begins while the server is aborted: it is aborted, too, or was never there.
#[test]
fn what_begins_beside_an_abort_is_aborted() {
    model("what_begins_beside_an_abort_is_aborted", None, || {
        let (connections, yard) = (Connections::new(), Yard::new());
        let end = closed(&connections);
        let aborting = thread::spawn({
            let connections = connections.clone();
            move || {
                connections.stop();
                connections.abort();
            }
        });
        let task = begin(&connections, &yard, std::future::pending());
        // The server's listener is gone.
        connections.shut();
        aborting.join().expect("joined");
        yard.drain();
        assert_eq!(connections.count(), 0, "a connection outlives the abort");
        end.woken();
        assert_eq!(connections.served().connections(), u64::from(task.is_some()));
        assert!(task.is_none_or(|task| task.is_finished()));
    });
}

/// The last connection ends beside the end of the listener: who waits for both hears of it, and not before.
#[test]
fn the_last_connection_or_the_listener_closes_the_server() {
    model("the_last_connection_or_the_listener_closes_the_server", None, || {
        let (connections, yard) = (Connections::new(), Yard::new());
        let mut end = closed(&connections);
        let task = begin(&connections, &yard, async {}).expect("a server that is open");
        let running = thread::spawn(move || yard.drain());
        if end.poll().is_some() {
            panic!("a server is closed while its listener is there");
        }
        connections.shut();
        running.join().expect("joined");
        end.woken();
        assert!(task.is_finished());
        assert_eq!(connections.count(), 0);
    });
}
