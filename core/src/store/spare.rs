//! Memory of objects that are gone, kept for the next objects of the process that made them.
//!
//! Memory that is new costs the kernel several times what writing to it does: each page is found, emptied and mapped.
//! Whoever makes an object keeps its memory mapped, and writes its next one there when nobody can read the first any
//! more. What is spare is kept for a moment alone, is a part of the store's memory, and goes first when that is wanted.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;

use super::{Body, Entry, Store, StoreAction};
use crate::env::Moment;
use crate::ids::{ClientId, ObjectId};
use crate::wire::Kept;

/// How long it is kept, in milliseconds.
const KEPT: u64 = 5_000;
/// Which part of the store it may be.
const PART: u64 = 4;
/// An object may take memory that is larger by this part of its size.
const SLACK: u64 = 4;
/// How many pieces there may be: each is an open file.
const MOST: usize = 256;

/// Memory that its maker can write again.
#[derive(Debug)]
pub(super) struct Spare {
    client: ClientId,
    pub(super) number: u64,
    pub(super) memory: OwnedFd,
    pub(super) room: u64,
    since: Moment,
}

/// All of it, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Spares {
    all: VecDeque<Spare>,
    bytes: u64,
}

/// An object that has left the store, and that some read.
#[derive(Debug, Default)]
pub(super) struct Departed {
    readers: BTreeMap<ClientId, u32>,
    /// Its memory, where that may be written again.
    spare: Option<Spare>,
}

impl Spares {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    fn remove(&mut self, place: usize) -> Option<Spare> {
        let spare = self.all.remove(place)?;
        self.bytes -= spare.room;
        Some(spare)
    }

    pub(super) fn goes_at(&self) -> Option<Moment> {
        self.all.front().map(|spare| spare.since + KEPT)
    }

    /// Memory of this client's that so many bytes fit into, and that is not much larger: the smallest.
    pub(super) fn take(&mut self, client: ClientId, bytes: u64) -> Option<Spare> {
        let fits = |spare: &Spare| spare.client == client && (bytes..=bytes + bytes / SLACK).contains(&spare.room);
        let fitting = self.all.iter().enumerate().filter(|(_, spare)| fits(spare));
        let place = fitting.min_by_key(|(_, spare)| spare.room).map(|(place, _)| place)?;
        self.remove(place)
    }
}

impl Store {
    /// An object has left the store: its maker may write its memory again as soon as nobody reads that. Those who have
    /// read it let go of what they keep.
    pub(super) fn has_left(&mut self, now: Moment, object: ObjectId, entry: Entry) {
        let Entry { body, readers, maker, room, is_read_unseen, edition, .. } = entry;
        for reader in readers.keys() {
            self.actions.push(StoreAction::LetGo(*reader, Kept::Read(object)));
        }
        let spare = match (body, maker) {
            (Body::Memory(memory), Some((client, number))) if !is_read_unseen => {
                Some(Spare { client, number, memory, room, since: now })
            }
            // What is on its way to disk is being read, too.
            (_, Some((client, number))) => {
                self.actions.push(StoreAction::LetGo(client, Kept::Made(number)));
                None
            }
            (_, None) => None,
        };
        if !readers.is_empty() {
            self.departs((object, edition), readers, spare);
        } else if let Some(spare) = spare {
            self.keep(spare);
        }
    }

    fn departs(&mut self, object: (ObjectId, u64), readers: BTreeMap<ClientId, u32>, spare: Option<Spare>) {
        let departed = self.departed.entry(object).or_default();
        // A copy of what was made here may have come back meanwhile, and gone again: who releases which cannot be told.
        for (reader, count) in readers {
            *departed.readers.entry(reader).or_default() += count;
        }
        departed.spare = departed.spare.take().or(spare);
    }

    /// A client does not read an object any more that has left the store.
    pub(super) fn release_departed(&mut self, now: Moment, client: ClientId, object: (ObjectId, u64), unseen: bool) {
        let Some(departed) = self.departed.get_mut(&object) else { return };
        let Some(count) = departed.readers.get_mut(&client) else { return };
        *count -= 1;
        if *count == 0 {
            departed.readers.remove(&client);
        }
        let unusable = if unseen { departed.spare.take() } else { None };
        let is_over = departed.readers.is_empty();
        let spare = if is_over { self.departed.remove(&object).and_then(|departed| departed.spare) } else { None };
        if let Some(Spare { client, number, .. }) = unusable {
            self.actions.push(StoreAction::LetGo(client, Kept::Made(number)));
        }
        if let Some(spare) = spare {
            self.keep(Spare { since: now, ..spare });
            self.make_room(now);
        }
    }

    /// Keeps memory for its maker's next object.
    pub(super) fn keep(&mut self, spare: Spare) {
        self.spares.bytes += spare.room;
        self.spares.all.push_back(spare);
        // What others read was not counted meanwhile.
        let most = (self.limit / PART).min(self.limit.saturating_sub(self.used + self.reserved_bytes()));
        while self.spares.bytes > most || self.spares.all.len() > MOST {
            self.let_go();
        }
    }

    /// Lets go of what is oldest.
    pub(super) fn let_go(&mut self) {
        if let Some(Spare { client, number, .. }) = self.spares.remove(0) {
            self.actions.push(StoreAction::LetGo(client, Kept::Made(number)));
        }
    }

    /// Lets go until so many bytes more are free, or nothing is left.
    pub(super) fn let_go_of(&mut self, bytes: u64) {
        let target = self.spares.bytes.saturating_sub(bytes);
        while self.spares.bytes > target {
            self.let_go();
        }
    }

    /// Lets go of what was kept for long.
    pub(super) fn let_go_of_old(&mut self, now: Moment) {
        while self.spares.goes_at().is_some_and(|at| at <= now) {
            self.let_go();
        }
    }

    /// A client is gone: what it made is not written again, nor what it has read, which its children may still do.
    pub(super) fn keeper_gone(&mut self, client: ClientId) {
        while let Some(place) = self.spares.all.iter().position(|spare| spare.client == client) {
            let _ = self.spares.remove(place);
        }
        for entry in self.entries.values_mut().filter(|entry| entry.maker.is_some_and(|(maker, _)| maker == client)) {
            entry.maker = None;
        }
        let mut unusable = Vec::new();
        self.departed.retain(|_, departed| {
            let has_read = departed.readers.remove(&client).is_some();
            if has_read || departed.spare.as_ref().is_some_and(|spare| spare.client == client) {
                unusable.extend(departed.spare.take());
            }
            !departed.readers.is_empty()
        });
        for spare in unusable.into_iter().filter(|spare| spare.client != client) {
            self.actions.push(StoreAction::LetGo(spare.client, Kept::Made(spare.number)));
        }
    }
}
