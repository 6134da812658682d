//! One word from those who account for memory to the allocator that holds it: memory is short.
//!
//! An allocator keeps what is freed for a while, because giving it back and asking for it again costs time. Near a
//! limit that memory is missing elsewhere. The library does not know which allocator its program has; the program
//! says here what is to be done.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ALLOCATOR: OnceLock<fn(Need)> = OnceLock::new();
static IS_SHORT: AtomicBool = AtomicBool::new(false);

/// How much the process needs memory that is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// There is enough: the allocator may keep what is freed.
    Enough,
    /// An operator was refused memory: what is freed goes back at once.
    Short,
}

/// Says what the program's allocator does from now on when the need changes. The first call counts.
pub fn on_need(act: fn(Need)) {
    let _ = ALLOCATOR.set(act);
}

/// Tells the allocator; cheap when nothing has changed.
pub fn tell(need: Need) {
    let is_short = need == Need::Short;
    if IS_SHORT.swap(is_short, Ordering::Relaxed) != is_short
        && let Some(act) = ALLOCATOR.get()
    {
        act(need);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    static CHANGES: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn the_allocator_hears_of_changes_only() {
        on_need(|_| {
            CHANGES.fetch_add(1, Ordering::Relaxed);
        });
        for need in [Need::Enough, Need::Short, Need::Short, Need::Enough] {
            tell(need);
        }
        assert_eq!(CHANGES.load(Ordering::Relaxed), 2);
    }
}
