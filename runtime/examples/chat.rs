//! A chat server with a lane for each room.
//!
//! `cargo run -p filch --example chat -- [--port N]` listens on 127.0.0.1: the first line that a client sends is the room, the second its name, all others are said
//! to the room (try it with `nc 127.0.0.1 PORT`). `--demo` has three clients of its own talk, and ends.
//!
//! All that happens in a room happens in its lane: joining, speaking and leaving run one at a time and in order, so a room needs no lock, and everybody in it
//! hears the same things in the same order. Rooms run in parallel, on all cores.

use filch::Lane;
use filch::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use filch::net::{TcpListener, TcpStream};
use filch::sync::mpsc;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// Lines that a client may lag behind; one that is slower loses its connection.
const BACKLOG: usize = 100;

/// A room: its members, whom only tasks of its lane touch. (The lock is never waited for; it tells the compiler what the lane promises.)
#[derive(Clone)]
struct Room {
    lane: Lane,
    members: Arc<Mutex<HashMap<String, mpsc::Sender<String>>>>,
}

impl Room {
    /// Does something to the members, in the room's order.
    async fn each(&self, f: impl FnOnce(&mut HashMap<String, mpsc::Sender<String>>) + Send + 'static) {
        let members = self.members.clone();
        let turn = self.lane.spawn(async move {
            if let Ok(mut members) = members.try_lock() {
                f(&mut members);
            }
        });
        // It gives no value, and it is cancelled only with the program.
        let _ = turn.await;
    }

    async fn say(&self, line: String) {
        self.each(move |members| members.retain(|_, member| member.try_send(line.clone()).is_ok()))
            .await;
    }
}

type Rooms = Arc<Mutex<HashMap<String, Room>>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, demo) = match &arguments[..] {
        [] => (Some(0), false),
        [name] if name == "--demo" => (Some(0), true),
        [name, port] if name == "--port" => (port.parse().ok(), false),
        _ => (None, false),
    };
    let Some(port) = port else {
        eprintln!("usage: chat [--port N | --demo]");
        return ExitCode::from(2);
    };
    match filch::run(start(port, demo)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start(port: u16, demo: bool) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    println!("{address}");
    let server = filch::spawn(serve(listener));
    if demo {
        return talk(address).await;
    }
    server.await?
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let rooms = Rooms::default();
    loop {
        let (stream, peer) = listener.accept().await?;
        let rooms = rooms.clone();
        filch::spawn(async move {
            if let Err(error) = member(stream, rooms).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// One client, from its first line to its last.
async fn member(stream: TcpStream, rooms: Rooms) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let (Some(room), Some(name)) = (lines.next_line().await?, lines.next_line().await?) else {
        return Ok(());
    };
    let room = match rooms.lock() {
        Ok(mut rooms) => {
            let new = || Room {
                lane: filch::lane(),
                members: Arc::default(),
            };
            rooms.entry(room).or_insert_with(new).clone()
        }
        Err(_) => return Err(io::Error::other("the rooms are in disorder")),
    };
    let (said, mut hears) = mpsc::channel(BACKLOG);
    let key = name.clone();
    room.each(move |members| drop(members.insert(key, said))).await;
    room.say(format!("* {name} is here")).await;
    // However this ends, the others hear of it.
    let (leaving, who) = (room.clone(), name.clone());
    let _leave = filch::defer(async move {
        let key = who.clone();
        leaving.each(move |members| drop(members.remove(&key))).await;
        leaving.say(format!("* {who} has left")).await;
    });
    loop {
        filch::select! {
            line = lines.next_line() => match line? {
                Some(line) => room.say(format!("{name}: {line}")).await,
                None => return Ok(()),
            },
            line = hears.recv() => match line {
                Some(line) => writer.write_all(format!("{line}\n").as_bytes()).await?,
                None => return Err(io::Error::other("too slow for its room")),
            },
        }
    }
}

/// Three clients, of whom two share a room.
async fn talk(address: SocketAddr) -> io::Result<()> {
    let (mut ann, mut bob) = (
        Client::join(address, "kitchen", "ann").await?,
        Client::join(address, "kitchen", "bob").await?,
    );
    let mut eve = Client::join(address, "cellar", "eve").await?;
    ann.hears("* bob is here").await?;
    ann.says("is there tea?").await?;
    bob.hears("ann: is there tea?").await?;
    bob.says("there is").await?;
    ann.hears("bob: there is").await?;
    eve.says("nobody here").await?;
    eve.hears("eve: nobody here").await?;
    drop(bob);
    ann.hears("* bob has left").await?;
    println!("that was all");
    Ok(())
}

struct Client {
    name: &'static str,
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn join(address: SocketAddr, room: &str, name: &'static str) -> io::Result<Self> {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        stream.write_all(format!("{room}\n{name}\n").as_bytes()).await?;
        let mut client = Self { name, stream };
        client.hears(&format!("* {name} is here")).await?;
        Ok(client)
    }

    async fn says(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\n").as_bytes()).await
    }

    /// Reads up to a line, and prints what it reads.
    async fn hears(&mut self, what: &str) -> io::Result<()> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            println!("{} hears {}", self.name, line.trim());
            if line.trim() == what {
                return Ok(());
            }
        }
    }
}
