//! What a runtime is built from.

use crate::blocking::ThreadConfig;
use crate::debug::monitor::Options;
use crate::scheduler::slack::Slack;
use std::sync::Arc;
use std::time::Duration;

/// Threads for name resolution, at most.
pub(crate) const RESOLVERS: usize = 4;

/// What a runtime is built from.
pub(crate) struct Settings {
    pub(crate) multi_thread: bool,
    pub(crate) workers: usize,
    pub(crate) max_blocking_threads: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) start_paused: bool,
    /// The seed and the slack of a deterministic runtime.
    pub(crate) deterministic: Option<(u64, Slack)>,
    pub(crate) threads: ThreadConfig,
    /// The workers wait for a runner to let them in.
    pub(crate) gated: bool,
    /// In debug mode.
    pub(crate) debug: Option<Options>,
}

impl Settings {
    /// The threads of name resolution: without the program's hooks, which are promised worker and blocking threads.
    pub(crate) fn resolver_threads(&self) -> ThreadConfig {
        self.own_threads("filch-resolve")
    }

    /// The thread of the watcher.
    pub(crate) fn watcher_threads(&self) -> ThreadConfig {
        self.own_threads("filch-watch")
    }

    /// The thread of debug mode.
    pub(crate) fn debug_threads(&self) -> ThreadConfig {
        self.own_threads("filch-debug")
    }

    fn own_threads(&self, name: &'static str) -> ThreadConfig {
        let stack_size = self.threads.stack_size;
        ThreadConfig {
            name: Arc::new(move || name.to_string()),
            stack_size,
            on_start: None,
            on_stop: None,
        }
    }
}
