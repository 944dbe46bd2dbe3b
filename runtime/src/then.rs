//! A future and what becomes of its value, in the room of one: an async block that awaits what it has captured has room for it twice.

use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// From [`then`].
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub(crate) struct Then<F, M> {
        #[pin]
        future: Option<F>,
        map: Option<M>,
    }
}

/// Calls `map` with the value of a future, after the future was dropped.
pub(crate) fn then<F, M, T>(future: F, map: M) -> Then<F, M>
where
    F: Future,
    M: FnOnce(F::Output) -> T,
{
    Then {
        future: Some(future),
        map: Some(map),
    }
}

impl<F, M, T> Future for Then<F, M>
where
    F: Future,
    M: FnOnce(F::Output) -> T,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.project();
        let future = this.future.as_mut().as_pin_mut();
        let value = ready!(future.expect("it was polled after its end").poll(cx));
        this.future.set(None);
        let map = this.map.take().expect("a future was there, and so this is");
        Poll::Ready(map(value))
    }
}
