//! UDP over loopback.

mod support;

use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Waker};

use filch_io::Interest;
use filch_io::net::UdpSocket;
use support::{Driver, poll_once};

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[test]
fn to_and_from() {
    let driver = Driver::new(2);
    driver.block_on(async {
        let (one, other) = (socket().await, socket().await);
        let mut buf = [0; 16];
        assert_eq!(one.try_recv_from(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        for round in 0..200_u32 {
            let mut recv = Box::pin(one.recv_from(&mut buf));
            if round % 2 == 0 {
                assert!(poll_once(recv.as_mut()).is_pending());
            }
            other
                .send_to(&round.to_be_bytes(), one.local_addr().unwrap())
                .await
                .unwrap();
            assert_eq!(recv.await.unwrap(), (4, other.local_addr().unwrap()));
            assert_eq!(buf[..4], round.to_be_bytes());
        }
        assert_eq!(other.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn connected() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (one, other) = (socket().await, socket().await);
        one.connect(other.local_addr().unwrap()).await.unwrap();
        other.connect(one.local_addr().unwrap()).await.unwrap();
        assert_eq!(one.peer_addr().unwrap(), other.local_addr().unwrap());
        assert_eq!(one.send(b"abc").await.unwrap(), 3);
        let mut buf = [0; 2];
        assert_eq!(other.peek(&mut buf).await.unwrap(), 2);
        assert_eq!(other.peek_from(&mut buf).await.unwrap(), (2, one.local_addr().unwrap()));
        assert_eq!(other.peek_sender().await.unwrap(), one.local_addr().unwrap());
        assert_eq!(other.recv(&mut buf).await.unwrap(), 2, "what does not fit is lost");
        assert!(
            poll_once(pin!(other.readable())).is_ready(),
            "readiness stays until a try fails"
        );
        assert_eq!(other.try_recv(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(poll_once(pin!(other.readable())).is_pending());
    });
}

#[test]
fn a_refused_datagram_wakes_the_receiver_and_closes_nothing() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (one, other) = (socket().await, socket().await);
        let address = other.local_addr().unwrap();
        one.connect(address).await.unwrap();
        drop(other);
        let mut buf = [0; 8];
        let mut recv = Box::pin(one.recv(&mut buf));
        assert!(poll_once(recv.as_mut()).is_pending());
        one.send(b"to nobody").await.unwrap();
        assert_eq!(recv.await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // The socket still waits, rather than to spin on a direction that is said to be closed.
        assert!(poll_once(pin!(one.recv(&mut buf))).is_pending());
        let ready = one.ready(Interest::WRITABLE).await.unwrap();
        assert!(!ready.is_write_closed() && !ready.is_read_closed(), "{ready:?}");
        let other = UdpSocket::bind(address).await.unwrap();
        other.send_to(b"now", one.local_addr().unwrap()).await.unwrap();
        assert_eq!(one.recv(&mut buf).await.unwrap(), 3);
    });
}

#[test]
fn several_tasks_receive_and_send_at_once() {
    let driver = Driver::new(2);
    let one = driver.block_on(socket());
    let other = driver.block_on(socket());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                support::block_on(async {
                    let mut buf = [0; 8];
                    for _ in 0..50 {
                        let (len, peer) = one.recv_from(&mut buf).await.unwrap();
                        one.send_to(&buf[..len], peer).await.unwrap();
                    }
                })
            });
        }
        support::block_on(async {
            let mut buf = [0; 8];
            for round in 0..200_u32 {
                other
                    .send_to(&round.to_be_bytes(), one.local_addr().unwrap())
                    .await
                    .unwrap();
                assert_eq!(other.recv(&mut buf).await.unwrap(), 4);
                assert_eq!(buf[..4], round.to_be_bytes());
            }
        });
    });
}

#[test]
fn polling() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let (one, other) = (socket().await, socket().await);
        let target = one.local_addr().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(one.poll_recv_ready(&mut cx).is_pending());
        assert!(one.poll_peek_sender(&mut cx).is_pending());
        std::future::poll_fn(|cx| other.poll_send_to(cx, b"abc", target))
            .await
            .unwrap();
        std::future::poll_fn(|cx| one.poll_recv_ready(cx)).await.unwrap();
        let peer = std::future::poll_fn(|cx| one.poll_peek_sender(cx)).await.unwrap();
        assert_eq!(peer, other.local_addr().unwrap());
        other.connect(target).await.unwrap();
        assert!(std::future::poll_fn(|cx| other.poll_send_ready(cx)).await.is_ok());
        assert_eq!(std::future::poll_fn(|cx| other.poll_send(cx, b"abc")).await.unwrap(), 3);
    });
}

#[test]
fn options_and_std() {
    let driver = Driver::new(1);
    driver.block_on(async {
        let one = socket().await;
        one.set_broadcast(true).unwrap();
        assert!(one.broadcast().unwrap());
        one.set_ttl(7).unwrap();
        assert_eq!(one.ttl().unwrap(), 7);
        one.set_multicast_loop_v4(false).unwrap();
        assert!(!one.multicast_loop_v4().unwrap());
        one.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(one.multicast_ttl_v4().unwrap(), 3);
        one.set_tos_v4(0x10).unwrap();
        assert_eq!(one.tos_v4().unwrap(), 0x10);
        assert!(one.take_error().unwrap().is_none());
        let address = one.local_addr().unwrap();
        let one = UdpSocket::try_from(one.into_std().unwrap()).unwrap();
        assert_eq!(one.local_addr().unwrap(), address);
        let blocking = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(
            UdpSocket::from_std(blocking).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    });
}
