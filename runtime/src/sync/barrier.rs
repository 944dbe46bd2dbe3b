//! Crate tokio's barrier, charged.

use super::charged::charged;
use tokio::sync as inner;
pub use tokio::sync::BarrierWaitResult;

/// Holds tasks up until `n` of them are there: crate tokio's barrier, charging the poll budget.
///
/// It cannot be taken back: a task that is dropped while it waits is counted all the same.
///
/// ```
/// # filch::run(async {
/// let barrier = std::sync::Arc::new(filch::sync::Barrier::new(2));
/// let other = barrier.clone();
/// let task = filch::spawn(async move { other.wait().await.is_leader() });
/// let here = barrier.wait().await.is_leader();
/// assert_ne!(here, task.await.unwrap());
/// # });
/// ```
#[derive(Debug)]
pub struct Barrier(inner::Barrier);

impl Barrier {
    /// A barrier for `n` tasks; 0 is as 1.
    #[track_caller]
    pub fn new(n: usize) -> Self {
        Self(inner::Barrier::new(n))
    }

    /// Waits until all are there. One of them is the leader.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a wait that is dropped has been counted.
    pub async fn wait(&self) -> BarrierWaitResult {
        charged(self.0.wait()).await
    }
}
