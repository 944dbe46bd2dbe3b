//! The traits of the ecosystem, each behind a feature, over the streams' own polled functions.

#[cfg(all(feature = "tokio-io", feature = "hyper"))]
pub(crate) mod adapter;
#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper_rt;
#[cfg(feature = "tokio-io")]
mod tokio_io;
