//! What a store has, for people: its largest objects with who reads them, and the sums of all.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{Body, Entry, Store};
use crate::ids::{ClientId, ObjectId};

/// An object in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its name.
    pub id: ObjectId,
    /// Its bytes.
    pub size: u64,
    /// Whether it lies on disk.
    pub is_spilled: bool,
    /// What made it.
    pub origin: Arc<str>,
    /// Who reads it.
    pub readers: Vec<ClientId>,
}

/// Objects and their bytes, by where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// In memory: how many, and their bytes.
    pub memory: (u64, u64),
    /// On disk.
    pub disk: (u64, u64),
    /// What may be in memory, in bytes.
    pub limit: u64,
}

impl Entry {
    pub(super) fn is_spilled(&self) -> bool {
        matches!(self.body, Body::Disk(_) | Body::Returning(_))
    }
}

impl Store {
    /// The largest objects, at most so many; of those in memory alone if `in_memory`.
    #[must_use]
    pub fn largest(&self, most: usize, in_memory: bool) -> Vec<Holding> {
        let mut order: Vec<(Reverse<u64>, ObjectId)> = (self.entries.iter())
            .filter(|(_, entry)| !(in_memory && entry.is_spilled()))
            .map(|(id, entry)| (Reverse(entry.size), *id))
            .collect();
        if order.len() > most {
            order.select_nth_unstable(most);
            order.truncate(most);
        }
        order.sort_unstable();
        let holding = |(_, id): (_, ObjectId)| {
            let entry = self.entries.get(&id)?;
            let (readers, origin) = (entry.readers.keys().copied().collect(), Arc::clone(&entry.origin));
            Some(Holding { id, size: entry.size, is_spilled: entry.is_spilled(), origin, readers })
        };
        order.into_iter().filter_map(holding).collect()
    }

    /// What all objects come to.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { limit: self.limit, ..Totals::default() };
        for entry in self.entries.values() {
            let sums = if entry.is_spilled() { &mut totals.disk } else { &mut totals.memory };
            *sums = (sums.0 + 1, sums.1 + entry.size);
        }
        totals
    }
}
