//! A scope that begins with its first poll, in the room of its body.

use crate::scope::driven::Driven;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A scope that `begin` makes around the body when this is first polled. `None` as of [`Driven`], or if `begin` makes none.
    #[project = Projected]
    #[project_replace = Replaced]
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub(crate) enum Begins<F, B>
    where
        F: Future,
    {
        New { body: F, begin: B },
        Begun {
            #[pin]
            driven: Driven<F>,
        },
        Gone,
    }
}

impl<F, B> Begins<F, B>
where
    F: Future,
    B: FnOnce(F) -> Option<Driven<F>>,
{
    pub(crate) fn new(body: F, begin: B) -> Self {
        Self::New { body, begin }
    }
}

impl<F, B> Future for Begins<F, B>
where
    F: Future,
    B: FnOnce(F) -> Option<Driven<F>>,
{
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Projected::New { .. } = self.as_mut().project() {
            // The body was not polled yet: it may still move.
            let Replaced::New { body, begin } = self.as_mut().project_replace(Self::Gone) else {
                unreachable!("it was just looked at")
            };
            match begin(body) {
                Some(driven) => self.set(Self::Begun { driven }),
                None => return Poll::Ready(None),
            }
        }
        match self.project() {
            Projected::Begun { driven } => driven.poll(cx),
            _ => unreachable!("a scope was polled after its end"),
        }
    }
}
