//! Allocator: unused pages go back to the kernel by a thread that is not a core, a second after many items were freed.
//!
//! mimalloc would return them where the memory was freed, all at once: a FLUSHALL of 5M items ended in 80 ms of `madvise` on
//! the serving core. Never: runs on a core, except for the first call, at the start.
#![expect(unsafe_code, reason = "mimalloc's options and its collection, which its crate does not wrap")]

use std::ffi::c_long;

use libmimalloc_sys::{mi_collect, mi_option_set_default, mi_option_t};

/// `mi_option_purge_delay` of mimalloc.h, which the crate has no name for. A test holds it to the variable of that name.
const PURGE_DELAY: mi_option_t = 15;

/// Makes mimalloc keep unused pages until `give_back_unused_pages`, unless `MIMALLOC_PURGE_DELAY` is set.
pub(super) fn keep_unused_pages() {
    // 24 days in milliseconds; -1 would mean that pages are never returned.
    let delay_ms = c_long::from(i32::MAX);
    // SAFETY: sets a number of a table within mimalloc that threads may read meanwhile; the index is one of its options.
    unsafe { mi_option_set_default(PURGE_DELAY, delay_ms) };
}

/// Returns the unused pages of all threads. Takes some 15 ms for 100 MB, and microseconds if there are none.
pub(super) fn give_back_unused_pages() {
    // SAFETY: collects the heap of the calling thread and what no heap uses; any thread may call it at any time.
    unsafe { mi_collect(true) };
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use libmimalloc_sys::mi_option_get;

    use super::PURGE_DELAY;

    const ASKED: &str = "ASPINE_TEST_ASKED_FOR_PURGE_DELAY";
    const DELAY_MS: i64 = 4321;

    /// The number of the option is right if its documented environment variable changes it.
    #[test]
    fn the_option_is_the_one_that_mimalloc_documents() {
        if std::env::var_os(ASKED).is_some() {
            // SAFETY: reads a number of a table within mimalloc; the index is one of its options.
            let delay_ms = unsafe { mi_option_get(PURGE_DELAY) };
            assert_eq!(delay_ms, DELAY_MS);
            return;
        }
        let this = std::env::current_exe().unwrap();
        let output = Command::new(this)
            .args(["the_option_is_the_one_that_mimalloc_documents"])
            .env(ASKED, "1")
            .env("MIMALLOC_PURGE_DELAY", DELAY_MS.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
}
