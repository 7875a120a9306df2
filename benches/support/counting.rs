//! Counting allocator: mimalloc, and on each thread a count of what was asked of it. For benches and tests.
//!
//! Install it with `#[global_allocator]`. Cost: two thread-local additions an allocation. Other threads (the test
//! harness has some) do not disturb the count.
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait; every method hands its own contract on to mimalloc")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use mimalloc::MiMalloc;

/// The allocator mimalloc, with its calls counted.
pub(crate) struct Counting;

/// The allocator calls of one thread. A reallocation counts as one allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Calls that gave memory out.
    pub(crate) allocations: u64,
    /// Calls that took memory back, reallocations not included.
    pub(crate) frees: u64,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { allocations: 0, frees: 0 }) };
}

/// Runs something and says what it asked of the allocator on this thread.
pub(crate) fn count<R>(run: impl FnOnce() -> R) -> (Count, R) {
    let before = COUNT.get();
    let result = run();
    let after = COUNT.get();
    let count = Count { allocations: after.allocations - before.allocations, frees: after.frees - before.frees };
    (count, result)
}

/// The number of allocations of this thread so far.
pub(crate) fn allocations() -> u64 {
    COUNT.get().allocations
}

fn add(allocations: u64, frees: u64) {
    // A thread that is ending has no count any more, and nobody who would ask.
    let _ = COUNT.try_with(|cell| {
        let count = cell.get();
        cell.set(Count { allocations: count.allocations + allocations, frees: count.frees + frees });
    });
}

// SAFETY: every method passes its arguments unchanged to mimalloc, which fulfils the trait's contract; counting
// touches a const-initialised thread-local without a destructor and so never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(1, 0);
        // SAFETY: the caller's own promise to `alloc`.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(1, 0);
        // SAFETY: the caller's own promise to `alloc_zeroed`.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add(1, 0);
        // SAFETY: the caller's own promise to `realloc`; the block is mimalloc's, as every block is.
        unsafe { MiMalloc.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        add(0, 1);
        // SAFETY: the caller's own promise to `dealloc`; the block is mimalloc's, as every block is.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}
