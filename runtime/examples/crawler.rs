//! A crawler: a group of tasks, as many as there are pages, of which a limiter lets a few load at a time.
//!
//! `cargo run -p filch --example crawler -- [--limit N]` starts a small site on 127.0.0.1 whose pages take 20 ms each, follows
//! its links from the first page on, and says what it found. The site has one dead link; a link that is broken in a worse way (no such server) would end the
//! crawl: the first error cancels the group.

use filch::group::Group;
use filch::io::AsyncReadExt;
use filch::net::{TcpListener, TcpStream};
use filch::sync::CapacityLimiter;
use filch::time::{Duration, Instant, sleep};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

const PAGES: u32 = 64;
const LOADING: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let limit = match &arguments[..] {
        [] => Some(8),
        [name, limit] if name == "--limit" => limit.parse().ok().filter(|limit| *limit > 0),
        _ => None,
    };
    let Some(limit) = limit else {
        eprintln!("usage: crawler [--limit N]");
        return ExitCode::from(2);
    };
    match filch::run(crawl_a_site(limit)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crawler: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn crawl_a_site(limit: usize) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let site = listener.local_addr()?;
    // Ends with the program: what `run` finds left over it cancels.
    filch::spawn(serve(listener));

    let begin = Instant::now();
    let crawl = Arc::new(Crawl {
        site,
        limiter: CapacityLimiter::new(limit),
        seen: Mutex::new(BTreeSet::from([1])),
        dead: Mutex::new(Vec::new()),
    });
    let done = filch::group(async |group| {
        visit(group.clone(), crawl.clone(), 1);
        Ok(())
    });
    done.await
        .map_err(|error: filch::group::GroupError<io::Error>| io::Error::other(error.to_string()))?;
    println!(
        "{} pages, {:?} dead, {limit} at a time: {:.2} s; one after the other they take {:.2} s",
        crawl.seen.lock().map_or(0, |seen| seen.len()),
        crawl.dead.lock().map(|dead| dead.clone()).unwrap_or_default(),
        begin.elapsed().as_secs_f64(),
        (LOADING * PAGES).as_secs_f64(),
    );
    Ok(())
}

struct Crawl {
    site: SocketAddr,
    limiter: CapacityLimiter,
    seen: Mutex<BTreeSet<u32>>,
    dead: Mutex<Vec<u32>>,
}

/// Spawns the task that loads a page and those that it links to.
fn visit(group: Group<io::Error>, crawl: Arc<Crawl>, page: u32) {
    let inside = group.clone();
    // Its handle is not needed: an error goes to the group.
    group.spawn(async move {
        let links = {
            let _token = crawl.limiter.borrow().await.map_err(io::Error::other)?;
            load(crawl.site, page).await?
        };
        let Some(links) = links else {
            crawl
                .dead
                .lock()
                .map_err(|_| io::Error::other("a crawler panicked"))?
                .push(page);
            return Ok(());
        };
        for link in links {
            let new = crawl.seen.lock().is_ok_and(|mut seen| seen.insert(link));
            if new {
                visit(inside.clone(), crawl.clone(), link);
            }
        }
        Ok(())
    });
}

/// The links of a page; nothing if there is no such page.
async fn load(site: SocketAddr, page: u32) -> io::Result<Option<Vec<u32>>> {
    let mut stream = TcpStream::connect(site).await?;
    stream.write_all(format!("{page}\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text
        .strip_prefix("links")
        .map(|links| links.split_whitespace().filter_map(|link| link.parse().ok()).collect()))
}

/// A site of pages that link to each other as a tree, and back to the first one. Page 7 is gone.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        filch::spawn(async move {
            let mut request = [0; 16];
            let length = stream.read(&mut request).await?;
            let page = String::from_utf8_lossy(&request[..length]).trim().parse().unwrap_or(0);
            sleep(LOADING).await;
            let answer = match page {
                7 => "gone".to_string(),
                page if 2 * page < PAGES => format!("links {} {} 1", 2 * page, 2 * page + 1),
                _ => "links 1".to_string(),
            };
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        });
    }
}
