//! A TCP proxy: `cargo run -p filch --example proxy -- LISTEN TARGET`, for example `127.0.0.1:8000 127.0.0.1:7878`.
//!
//! When one side ends what it sends, the other is told so and may go on answering. Ctrl-C ends the proxy.

use filch::net::{TcpListener, TcpStream};
use filch::time::{Duration, sleep};
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(target), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("usage: proxy LISTEN TARGET (both HOST:PORT)");
        return ExitCode::from(2);
    };
    match filch::run(serve(&listen, target.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy: cannot listen at {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: &str, target: Arc<str>) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("{} -> {target}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let target = target.clone();
                filch::spawn(async move {
                    match relay(client, &target).await {
                        Ok((sent, received)) => println!("{peer}: {sent} bytes to {target}, {received} bytes back"),
                        Err(error) => eprintln!("{peer} to {target}: {error}"),
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: some become free when clients leave.
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Carries bytes both ways until both sides have ended.
async fn relay(mut client: TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    filch::io::copy_bidirectional(&mut client, &mut server).await
}
