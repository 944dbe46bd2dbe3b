//! What a process has used.

#[cfg(feature = "mimalloc")]
use mimalloc::MiMalloc as Inner;
#[cfg(not(feature = "mimalloc"))]
use std::alloc::System as Inner;
use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// The system's allocator, or with the feature `mimalloc` that one, which counts if it is told to: see [`count_allocations`] and [`count_bytes`].
#[derive(Debug)]
pub struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static COUNTS_BYTES: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicI64 = AtomicI64::new(0);

#[inline]
fn note() {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

/// So many bytes are allocated now, and so many no more.
#[inline]
fn note_bytes(new: usize, old: usize) {
    if COUNTS_BYTES.load(Ordering::Relaxed) {
        // No allocation has more than `isize::MAX` bytes.
        BYTES.fetch_add(new as i64 - old as i64, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to one allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        note_bytes(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { Inner.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note_bytes(0, layout.size());
        // SAFETY: the caller's promise, and what is freed here was allocated there.
        unsafe { Inner.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        note_bytes(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { Inner.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        note_bytes(size, layout.size());
        // SAFETY: the caller's promise.
        unsafe { Inner.realloc(pointer, layout, size) }
    }
}

/// From now on allocations are counted, which costs all threads one shared line: not in runs that are timed.
pub fn count_allocations() {
    COUNTS.store(true, Ordering::Relaxed);
}

/// Allocations that were counted, reallocations too.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// From now on allocated bytes are counted, at the cost of [`count_allocations`].
pub fn count_bytes() {
    COUNTS_BYTES.store(true, Ordering::Relaxed);
}

/// Bytes allocated since [`count_bytes`] less those freed; what was there before and is freed counts against them.
pub fn live_bytes() -> i64 {
    BYTES.load(Ordering::Relaxed)
}

/// Has the allocator give back to the system what nobody uses. False if it cannot be told to.
pub fn trim() -> bool {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // Whether there was anything to give does not matter.
        malloc_trim(0);
    }
    cfg!(target_env = "gnu")
}

/// Seconds of processor time that this process has used, in all its threads.
pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| {
        line.trim_start_matches(':')
            .trim()
            .split(' ')
            .next()?
            .parse::<f64>()
            .ok()
    });
    kib.expect("the system says it") * 1024.0
}

/// Resident memory of this process, in bytes.
///
/// # Panics
///
/// If the system has no `/proc`.
pub fn resident_bytes() -> f64 {
    status("VmRSS")
}

/// The most that it was.
///
/// # Panics
///
/// If the system has no `/proc`.
pub fn peak_bytes() -> f64 {
    status("VmHWM")
}

/// How often each thread of this process but the first one gave up its processor to wait, by the thread's number. Whoever waits and has nothing to do is woken once for each.
///
/// # Panics
///
/// If the system has no `/proc`.
pub fn waits() -> HashMap<String, u64> {
    let first = std::process::id().to_string();
    let mut waits = HashMap::new();
    for thread in std::fs::read_dir("/proc/self/task").expect("/proc is there").flatten() {
        let name = thread.file_name().to_string_lossy().into_owned();
        // It may end meanwhile.
        let Ok(status) = std::fs::read_to_string(thread.path().join("status")) else {
            continue;
        };
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        if name != first {
            let count = line.and_then(|line| line.trim().parse().ok());
            waits.insert(name, count.expect("the system says it"));
        }
    }
    waits
}
