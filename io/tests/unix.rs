//! Unix sockets.

mod support;

use std::io::{ErrorKind, IoSlice};
use std::os::linux::net::SocketAddrExt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use filch_io::net::{UnixDatagram, UnixListener, UnixStream, unix};
use support::{Driver, poll_once};

/// A path that nobody else uses, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "filch-io-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        Place(std::env::temp_dir().join(name))
    }
}

impl AsRef<std::path::Path> for Place {
    fn as_ref(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn listen_connect_echo() {
    let driver = Driver::new(2);
    driver.block_on(async {
        let place = Place::new();
        let listener = UnixListener::bind(&place).unwrap();
        assert_eq!(UnixListener::bind(&place).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(place.as_ref()));
        assert!(poll_once(pin!(listener.accept())).is_pending());
        let mut client = UnixStream::connect(&place).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(place.as_ref()));
        for round in 0..500_u32 {
            client.write_all(&round.to_be_bytes()).await.unwrap();
            let mut buf = [0; 4];
            server.read_exact(&mut buf).await.unwrap();
            server.write_all(&buf).await.unwrap();
            client.read_exact(&mut buf).await.unwrap();
            assert_eq!(u32::from_be_bytes(buf), round);
        }
        drop(client);
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
        drop(listener);
        assert_eq!(
            UnixStream::connect(&place).await.unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    });
}

#[test]
fn abstract_names() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let name = format!("filch-io-test-{}", std::process::id());
        let address = unix::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let client = UnixStream::connect_addr(&address).await.unwrap();
        listener.accept().await.unwrap();
        assert_eq!(client.peer_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
    });
}

#[test]
fn a_pair_and_who_is_there() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let peer = one.peer_cred().unwrap();
        assert_eq!(peer.pid(), Some(std::process::id() as i32));
        assert_eq!(peer, other.peer_cred().unwrap());
        assert!(one.take_error().unwrap().is_none());
        assert_eq!(one.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        one.writable().await.unwrap();
        let written = one
            .try_write_vectored(&[IoSlice::new(b"a"), IoSlice::new(b"bc")])
            .unwrap();
        assert_eq!(written, 3);
        other.readable().await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(other.try_read(&mut buf).unwrap(), 3);
        let (reading, mut writing) = other.into_split();
        writing.write_all(b"x").await.unwrap();
        let other = reading.reunite(writing).unwrap();
        drop(other);
        one.readable().await.unwrap();
        assert_eq!(one.try_read(&mut buf).unwrap(), 1);
        one.readable().await.unwrap();
        assert_eq!(one.try_read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn a_read_that_stops_behind_a_passed_descriptor_does_not_strand_the_rest() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::IoSlice;
    use std::os::fd::AsFd;

    let driver = Driver::new(1);
    driver.block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let passed = [other.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&passed)));
        sendmsg(&other, &[IoSlice::new(b"with")], &mut ancillary, SendFlags::empty()).unwrap();
        other.writable().await.unwrap();
        other.try_write(b"without").unwrap();
        // Until all events are dispatched: no new one will tell of what a read leaves behind.
        std::thread::sleep(std::time::Duration::from_millis(30));
        let mut buf = [0; 64];
        let mut got = Vec::new();
        while got.len() < 11 {
            let read = one.read(&mut buf).await.unwrap();
            got.extend_from_slice(&buf[..read]);
        }
        assert_eq!(got, b"withwithout");
    });
}

#[test]
fn to_std_and_back() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (one, _other) = UnixStream::pair().unwrap();
        let one = one.into_std().unwrap();
        one.set_nonblocking(false).unwrap();
        assert_eq!(
            UnixStream::from_std(one.try_clone().unwrap()).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        one.set_nonblocking(true).unwrap();
        drop(UnixStream::try_from(one).unwrap());

        let place = Place::new();
        let listener = UnixListener::bind(&place).unwrap().into_std().unwrap();
        drop(UnixListener::try_from(listener).unwrap());
        let datagram = UnixDatagram::unbound().unwrap().into_std().unwrap();
        drop(UnixDatagram::try_from(datagram).unwrap());
    });
}

#[test]
fn datagrams() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let place = Place::new();
        let one = UnixDatagram::bind(&place).unwrap();
        let other = UnixDatagram::unbound().unwrap();
        let mut buf = [0; 8];
        assert_eq!(one.try_recv_from(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        other.send_to(b"abc", &place).await.unwrap();
        let (len, peer) = one.recv_from(&mut buf).await.unwrap();
        assert_eq!((len, peer.is_unnamed()), (3, true));
        other.connect(&place).unwrap();
        other.send(b"defg").await.unwrap();
        assert_eq!(one.recv(&mut buf).await.unwrap(), 4);
        assert_eq!(other.try_send_to(b"x", &place).unwrap(), 1);

        let (one, other) = UnixDatagram::pair().unwrap();
        one.writable().await.unwrap();
        let mut sent = 0;
        while one.try_send(&[0; 1024]).is_ok() {
            sent += 1;
        }
        assert!(sent > 0);
        let mut send = pin!(one.send(b"last"));
        assert!(poll_once(send.as_mut()).is_pending(), "the queue is full");
        let mut buf = [0; 2048];
        for _ in 0..sent {
            assert_eq!(other.recv(&mut buf).await.unwrap(), 1024);
        }
        send.await.unwrap();
        assert_eq!(other.recv(&mut buf).await.unwrap(), 4);
        one.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(one.send(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}
