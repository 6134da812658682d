//! Room in memory: who is given it, who waits for it, and what is spilled or asked back for them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::spare::Spare;
use super::{Body, Entry, Refusal, Store, StoreAction};
use crate::env::Moment;
use crate::ids::{ClientId, ObjectId};
use crate::wire::Kept;

/// How long a request may wait for room, in milliseconds: readers may let go of objects, which can then be spilled.
pub(super) const PATIENCE: u64 = 10_000;

/// What room is wanted for.
#[derive(Debug)]
pub(super) enum Request {
    Reserve(ClientId, u64),
    Return(ObjectId),
}

/// Room that is kept for an object.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) bytes: u64,
    /// Where it is memory that is there.
    pub(super) spare: Option<Spare>,
}

/// Who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) bytes: u64,
    pub(super) until: Moment,
}

impl Store {
    /// A client wants room; the answer has the number of its question.
    pub fn reserve(&mut self, now: Moment, client: ClientId, question: u64, bytes: u64) {
        if bytes > self.limit {
            let why = format!("an object of {bytes} bytes is larger than the object store, which has {}", self.limit);
            return self.actions.push(StoreAction::Refused(client, question, why.into()));
        }
        if self.entries.len() + self.reserved.len() + self.waiting.len() >= self.most {
            let why = format!(
                "the object store has {} objects of more than 100 KiB, and a process may have no more open files; raise \
                 the limit (ulimit -n), or put more into each object",
                self.entries.len()
            );
            return self.actions.push(StoreAction::Refused(client, question, why.into()));
        }
        if self.waiting.is_empty()
            && let Some(spare) = self.spares.take(client, bytes)
        {
            let (room, number) = (spare.room, spare.number);
            self.reserved.insert((client, question), Reserved { bytes: room, spare: Some(spare) });
            return self.actions.push(StoreAction::Granted(client, question, Some(number)));
        }
        self.waiting.push_back(Waiting { request: Request::Reserve(client, question), bytes, until: now + PATIENCE });
        self.make_room(now);
    }

    /// The memory that a client was given again, for an object that it wrote there; `None` when it was not.
    ///
    /// # Errors
    /// When this process has too many open files.
    pub fn again(&self, client: ClientId, question: u64) -> io::Result<Option<(OwnedFd, u64)>> {
        let spare = self.reserved.get(&(client, question)).and_then(|reserved| reserved.spare.as_ref());
        spare.map(|spare| Ok((spare.memory.try_clone()?, spare.number))).transpose()
    }

    /// Reserved room is not needed any more.
    pub fn unreserve(&mut self, now: Moment, client: ClientId, question: u64) {
        self.waiting
            .retain(|wait| !matches!(wait.request, Request::Reserve(by, number) if (by, number) == (client, question)));
        if let Some(Reserved { spare, .. }) = self.reserved.remove(&(client, question)) {
            spare.into_iter().for_each(|spare| self.keep(spare));
            self.make_room(now);
        }
    }

    pub(super) fn disk_failed(&mut self, object: ObjectId, error: &io::Error) {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        self.broken_disk = Some((format!("{object} cannot be spilled to {error}"), is_full));
        for wait in std::mem::take(&mut self.waiting) {
            let within = self.used + self.reserved_bytes() <= self.limit;
            // Memory and disk are full: one object comes back beyond the limit, and what it leaves on the disk is room
            // for another one. Else nothing on the disk could be read any more.
            if is_full && within && matches!(wait.request, Request::Return(_)) {
                self.grant(&wait);
            } else {
                self.refuse(&wait);
            }
        }
    }

    pub(super) fn reserved_bytes(&self) -> u64 {
        self.reserved.values().map(|reserved| reserved.bytes).sum()
    }

    fn free_bytes(&self) -> u64 {
        self.limit.saturating_sub(self.used + self.reserved_bytes() + self.spares.bytes())
    }

    pub(super) fn make_room(&mut self, _now: Moment) {
        let mut free = self.free_bytes();
        while let Some(bytes) = self.waiting.front().map(|wait| wait.bytes) {
            if bytes > free {
                let spare = self.spares.bytes();
                self.let_go_of(bytes - free);
                free += spare - self.spares.bytes();
            }
            if bytes > free {
                return self.spill_for(bytes - free);
            }
            let Some(wait) = self.waiting.front() else { return };
            free -= wait.bytes;
            if let Some(wait) = self.waiting.pop_front() {
                self.grant(&wait);
            }
        }
    }

    fn grant(&mut self, wait: &Waiting) {
        match wait.request {
            Request::Reserve(client, question) => {
                self.reserved.insert((client, question), Reserved { bytes: wait.bytes, spare: None });
                self.actions.push(StoreAction::Granted(client, question, None));
            }
            Request::Return(object) => {
                if let Some(Entry { body: Body::Returning(spilled), .. }) = self.entries.get(&object) {
                    self.used += wait.bytes;
                    self.actions.push(StoreAction::ReadBack(object, Arc::clone(spilled)));
                }
            }
        }
    }

    /// Spills the least recently used until so many bytes are on their way out; of what is read, asks for that which may
    /// only be kept.
    fn spill_for(&mut self, bytes: u64) {
        while self.leaving < bytes
            && let Some((_, object)) = self.idle.pop_first()
        {
            let Some(entry) = self.entries.get_mut(&object) else { continue };
            let Body::Memory(memory) = &entry.body else { continue };
            let (Ok(kept), Ok(sent)) = (memory.try_clone(), memory.try_clone()) else { continue };
            entry.body = Body::Leaving(kept);
            self.leaving += entry.room;
            self.actions.push(StoreAction::Spill(object, sent, entry.size));
        }
        let mut wanted = bytes.saturating_sub(self.leaving);
        while wanted > 0
            && let Some((_, object)) = self.read.pop_first()
        {
            let Some(entry) = self.entries.get(&object) else { continue };
            wanted = wanted.saturating_sub(entry.room);
            for reader in entry.readers.keys() {
                self.actions.push(StoreAction::LetGo(*reader, Kept::Read(object)));
            }
        }
    }

    pub(super) fn refuse(&mut self, wait: &Waiting) {
        let refusal = self.say_full(wait.bytes);
        match wait.request {
            Request::Reserve(client, question) => {
                self.actions.push(StoreAction::Refused(client, question, refusal));
            }
            Request::Return(object) => {
                if let Some(entry) = self.entries.get_mut(&object)
                    && let Body::Returning(spilled) = &entry.body
                {
                    entry.body = Body::Disk(Arc::clone(spilled));
                    self.actions.push(StoreAction::NotHere(object, refusal));
                }
            }
        }
    }

    fn say_full(&self, bytes: u64) -> Refusal {
        let Self { limit, used, .. } = self;
        let full = format!("the object store is full: {used} of {limit} bytes are used, and {bytes} more are wanted");
        match &self.broken_disk {
            None => Refusal { why: full, is_full: true, is_disk_full: false },
            Some((why, is_disk_full)) => {
                Refusal { why: format!("{full}; {why}"), is_full: true, is_disk_full: *is_disk_full }
            }
        }
    }
}
