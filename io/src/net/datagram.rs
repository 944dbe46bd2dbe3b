//! What UDP and Unix datagram sockets have in common: methods over operations of the same names on mio's sockets.

/// Methods of datagram sockets: waiting, sending to and receiving from the connected peer.
macro_rules! datagram_methods {
    () => {
        /// Waits until a datagram can be received.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: readiness stays until an operation meets `WouldBlock`.
        pub async fn readable(&self) -> ::std::io::Result<()> {
            self.registered()
                .readiness($crate::ready::Interest::READABLE)
                .await
                .map(drop)
        }

        /// Waits until a datagram can be sent.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: readiness stays until an operation meets `WouldBlock`.
        pub async fn writable(&self) -> ::std::io::Result<()> {
            self.registered()
                .readiness($crate::ready::Interest::WRITABLE)
                .await
                .map(drop)
        }

        /// Waits until a datagram can be received. Of all tasks that poll for receiving, the last is woken.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        pub fn poll_recv_ready(&self, cx: &mut ::std::task::Context<'_>) -> ::std::task::Poll<::std::io::Result<()>> {
            self.registered().poll_read_ready(cx)
        }

        /// Waits until a datagram can be sent. Of all tasks that poll for sending, the last is woken.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        pub fn poll_send_ready(&self, cx: &mut ::std::task::Context<'_>) -> ::std::task::Poll<::std::io::Result<()>> {
            self.registered().poll_write_ready(cx)
        }

        /// Sends a datagram to the connected peer, and says how many bytes it has; waits if there is no room.
        ///
        /// # Errors
        ///
        /// Those of the system: an earlier datagram may have been refused. And if it would have to wait although the
        /// runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: dropped before it is done, it has sent nothing.
        pub async fn send(&self, buf: &[u8]) -> ::std::io::Result<usize> {
            self.registered()
                .async_io($crate::ready::Interest::WRITABLE, |io| io.send(buf))
                .await
        }

        /// As [`send`](Self::send). Of all tasks that poll for sending, the last is woken.
        ///
        /// # Errors
        ///
        /// As [`send`](Self::send).
        pub fn poll_send(
            &self,
            cx: &mut ::std::task::Context<'_>,
            buf: &[u8],
        ) -> ::std::task::Poll<::std::io::Result<usize>> {
            self.registered()
                .poll_io(cx, $crate::registered::Direction::Write, |io| io.send(buf))
        }

        /// As [`send`](Self::send), without waiting.
        ///
        /// # Errors
        ///
        /// `WouldBlock` if there is no room, and those of the system.
        pub fn try_send(&self, buf: &[u8]) -> ::std::io::Result<usize> {
            self.registered()
                .try_io($crate::ready::Interest::WRITABLE, |io| io.send(buf))
        }

        /// Receives a datagram, of the connected peer if there is one, and says how many bytes it has; waits if there is
        /// none. What does not fit into `buf` is lost.
        ///
        /// # Errors
        ///
        /// Those of the system: a datagram sent earlier may have been refused. And if it would have to wait although the
        /// runtime has been shut down.
        ///
        /// # Cancel safety
        ///
        /// Nothing is lost: dropped before it is done, it has received nothing.
        pub async fn recv(&self, buf: &mut [u8]) -> ::std::io::Result<usize> {
            self.registered()
                .async_io($crate::ready::Interest::READABLE, |io| io.recv(buf))
                .await
        }

        /// As [`recv`](Self::recv), without waiting.
        ///
        /// # Errors
        ///
        /// `WouldBlock` if there is none, and those of the system.
        pub fn try_recv(&self, buf: &mut [u8]) -> ::std::io::Result<usize> {
            self.registered()
                .try_io($crate::ready::Interest::READABLE, |io| io.recv(buf))
        }
    };
}

pub(crate) use datagram_methods;
