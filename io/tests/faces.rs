//! The traits of the ecosystem, on the streams.

#![cfg(all(feature = "tokio-io", feature = "hyper", feature = "futures-io"))]

mod support;

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};

use filch_io::Io;
use filch_io::net::UnixStream;
use support::{Driver, poll_once};

/// More than the buffers of a stream hold.
const MUCH: usize = 4 << 20;

mod with_tokio {
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

    use super::*;

    #[test]
    fn copies_much_in_both_directions() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let (one, other) = UnixStream::pair().unwrap();
            let echo = std::thread::spawn(move || {
                support::block_on(async {
                    let (mut reading, mut writing) = other.into_split();
                    tokio::io::copy(&mut reading, &mut writing).await.unwrap()
                })
            });
            let (mut reading, mut writing) = one.into_split();
            let send = std::thread::spawn(move || {
                support::block_on(async {
                    let chunk: Vec<u8> = (0..MUCH).map(|n| n as u8).collect();
                    AsyncWriteExt::write_all(&mut writing, &chunk).await.unwrap();
                    AsyncWriteExt::shutdown(&mut writing).await.unwrap();
                })
            });
            let mut back = Vec::new();
            reading.read_to_end(&mut back).await.unwrap();
            assert!(back.len() == MUCH && back.iter().enumerate().all(|(n, byte)| *byte == n as u8));
            send.join().unwrap();
            assert_eq!(echo.join().unwrap(), MUCH as u64);
        });
    }

    #[test]
    fn reads_into_uninitialised_memory_behind_what_is_there() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let (mut one, mut other) = UnixStream::pair().unwrap();
            other.write_all(b"abc").await.unwrap();
            let mut memory = [MaybeUninit::uninit(); 8];
            let mut buf = ReadBuf::uninit(&mut memory);
            buf.put_slice(b"<");
            poll_fn(|cx| Pin::new(&mut one).poll_read(cx, &mut buf)).await.unwrap();
            assert_eq!(buf.filled(), b"<abc");
            drop(other);
            poll_fn(|cx| Pin::new(&mut one).poll_read(cx, &mut buf)).await.unwrap();
            assert_eq!(buf.filled(), b"<abc", "the end of the stream adds nothing");
        });
    }

    #[test]
    fn writes_several_parts() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let (mut one, mut other) = UnixStream::pair().unwrap();
            assert!(AsyncWrite::is_write_vectored(&one));
            let parts = [IoSlice::new(b"one"), IoSlice::new(b"two")];
            let written = poll_fn(|cx| AsyncWrite::poll_write_vectored(Pin::new(&mut one), cx, &parts)).await;
            assert_eq!(written.unwrap(), 6);
            let mut buf = [0; 6];
            other.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"onetwo");
        });
    }

    #[test]
    fn closing_a_connection_that_is_gone_is_no_error() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let listener = filch_io::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = filch_io::net::TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (server, _) = listener.accept().await.unwrap();
            server.set_zero_linger().unwrap();
            drop(server);
            assert_eq!(
                client.read(&mut [0]).await.unwrap_err().kind(),
                ErrorKind::ConnectionReset
            );
            AsyncWriteExt::shutdown(&mut client).await.unwrap();
        });
    }

    #[test]
    fn udp_into_tokios_buffer() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let one = filch_io::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let other = filch_io::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let target = one.local_addr().unwrap();
            other.send_to(b"abc", target).await.unwrap();
            other.send_to(b"defg", target).await.unwrap();
            let mut memory = [MaybeUninit::uninit(); 16];
            let mut buf = ReadBuf::uninit(&mut memory);
            buf.put_slice(b"<");
            let peer = poll_fn(|cx| one.poll_peek_from(cx, &mut buf)).await.unwrap();
            assert_eq!((buf.filled(), peer), (&b"<abc"[..], other.local_addr().unwrap()));
            buf.set_filled(1);
            let peer = poll_fn(|cx| one.poll_recv_from(cx, &mut buf)).await.unwrap();
            assert_eq!((buf.filled(), peer), (&b"<abc"[..], other.local_addr().unwrap()));
            poll_fn(|cx| one.poll_recv(cx, &mut buf)).await.unwrap();
            assert_eq!(buf.filled(), b"<abcdefg");
        });
    }

    #[test]
    fn tcp_peek_into_tokios_buffer() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let listener = filch_io::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = filch_io::net::TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.write_all(b"abc").await.unwrap();
            let mut memory = [MaybeUninit::uninit(); 2];
            let mut buf = ReadBuf::uninit(&mut memory);
            assert_eq!(poll_fn(|cx| server.poll_peek(cx, &mut buf)).await.unwrap(), 2);
            assert_eq!(buf.filled(), b"ab");
        });
    }
}

mod with_hyper {
    use hyper::rt::{Read, ReadBuf, Write};

    use super::*;

    #[test]
    fn reads_and_writes() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let (mut one, mut other) = UnixStream::pair().unwrap();
            assert!(Write::is_write_vectored(&one));
            let parts = [IoSlice::new(b"one"), IoSlice::new(b"two")];
            let written = poll_fn(|cx| Write::poll_write_vectored(Pin::new(&mut one), cx, &parts)).await;
            assert_eq!(written.unwrap(), 6);
            let mut memory = [MaybeUninit::uninit(); 16];
            let mut buf = ReadBuf::uninit(&mut memory);
            poll_fn(|cx| Read::poll_read(Pin::new(&mut other), cx, buf.unfilled()))
                .await
                .unwrap();
            assert_eq!(buf.filled(), b"onetwo");
            poll_fn(|cx| Write::poll_shutdown(Pin::new(&mut one), cx))
                .await
                .unwrap();
            poll_fn(|cx| Read::poll_read(Pin::new(&mut other), cx, buf.unfilled()))
                .await
                .unwrap();
            assert_eq!(buf.filled(), b"onetwo");
        });
    }

    #[test]
    fn a_stream_of_tokios_traits_given_to_hyper() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let (one, mut other) = tokio::io::duplex(64);
            let mut one = Io::new(one);
            let mut memory = [MaybeUninit::uninit(); 8];
            let mut buf = ReadBuf::uninit(&mut memory);
            {
                let mut read = pin!(poll_fn(|cx| Read::poll_read(Pin::new(&mut one), cx, buf.unfilled())));
                assert!(poll_once(read.as_mut()).is_pending());
                tokio::io::AsyncWriteExt::write_all(&mut other, b"abc").await.unwrap();
                read.await.unwrap();
            }
            assert_eq!(buf.filled(), b"abc");
            poll_fn(|cx| Write::poll_write(Pin::new(&mut one), cx, b"x"))
                .await
                .unwrap();
            poll_fn(|cx| Write::poll_flush(Pin::new(&mut one), cx)).await.unwrap();
            assert_eq!(tokio::io::AsyncReadExt::read_u8(&mut other).await.unwrap(), b'x');
        });
    }

    #[test]
    fn and_back_again() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let (one, mut other) = tokio::io::duplex(64);
            let mut one = Io::new(Io::new(one));
            other_side(&mut one, &mut other).await;
        });
    }

    async fn other_side(one: &mut (impl tokio::io::AsyncRead + Unpin), other: &mut tokio::io::DuplexStream) {
        tokio::io::AsyncWriteExt::write_all(other, b"abcdef").await.unwrap();
        let mut memory = [MaybeUninit::uninit(); 8];
        let mut buf = tokio::io::ReadBuf::uninit(&mut memory);
        buf.put_slice(b"<");
        poll_fn(|cx| tokio::io::AsyncRead::poll_read(Pin::new(one), cx, &mut buf))
            .await
            .unwrap();
        assert_eq!(buf.filled(), b"<abcdef");
    }

    static KEPT: std::sync::atomic::AtomicPtr<u8> = std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

    /// A reader that hands back another buffer than the one it was lent.
    struct Swindler;

    impl tokio::io::AsyncRead for Swindler {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let other: &'static mut [u8] = Box::leak(Box::new([0; 4]));
            // Where a leak checker finds it: this one is meant.
            KEPT.store(other.as_mut_ptr(), std::sync::atomic::Ordering::Relaxed);
            let mut other = tokio::io::ReadBuf::new(other);
            other.set_filled(4);
            *buf = other;
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[test]
    #[should_panic = "the reader exchanged the buffer it was lent"]
    fn a_reader_that_exchanges_the_buffer_is_found_out() {
        let mut memory = [MaybeUninit::uninit(); 8];
        let mut buf = ReadBuf::uninit(&mut memory);
        let mut io = Io::new(Swindler);
        let _ = poll_once(pin!(poll_fn(|cx| Read::poll_read(
            Pin::new(&mut io),
            cx,
            buf.unfilled()
        ))));
    }
}

mod with_futures {
    use futures_io::{AsyncRead, AsyncWrite};
    use std::io::IoSliceMut;

    use super::*;

    #[test]
    fn reads_and_writes() {
        let driver = Driver::new(1);
        driver.block_on(async {
            let (mut one, mut other) = UnixStream::pair().unwrap();
            let parts = [IoSlice::new(b"one"), IoSlice::new(b"two")];
            let written = poll_fn(|cx| AsyncWrite::poll_write_vectored(Pin::new(&mut one), cx, &parts)).await;
            assert_eq!(written.unwrap(), 6);
            let (mut a, mut b) = ([0; 2], [0; 8]);
            let mut bufs = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
            let read = poll_fn(|cx| AsyncRead::poll_read_vectored(Pin::new(&mut other), cx, &mut bufs)).await;
            assert_eq!((read.unwrap(), &a, &b[..4]), (6, b"on", &b"etwo"[..]));
            poll_fn(|cx| AsyncWrite::poll_close(Pin::new(&mut one), cx))
                .await
                .unwrap();
            let read = poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut other), cx, &mut b)).await;
            assert_eq!(read.unwrap(), 0);
        });
    }
}

/// The same traits over simulated sockets: they read into memory in their own way.
mod simulated {
    use std::task::Poll;
    use std::time::Duration;

    use filch_io::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};

    use super::support::join;
    use super::support::simulated::Simulated;
    use super::*;

    fn network() -> Simulated {
        let sim = Simulated::new(5);
        sim.network.set_latency(Duration::ZERO, Duration::from_millis(2));
        sim.network.set_short_io(0.5);
        sim
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("10.0.0.1:80").await.unwrap();
        let (client, server) = join(TcpStream::connect("10.0.0.1:80"), listener.accept()).await;
        (client.unwrap(), server.unwrap().0)
    }

    #[test]
    fn with_tokio() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        network().block_on(async {
            let (client, server) = pair().await;
            let (mut reading, mut writing) = client.into_split();
            let (mut server_reading, mut server_writing) = server.into_split();
            let data: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
            let send = async {
                AsyncWriteExt::write_all(&mut writing, &data).await.unwrap();
                AsyncWriteExt::shutdown(&mut writing).await.unwrap();
            };
            let echo = async {
                let copied = tokio::io::copy(&mut server_reading, &mut server_writing).await.unwrap();
                drop(server_writing);
                copied
            };
            let mut back = Vec::new();
            let receive = async { reading.read_to_end(&mut back).await.unwrap() };
            let (((), copied), received) = join(join(send, echo), receive).await;
            assert_eq!((copied, received), (200_000, 200_000));
            assert!(back == data);
        });
    }

    #[test]
    fn tokios_buffers() {
        use tokio::io::{AsyncRead, ReadBuf};
        Simulated::new(1).block_on(async {
            let (mut client, mut server) = pair().await;
            client.write_all(b"abcdef").await.unwrap();
            let mut memory = [MaybeUninit::uninit(); 8];
            let mut buf = ReadBuf::uninit(&mut memory);
            buf.put_slice(b"<");
            assert_eq!(poll_fn(|cx| server.poll_peek(cx, &mut buf)).await.unwrap(), 6);
            assert_eq!(buf.filled(), b"<abcdef");
            buf.set_filled(1);
            let mut few = buf.take(4);
            poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut few))
                .await
                .unwrap();
            assert_eq!(few.filled(), b"abcd");
            let mut buf = [0; 4];
            assert_eq!(server.read(&mut buf).await.unwrap(), 2);
            assert_eq!(&buf[..2], b"ef");

            let one = UdpSocket::bind("10.0.0.1:7").await.unwrap();
            let other = UdpSocket::bind("10.0.0.2:7").await.unwrap();
            for text in [&b"abc"[..], b"defgh", b"ijk"] {
                other.send_to(text, "10.0.0.1:7").await.unwrap();
            }
            let mut memory = [MaybeUninit::uninit(); 4];
            let mut buf = ReadBuf::uninit(&mut memory);
            let peer = poll_fn(|cx| one.poll_peek_from(cx, &mut buf)).await.unwrap();
            assert_eq!((buf.filled(), peer), (&b"abc"[..], other.local_addr().unwrap()));
            buf.clear();
            poll_fn(|cx| one.poll_peek(cx, &mut buf)).await.unwrap();
            assert_eq!(buf.filled(), b"abc");
            buf.clear();
            poll_fn(|cx| one.poll_recv(cx, &mut buf)).await.unwrap();
            assert_eq!(buf.filled(), b"abc");
            buf.clear();
            let peer = poll_fn(|cx| one.poll_recv_from(cx, &mut buf)).await.unwrap();
            assert_eq!(
                (buf.filled(), peer),
                (&b"defg"[..], other.local_addr().unwrap()),
                "what does not fit is lost"
            );
            buf.clear();
            poll_fn(|cx| one.poll_recv(cx, &mut buf)).await.unwrap();
            assert_eq!(buf.filled(), b"ijk");

            let (left, right) = UnixDatagram::pair().unwrap();
            left.send(b"xy").await.unwrap();
            buf.clear();
            buf.put_slice(b"<");
            poll_fn(|cx| right.poll_recv(cx, &mut buf)).await.unwrap();
            assert_eq!(buf.filled(), b"<xy");
        });
    }

    #[test]
    fn with_hyper() {
        use hyper::rt::{Read, ReadBuf, Write};
        network().block_on(async {
            let (mut client, mut server) = pair().await;
            assert!(Write::is_write_vectored(&client));
            let mut sent = 0;
            let text = b"onetwothree";
            while sent < text.len() {
                let (front, back) = text[sent..].split_at((text.len() - sent) / 2);
                let parts = [IoSlice::new(front), IoSlice::new(back)];
                let write = poll_fn(|cx| Write::poll_write_vectored(Pin::new(&mut client), cx, &parts));
                sent += write.await.unwrap();
            }
            poll_fn(|cx| Write::poll_shutdown(Pin::new(&mut client), cx))
                .await
                .unwrap();
            let mut memory = [MaybeUninit::uninit(); 16];
            let mut buf = ReadBuf::uninit(&mut memory);
            loop {
                let before = buf.filled().len();
                poll_fn(|cx| Read::poll_read(Pin::new(&mut server), cx, buf.unfilled()))
                    .await
                    .unwrap();
                if buf.filled().len() == before {
                    break;
                }
            }
            assert_eq!(buf.filled(), text);
        });
    }

    #[test]
    fn with_futures() {
        use futures_io::{AsyncRead, AsyncWrite};
        Simulated::new(1).block_on(async {
            let (mut client, mut server) = pair().await;
            let parts = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")];
            let written = poll_fn(|cx| AsyncWrite::poll_write_vectored(Pin::new(&mut client), cx, &parts)).await;
            assert_eq!(written.unwrap(), 6);
            let (mut a, mut b) = ([0; 2], [0; 8]);
            let mut bufs = [std::io::IoSliceMut::new(&mut a), std::io::IoSliceMut::new(&mut b)];
            let read = poll_fn(|cx| AsyncRead::poll_read_vectored(Pin::new(&mut server), cx, &mut bufs)).await;
            assert_eq!((read.unwrap(), &a, &b[..4]), (6, b"on", &b"etwo"[..]));
            poll_fn(|cx| AsyncWrite::poll_close(Pin::new(&mut client), cx))
                .await
                .unwrap();
            let end = poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut server), cx, &mut b)).await;
            assert_eq!(end.unwrap(), 0);
            assert!(matches!(poll_once(pin!(server.readable())), Poll::Ready(Ok(()))));
        });
    }
}
