//! The allocator of the `sheaf` binary and of the wheel: mimalloc, told to give memory back when it is short.

use std::ffi::c_long;

use libmimalloc_sys::{mi_collect, mi_option_set, mi_option_t};
use sheaf_core::memory::{Need, on_need};

/// What a program that uses Sheaf takes as its global allocator, to have what the binary and the wheel have.
pub type Allocator = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's header: milliseconds that freed memory is kept.
const PURGE_DELAY: mi_option_t = 15;

/// Kept long enough to be used again by the next batch. mimalloc's own second is long enough to be full of garbage;
/// none at all made TPC-H a fifth slower.
const USUAL_DELAY: c_long = 100;

/// Lets the allocator follow the need for memory. To be called once by a program whose allocator it is.
pub fn install() {
    follow(Need::Enough);
    on_need(follow);
}

#[expect(unsafe_code, reason = "mimalloc's options are C calls; these take numbers and are safe on any thread")]
fn follow(need: Need) {
    unsafe {
        match need {
            Need::Enough => mi_option_set(PURGE_DELAY, USUAL_DELAY),
            Need::Short => {
                mi_option_set(PURGE_DELAY, 0);
                mi_collect(true);
            }
        }
    }
}
