//! Whether this process has been forked: its children read what it reads, and nobody hears when they are done.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);
static WATCH: Once = Once::new();

extern "C" fn forks() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How often that was, since somebody asked first.
#[expect(unsafe_code, reason = "the C library's call has no safe form")]
pub(super) fn count() -> u64 {
    WATCH.call_once(|| {
        // SAFETY: the handler touches one number alone.
        let _ = unsafe { libc::pthread_atfork(Some(forks), None, None) };
    });
    FORKS.load(Ordering::Relaxed)
}
