//! Any descriptor: a pipe.

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::pin::pin;
use std::task::{Context, Waker};

use filch_io::unix::AsyncFd;
use filch_io::{Interest, Ready};
use rustix::pipe::PipeFlags;
use support::{Driver, poll_once};

fn pipe() -> (AsyncFd<File>, AsyncFd<File>) {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
    let reader = AsyncFd::with_interest(File::from(reader), Interest::READABLE).unwrap();
    (
        reader,
        AsyncFd::with_interest(File::from(writer), Interest::WRITABLE).unwrap(),
    )
}

#[test]
fn guards() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (reader, writer) = pipe();
        let mut buf = [0; 8];
        assert!(poll_once(pin!(reader.readable())).is_pending());
        writer.get_ref().write_all(b"abcdef").unwrap();

        let mut guard = reader.readable().await.unwrap();
        assert!(guard.ready().is_readable());
        assert_eq!(guard.try_io(|fd| fd.get_ref().read(&mut buf[..3])).unwrap().unwrap(), 3);
        guard.retain_ready();
        let mut guard = reader.readable().await.unwrap();
        assert_eq!(guard.get_inner().read(&mut buf).unwrap(), 3);
        guard.try_io(|fd| fd.get_ref().read(&mut buf)).unwrap_err();
        assert_eq!(guard.ready(), Ready::EMPTY);
        assert!(
            poll_once(pin!(reader.readable())).is_pending(),
            "the try took the readiness back"
        );
    });
}

#[test]
fn clearing_keeps_what_came_since() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (reader, writer) = pipe();
        writer.get_ref().write_all(b"a").unwrap();
        let mut guard = reader.readable().await.unwrap();
        let before = guard.get_ref();
        assert_eq!(before.get_ref().read(&mut [0; 8]).unwrap(), 1);
        // The next byte arrives, and its event is dispatched, before the guard is cleared.
        let mut late = reader.readable().await.unwrap();
        late.clear_ready_matching(Ready::READABLE);
        let mut waits = Box::pin(reader.readable());
        assert!(poll_once(waits.as_mut()).is_pending());
        writer.get_ref().write_all(b"b").unwrap();
        waits.await.unwrap().retain_ready();
        guard.clear_ready();
        assert!(
            poll_once(pin!(reader.readable())).is_ready(),
            "an old guard must not clear a new event"
        );
    });
}

#[test]
fn with_the_inside_to_change() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (mut reader, mut writer) = pipe();
        let written = writer
            .async_io_mut(Interest::WRITABLE, |fd| fd.write(b"abc"))
            .await
            .unwrap();
        assert_eq!(written, 3);
        let mut buf = [0; 8];
        let mut guard = reader.readable_mut().await.unwrap();
        assert_eq!(guard.try_io(|fd| fd.get_mut().read(&mut buf)).unwrap().unwrap(), 3);
        guard.clear_ready();
        let error = reader
            .try_io_mut(Interest::READABLE, |fd| fd.read(&mut buf))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert_eq!(
            reader.try_io(Interest::WRITABLE, |_| Ok(())).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        writer.get_mut().write_all(b"de").unwrap();
        let read = reader
            .async_io(Interest::READABLE, |mut fd| fd.read(&mut buf))
            .await
            .unwrap();
        assert_eq!(read, 2);
    });
}

#[test]
fn polling_and_the_end() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (mut reader, writer) = pipe();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(reader.poll_read_ready(&mut cx).is_pending());
        assert!(reader.poll_read_ready_mut(&mut cx).is_pending());
        drop(writer.into_inner());
        let guard = std::future::poll_fn(|cx| reader.poll_read_ready(cx)).await.unwrap();
        assert!(guard.ready().is_read_closed());
        let mut guard = std::future::poll_fn(|cx| reader.poll_read_ready(cx)).await.unwrap();
        guard.clear_ready();
        let again = reader.readable().await.unwrap();
        assert!(again.ready().is_read_closed(), "closed stays");
        assert_eq!(again.get_inner().read(&mut [0; 1]).unwrap(), 0);
    });
    assert_eq!(driver.handle.reactors()[0].load(), 0);
}

#[test]
fn what_cannot_be_polled_is_given_back() {
    let driver = Driver::new(1);
    let _inside = driver.handle.enter();
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let error = AsyncFd::with_interest(file, Interest::READABLE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let error = AsyncFd::try_with_interest(file, Interest::READABLE).unwrap_err();
    let (mut file, cause) = error.into_parts();
    assert_eq!(cause.kind(), ErrorKind::PermissionDenied);
    assert_eq!(file.read(&mut [0; 4]).unwrap(), 4);
    assert_eq!(driver.handle.reactors()[0].load(), 0);
}
