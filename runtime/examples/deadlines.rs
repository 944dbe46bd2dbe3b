//! Deadlines that reach the upstream: `cargo run -p filch --example deadlines`.
//!
//! A front server gives each request 100 ms. It asks two back servers at the same time and sends along how much time is left, which `filch::deadline()` knows
//! without being handed it. A back server that sees that it cannot answer in time refuses at once, instead of working for nobody; one that does not look is cut off.

use filch::io::{AsyncReadExt, AsyncWriteExt};
use filch::net::{TcpListener, TcpStream};
use filch::time::{Duration, Instant, sleep};
use std::io;
use std::net::SocketAddr;

const LIMIT: Duration = Duration::from_millis(100);

fn main() -> io::Result<()> {
    filch::run(async {
        let back = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = back.local_addr()?;
        filch::spawn(serve_back(back));
        // (work of the one, work of the other) in ms, and whether the back server looks at the time it is given.
        for (works, looks) in [([20, 50], true), ([20, 500], true), ([20, 500], false)] {
            let begin = Instant::now();
            let answer = request(upstream, works, looks).await;
            let time = begin.elapsed().as_millis();
            println!(
                "{works:?} ms of work, the back {}: {answer} after {time} ms",
                if looks { "looks" } else { "does not look" }
            );
        }
        Ok(())
    })
}

/// One request of the front server: at most [`LIMIT`], whatever it does.
async fn request(upstream: SocketAddr, works: [u64; 2], looks: bool) -> String {
    let asked = filch::fail_after(LIMIT, async |_| {
        // Both are cancelled with the scope around, and with each other.
        filch::group(async |group| {
            let calls = works.map(|work| group.spawn(call(upstream, work, looks)));
            let mut sum = 0;
            for call in calls {
                sum += call.await.map_err(io::Error::other)?;
            }
            Ok::<_, io::Error>(sum)
        })
        .await
    });
    match asked.await {
        Ok(Ok(sum)) => format!("200, {sum} ms of work"),
        Ok(Err(error)) => format!("503, {error}"),
        Err(_) => "504, out of time".to_string(),
    }
}

/// A call to the back server. That there is a deadline, and which, comes from the scopes around.
async fn call(upstream: SocketAddr, work: u64, looks: bool) -> io::Result<u64> {
    let mut stream = TcpStream::connect(upstream).await?;
    let left = filch::deadline().map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
    let left = if looks {
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    } else {
        u64::MAX
    };
    stream.write_u64(work).await?;
    stream.write_u64(left).await?;
    match stream.read_u64().await? {
        u64::MAX => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the back server has no time for that",
        )),
        done => Ok(done),
    }
}

/// Works as many milliseconds as it is asked to, unless its client will have gone by then.
async fn serve_back(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        filch::spawn(async move {
            let (work, left) = (stream.read_u64().await?, stream.read_u64().await?);
            if work > left {
                return stream.write_u64(u64::MAX).await;
            }
            sleep(Duration::from_millis(work)).await;
            stream.write_u64(work).await
        });
    }
}
