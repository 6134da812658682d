//! Questions that wait for answers, and the threads that wait for them.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::{Client, Reading};
use crate::ids::ObjectId;
use crate::parts::Place;
use crate::store::memory::Mapping;
use crate::wire::{Answer, Reason};
use crate::{Result, env};

/// The value of an object.
#[derive(Debug, Clone)]
pub enum Value {
    /// A small one, in this process' own memory.
    Inline(Arc<Vec<u8>>),
    /// A large one, in shared memory: the node keeps it there for as long as this lives.
    Shared(Arc<SharedValue>),
}

/// Shared memory that this process reads.
#[derive(Debug)]
pub struct SharedValue {
    mapping: Mapping,
    _reading: Reading,
}

impl Value {
    /// The bytes, as [`super::parts_of`] reads them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Shared(shared) => &shared.mapping,
        }
    }

    pub(super) fn shared(
        client: &Weak<Client>,
        object: (ObjectId, u64),
        file: &OwnedFd,
        size: u64,
    ) -> std::io::Result<Self> {
        // Told to the node when it is dropped, also when the mapping fails.
        let reading = Reading::new(client, object);
        Ok(Self::Shared(Arc::new(SharedValue { mapping: Mapping::new(file, size)?, _reading: reading })))
    }
}

/// What came of a question.
#[derive(Debug)]
pub enum Reply {
    /// The object is there; its value was not asked for.
    Ready,
    /// Its value.
    Value(Value),
    /// It has none.
    Failed(Reason),
    /// Its value cannot be had here, and why; `true` when a disk is full.
    Refused(String, bool),
    /// The runtime has ended.
    Ended,
    /// Something that is no object's value.
    Other(Answer),
}

impl Reply {
    /// Where the object is, if it is anywhere.
    #[must_use]
    pub fn place(self) -> Option<Place> {
        match self {
            Self::Other(Answer::At(nodes)) => Some(Place::At(nodes)),
            Self::Value(value) => Some(Place::Inline(Bytes::copy_from_slice(value.bytes()))),
            _ => None,
        }
    }
}

type Then = Box<dyn FnOnce(Reply) + Send>;

enum Target {
    Batch(Arc<Shared>, usize),
    Then(ObjectId, Then),
}

/// Questions that were asked together.
pub(super) struct Shared {
    replies: Mutex<(Vec<Option<Reply>>, usize)>,
    arrived: Condvar,
    first: u64,
    /// Who asked, for which objects.
    pub(super) asked: Option<(Arc<Client>, Vec<ObjectId>)>,
}

impl Shared {
    /// A second answer to the same question is none: a stream has results and an end.
    pub(super) fn arrive(&self, index: usize, reply: Reply) {
        let mut replies = self.replies.lock();
        if let Some(slot) = replies.0.get_mut(index).filter(|slot| slot.is_none()) {
            *slot = Some(reply);
            replies.1 += 1;
            self.arrived.notify_all();
        }
    }

    /// The numbers of questions without an answer, as runs.
    pub(super) fn unanswered(&self, count: usize) -> Vec<(u64, u64)> {
        let replies = self.replies.lock();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for index in (0..count).filter(|index| replies.0.get(*index).is_some_and(Option::is_none)) {
            let question = self.first + index as u64;
            match runs.last_mut() {
                Some((first, count)) if *first + *count == question => *count += 1,
                _ => runs.push((question, 1)),
            }
        }
        runs
    }
}

/// Answers that are waited for; what is not answered when it is dropped is not waited for any more.
pub struct Batch {
    shared: Arc<Shared>,
    answers: Arc<Answers>,
    count: usize,
    is_taken: bool,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} questions answered", self.shared.replies.lock().1, self.count)
    }
}

impl Batch {
    /// Waits until so many are answered, or for so long; says whether they are.
    #[must_use]
    pub fn wait(&self, count: usize, patience: Duration) -> bool {
        let mut replies = self.shared.replies.lock();
        if replies.1 < count {
            self.shared.arrived.wait_while_for(&mut replies, |replies| replies.1 < count, patience);
        }
        replies.1 >= count
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Which are answered.
    #[must_use]
    pub fn ready(&self) -> Vec<bool> {
        self.shared.replies.lock().0.iter().map(Option::is_some).collect()
    }

    /// What was answered.
    #[must_use]
    pub fn take(mut self) -> Vec<Option<Reply>> {
        self.close();
        std::mem::take(&mut self.shared.replies.lock().0)
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_taken, true) && self.answers.forget(self.shared.first, self.count) {
            self.shared.forget();
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.close();
    }
}

/// All questions of a process.
#[derive(Default)]
pub(super) struct Answers {
    open: Mutex<(HashMap<u64, Target>, bool)>,
    callbacks: Mutex<Option<Sender<(Then, Reply)>>>,
}

impl Answers {
    pub(super) fn open(self: &Arc<Self>, first: u64, count: usize) -> Batch {
        self.open_batch(first, count, None)
    }

    pub(super) fn open_for(self: &Arc<Self>, client: Arc<Client>, first: u64, objects: &[ObjectId]) -> Batch {
        self.open_batch(first, objects.len(), Some((client, objects.to_vec())))
    }

    fn open_batch(self: &Arc<Self>, first: u64, count: usize, asked: Option<(Arc<Client>, Vec<ObjectId>)>) -> Batch {
        let replies = (0..count).map(|_| None).collect();
        let shared = Shared { replies: Mutex::new((replies, 0)), arrived: Condvar::new(), first, asked };
        let shared = Arc::new(shared);
        let mut open = self.open.lock();
        for index in 0..count {
            if open.1 {
                shared.arrive(index, Reply::Ended);
            } else {
                open.0.insert(first + index as u64, Target::Batch(Arc::clone(&shared), index));
            }
        }
        Batch { shared, answers: Arc::clone(self), count, is_taken: false }
    }

    pub(super) fn call_back(&self, question: u64, object: ObjectId, then: Then) -> Result<()> {
        if self.open.lock().1 {
            then(Reply::Ended);
            return Ok(());
        }
        let mut callbacks = self.callbacks.lock();
        if callbacks.is_none() {
            let (sender, coming) = channel::<(Then, Reply)>();
            env::thread("sheaf-callbacks", move || coming.into_iter().for_each(|(then, reply)| then(reply)))?;
            *callbacks = Some(sender);
        }
        let mut open = self.open.lock();
        if open.1 {
            drop(open);
            drop(callbacks);
            self.run(then, Reply::Ended);
        } else {
            open.0.insert(question, Target::Then(object, then));
        }
        Ok(())
    }

    /// Calls back from the thread that is there for it.
    fn run(&self, then: Then, reply: Reply) {
        if let Some(callbacks) = &*self.callbacks.lock() {
            // The thread lives as long as the sender.
            let _ = callbacks.send((then, reply));
        }
    }

    /// Nobody waits any more for these; says whether some were open.
    fn forget(&self, first: u64, count: usize) -> bool {
        let mut open = self.open.lock();
        let mut was_open = false;
        for question in first..first + count as u64 {
            was_open |= open.0.remove(&question).is_some();
        }
        was_open
    }

    pub(super) fn arrived(&self, client: &Weak<Client>, question: u64, answer: Answer, file: Option<OwnedFd>) {
        let target = self.open.lock().0.remove(&question);
        let object = match &target {
            Some(Target::Batch(shared, index)) => shared.asked.as_ref().map(|(_, objects)| objects[*index]),
            Some(Target::Then(object, _)) => Some(*object),
            None => None,
        };
        let reply = match (answer, object, file) {
            (Answer::Stored { object, size, edition }, _, Some(file)) => {
                match Value::shared(client, (object, edition), &file, size) {
                    Ok(value) => Reply::Value(value),
                    Err(error) => Reply::Refused(format!("{object} cannot be mapped: {error}"), false),
                }
            }
            (Answer::Inline(bytes), _, _) => Reply::Value(Value::Inline(Arc::new(bytes.into_vec()))),
            (Answer::Failed(reason), _, _) => Reply::Failed(reason),
            (Answer::There(object), _, _) => {
                // Also when whoever asked has gone on: the next one need not ask.
                if let Some(client) = client.upgrade() {
                    client.cache.lock().set_ready(object);
                }
                Reply::Ready
            }
            (Answer::Refused(why, is_disk), Some(_), _) => Reply::Refused(why, is_disk),
            (answer, _, _) => Reply::Other(answer),
        };
        // Before the node says anything else of it.
        if let (Some(object), Reply::Value(value), Some(client)) = (object, &reply, client.upgrade()) {
            client.remember(object, value);
        }
        match target {
            Some(Target::Batch(shared, index)) => shared.arrive(index, reply),
            Some(Target::Then(_, then)) => self.run(then, reply),
            None => {}
        }
    }

    /// The node is gone: nothing is answered any more.
    pub(super) fn end(&self) {
        let targets = {
            let mut open = self.open.lock();
            open.1 = true;
            std::mem::take(&mut open.0)
        };
        for target in targets.into_values() {
            match target {
                Target::Batch(shared, index) => shared.arrive(index, Reply::Ended),
                Target::Then(_, then) => self.run(then, Reply::Ended),
            }
        }
        // Its thread ends after the last one.
        *self.callbacks.lock() = None;
    }
}
