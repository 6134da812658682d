//! Objects of which ranges are read: what is on disk stays there, for others may need the memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::{Body, Entry, Here, Opened, Store};
use crate::env::Moment;
use crate::ids::{ClientId, ObjectId};
use crate::store::spill::Spilled;

/// Where ranges of an object are read.
#[derive(Debug)]
pub enum Ranges {
    /// In memory, until [`Store::release`].
    Memory(Here),
    /// On disk, in this edition, for as long as this is kept.
    Disk(Arc<Spilled>, u64),
    /// It is not in the store.
    Nowhere,
}

impl Store {
    /// An object is there that was written to disk.
    pub fn insert_on_disk(
        &mut self,
        now: Moment,
        object: ObjectId,
        spilled: Spilled,
        (edition, origin): (u64, Arc<str>),
    ) {
        self.remove(now, object);
        self.clock += 1;
        let size = spilled.size();
        let entry = Entry {
            size,
            room: size,
            maker: None,
            is_read_unseen: false,
            edition,
            origin,
            body: Body::Disk(Arc::new(spilled)),
            readers: BTreeMap::new(),
            used_at: self.clock,
        };
        self.entries.insert(object, entry);
    }

    /// A client wants to read ranges of an object.
    ///
    /// # Errors
    /// When this process has too many open files.
    pub fn open_ranges(&mut self, now: Moment, client: ClientId, object: ObjectId) -> io::Result<Ranges> {
        match self.entries.get(&object).map(|entry| (&entry.body, entry.edition)) {
            None => Ok(Ranges::Nowhere),
            Some((Body::Disk(spilled) | Body::Returning(spilled), edition)) => {
                Ok(Ranges::Disk(Arc::clone(spilled), edition))
            }
            Some((Body::Memory(_) | Body::Leaving(_), _)) => match self.open(now, client, object)? {
                Opened::Here(here) => Ok(Ranges::Memory(here)),
                Opened::Later | Opened::Nowhere => Ok(Ranges::Nowhere),
            },
        }
    }
}
