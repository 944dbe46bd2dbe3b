//! The models of the runtime, one file per protocol.

#[path = "../harness.rs"]
mod harness;

mod blocking;
mod breakable;
mod connections;
mod crowd;
mod event;
mod exchange;
mod house;
mod idle;
mod inbox;
mod join;
mod join_set;
mod lane;
mod limiter;
mod notices;
mod observed;
mod park;
mod pool;
mod runtime;
mod scope;
mod seeded;
mod shared;
mod sheet;
mod slot;
mod solo;
mod spares;
mod stillness;
mod support;
mod task;
mod watcher;
