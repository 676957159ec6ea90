//! The daemon's allocator, with a count of the allocated bytes, rounded as a typical allocator does.
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering};

use mimalloc::MiMalloc;

static LIVE: AtomicUsize = AtomicUsize::new(0);

pub struct Counting;

/// Returns the size of an allocation: with its header, in steps of 16 bytes, at least 32.
fn rounded(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

/// Returns the bytes that are allocated and not freed.
pub fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

// SAFETY: every call is forwarded unchanged to the daemon's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(rounded(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's guarantees hold for the forwarded call.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(rounded(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's guarantees hold for the forwarded call.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}
