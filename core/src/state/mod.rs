//! `StateStore`: small tables that outlive the process that has them, such as those of the head.
//!
//! Tables have names, rows are bytes by bytes, in the order of their keys. A [`Batch`] of changes is written whole or
//! not at all, and is on disk when [`StateStore::commit`] returns. [`MemoryStore`] forgets all with its process,
//! [`DiskStore`] is a file, [`FaultyStore`] fails on command; one suite of tests holds all of them to this.
//!
//! What belongs here is small and changes seldom: each commit waits for a disk, and none is ever made by the thread of
//! a node's loop. Values of many megabytes belong in files.

#[cfg(test)]
mod conformance;
mod disk;
mod fault;
mod memory;

use std::collections::BTreeMap;
use std::fmt;

use crate::Result;

pub use disk::DiskStore;
pub use fault::{Fault, FaultyStore};
pub use memory::MemoryStore;

/// A row: its key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Tables that keep what they are given.
pub trait StateStore: Send + Sync + fmt::Debug {
    /// Makes all changes of a batch, or none; they are kept, whatever happens, when this returns.
    ///
    /// # Errors
    /// [`crate::ErrorKind::DiskFull`], [`crate::ErrorKind::Io`], [`crate::ErrorKind::CorruptFile`]. The changes may
    /// have been made all the same, all of them or none; the same batch may be committed again.
    fn commit(&self, batch: &Batch) -> Result<()>;

    /// The value of a row, if it is there.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`], [`crate::ErrorKind::CorruptFile`].
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The rows of a table whose keys begin so, in the order of their keys; none of a table that was never written to.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`], [`crate::ErrorKind::CorruptFile`].
    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Row>>;
}

/// Changes that are made together.
///
/// ```
/// use sheaf_core::state::{Batch, MemoryStore, StateStore};
///
/// let store = MemoryStore::default();
/// let mut batch = Batch::default();
/// batch.put("jobs", "job-1", "running");
/// batch.put("jobs", "job-2", "queued");
/// batch.delete("jobs", "job-1");
/// store.commit(&batch)?;
/// assert_eq!(store.get("jobs", b"job-1")?, None);
/// assert_eq!(store.scan("jobs", b"job-")?, [(b"job-2".to_vec(), b"queued".to_vec())]);
/// # Ok::<(), sheaf_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// By table and key: the last change of a row is the one that counts.
    changes: BTreeMap<&'static str, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl Batch {
    /// The row has that value from now on.
    pub fn put(&mut self, table: &'static str, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.entry(table).or_default().insert(key.into(), Some(value.into()));
    }

    /// The row is no more, if it was there.
    pub fn delete(&mut self, table: &'static str, key: impl Into<Vec<u8>>) {
        self.changes.entry(table).or_default().insert(key.into(), None);
    }

    /// Does what another batch does, after this one.
    pub fn append(&mut self, later: Self) {
        for (table, changes) in later.changes {
            self.changes.entry(table).or_default().extend(changes);
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Its changes by table: keys with their new values, or `None` for those that go.
    fn tables(&self) -> impl Iterator<Item = (&'static str, &BTreeMap<Vec<u8>, Option<Vec<u8>>>)> {
        self.changes.iter().map(|(table, changes)| (*table, changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_a_row_counts() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.put("a", "1", "old");
        batch.delete("b", "1");
        let mut later = Batch::default();
        later.put("a", "1", "new");
        later.put("b", "1", "there");
        later.delete("a", "2");
        batch.append(later);
        let mut same = Batch::default();
        same.put("b", "1", "there");
        same.put("a", "1", "new");
        same.delete("a", "2");
        assert_eq!(batch, same);
    }
}
