//! Reading in pieces, and what a stream does when its reader or its peer goes away.

use filch::io::{AsyncWriteExt, Buffered, ReadError, duplex};
use filch::net::{TcpListener, TcpStream};
use filch::task::yield_now;
use filch::time::{sleep, timeout};
use filch_tests::{current, everywhere, poll_once};
use std::io;
use std::pin::pin;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = (TcpStream::connect(address).await, listener.accept().await);
    (near.unwrap(), far.unwrap().0)
}

/// A stream of these pieces, which come one at a time, and its end.
fn of(pieces: &'static [&'static [u8]]) -> Buffered<filch::io::DuplexStream> {
    let (mut writer, reader) = duplex(1 << 20);
    filch::spawn(async move {
        for piece in pieces {
            writer.write_all(piece).await.unwrap();
            sleep(MS).await;
        }
    });
    Buffered::new(reader)
}

#[track_caller]
fn assert_incomplete(result: Result<Vec<u8>, ReadError>, left: &[u8], asked: Option<usize>) {
    match result {
        Err(ReadError::Incomplete { partial, expected }) => assert_eq!((&*partial, expected), (left, asked)),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_overrun(result: Result<Vec<u8>, ReadError>, bytes: usize) {
    match result {
        Err(ReadError::LimitOverrun { consumed }) => assert_eq!(consumed, bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_separator_that_ends_first_counts() {
    everywhere(|| async {
        let mut stream = of(&[b"one\r", b"\ntwo\nABCthree"]);
        assert_eq!(stream.read_until(&[b"\n", b"\r\n"]).await.unwrap(), b"one\r\n");
        assert_eq!(stream.read_until(&[b"\r\n", b"\n"]).await.unwrap(), b"two\n");
        // One that begins earlier and ends later.
        assert_eq!(stream.read_until(&[b"ABCthree", b"BC"]).await.unwrap(), b"ABC");
        assert_incomplete(stream.read_until(&[b"\n"]).await, b"three", None);
        assert!(stream.at_eof());
        assert_incomplete(stream.read_until(&[b"\n"]).await, b"", None);
    });
}

#[test]
fn a_separator_may_come_in_pieces() {
    everywhere(|| async {
        let mut stream = of(&[b"x-", b"-", b"-e", b"nd-y", b"---end-rest"]);
        assert_eq!(stream.read_until(&[b"---end-"]).await.unwrap(), b"x---end-");
        assert_eq!(stream.read_until(&[b"---end-"]).await.unwrap(), b"y---end-");
        assert_eq!(stream.read_exact(4).await.unwrap(), b"rest");
    });
}

#[test]
fn a_limit_leaves_the_data() {
    everywhere(|| async {
        // The separator is there, but too late.
        let mut stream = of(&[b"123456\nrest"]).limit(5);
        assert_overrun(stream.read_until(&[b"\n"]).await, 6);
        assert_eq!(stream.buffer(), b"123456\nrest");
        assert_overrun(stream.read_line().await, 6);
        assert_eq!(stream.read_exact(6).await.unwrap(), b"123456");
        assert_eq!(stream.read_line().await.unwrap(), b"\n");
        // Exactly at the limit.
        let mut stream = of(&[b"12345\n"]).limit(5);
        assert_eq!(stream.read_until(&[b"\n"]).await.unwrap(), b"12345\n");
        // It is not there yet; its first byte may be.
        let mut stream = of(&[b"123456\r", b"\nrest"]).limit(5);
        assert_overrun(stream.read_until(&[b"\r\n"]).await, 6);
        assert_eq!(stream.read_exact(6).await.unwrap(), b"123456");
        assert_eq!(stream.read_until(&[b"\r\n"]).await.unwrap(), b"\r\n");
    });
}

#[test]
fn the_limit_that_nobody_set_is_64_kib() {
    current().block_on(async {
        let (mut writer, reader) = duplex(1 << 20);
        writer.write_all(&[b'x'; 64 * 1024 + 1]).await.unwrap();
        let mut stream = Buffered::new(reader);
        assert_overrun(stream.read_until(&[b"\n"]).await, 64 * 1024 + 1);
        assert_eq!(stream.read_exact(64 * 1024 + 1).await.unwrap().len(), 64 * 1024 + 1);
    });
}

#[test]
fn a_stream_that_ends_early_gives_what_there_was() {
    everywhere(|| async {
        let mut stream = of(&[b"12", b"34", b"5"]);
        assert_eq!(stream.read_exact(0).await.unwrap(), b"");
        assert_eq!(stream.read_exact(3).await.unwrap(), b"123");
        assert_incomplete(stream.read_exact(10).await, b"45", Some(10));
        assert!(stream.at_eof());
        let error: io::Error = stream.read_exact(1).await.unwrap_err().into();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn lines_and_reads_share_the_buffer() {
    everywhere(|| async {
        let mut stream = of(&[b"one\ntwo", b"\nthree"]);
        assert_eq!(stream.read_line().await.unwrap(), b"one\n");
        let mut two = [0; 2];
        assert_eq!(stream.read(&mut two).await.unwrap(), 2);
        assert_eq!(&two, b"tw");
        assert_eq!(stream.read_line().await.unwrap(), b"o\n");
        assert_eq!(stream.read_line().await.unwrap(), b"three");
        assert_eq!(stream.read_line().await.unwrap(), b"");
        assert_eq!(stream.read(&mut two).await.unwrap(), 0);
        assert!(stream.at_eof());
    });
}

#[test]
fn a_read_that_is_cancelled_has_lost_nothing() {
    everywhere(|| async {
        let (near, mut far) = pair().await;
        let mut stream = Buffered::new(near);
        // One at least is cancelled; how many later, is chance.
        far.write_all(b">").await.unwrap();
        stream.get_ref().readable().await.unwrap();
        assert!(poll_once(pin!(stream.read_until(&[b"\n"]))).await.is_pending());
        assert_eq!(stream.buffer(), b">");
        let writer = filch::spawn(async move {
            for number in 0..50u8 {
                far.write_all(&[b'a' + number % 20]).await.unwrap();
                if number % 10 == 9 {
                    far.write_all(b"\n").await.unwrap();
                }
                yield_now().await;
            }
            far
        });
        let mut lines = Vec::new();
        while lines.len() < 5 {
            // Each is dropped wherever it is.
            let line = filch::select! {
                line = stream.read_until(&[b"\r\n", b"\n"]) => line.unwrap(),
                () = yield_now() => {
                    sleep(MS / 10).await;
                    continue;
                }
            };
            lines.push(line);
        }
        assert_eq!(lines[..2], [&b">abcdefghij\n"[..], b"klmnopqrst\n"]);
        assert_eq!(lines.concat().len(), 56);
        let mut far = writer.await.unwrap();
        assert!(poll_once(pin!(stream.read_exact(3))).await.is_pending());
        far.write_all(b"12").await.unwrap();
        timeout(5 * MS, stream.read_exact(3)).await.unwrap_err();
        far.write_all(b"3").await.unwrap();
        assert_eq!(stream.read_exact(3).await.unwrap(), b"123");
    });
}

#[test]
fn writes_go_through() {
    everywhere(|| async {
        let (near, far) = pair().await;
        let (mut near, mut far) = (Buffered::new(near), Buffered::new(far));
        near.write_all(b"question\n").await.unwrap();
        assert_eq!(far.read_line().await.unwrap(), b"question\n");
        far.get_mut().write_all(b"answer\n").await.unwrap();
        assert_eq!(near.read_line().await.unwrap(), b"answer\n");
        near.shutdown().await.unwrap();
        assert_eq!(far.read_line().await.unwrap(), b"");
    });
}

#[test]
#[should_panic(expected = "there must be a separator")]
fn an_empty_separator_is_refused() {
    let mut stream = Buffered::new(filch::io::empty());
    drop(stream.read_until(&[b"\n", b""]));
}

/// asyncio's `test_drain_raises`: a loop that writes and drains went on for ever.
#[test]
fn a_writer_to_a_dead_peer_has_an_error() {
    everywhere(|| async {
        for unread in [false, true] {
            let (mut near, far) = pair().await;
            if unread {
                near.write_all(b"nobody reads this").await.unwrap();
                far.readable().await.unwrap();
            }
            drop(far);
            let mut written = 0;
            let error = loop {
                match near.write_all(&[0; 1024]).await {
                    Ok(()) => written += 1024,
                    Err(error) => break error,
                }
                // Far more than all buffers hold.
                assert!(written < 64 << 20, "nobody says that the peer is gone");
            };
            assert!(
                matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
                "{error}"
            );
            near.write_all(b"x").await.unwrap_err();
        }
    });
}

/// asyncio's `test_sock_client_racing`: a cancelled receive took bytes with it, a cancelled send left its writer behind.
#[test]
fn a_read_or_a_write_that_is_cancelled_moves_no_bytes() {
    const TOTAL: usize = 300_000;
    everywhere(|| async {
        let (mut near, mut far) = pair().await;
        let writer = filch::spawn(async move {
            let bytes: Vec<u8> = (0..TOTAL).map(|number| (number % 251) as u8).collect();
            let mut written = 0;
            while written < TOTAL {
                filch::select! {
                    count = near.write(&bytes[written..(written + 5000).min(TOTAL)]) => written += count.unwrap(),
                    () = yield_now() => {}
                }
            }
        });
        let mut seen = 0;
        let mut buffer = vec![0; 7000];
        loop {
            let count = filch::select! {
                count = far.read(&mut buffer) => count.unwrap(),
                () = yield_now() => continue,
            };
            if count == 0 {
                break;
            }
            for byte in &buffer[..count] {
                assert_eq!(usize::from(*byte), seen % 251);
                seen += 1;
            }
        }
        assert_eq!(seen, TOTAL);
        writer.await.unwrap();
    });
}
