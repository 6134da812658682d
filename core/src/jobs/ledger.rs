//! The jobs as they are kept: one row each, by which another head finds them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::record::Job;
use crate::state::{Batch, StateStore};
use crate::{Error, Result};

/// The name of the table.
const TABLE: &str = "jobs";

/// What is kept, and what is still to be.
#[derive(Debug)]
pub(super) struct Ledger {
    store: Arc<dyn StateStore>,
    /// Jobs of which something else is kept than what is so: a disk was full.
    behind: BTreeSet<String>,
}

impl Ledger {
    /// What is kept, with the jobs that are.
    pub(super) fn open(store: Arc<dyn StateStore>) -> Result<(Self, Vec<Job>)> {
        let read = |(key, value): (Vec<u8>, Vec<u8>)| {
            serde_json::from_slice(&value).map_err(|error| {
                let name = String::from_utf8_lossy(&key).into_owned();
                Error::new(crate::ErrorKind::CorruptFile, format!("the job {name:?} cannot be read: {error}"))
            })
        };
        let jobs = store.scan(TABLE, b"")?.into_iter().map(read).collect::<Result<_>>()?;
        Ok((Self { store, behind: BTreeSet::new() }, jobs))
    }

    /// Keeps what is so of these jobs, and of those before that could not be kept.
    pub(super) fn keep<'a>(
        &mut self,
        changed: impl IntoIterator<Item = String>,
        job: impl Fn(&str) -> Option<&'a Job>,
    ) -> Result<()> {
        self.behind.extend(changed);
        if self.behind.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for id in &self.behind {
            match job(id) {
                Some(job) => {
                    let text = serde_json::to_vec(job)
                        .map_err(|error| Error::internal(format!("a job cannot be written: {error}")))?;
                    batch.put(TABLE, id.as_str(), text);
                }
                None => batch.delete(TABLE, id.as_str()),
            }
        }
        self.store.commit(&batch)?;
        self.behind.clear();
        Ok(())
    }
}
