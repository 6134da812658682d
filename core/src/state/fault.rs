//! A store that fails on command: the seam through which tests let a disk be full, or a machine stop, at every commit.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, Row, StateStore};
use crate::{Error, ErrorKind, Result};

/// What goes wrong, and at which commit. Commits are counted from 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    Never,
    /// The process is killed before this commit: it and all later ones fail without being made.
    KillBefore(u64),
    /// The process is killed while it waits for this commit: it is made, later ones are not, and all are told as
    /// errors.
    KillAfter(u64),
    /// The disk is full for this commit and so many after it, which are not made; later ones work.
    Full(u64, u64),
}

/// A store that fails on command.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn StateStore>,
    /// What goes wrong, and how many commits there were.
    state: Arc<Mutex<(Fault, u64)>>,
}

impl FaultyStore {
    /// Passes on to a store what does not fail.
    #[must_use]
    pub fn new(inner: Arc<dyn StateStore>, fault: Fault) -> Self {
        Self { inner, state: Arc::new(Mutex::new((fault, 0))) }
    }

    /// How many commits were tried.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.state.lock().1
    }
}

impl StateStore for FaultyStore {
    fn commit(&self, batch: &Batch) -> Result<()> {
        let (fault, number) = {
            let mut state = self.state.lock();
            state.1 += 1;
            (state.0, state.1 - 1)
        };
        let killed = || Error::new(ErrorKind::Io, format!("commit {number} came to nothing: the process was killed"));
        match fault {
            Fault::KillBefore(at) if number >= at => Err(killed()),
            Fault::KillAfter(at) if number > at => Err(killed()),
            Fault::KillAfter(at) if number == at => self.inner.commit(batch).and_then(|()| Err(killed())),
            Fault::Full(first, more) if (first..=first + more).contains(&number) => {
                Err(Error::new(ErrorKind::DiskFull, format!("commit {number} came to nothing: no space left")))
            }
            _ => self.inner.commit(batch),
        }
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Row>> {
        self.inner.scan(table, prefix)
    }
}
