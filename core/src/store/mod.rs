//! The objects of one node: in shared memory up to a limit, the least recently used beyond it on disk.
//!
//! [`Store`] decides and keeps account; whoever drives it moves the bytes ([`memory`], [`spill`]) and says what became
//! of that. What a process has mapped stays in memory: taking it away would free nothing.

mod holdings;
pub mod memory;
pub mod spill;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::env::Moment;
use crate::ids::{ClientId, ObjectId};
use crate::wire::ObjectInfo;

pub use holdings::{Holding, Totals};
use spill::Spilled;

/// How long a request may wait for room, in milliseconds: readers may let go of objects, which can then be spilled.
const PATIENCE: u64 = 10_000;
/// What the store wants done.
#[derive(Debug)]
pub enum StoreAction {
    /// Write an object to disk, and say [`Store::spilled`].
    Spill(ObjectId, OwnedFd, u64),
    /// Read an object back, and say [`Store::returned`].
    ReadBack(ObjectId, Arc<Spilled>),
    /// A client has the room that it asked for.
    Granted(ClientId, u64),
    /// It cannot have it.
    Refused(ClientId, u64, Refusal),
    /// An object can be opened now.
    Here(ObjectId),
    /// An object cannot be brought back: there is no room, or it is broken and has left the store.
    NotHere(ObjectId, Refusal),
}

/// Why something cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In words.
    pub why: String,
    /// There is no room: whoever tells of it tells what takes that, and who holds it.
    pub is_full: bool,
    /// A disk has none either.
    pub is_disk_full: bool,
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self { why, is_full: false, is_disk_full: false }
    }
}

/// What can be had of an object at once.
#[derive(Debug)]
pub enum Opened {
    /// Its memory, and its size.
    Here(OwnedFd, u64),
    /// It is on disk; [`StoreAction::Here`] or [`StoreAction::NotHere`] follows.
    Later,
    /// It is not in the store.
    Nowhere,
}

/// The bytes of an object.
#[derive(Debug)]
pub struct Content {
    /// Sealed memory.
    pub memory: OwnedFd,
    /// How much of it they take.
    pub size: u64,
    /// Copies that have the same number have the same bytes: an object that was lost and made again may have others.
    pub edition: u64,
    /// What made it, for people.
    pub origin: Arc<str>,
}

#[derive(Debug)]
enum Body {
    Memory(OwnedFd),
    /// In memory, and being written to disk.
    Leaving(OwnedFd),
    Disk(Arc<Spilled>),
    /// On disk, and wanted in memory.
    Returning(Arc<Spilled>),
}

#[derive(Debug)]
struct Entry {
    size: u64,
    edition: u64,
    origin: Arc<str>,
    body: Body,
    readers: BTreeMap<ClientId, u32>,
    used_at: u64,
}

#[derive(Debug)]
enum Request {
    Reserve(ClientId, u64),
    Return(ObjectId),
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    bytes: u64,
    until: Moment,
}

/// The objects of one node.
#[derive(Debug)]
pub struct Store {
    limit: u64,
    /// How many objects there may be: each has an open file.
    most: usize,
    /// Bytes in memory, those that are leaving and those that are returning too.
    used: u64,
    /// Bytes that are leaving.
    leaving: u64,
    reserved: BTreeMap<(ClientId, u64), u64>,
    entries: BTreeMap<ObjectId, Entry>,
    /// What may be spilled, the least recently used first.
    idle: BTreeSet<(u64, ObjectId)>,
    clock: u64,
    waiting: VecDeque<Waiting>,
    /// Why the last object could not be spilled, and whether a disk is full.
    broken_disk: Option<(String, bool)>,
    actions: Vec<StoreAction>,
}

impl Store {
    /// A store that keeps so many bytes in memory.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            most: usize::MAX,
            used: 0,
            leaving: 0,
            reserved: BTreeMap::new(),
            entries: BTreeMap::new(),
            idle: BTreeSet::new(),
            clock: 0,
            waiting: VecDeque::new(),
            broken_disk: None,
            actions: Vec::new(),
        }
    }

    /// The same, for so many objects at the most.
    #[must_use]
    pub fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// What is to be done about all that was said.
    pub fn take_actions(&mut self) -> Vec<StoreAction> {
        std::mem::take(&mut self.actions)
    }

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
        self.waiting.push_back(Waiting { request: Request::Reserve(client, question), bytes, until: now + PATIENCE });
        self.make_room(now);
    }

    /// Reserved room is not needed any more.
    pub fn unreserve(&mut self, now: Moment, client: ClientId, question: u64) {
        self.waiting
            .retain(|wait| !matches!(wait.request, Request::Reserve(by, number) if (by, number) == (client, question)));
        if self.reserved.remove(&(client, question)).is_some() {
            self.make_room(now);
        }
    }

    /// An object is there, in the room that was reserved for it.
    pub fn insert(&mut self, now: Moment, client: ClientId, question: u64, object: ObjectId, content: Content) {
        let Content { memory, size, edition, origin } = content;
        self.reserved.remove(&(client, question));
        self.remove(now, object);
        self.used += size;
        self.clock += 1;
        let (body, readers) = (Body::Memory(memory), BTreeMap::new());
        let entry = Entry { size, edition, origin, body, readers, used_at: self.clock };
        self.idle.insert((self.clock, object));
        self.entries.insert(object, entry);
        self.make_room(now);
    }

    /// A client wants to read an object.
    ///
    /// # Errors
    /// When this process has too many open files.
    pub fn open(&mut self, now: Moment, client: ClientId, object: ObjectId) -> io::Result<Opened> {
        self.clock += 1;
        let Some(entry) = self.entries.get_mut(&object) else { return Ok(Opened::Nowhere) };
        match &entry.body {
            Body::Memory(memory) | Body::Leaving(memory) => {
                let opened = Opened::Here(memory.try_clone()?, entry.size);
                self.idle.remove(&(entry.used_at, object));
                entry.used_at = self.clock;
                *entry.readers.entry(client).or_default() += 1;
                Ok(opened)
            }
            Body::Returning(_) => Ok(Opened::Later),
            Body::Disk(spilled) => {
                entry.body = Body::Returning(Arc::clone(spilled));
                let (request, bytes) = (Request::Return(object), entry.size);
                self.waiting.push_back(Waiting { request, bytes, until: now + PATIENCE });
                self.make_room(now);
                Ok(Opened::Later)
            }
        }
    }

    /// A client does not read an object any more.
    pub fn release(&mut self, now: Moment, client: ClientId, object: ObjectId) {
        let Some(entry) = self.entries.get_mut(&object) else { return };
        let Some(count) = entry.readers.get_mut(&client) else { return };
        *count -= 1;
        if *count == 0 {
            entry.readers.remove(&client);
        }
        if entry.readers.is_empty() && matches!(entry.body, Body::Memory(_)) {
            self.idle.insert((entry.used_at, object));
            self.make_room(now);
        }
    }

    /// A client is gone, with what it reserved and read.
    pub fn client_gone(&mut self, now: Moment, client: ClientId) {
        self.reserved.retain(|(by, _), _| *by != client);
        self.waiting.retain(|wait| !matches!(wait.request, Request::Reserve(by, _) if by == client));
        for (object, entry) in &mut self.entries {
            if entry.readers.remove(&client).is_some()
                && entry.readers.is_empty()
                && matches!(entry.body, Body::Memory(_))
            {
                self.idle.insert((entry.used_at, *object));
            }
        }
        self.make_room(now);
    }

    /// Takes an object out.
    pub fn remove(&mut self, now: Moment, object: ObjectId) {
        let Some(entry) = self.entries.remove(&object) else { return };
        self.idle.remove(&(entry.used_at, object));
        match entry.body {
            Body::Memory(_) => self.used -= entry.size,
            Body::Leaving(_) => {
                self.used -= entry.size;
                self.leaving -= entry.size;
            }
            Body::Returning(_) => {
                let asked = self.waiting.len();
                self.waiting.retain(|wait| !matches!(wait.request, Request::Return(id) if id == object));
                if self.waiting.len() == asked {
                    // It has its room already.
                    self.used -= entry.size;
                }
            }
            Body::Disk(_) => {}
        }
        self.make_room(now);
    }

    /// An object was written to disk, or could not be.
    pub fn spilled(&mut self, now: Moment, object: ObjectId, outcome: io::Result<Spilled>) {
        if let Some(entry) = self.entries.get_mut(&object)
            && let Body::Leaving(memory) = &entry.body
            && let Ok(memory) = memory.try_clone()
        {
            self.leaving -= entry.size;
            match outcome {
                Ok(spilled) if entry.readers.is_empty() => {
                    self.used -= entry.size;
                    self.broken_disk = None;
                    entry.body = Body::Disk(Arc::new(spilled));
                }
                outcome => {
                    // Somebody reads it by now, or the disk does not take it.
                    entry.body = Body::Memory(memory);
                    if entry.readers.is_empty() {
                        self.idle.insert((entry.used_at, object));
                    }
                    if let Err(error) = outcome {
                        self.disk_failed(object, &error);
                    }
                }
            }
        }
        self.make_room(now);
    }

    fn disk_failed(&mut self, object: ObjectId, error: &io::Error) {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        self.broken_disk = Some((format!("spilling {object} failed: {error}"), is_full));
        for wait in std::mem::take(&mut self.waiting) {
            self.refuse(&wait);
        }
    }

    /// An object was read back, or could not be.
    pub fn returned(&mut self, now: Moment, object: ObjectId, outcome: io::Result<OwnedFd>) {
        if let Some(entry) = self.entries.get_mut(&object)
            && matches!(entry.body, Body::Returning(_))
        {
            match outcome {
                Ok(memory) => {
                    entry.body = Body::Memory(memory);
                    self.idle.insert((entry.used_at, object));
                    self.actions.push(StoreAction::Here(object));
                }
                Err(error) => {
                    self.used -= entry.size;
                    self.entries.remove(&object);
                    let why = format!("{object} could not be read back from disk: {error}");
                    self.actions.push(StoreAction::NotHere(object, why.into()));
                }
            }
        }
        self.make_room(now);
    }

    /// Time passed: those who waited too long hear that there is no room.
    pub fn tick(&mut self, now: Moment) {
        while self.waiting.front().is_some_and(|wait| wait.until <= now) {
            if let Some(wait) = self.waiting.pop_front() {
                self.refuse(&wait);
            }
        }
        self.make_room(now);
    }

    /// When the store wants a [`Store::tick`] at the latest.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Moment> {
        self.waiting.front().map(|wait| wait.until)
    }

    /// What is in the store, the largest first.
    #[must_use]
    pub fn objects(&self) -> Vec<ObjectInfo> {
        let mut objects: Vec<ObjectInfo> = self.entries.iter().map(|(id, entry)| entry.info(*id)).collect();
        objects.sort_by_key(|object| std::cmp::Reverse(object.size));
        objects
    }

    /// Whether all of these can be in memory at once.
    ///
    /// # Errors
    /// Why not.
    pub fn could_hold(&self, objects: &[ObjectId]) -> Result<(), String> {
        let size: u64 = objects.iter().filter_map(|object| Some(self.entries.get(object)?.size)).sum();
        match size > self.limit {
            true => Err(format!("{size} bytes together are more than the object store, which has {}", self.limit)),
            false => Ok(()),
        }
    }

    /// Whether an object is in the store, in memory or on disk.
    #[must_use]
    pub fn has(&self, object: ObjectId) -> bool {
        self.entries.contains_key(&object)
    }

    /// Which edition of an object is in the store.
    #[must_use]
    pub fn edition(&self, object: ObjectId) -> Option<u64> {
        self.entries.get(&object).map(|entry| entry.edition)
    }

    /// Bytes in memory.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    fn make_room(&mut self, _now: Moment) {
        let reserved: u64 = self.reserved.values().sum();
        let mut free = self.limit.saturating_sub(self.used + reserved);
        while let Some(wait) = self.waiting.front() {
            if wait.bytes > free {
                return self.spill_for(wait.bytes - free);
            }
            free -= wait.bytes;
            if let Some(wait) = self.waiting.pop_front() {
                self.grant(&wait);
            }
        }
    }

    fn grant(&mut self, wait: &Waiting) {
        match wait.request {
            Request::Reserve(client, question) => {
                self.reserved.insert((client, question), wait.bytes);
                self.actions.push(StoreAction::Granted(client, question));
            }
            Request::Return(object) => {
                if let Some(Entry { body: Body::Returning(spilled), .. }) = self.entries.get(&object) {
                    self.used += wait.bytes;
                    self.actions.push(StoreAction::ReadBack(object, Arc::clone(spilled)));
                }
            }
        }
    }

    /// Spills the least recently used until so many bytes are on their way out.
    fn spill_for(&mut self, bytes: u64) {
        while self.leaving < bytes
            && let Some((_, object)) = self.idle.pop_first()
        {
            let Some(entry) = self.entries.get_mut(&object) else { continue };
            let Body::Memory(memory) = &entry.body else { continue };
            let (Ok(kept), Ok(sent)) = (memory.try_clone(), memory.try_clone()) else { continue };
            entry.body = Body::Leaving(kept);
            self.leaving += entry.size;
            self.actions.push(StoreAction::Spill(object, sent, entry.size));
        }
    }

    fn refuse(&mut self, wait: &Waiting) {
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

impl Entry {
    fn info(&self, id: ObjectId) -> ObjectInfo {
        ObjectInfo { id, size: self.size, is_spilled: self.is_spilled(), readers: self.readers.values().sum() }
    }
}

#[cfg(test)]
mod tests;
