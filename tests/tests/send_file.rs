//! Sending files over streams.

use filch::net::{TcpListener, TcpStream, UnixStream, send_file};
use filch_tests::{beside_another, current, everywhere, multi, within};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file of so many bytes, which has no name any more.
fn file(length: usize) -> (File, Vec<u8>) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let path = std::env::temp_dir().join(format!("filch-send-{}-{number}", std::process::id()));
    let bytes: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    (file, bytes)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = (TcpStream::connect(address).await, listener.accept().await);
    (near.unwrap(), far.unwrap().0)
}

/// All that comes up to the end.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 100_000]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return all,
            read => all.extend_from_slice(&buffer[..read]),
        }
    }
}

/// By the system where the sockets are real, by hand where they are simulated.
#[test]
fn a_range_of_a_file_arrives() {
    let (file, bytes) = file(600_000);
    let shared = std::sync::Arc::new((file, bytes));
    everywhere(move || {
        let shared = shared.clone();
        async move {
            let (file, bytes) = &*shared;
            for (range, sent) in [
                (0..600_000, 600_000),
                (1..300_001, 300_000),
                (599_990..u64::MAX, 10),
                (600_000..700_000, 0),
                (800_000..900_000, 0),
                (5..5, 0),
            ] {
                let (mut near, far) = pair().await;
                let reader = filch::spawn(rest(far));
                assert_eq!(send_file(&mut near, file, range.clone()).await.unwrap(), sent);
                drop(near);
                let begin = (range.start as usize).min(bytes.len());
                assert!(
                    reader.await.unwrap() == bytes[begin..begin + sent as usize],
                    "{range:?}"
                );
            }
        }
    });
}

#[test]
fn the_position_of_the_file_stays() {
    let (mut file, bytes) = file(1000);
    file.seek(SeekFrom::Start(7)).unwrap();
    let mut file = within(move || {
        current().block_on(async {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            assert_eq!(send_file(&mut near, &file, 100..200).await.unwrap(), 100);
            let mut seen = [0; 100];
            far.read_exact(&mut seen).await.unwrap();
            assert_eq!(seen[..], bytes[100..200]);
        });
        file
    });
    assert_eq!(file.stream_position().unwrap(), 7);
}

/// The system refuses to send it, and so it is read.
#[test]
fn a_file_that_the_system_does_not_send_arrives() {
    within(|| {
        multi(2).block_on(async {
            let file = File::open("/proc/self/status").unwrap();
            let (mut near, far) = pair().await;
            let reader = filch::spawn(rest(far));
            let sent = send_file(&mut near, &file, 0..u64::MAX).await.unwrap();
            drop(near);
            let text = String::from_utf8(reader.await.unwrap()).unwrap();
            assert_eq!(text.len() as u64, sent);
            assert!(text.starts_with("Name:"), "{text}");
        });
    });
}

#[test]
fn a_peer_that_goes_away_is_an_error() {
    let shared = std::sync::Arc::new(file(8 << 20).0);
    for runtime in [current(), multi(2)] {
        let file = shared.clone();
        within(move || {
            runtime.block_on(async {
                let (mut near, far) = pair().await;
                let reader = filch::spawn(async move {
                    far.readable().await.unwrap();
                    drop(far);
                });
                // Twice, for the second time cannot fit into any buffer.
                let sent = async {
                    for _ in 0..10 {
                        send_file(&mut near, &file, 0..u64::MAX).await?;
                    }
                    Ok::<_, io::Error>(())
                };
                let error = sent.await.unwrap_err();
                let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
                assert!(kinds.contains(&error.kind()), "{error}");
                reader.await.unwrap();
            });
        });
    }
}

/// Each chunk costs budget, though the stream is always ready: here the ranges are short.
#[test]
fn others_have_their_turn() {
    beside_another(|turn| async move {
        let (file, _) = file(10);
        let (mut near, far) = UnixStream::pair().unwrap();
        for _ in 0..filch_tests::MANY {
            assert_eq!(send_file(&mut near, &file, 0..10).await.unwrap(), 10);
            while far.try_read(&mut [0; 10]).is_err() {}
            if turn.load(Ordering::SeqCst) {
                return;
            }
        }
    });
}
