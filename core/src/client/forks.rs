//! Whether this process has been forked: its children read what it reads, and nobody hears when they are done.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);
static WATCH: Once = Once::new();
static IS_BLIND: AtomicBool = AtomicBool::new(false);

extern "C" fn forks() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How often that was, since somebody asked first.
#[expect(unsafe_code, reason = "the C library's call has no safe form")]
pub(super) fn count() -> u64 {
    WATCH.call_once(|| {
        // SAFETY: the handler touches one number alone.
        let failed = unsafe { libc::pthread_atfork(Some(forks), None, None) };
        IS_BLIND.store(failed != 0, Ordering::Relaxed);
    });
    if IS_BLIND.load(Ordering::Relaxed) {
        // It may have been at any time.
        forks();
    }
    FORKS.load(Ordering::Relaxed)
}
