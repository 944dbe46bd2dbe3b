//! The runtimes, as the questions see them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is asked of a runtime. The covers below are as thin as they can be: each call is one call of the runtime.
pub trait Rt: Sized + Send + 'static {
    /// A task that can be awaited.
    type Task<T: Send + 'static>: Future<Output = T> + Send + Unpin + 'static;
    /// A socket that listens.
    type Listener: Send + Sync + 'static;
    /// A connection.
    type Stream: Stream;

    /// Starts a runtime with so many workers.
    fn start(workers: usize) -> Self;
    /// Runs a future on this thread.
    fn block_on<F: Future>(&self, future: F) -> F::Output;
    /// Spawns from outside.
    fn spawn_on<F>(&self, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
    /// Spawns from inside.
    fn spawn<F>(future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
    /// Lets a task run by itself.
    fn detach<T: Send + 'static>(task: Self::Task<T>);
    /// Lets the others run.
    fn yield_now() -> impl Future<Output = ()> + Send;
    /// Waits.
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;
    /// Waits for a future for at most so long.
    fn timeout<F: Future<Output: Send> + Send>(
        time: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send;
    /// Listens on a port of loopback that is free.
    fn listen() -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + Send;
    /// The next connection.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Takes a connection of std's.
    ///
    /// # Errors
    ///
    /// If the reactor does not take it.
    fn adopt(stream: std::net::TcpStream) -> io::Result<Self::Stream>;
    /// Ends the runtime, without waiting for tasks.
    fn stop(self);
}

/// A connection.
pub trait Stream: Send + Sync + 'static {
    /// Reads what is there.
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Writes everything.
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
    /// Waits until there is something to read.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// A handle that gives a result, as the value that is in it.
#[derive(Debug)]
pub struct Joined<H>(H);

impl<H, T, E> Future for Joined<H>
where
    H: Future<Output = Result<T, E>> + Unpin,
{
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(value) => Poll::Ready(value),
            Err(_) => panic!("a task of a measurement failed"),
        }
    }
}

/// Changes nothing.
fn as_it_is<B>(_: &mut B) {}

#[cfg(not(tokio_unstable))]
use as_it_is as switched;

/// Turns the switch that the parent names.
#[cfg(tokio_unstable)]
fn switched(builder: &mut tokio::runtime::Builder) {
    match std::env::var(crate::more::SWITCH).as_deref() {
        Err(_) => builder,
        Ok("alt_timer") => builder.enable_alt_timer(),
        Ok("eager_driver_handoff") => builder.enable_eager_driver_handoff(),
        Ok("disable_lifo_slot") => builder.disable_lifo_slot(),
        Ok(other) => panic!("there is no switch {other}"),
    };
}

/// filch and Tokio differ in their names only.
macro_rules! like_tokio {
    ($(#[$about:meta])* $name:ident, $rt:ident, $switched:ident, $($io:ident)::+) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name(Option<$rt::runtime::Runtime>);

        impl Rt for $name {
            type Task<T: Send + 'static> = Joined<$rt::task::JoinHandle<T>>;
            type Listener = $rt::net::TcpListener;
            type Stream = $rt::net::TcpStream;

            fn start(workers: usize) -> Self {
                let mut builder = $rt::runtime::Builder::new_multi_thread();
                $switched(&mut builder);
                Self(Some(builder.worker_threads(workers).enable_all().build().expect("a runtime starts")))
            }

            fn block_on<F: Future>(&self, future: F) -> F::Output {
                self.0.as_ref().expect("it runs").block_on(future)
            }

            #[inline]
            fn spawn_on<F>(&self, future: F) -> Self::Task<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                Joined(self.0.as_ref().expect("it runs").spawn(future))
            }

            #[inline]
            fn spawn<F>(future: F) -> Self::Task<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                Joined($rt::spawn(future))
            }

            #[inline]
            fn detach<T: Send + 'static>(task: Self::Task<T>) {
                drop(task);
            }

            #[inline]
            fn yield_now() -> impl Future<Output = ()> + Send {
                $rt::task::yield_now()
            }

            #[inline]
            fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
                $rt::time::sleep(time)
            }

            #[inline]
            async fn timeout<F: Future<Output: Send> + Send>(time: Duration, future: F) -> Option<F::Output> {
                $rt::time::timeout(time, future).await.ok()
            }

            async fn listen() -> io::Result<(Self::Listener, SocketAddr)> {
                let listener = $rt::net::TcpListener::bind("127.0.0.1:0").await?;
                let address = listener.local_addr()?;
                Ok((listener, address))
            }

            async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }

            fn adopt(stream: std::net::TcpStream) -> io::Result<Self::Stream> {
                stream.set_nonblocking(true)?;
                $rt::net::TcpStream::from_std(stream)
            }

            fn stop(mut self) {
                if let Some(runtime) = self.0.take() {
                    runtime.shutdown_background();
                }
            }
        }

        impl Stream for $rt::net::TcpStream {
            #[inline]
            async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                $($io)::+::AsyncReadExt::read(self, buffer).await
            }

            #[inline]
            async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
                $($io)::+::AsyncWriteExt::write_all(self, bytes).await
            }

            async fn readable(&self) -> io::Result<()> {
                self.readable().await.map(drop)
            }
        }
    };
}

like_tokio!(
    /// filch.
    Filch, filch, as_it_is, filch::io
);
like_tokio!(
    /// Tokio, with its default settings, or as the parent's switch says.
    Tokio, tokio, switched, tokio::io
);

static EXECUTOR: OnceLock<Arc<smol::Executor<'static>>> = OnceLock::new();

/// async-executor on so many threads, with async-io's reactor and timers: what smol is made of.
///
/// [`spawn`](Rt::spawn) finds the one that was started first.
#[derive(Debug)]
pub struct Smol {
    executor: Arc<smol::Executor<'static>>,
    stop: smol::channel::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Rt for Smol {
    type Task<T: Send + 'static> = smol::Task<T>;
    type Listener = smol::net::TcpListener;
    type Stream = smol::net::TcpStream;

    fn start(workers: usize) -> Self {
        let executor = Arc::new(smol::Executor::new());
        let executor = match EXECUTOR.set(executor.clone()) {
            Ok(()) => executor,
            Err(_) => Arc::new(smol::Executor::new()),
        };
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let thread = |_| {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            std::thread::spawn(move || {
                // An error: the sender is gone.
                let _ = smol::block_on(executor.run(stopped.recv()));
            })
        };
        let threads = (0..workers).map(thread).collect();
        Self {
            executor,
            stop,
            threads,
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        smol::block_on(future)
    }

    #[inline]
    fn spawn_on<F>(&self, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.executor.spawn(future)
    }

    #[inline]
    fn spawn<F>(future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        EXECUTOR.get().expect("it was started").spawn(future)
    }

    #[inline]
    fn detach<T: Send + 'static>(task: Self::Task<T>) {
        task.detach();
    }

    #[inline]
    fn yield_now() -> impl Future<Output = ()> + Send {
        smol::future::yield_now()
    }

    #[inline]
    async fn sleep(time: Duration) {
        smol::Timer::after(time).await;
    }

    #[inline]
    async fn timeout<F: Future<Output: Send> + Send>(time: Duration, future: F) -> Option<F::Output> {
        let late = async {
            smol::Timer::after(time).await;
            None
        };
        smol::future::or(async { Some(future.await) }, late).await
    }

    async fn listen() -> io::Result<(Self::Listener, SocketAddr)> {
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn adopt(stream: std::net::TcpStream) -> io::Result<Self::Stream> {
        smol::Async::new(stream).map(smol::net::TcpStream::from)
    }

    fn stop(self) {
        drop(self.stop);
        for thread in self.threads {
            thread.join().expect("it does not panic");
        }
    }
}

impl Stream for smol::net::TcpStream {
    #[inline]
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        smol::io::AsyncReadExt::read(self, buffer).await
    }

    #[inline]
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        smol::io::AsyncWriteExt::write_all(self, bytes).await
    }

    async fn readable(&self) -> io::Result<()> {
        let source: Arc<smol::Async<std::net::TcpStream>> = self.clone().into();
        source.readable().await
    }
}
