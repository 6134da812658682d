//! Values that something here waits for: where they are is asked of their owners, and they are brought into the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::references::Count;
use super::{Action, Node};
use crate::ids::{Attempt, ClientId, NodeId, ObjectId, TaskId};
use crate::parts::Place;
use crate::schedule::message::{Failure, Found, Known, Lost, NodeMessage};

/// An object that something waits for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    waiters: BTreeSet<Waiter>,
    /// From where it is being fetched; `None` while its owner is asked.
    from: Option<NodeId>,
}

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiter {
    /// A task of this node's, for the object to be ready, wherever it is.
    Task(TaskId),
    /// An attempt that is to run here, for the value.
    Run(Attempt),
    /// A client, for the value; it is answered by the number of its question.
    Get(ClientId, u64),
    /// A client, for the object to be ready, wherever it is.
    See(ClientId, u64),
    /// This node itself, for an object of its own that only nodes have that leave.
    Keep,
}

impl Waiter {
    fn needs_the_value(self) -> bool {
        !matches!(self, Self::Task(_) | Self::See(_, _))
    }
}

impl Node {
    pub(super) fn get(&mut self, client: ClientId, question: u64, object: ObjectId) {
        self.hold(object, Count::Use);
        self.want(object, Waiter::Get(client, question), None);
    }

    pub(super) fn see(&mut self, client: ClientId, question: u64, object: ObjectId) {
        self.hold(object, Count::Use);
        self.want(object, Waiter::See(client, question), None);
    }

    /// Waits for an object; `known` is what someone else said of it, which saves asking.
    pub(super) fn want(&mut self, object: ObjectId, waiter: Waiter, known: Option<Known>) {
        let is_new = !self.wanted.contains_key(&object);
        self.wanted.entry(object).or_default().waiters.insert(waiter);
        match known {
            Some(known) if is_new && !self.dead.contains(&object.owner()) => self.located(object, &known),
            _ if is_new => self.ask(object),
            // What is on its way is ready.
            _ if self.wanted.get(&object).is_some_and(|wanted| wanted.from.is_some()) && !waiter.needs_the_value() => {
                self.ask(object);
            }
            _ => {}
        }
    }

    fn ask(&mut self, object: ObjectId) {
        let owner = object.owner();
        if self.dead.contains(&owner) {
            self.located(object, &Known::Failed(Failure::Lost(Lost::OwnerDied)));
        } else {
            self.send(owner, NodeMessage::Locate(object));
        }
    }

    /// The owner said where an object is.
    pub(super) fn located(&mut self, object: ObjectId, known: &Known) {
        if !self.wanted.contains_key(&object) {
            return;
        }
        // First: whoever is told of a failure may let go of the object, and keep what is within.
        self.know_contents(object, known.contains());
        let Some(wanted) = self.wanted.get_mut(&object) else { return };
        let ready: Vec<_> = wanted.waiters.iter().copied().filter(|waiter| !waiter.needs_the_value()).collect();
        wanted.waiters.retain(|waiter| waiter.needs_the_value());
        for waiter in ready {
            self.satisfy(waiter, object, known);
        }
        match known {
            Known::Stored(copies, _) if !self.stored.contains(&object) => self.fetch(object, copies),
            known => self.arrived(object, known),
        }
    }

    /// Fetches from the first copy that may be there.
    fn fetch(&mut self, object: ObjectId, copies: &[NodeId]) {
        let Some(wanted) = self.wanted.get_mut(&object) else { return };
        if wanted.waiters.is_empty() {
            self.wanted.remove(&object);
            return;
        }
        if wanted.from.is_some() {
            return;
        }
        let alive = copies.iter().copied().find(|node| *node != self.id && !self.dead.contains(node));
        wanted.from = alive;
        match alive {
            Some(node) => self.actions.push(Action::Fetch(object, node)),
            None => {
                for node in copies {
                    self.send(object.owner(), NodeMessage::CopyLost(object, *node));
                }
                self.ask(object);
            }
        }
    }

    /// All that waits for the value has it.
    fn arrived(&mut self, object: ObjectId, known: &Known) {
        for waiter in self.wanted.remove(&object).unwrap_or_default().waiters {
            self.satisfy(waiter, object, known);
        }
    }

    fn satisfy(&mut self, waiter: Waiter, object: ObjectId, known: &Known) {
        match waiter {
            Waiter::Task(task) => self.need_ready(task, object, known),
            Waiter::Run(attempt) => self.need_arrived(attempt, object, known),
            Waiter::Keep => self.secured(object, matches!(known, Known::Stored(_, _))),
            Waiter::Get(client, question) | Waiter::See(client, question) => {
                let answer = match known {
                    Known::Inline(bytes, contains) => Ok(Found::new(Place::Inline(bytes.clone()), contains)),
                    Known::Stored(copies, contains) => Ok(Found::new(Place::At(copies.clone()), contains)),
                    Known::Failed(failure) => Err(failure.clone()),
                };
                self.actions.push(Action::Answer(client, question, answer));
                self.release(object, Count::Use);
            }
        }
    }

    pub(super) fn fetched(&mut self, object: ObjectId) {
        if let Some(wanted) = self.wanted.get_mut(&object) {
            wanted.from = None;
        }
        if self.dead.contains(&object.owner()) {
            self.actions.push(Action::Drop(object));
        } else {
            self.stored.insert(object);
            self.is_a_copy_now(object);
            self.send(object.owner(), NodeMessage::Copied(object));
        }
        if self.wanted.contains_key(&object) {
            // What is within it is asked of the owner, who has this copy on its list by then.
            self.ask(object);
        }
    }

    pub(super) fn fetch_failed(&mut self, object: ObjectId, from: NodeId) {
        let Some(wanted) = self.wanted.get_mut(&object) else { return };
        if wanted.from == Some(from) {
            wanted.from = None;
            // What is lost is made again when somebody wants it.
            let was_kept = wanted.waiters.remove(&Waiter::Keep);
            self.send(object.owner(), NodeMessage::CopyLost(object, from));
            self.ask(object);
            if was_kept {
                self.secured(object, false);
            }
        }
    }

    /// There is no room for a value here: those who need it here do without, wherever else it is.
    pub(super) fn fetch_refused(&mut self, object: ObjectId, why: Arc<str>) {
        let Some(wanted) = self.wanted.get_mut(&object) else { return };
        wanted.from = None;
        let (without, others) = std::mem::take(&mut wanted.waiters).into_iter().partition(|by| by.needs_the_value());
        wanted.waiters = others;
        if wanted.waiters.is_empty() {
            self.wanted.remove(&object);
        } else {
            self.ask(object);
        }
        let failed = Known::Failed(Failure::NoRoom(why));
        let without: BTreeSet<Waiter> = without;
        without.into_iter().for_each(|waiter| self.satisfy(waiter, object, &failed));
    }

    /// The store lost an object.
    pub(super) fn evicted(&mut self, object: ObjectId) {
        if self.stored.remove(&object) {
            self.send(object.owner(), NodeMessage::CopyLost(object, self.id));
        }
    }

    /// A node died: what was asked of it or came from it is asked elsewhere.
    pub(super) fn fetches_without(&mut self, node: NodeId) {
        let concerned =
            self.wanted.iter().filter(|(object, wanted)| object.owner() == node || wanted.from == Some(node));
        for object in concerned.map(|(object, _)| *object).collect::<Vec<_>>() {
            if object.owner() == node {
                self.located(object, &Known::Failed(Failure::Lost(Lost::OwnerDied)));
            } else {
                self.fetch_failed(object, node);
            }
        }
    }

    pub(super) fn client_gone(&mut self, client: ClientId) {
        let mut over = Vec::new();
        for (object, wanted) in &mut self.wanted {
            let before = wanted.waiters.len();
            let is_its = |waiter: &Waiter| matches!(waiter, Waiter::Get(by, _) | Waiter::See(by, _) if *by == client);
            wanted.waiters.retain(|waiter| !is_its(waiter));
            over.extend(std::iter::repeat_n(*object, before - wanted.waiters.len()));
        }
        for object in over {
            self.release(object, Count::Use);
        }
        self.forget_client(client);
        self.forget_questions_of(client);
    }

    /// A client does not wait any more for the answer to a question.
    pub(super) fn forget_question(&mut self, client: ClientId, question: u64, object: ObjectId) {
        let Some(wanted) = self.wanted.get_mut(&object) else { return };
        let waiters = [Waiter::Get(client, question), Waiter::See(client, question)];
        if waiters.into_iter().any(|waiter| wanted.waiters.remove(&waiter)) {
            self.release(object, Count::Use);
        }
    }

    /// Whether this waits for an object already.
    pub(super) fn is_wanted_by(&self, object: ObjectId, waiter: Waiter) -> bool {
        self.wanted.get(&object).is_some_and(|wanted| wanted.waiters.contains(&waiter))
    }

    /// A task or attempt waits no more.
    pub(super) fn unwant(&mut self, object: ObjectId, waiter: Waiter) {
        if let Some(wanted) = self.wanted.get_mut(&object) {
            wanted.waiters.remove(&waiter);
        }
    }
}
