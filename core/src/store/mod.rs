//! The objects of one node: in shared memory up to a limit, the least recently used beyond it on disk.
//!
//! [`Store`] decides and keeps account; whoever drives it moves the bytes ([`memory`], [`spill`]) and says what became
//! of that. What a process has mapped stays in memory: taking it away would free nothing; it is asked for what it only
//! keeps.

mod holdings;
pub mod memory;
mod ranges;
mod room;
mod spare;
pub mod spill;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::env::Moment;
use crate::ids::{ClientId, ObjectId};
use crate::wire::{Kept, ObjectInfo};

pub use holdings::{Holding, Totals};
pub use ranges::Ranges;
use room::{PATIENCE, Request, Reserved, Waiting};
use spare::{Departed, Spares};
use spill::Spilled;

/// What the store wants done.
#[derive(Debug)]
pub enum StoreAction {
    /// Write an object to disk, in this edition, and say [`Store::spilled`].
    Spill((ObjectId, u64), OwnedFd, u64),
    /// Read an object back, and say [`Store::returned`].
    ReadBack(ObjectId, Arc<Spilled>),
    /// A client has the room that it asked for: in new memory, or where it made another object, by the number it gave
    /// that.
    Granted(ClientId, u64, Option<u64>),
    /// A client is to let go of what it keeps.
    LetGo(ClientId, Kept),
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
    /// Its memory is there.
    Here(Here),
    /// It is on disk; [`StoreAction::Here`] or [`StoreAction::NotHere`] follows.
    Later,
    /// It is not in the store.
    Nowhere,
}

/// An object that someone reads, until [`Store::release`].
#[derive(Debug)]
pub struct Here {
    /// Which one.
    pub object: ObjectId,
    /// Its memory.
    pub memory: OwnedFd,
    /// How much of it the object takes.
    pub size: u64,
    /// Which of its contents.
    pub edition: u64,
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
    /// The number by which whoever made it keeps the memory, to write it again.
    pub kept_as: Option<u64>,
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
    /// The memory that it takes.
    room: u64,
    /// Who keeps that memory, and the number of it there.
    maker: Option<(ClientId, u64)>,
    /// Processes may read it that do not say when they are done.
    is_read_unseen: bool,
    edition: u64,
    origin: Arc<str>,
    body: Body,
    readers: BTreeMap<ClientId, u32>,
    used_at: u64,
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
    reserved: BTreeMap<(ClientId, u64), Reserved>,
    spares: Spares,
    entries: BTreeMap<ObjectId, Entry>,
    /// By their editions too: an object that was lost can be here again.
    departed: BTreeMap<(ObjectId, u64), Departed>,
    /// What may be spilled, the least recently used first.
    idle: BTreeSet<(u64, ObjectId)>,
    /// What is read, and was not asked for, likewise.
    read: BTreeSet<(u64, ObjectId)>,
    /// Bytes that readers were asked for, and until when they may answer.
    asked: Option<(u64, Moment)>,
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
            spares: Spares::default(),
            entries: BTreeMap::new(),
            departed: BTreeMap::new(),
            idle: BTreeSet::new(),
            read: BTreeSet::new(),
            asked: None,
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

    /// An object is there, in the room that was reserved for it.
    pub fn insert(&mut self, now: Moment, client: ClientId, question: u64, object: ObjectId, content: Content) {
        let Content { memory, size, edition, origin, kept_as } = content;
        self.remove(now, object);
        let reserved = self.reserved.remove(&(client, question));
        let room = reserved.filter(|reserved| reserved.is_again).map_or(size, |reserved| reserved.bytes);
        self.used += room;
        self.clock += 1;
        let (body, readers) = (Body::Memory(memory), BTreeMap::new());
        let (maker, used_at) = (kept_as.map(|number| (client, number)), self.clock);
        let entry = Entry { size, room, maker, is_read_unseen: false, edition, origin, body, readers, used_at };
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
                let (memory, size, edition) = (memory.try_clone()?, entry.size, entry.edition);
                self.idle.remove(&(entry.used_at, object));
                self.read.remove(&(entry.used_at, object));
                entry.used_at = self.clock;
                self.read.insert((entry.used_at, object));
                *entry.readers.entry(client).or_default() += 1;
                Ok(Opened::Here(Here { object, memory, size, edition }))
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

    /// A client does not read an object any more, in this edition; `unseen` when others may that it has made.
    pub fn release(&mut self, now: Moment, client: ClientId, (object, edition): (ObjectId, u64), unseen: bool) {
        let entry = self.entries.get_mut(&object).filter(|entry| entry.edition == edition);
        let Some(entry) = entry.filter(|entry| entry.readers.contains_key(&client)) else {
            return self.release_departed(now, client, (object, edition), unseen);
        };
        let Some(count) = entry.readers.get_mut(&client) else { return };
        *count -= 1;
        if *count == 0 {
            entry.readers.remove(&client);
        }
        entry.is_read_unseen |= unseen;
        if entry.readers.is_empty() {
            self.read.remove(&(entry.used_at, object));
            if let Some((asked, _)) = &mut self.asked {
                *asked = asked.saturating_sub(entry.room);
            }
            if matches!(entry.body, Body::Memory(_)) {
                self.idle.insert((entry.used_at, object));
                self.make_room(now);
            }
        }
    }

    /// A client is gone, with what it reserved and read.
    pub fn client_gone(&mut self, now: Moment, client: ClientId) {
        self.reserved.retain(|(by, _), _| *by != client);
        self.waiting.retain(|wait| !matches!(wait.request, Request::Reserve(by, _) if by == client));
        self.keeper_gone(client);
        self.asked = None;
        for (object, entry) in &mut self.entries {
            if entry.readers.remove(&client).is_none() {
                continue;
            }
            // It may have only closed its socket, and its children may live on.
            entry.is_read_unseen = true;
            if entry.readers.is_empty() {
                self.read.remove(&(entry.used_at, *object));
                if matches!(entry.body, Body::Memory(_)) {
                    self.idle.insert((entry.used_at, *object));
                }
            }
        }
        self.make_room(now);
    }

    /// Takes an object out.
    pub fn remove(&mut self, now: Moment, object: ObjectId) {
        let Some(entry) = self.entries.remove(&object) else { return };
        self.idle.remove(&(entry.used_at, object));
        self.read.remove(&(entry.used_at, object));
        match entry.body {
            Body::Memory(_) => self.used -= entry.room,
            Body::Leaving(_) => {
                self.used -= entry.room;
                self.leaving -= entry.room;
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
        self.has_left(now, object, entry);
        self.make_room(now);
    }

    /// An object was written to disk, or could not be.
    pub fn spilled(&mut self, now: Moment, (object, edition): (ObjectId, u64), outcome: io::Result<Spilled>) {
        if let Some(entry) = self.entries.get_mut(&object).filter(|entry| entry.edition == edition)
            && let Body::Leaving(memory) = &entry.body
            && let Ok(memory) = memory.try_clone()
        {
            self.leaving -= entry.room;
            match outcome {
                Ok(spilled) if entry.readers.is_empty() => {
                    self.used -= entry.room;
                    self.broken_disk = None;
                    entry.body = Body::Disk(Arc::new(spilled));
                    entry.room = entry.size;
                    if let Some((client, number)) = entry.maker.take() {
                        self.actions.push(StoreAction::LetGo(client, Kept::Made(number)));
                    }
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
        self.let_go_of_old(now);
        self.asked.take_if(|(_, until)| *until <= now);
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
        let waits = self.waiting.front().map(|wait| wait.until);
        let asked = self.asked.filter(|_| waits.is_some()).map(|(_, until)| until);
        [waits, asked, self.spares.goes_at()].into_iter().flatten().min()
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
        let size: u64 = objects.iter().filter_map(|object| Some(self.entries.get(object)?.room)).sum();
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

    /// Bytes of objects in memory.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }
}

impl Entry {
    fn info(&self, id: ObjectId) -> ObjectInfo {
        ObjectInfo { id, size: self.size, is_spilled: self.is_spilled(), readers: self.readers.values().sum() }
    }
}

#[cfg(test)]
mod tests;
