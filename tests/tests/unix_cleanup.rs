//! The file of a Unix listener: who removes it, and when it stays.

use filch::net::{UnixListener, UnixStream, serve};
use filch::runtime::Builder;
use filch_tests::{alone, current};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A path of this test's own, where nothing is.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("filch-cleanup-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn nothing_is_removed_unless_it_was_asked_for() {
    let path = path("off");
    current().block_on(async {
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();
        drop(
            UnixListener::bind(&path)
                .unwrap()
                .cleanup(true)
                .unwrap()
                .cleanup(false)
                .unwrap(),
        );
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();
        let std = UnixListener::bind(&path).unwrap().cleanup(true).unwrap().into_std();
        assert!(path.exists());
        drop(std);
        assert!(path.exists());
    });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_listener_removes_its_file() {
    let path = path("on");
    current().block_on(async {
        for _ in 0..2 {
            let listener = UnixListener::bind(&path).unwrap().cleanup(true).unwrap();
            let (_near, far) = (UnixStream::connect(&path).await.unwrap(), listener.accept().await);
            far.unwrap();
            drop(listener);
            assert!(!path.exists());
        }
    });
}

#[test]
fn a_file_that_was_removed_or_replaced_is_not_its_own() {
    let path = path("replaced");
    current().block_on(async {
        let listener = UnixListener::bind(&path).unwrap().cleanup(true).unwrap();
        std::fs::remove_file(&path).unwrap();
        drop(listener);
        // By a plain file. (The number of the old inode is not free, as long as the socket is there.)
        let listener = UnixListener::bind(&path).unwrap().cleanup(true).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        drop(listener);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(&path).unwrap();
        // By another server.
        let old = UnixListener::bind(&path).unwrap().cleanup(true).unwrap();
        std::fs::remove_file(&path).unwrap();
        let new = UnixListener::bind(&path).unwrap().cleanup(true).unwrap();
        drop(old);
        let (_near, far) = (UnixStream::connect(&path).await.unwrap(), new.accept().await);
        far.unwrap();
        // By a link to the file itself, which was moved.
        let moved = path.with_extension("moved");
        std::fs::rename(&path, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &path).unwrap();
        drop(new);
        assert!(path.is_symlink() && moved.exists());
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(&moved).unwrap();
    });
}

#[test]
fn a_relative_path_is_that_of_the_bind() {
    alone("a_relative_path_is_that_of_the_bind", || {
        let path = path("relative");
        current().block_on(async {
            std::env::set_current_dir(path.parent().unwrap()).unwrap();
            let listener = UnixListener::bind(path.file_name().unwrap())
                .unwrap()
                .cleanup(true)
                .unwrap();
            assert!(path.exists());
            std::env::set_current_dir("/").unwrap();
            drop(listener);
            assert!(!path.exists());
        });
    });
}

#[test]
fn what_has_no_file_removes_none() {
    let path = path("none");
    current().block_on(async {
        let name = SocketAddr::from_abstract_name(path.as_os_str().as_encoded_bytes()).unwrap();
        drop(UnixListener::bind_addr(&name).unwrap().cleanup(true).unwrap());
    });
    // A simulated socket whose name is that of a file outside.
    std::fs::write(&path, "outside").unwrap();
    let runtime = Builder::new_multi_thread().deterministic(1).build().unwrap();
    runtime.block_on(async {
        drop(UnixListener::bind(&path).unwrap().cleanup(true).unwrap());
    });
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "outside");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_that_is_closed_has_removed_its_file() {
    let path = path("server");
    current().block_on(async {
        let listener = UnixListener::bind(&path).unwrap().cleanup(true).unwrap();
        let server = serve(listener, |_, _| async {});
        let handle = server.handle();
        let server = filch::spawn(server.into_future());
        drop(UnixStream::connect(&path).await.unwrap());
        assert!(path.exists());
        handle.close(Duration::from_secs(1));
        handle.closed().await;
        assert!(!path.exists());
        server.await.unwrap().unwrap();
    });
}
