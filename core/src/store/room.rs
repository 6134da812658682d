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

/// How long whoever is asked for what it reads has to let go of it, in milliseconds.
const ANSWER: u64 = 50;

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
    /// Whether it is memory that was there.
    pub(super) is_again: bool,
    /// That memory, until it is handed back with the object.
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
        let files = self.entries.len() + self.departed.len() + self.reserved.len() + self.waiting.len();
        while files + self.spares.count() >= self.most && self.spares.count() > 0 {
            self.let_go();
        }
        if files >= self.most {
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
            self.reserved.insert((client, question), Reserved { bytes: room, is_again: true, spare: Some(spare) });
            return self.actions.push(StoreAction::Granted(client, question, Some(number)));
        }
        self.waiting.push_back(Waiting { request: Request::Reserve(client, question), bytes, until: now + PATIENCE });
        self.make_room(now);
    }

    /// The memory that a client was given again, and its number, for the object that it wrote there; `None` when it was
    /// not.
    pub fn again(&mut self, client: ClientId, question: u64) -> Option<(OwnedFd, u64)> {
        let spare = self.reserved.get_mut(&(client, question))?.spare.take()?;
        Some((spare.memory, spare.number))
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
            self.let_go_of(u64::MAX);
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

    pub(super) fn make_room(&mut self, now: Moment) {
        while let Some(bytes) = self.waiting.front().map(|wait| wait.bytes) {
            let free = self.free_bytes();
            if bytes > free {
                self.let_go_of(bytes - free);
            }
            let free = self.free_bytes();
            if bytes > free {
                return self.spill_for(now, bytes - free);
            }
            let Some(wait) = self.waiting.pop_front() else { return };
            self.grant(&wait);
        }
    }

    fn grant(&mut self, wait: &Waiting) {
        match wait.request {
            Request::Reserve(client, question) => {
                self.reserved.insert((client, question), Reserved { bytes: wait.bytes, is_again: false, spare: None });
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

    /// Lets the least recently used go until so many bytes are on their way out: what nobody reads is spilled, and
    /// whoever reads another is asked for it, since it may only be kept. Who uses it does not answer, and a moment
    /// later the next ones have their turn.
    fn spill_for(&mut self, now: Moment, bytes: u64) {
        let asked = self.asked.filter(|(_, until)| *until > now).map_or(0, |(asked, _)| asked);
        let mut wanted = bytes.saturating_sub(self.leaving + asked);
        while wanted > 0 {
            let is_read = match (self.idle.first(), self.read.first()) {
                (None, None) => return,
                (idle, read) => idle.is_none_or(|idle| read.is_some_and(|read| read < idle)),
            };
            let oldest = if is_read { self.read.pop_first() } else { self.idle.pop_first() };
            let Some(object) = oldest.map(|(_, object)| object) else { return };
            let gone = if is_read { self.ask_for(now, object) } else { self.spill(object) };
            wanted = wanted.saturating_sub(gone);
        }
    }

    /// Asks those who read an object to let go of it if they only keep it; says what that would give.
    fn ask_for(&mut self, now: Moment, object: ObjectId) -> u64 {
        let Some(entry) = self.entries.get(&object) else { return 0 };
        for reader in entry.readers.keys() {
            self.actions.push(StoreAction::LetGo(*reader, Kept::Read(object)));
        }
        let before = self.asked.filter(|(_, until)| *until > now).map_or(0, |(asked, _)| asked);
        self.asked = Some((before + entry.room, now + ANSWER));
        entry.room
    }

    /// Lets an object be written to disk; says what that gives.
    fn spill(&mut self, object: ObjectId) -> u64 {
        let Some(entry) = self.entries.get_mut(&object) else { return 0 };
        let Body::Memory(memory) = &entry.body else { return 0 };
        let (Ok(kept), Ok(sent)) = (memory.try_clone(), memory.try_clone()) else { return 0 };
        entry.body = Body::Leaving(kept);
        self.leaving += entry.room;
        self.actions.push(StoreAction::Spill((object, entry.edition), sent, entry.size));
        entry.room
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
