//! The allocator of the `sheaf` binary and of the wheel: mimalloc, told to give memory back when it is short.

use std::ffi::c_long;
use std::sync::OnceLock;

use libmimalloc_sys::{mi_collect, mi_option_get, mi_option_set, mi_option_t};
use sheaf_core::memory::{Need, on_need};

/// What a program that uses Sheaf takes as its global allocator, to have what the binary and the wheel have.
pub type Allocator = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's header: milliseconds that freed memory is kept.
const PURGE_DELAY: mi_option_t = 15;

/// Lets the allocator follow the need for memory. To be called once by a program whose allocator it is.
///
/// While there is enough, mimalloc keeps freed memory for a second, its own default: at a tenth of that TPC-H was 6 %
/// slower, and at none a fifth.
pub fn install() {
    on_need(follow);
}

#[expect(unsafe_code, reason = "mimalloc's options are C calls")]
fn follow(need: Need) {
    static USUAL: OnceLock<c_long> = OnceLock::new();
    // SAFETY: the calls take plain numbers and may be made from any thread at any time.
    unsafe {
        let usual = *USUAL.get_or_init(|| mi_option_get(PURGE_DELAY));
        match need {
            Need::Enough => mi_option_set(PURGE_DELAY, usual),
            Need::Short => {
                mi_option_set(PURGE_DELAY, 0);
                mi_collect(true);
            }
        }
    }
}
