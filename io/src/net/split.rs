//! Halves of a stream: one reads, one writes, at the same time, by borrowing or by sharing.

/// The four halves of a stream type and what joins them again.
macro_rules! halves {
    ($stream:ident, $source:ty, $address:ty) => {
        use std::fmt;
        use std::io;

        use crate::net::socket::Socket;
        use crate::net::stream::{read_methods, readable_methods, ready_methods, writable_methods, write_methods};
        use crate::registered::Registered;
        use crate::sync::StdArc as Arc;

        /// The reading half of a stream that is borrowed, from `split`.
        #[derive(Debug)]
        pub struct ReadHalf<'a>(&'a $stream);

        /// The writing half of a stream that is borrowed, from `split`. Dropping it closes nothing.
        #[derive(Debug)]
        pub struct WriteHalf<'a>(&'a $stream);

        /// The reading half of a stream, from `into_split`. The stream is closed when both halves are dropped.
        #[derive(Debug)]
        pub struct OwnedReadHalf(Arc<$stream>);

        /// The writing half of a stream, from `into_split`. Dropping it closes the writing direction, unless it is
        /// [forgotten](OwnedWriteHalf::forget).
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            stream: Arc<$stream>,
            shutdown_on_drop: bool,
        }

        /// The two halves are not of one stream. It gives them back.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        /// Splitting. It stands here so that the stream's own file need not know its halves.
        impl $stream {
            /// Two halves that borrow the stream and can be used at the same time, within one task.
            pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
                (ReadHalf(self), WriteHalf(self))
            }

            /// Two halves that share the stream and can go to different tasks. Dropping the writing half closes that
            /// direction.
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                let stream = Arc::new(self);
                (
                    OwnedReadHalf(stream.clone()),
                    OwnedWriteHalf {
                        stream,
                        shutdown_on_drop: true,
                    },
                )
            }
        }

        impl ReadHalf<'_> {
            ready_methods!();
            readable_methods!();
            read_methods!();

            pub(crate) fn registered(&self) -> &Registered<Socket<$source>> {
                self.0.registered()
            }
        }

        impl WriteHalf<'_> {
            ready_methods!();
            writable_methods!();
            write_methods!();

            pub(crate) fn registered(&self) -> &Registered<Socket<$source>> {
                self.0.registered()
            }
        }

        impl OwnedReadHalf {
            ready_methods!();
            readable_methods!();
            read_methods!();

            /// Joins both halves to the stream that they come from.
            ///
            /// # Errors
            ///
            /// If they come from different streams; the halves are in the error.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                reunite(self, other)
            }

            pub(crate) fn registered(&self) -> &Registered<Socket<$source>> {
                self.0.registered()
            }
        }

        impl OwnedWriteHalf {
            ready_methods!();
            writable_methods!();
            write_methods!();

            /// Joins both halves to the stream that they come from.
            ///
            /// # Errors
            ///
            /// If they come from different streams; the halves are in the error.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                reunite(other, self)
            }

            /// Drops this half without closing the writing direction; that happens when the reading half is dropped.
            pub fn forget(mut self) {
                self.shutdown_on_drop = false;
            }

            pub(crate) fn registered(&self) -> &Registered<Socket<$source>> {
                self.stream.registered()
            }
        }

        impl AsRef<$stream> for ReadHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.0
            }
        }

        impl AsRef<$stream> for WriteHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.0
            }
        }

        impl AsRef<$stream> for OwnedReadHalf {
            fn as_ref(&self) -> &$stream {
                &self.0
            }
        }

        impl AsRef<$stream> for OwnedWriteHalf {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }

        addresses!(ReadHalf<'_>, $address);
        addresses!(WriteHalf<'_>, $address);
        addresses!(OwnedReadHalf, $address);
        addresses!(OwnedWriteHalf, $address);

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.shutdown_on_drop {
                    // Nobody is left to tell; the descriptor is closed with the other half in any case.
                    let _ = self.registered().shutdown_write();
                }
            }
        }

        impl fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the two halves come from different sockets")
            }
        }

        impl std::error::Error for ReuniteError {}

        fn reunite(read: OwnedReadHalf, mut write: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
            if !Arc::ptr_eq(&read.0, &write.stream) {
                return Err(ReuniteError(read, write));
            }
            write.shutdown_on_drop = false;
            drop(write);
            // Only two halves ever share a stream, and this is the second.
            Ok(Arc::into_inner(read.0).unwrap_or_else(|| unreachable!("a third owner of a split stream")))
        }
    };
}

macro_rules! addresses {
    ($half:ty, $address:ty) => {
        impl $half {
            /// The address of the peer.
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn peer_addr(&self) -> io::Result<$address> {
                self.registered().get_ref().peer_addr()
            }

            /// The address of this end.
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.registered().get_ref().local_addr()
            }
        }
    };
}

pub(crate) mod tcp {
    use std::net::SocketAddr;

    use crate::net::tcp_stream::TcpStream;

    halves!(TcpStream, mio::net::TcpStream, SocketAddr);

    impl ReadHalf<'_> {
        /// Reads what is there and leaves it there; waits if nothing is.
        ///
        /// # Errors
        ///
        /// As [`read`](Self::read).
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: it takes nothing.
        pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.peek(buf).await
        }
    }

    impl OwnedReadHalf {
        /// Reads what is there and leaves it there; waits if nothing is.
        ///
        /// # Errors
        ///
        /// As [`read`](Self::read).
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: it takes nothing.
        pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.peek(buf).await
        }
    }
}

pub(crate) mod unix {
    use std::os::unix::net::SocketAddr;

    use crate::net::unix_stream::UnixStream;

    halves!(UnixStream, mio::net::UnixStream, SocketAddr);
}
