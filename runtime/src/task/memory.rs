//! The memory of tasks: each thread keeps some of what ended tasks have left, for the tasks that it spawns next.
//!
//! A task often ends on another thread than the one that spawned it. General allocators give such memory back to where it came from, which costs a lock
//! (glibc) or a queue; here it stays with the thread that freed it, up to [`KEPT`] bytes, and up to what this thread itself has asked the allocator for: one that spawns nothing keeps nothing.
//! Memory is the allocator's again when the thread ends, or has enough.
//!
//! Blocks come in *classes* of 16 bytes, each as large as what glibc would give out anyway. Larger tasks, and those of unusual alignment, are the allocator's alone.

use crate::shim::RECYCLES;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ptr::NonNull;

/// Of so many bytes a thread keeps no more: some thousand small tasks. Little enough that two idle workers hold no tenth of what a small process has.
const KEPT: usize = 128 * 1024;

/// The bytes from one class to the next, and the alignment of all.
const STEP: usize = 16;

/// What an allocation costs glibc beside its bytes: blocks are that much smaller than a multiple of a step.
const OVERHEAD: usize = 8;

/// Blocks of up to 1016 bytes are kept.
const CLASSES: usize = 64;

/// The blocks that this thread keeps.
struct Blocks {
    bytes: usize,
    /// Of so many bytes it keeps no more.
    most: usize,
    classes: [Vec<NonNull<u8>>; CLASSES],
}

thread_local! {
    static BLOCKS: RefCell<Blocks> = const {
        RefCell::new(Blocks {
            bytes: 0,
            most: 0,
            classes: [const { Vec::new() }; CLASSES],
        })
    };
}

/// The class of a type, if its memory is kept.
const fn class_of<T>() -> Option<usize> {
    let class = (size_of::<T>() + OVERHEAD).div_ceil(STEP);
    if RECYCLES && align_of::<T>() <= STEP && size_of::<T>() > OVERHEAD && class < CLASSES {
        Some(class)
    } else {
        None
    }
}

/// What is asked of the allocator for a type.
const fn layout_of<T>() -> Layout {
    match class_of::<T>() {
        Some(class) => layout(class),
        None => Layout::new::<T>(),
    }
}

const fn layout(class: usize) -> Layout {
    match Layout::from_size_align(class * STEP - OVERHEAD, STEP) {
        Ok(layout) => layout,
        Err(_) => panic!("a class is neither empty nor huge"),
    }
}

/// Puts a value into memory of its own. Whoever has the pointer owns both.
#[inline]
pub(super) fn place<T>(value: T) -> NonNull<T> {
    const { assert!(size_of::<T>() > 0, "there is something to allocate") }
    let kept = class_of::<T>().and_then(take);
    let memory = kept.unwrap_or_else(|| new(layout_of::<T>())).cast::<T>();
    // SAFETY: it is memory of the layout of T or larger that nobody else has.
    unsafe { memory.write(value) };
    memory
}

/// Drops a value and gives its memory back.
///
/// # Safety
///
/// The pointer comes from [`place`], and is not used again.
#[inline]
pub(super) unsafe fn free<T>(value: NonNull<T>) {
    let memory = Memory(value);
    // SAFETY: the caller's promise. If this panics, the memory is given back all the same.
    unsafe { memory.0.drop_in_place() };
}

/// The memory of a value that is gone, or will be when this is dropped.
struct Memory<T>(NonNull<T>);

impl<T> Drop for Memory<T> {
    #[inline]
    fn drop(&mut self) {
        let memory = self.0.cast::<u8>();
        if class_of::<T>().is_none_or(|class| !keep(class, memory)) {
            // SAFETY: `place` got it with this layout, and its owner has given it up.
            unsafe { dealloc(memory.as_ptr(), layout_of::<T>()) };
        }
    }
}

/// New memory from the allocator.
fn new(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero: `place` asserts it of a type, and a class has eight bytes at least.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// A block that this thread has kept. If there is none, it will ask the allocator.
#[inline]
fn take(class: usize) -> Option<NonNull<u8>> {
    let taken = BLOCKS.try_with(|blocks| {
        let mut blocks = blocks.try_borrow_mut().ok()?;
        let block = blocks.classes[class].pop();
        match block {
            Some(_) => blocks.bytes -= class * STEP,
            None => blocks.most = KEPT.min(blocks.most + class * STEP),
        }
        block
    });
    taken.ok().flatten()
}

/// Keeps a block, unless this thread has enough. False if it did not.
#[inline]
fn keep(class: usize, block: NonNull<u8>) -> bool {
    let kept = BLOCKS.try_with(|blocks| {
        // An allocator that runs tasks of its own would find it borrowed.
        let Ok(mut blocks) = blocks.try_borrow_mut() else {
            return false;
        };
        if blocks.bytes >= blocks.most {
            return false;
        }
        blocks.bytes += class * STEP;
        blocks.classes[class].push(block);
        true
    });
    kept.unwrap_or(false)
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for (class, blocks) in self.classes.iter_mut().enumerate() {
            for block in blocks.drain(..) {
                // SAFETY: a kept block was got with its class's layout, and nobody else has it.
                unsafe { dealloc(block.as_ptr(), layout(class)) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static DROPS: AtomicUsize = AtomicUsize::new(0);

    struct Panics<const N: usize>([u8; N]);

    impl<const N: usize> Drop for Panics<N> {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
            panic!("a destructor");
        }
    }

    #[test]
    fn what_is_freed_is_used_again() {
        if !RECYCLES {
            return;
        }
        let first = place([1_u64; 20]);
        // SAFETY: it was just placed.
        unsafe { free(first) };
        // As many steps, another type.
        let second = place([2_u32; 39]);
        assert_eq!(first.cast::<u8>(), second.cast::<u8>());
        let third = place([3_u64; 20]);
        assert_ne!(first, third);
        // SAFETY: it was just placed.
        assert_eq!(unsafe { second.read() }, [2; 39]);
        // SAFETY: it is not used again.
        unsafe { free(second) };
        // SAFETY: it was just placed.
        unsafe { free(third) };
    }

    #[test]
    fn no_more_is_kept_than_enough() {
        let many: Vec<_> = (0..2 * KEPT / 1000).map(|_| place([0_u8; 1000])).collect();
        let large = place([0_u8; 5000]);
        for block in many {
            // SAFETY: it was just placed.
            unsafe { free(block) };
        }
        // SAFETY: as above.
        unsafe { free(large) };
        let kept = BLOCKS.with_borrow(|blocks| (blocks.bytes, blocks.classes.iter().map(Vec::len).sum::<usize>()));
        let full = if RECYCLES { KEPT.div_ceil(63 * STEP) } else { 0 };
        assert_eq!(kept, (full * 63 * STEP, full));
    }

    #[test]
    fn who_places_nothing_keeps_nothing() {
        let block = place([0_u8; 200]);
        let kept = std::thread::scope(|scope| {
            // Its address says nothing of who may use it.
            let address = block.as_ptr() as usize;
            let freed = scope.spawn(move || {
                let block = NonNull::new(address as *mut [u8; 200]).expect("it is one");
                // SAFETY: the other thread has just placed it, and uses it no more.
                unsafe { free(block) };
                BLOCKS.with_borrow(|blocks| blocks.bytes)
            });
            freed.join().expect("no panic")
        });
        assert_eq!(kept, 0);
    }

    #[test]
    fn memory_is_given_back_when_a_destructor_panics() {
        let value = place(Panics([0; 100]));
        // SAFETY: it was just placed.
        let panic = std::panic::catch_unwind(|| unsafe { free(value) });
        assert!(panic.is_err());
        assert_eq!(DROPS.load(Ordering::Relaxed), 1);
        let again = place([0_u8; 100]);
        if RECYCLES {
            assert_eq!(again.cast::<u8>(), value.cast::<u8>());
        }
        // SAFETY: it was just placed.
        unsafe { free(again) };
    }
}
