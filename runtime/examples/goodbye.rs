//! Clean-up that talks to a peer: `cargo run -p filch --example goodbye`.
//!
//! Three clients are connected to a server on 127.0.0.1, which wants to be told when one leaves. The program ends them: one by a deadline, one by a cancel, one
//! because `main` returns. Each says goodbye over its socket before its task is gone, because a deferred clean-up may wait; and each has at most a second for it.

use filch::io::{AsyncBufReadExt, BufReader};
use filch::net::{TcpListener, TcpStream};
use filch::sync::{Mutex, mpsc};
use filch::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

fn main() -> io::Result<()> {
    filch::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (heard, mut hears) = mpsc::unbounded_channel();
        filch::spawn(serve(listener, heard));

        // A deadline: the client is cancelled in the middle of its work.
        let limited = filch::move_on_after(Duration::from_millis(50), async |_| client(address, "limited").await);
        println!("limited: {:?}", limited.await.map(|_| ()));

        // A cancel with a reason.
        let task = filch::spawn(client(address, "cancelled"));
        await_line(&mut hears, "hello from cancelled").await;
        task.cancel_with("enough for today");
        if let Err(error) = task.await {
            println!("cancelled: {error}");
        }

        // Left over: `run` cancels it, and waits for its goodbye. The server is left over as well, and ends without one.
        let (begun, begins) = filch::sync::oneshot::channel();
        filch::spawn(async move {
            let _said = begun.send(());
            client(address, "leftover").await
        });
        let _ = begins.await;
        await_line(&mut hears, "hello from leftover").await;
        println!("main returns");
        Ok(())
    })
}

async fn await_line(hears: &mut mpsc::UnboundedReceiver<String>, what: &str) {
    while let Some(line) = hears.recv().await {
        if line == what {
            return;
        }
    }
}

/// Says hello, works for ever, and says goodbye however it ends.
async fn client(address: SocketAddr, name: &'static str) -> io::Result<()> {
    let stream = Arc::new(Mutex::new(TcpStream::connect(address).await?));
    let leaving = stream.clone();
    let _goodbye = filch::defer(async move {
        let mut stream = leaving.lock().await;
        match stream.write_all(format!("goodbye from {name}\n").as_bytes()).await {
            Ok(()) => println!("{name}: said goodbye"),
            Err(error) => println!("{name}: could not say goodbye: {error}"),
        }
    })
    .within(Duration::from_secs(1));
    stream
        .lock()
        .await
        .write_all(format!("hello from {name}\n").as_bytes())
        .await?;
    std::future::pending().await
}

async fn serve(listener: TcpListener, heard: mpsc::UnboundedSender<String>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let heard = heard.clone();
        filch::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Some(line) = lines.next_line().await? {
                println!("server: {line}");
                // The program may not care any more.
                let _ = heard.send(line);
            }
            Ok::<_, io::Error>(())
        });
    }
}
