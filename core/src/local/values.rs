//! Handing objects out of the store, at once or when they are back from disk.

use std::sync::Arc;

use super::inlet::{Reading, Room};
use super::peers::PEERS;
use super::shell::Shell;
use crate::ids::{Attempt, ClientId, ObjectId};
use crate::schedule::{Event, Failure, Outcome};
use crate::store::{Content, Here, Opened, StoreAction};
use crate::wire::{Answer, Given, Run, ToClient};

/// Who wants objects out of the store.
#[derive(Debug)]
pub(super) enum Recipient {
    /// A client that asked.
    Question(ClientId, u64),
    /// A worker, before a call.
    Call(ClientId, Box<Run>),
    /// A fragment, before it begins.
    Fragment(Attempt),
    /// Another node.
    Peer(u64),
}

/// Objects that someone waits for.
#[derive(Debug)]
pub(super) struct Delivery {
    to: Recipient,
    /// What is not opened yet.
    missing: Vec<ObjectId>,
    opened: Vec<Here>,
}

impl Recipient {
    fn client(&self) -> ClientId {
        match self {
            Self::Question(id, _) | Self::Call(id, _) => *id,
            // It is this node that reads.
            Self::Fragment(_) | Self::Peer(_) => PEERS,
        }
    }
}

impl Shell {
    /// Opens objects for someone, and hands them over when all are there.
    pub(super) fn deliver(&mut self, to: Recipient, objects: Vec<ObjectId>) {
        let delivery = Delivery { to, missing: objects, opened: Vec::new() };
        if let (Recipient::Call(_, _) | Recipient::Fragment(_), Err(why)) =
            (&delivery.to, self.store.could_hold(&delivery.missing))
        {
            let first = delivery.missing.first().copied();
            return first.into_iter().for_each(|object| self.give_up_for_room(&delivery.to, object, &why));
        }
        self.go_on(delivery);
    }

    fn go_on(&mut self, mut delivery: Delivery) {
        let (id, now) = (delivery.to.client(), self.now());
        if id != PEERS && !self.clients.contains_key(&id) {
            // It would read for ever. What it ran ends with its process.
            return;
        }
        let mut later = Vec::new();
        for object in std::mem::take(&mut delivery.missing) {
            match self.store.open(now, id, object) {
                Ok(Opened::Here(here)) => delivery.opened.push(here),
                Ok(Opened::Later) => later.push(object),
                Ok(Opened::Nowhere) => return self.give_up(delivery, object, "it is not in the store", true),
                Err(error) => {
                    let why = format!("the runtime has too many open files: {error}");
                    return self.give_up(delivery, object, &why, false);
                }
            }
        }
        delivery.missing = later;
        if delivery.missing.is_empty() {
            self.hand_over(delivery);
        } else {
            self.deliveries.push(delivery);
            self.settle_store();
        }
    }

    fn hand_over(&mut self, delivery: Delivery) {
        match delivery.to {
            Recipient::Question(id, question) => {
                let Some(here) = delivery.opened.into_iter().next() else { return };
                if self.close_question(id, question).is_some() {
                    let Here { object, memory, size, edition } = here;
                    self.answer(id, question, Answer::Stored { object, size, edition }, vec![memory]);
                } else {
                    self.not_read(id, &[here]);
                }
            }
            Recipient::Peer(question) => {
                let Some(here) = delivery.opened.into_iter().next() else { return };
                let reading = self.reading(here);
                if let Some(answer) = self.readers.remove(&question) {
                    // One that is not wanted any more is closed as it is dropped.
                    let _ = answer.send(Ok(reading));
                }
            }
            Recipient::Fragment(attempt) => self.begin_fragment(attempt, delivery.opened),
            Recipient::Call(id, mut run) => {
                let mut files = Vec::new();
                let mut opened = delivery.opened;
                let given = run.function.iter_mut().chain(&mut run.needs);
                for (object, value) in given.filter(|(_, value)| matches!(value, Given::Stored { .. })) {
                    if let Some(place) = opened.iter().position(|here| here.object == *object) {
                        let Here { memory, size, edition, .. } = opened.remove(place);
                        *value = Given::Stored { size, edition };
                        files.push(memory);
                    }
                }
                self.send(id, &ToClient::Run(run), files);
            }
        }
    }

    /// What is open for this node itself, or for another one, until it is dropped.
    pub(super) fn reading(&self, here: Here) -> Reading {
        let Here { object, memory, size, edition } = here;
        let content = Content { memory, size, edition, origin: Arc::default(), kept_as: None };
        Reading { content, object, inlet: self.inlet.clone() }
    }

    /// An object cannot be had: what needs it fails, or asks again for one that can be made anew.
    fn give_up(&mut self, delivery: Delivery, object: ObjectId, why: &str, is_gone: bool) {
        self.not_read(delivery.to.client(), &delivery.opened);
        match delivery.to {
            Recipient::Question(id, question) if is_gone => self.post(Event::Get(id, question, object)),
            Recipient::Question(id, question) => {
                if self.close_question(id, question).is_some() {
                    self.answer(id, question, Answer::Refused(why.to_string(), false), Vec::new());
                }
            }
            Recipient::Peer(question) => {
                if let Some(answer) = self.readers.remove(&question) {
                    let _ = answer.send(Err(why.to_string()));
                }
            }
            Recipient::Fragment(attempt) if is_gone => {
                self.fragment_failed(attempt, Failure::Crashed(format!("{object} could not be had: {why}").into()));
            }
            to @ (Recipient::Call(_, _) | Recipient::Fragment(_)) if !is_gone => {
                self.give_up_for_room(&to, object, why);
            }
            Recipient::Fragment(_) => {}
            Recipient::Call(id, run) => {
                self.forget_functions(id);
                let crashed = Failure::Crashed(format!("{object} could not be had: {why}").into());
                self.call_ended(id, run.attempt, Outcome::Failed(crashed));
            }
        }
    }

    /// A call cannot have its arguments in memory.
    fn give_up_for_room(&mut self, to: &Recipient, object: ObjectId, why: &str) {
        match to {
            Recipient::Call(id, run) => {
                self.forget_functions(*id);
                let no_room = Failure::NoRoom(format!("{} needs {object}: {why}", run.work.name).into());
                self.call_ended(*id, run.attempt, Outcome::Failed(no_room));
            }
            Recipient::Fragment(attempt) => {
                let no_room = Failure::NoRoom(format!("the fragment {} needs {object}: {why}", attempt.task).into());
                self.fragment_failed(*attempt, no_room);
            }
            Recipient::Question(_, _) | Recipient::Peer(_) => {}
        }
    }

    /// Does what the store wants done.
    pub(super) fn settle_store(&mut self) {
        loop {
            let actions = self.store.take_actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    StoreAction::Spill(_, _, _) | StoreAction::ReadBack(_, _) => self.disk.take(action),
                    StoreAction::Granted(PEERS, question, _) => self.room_answered(question, Ok(Room(question))),
                    StoreAction::Refused(PEERS, question, refusal) => {
                        let why = self.told(&refusal);
                        self.room_answered(question, Err(why));
                    }
                    StoreAction::Granted(id, question, again) => {
                        self.answer(id, question, Answer::Room(again), Vec::new());
                    }
                    StoreAction::LetGo(id, kept) => self.send(id, &ToClient::LetGo(kept), Vec::new()),
                    StoreAction::Refused(id, question, refusal) => {
                        let why = self.told(&refusal);
                        self.answer(id, question, Answer::Refused(why, refusal.is_disk_full), Vec::new());
                    }
                    StoreAction::Here(object) => {
                        for delivery in self.deliveries_of(object) {
                            self.go_on(delivery);
                        }
                    }
                    StoreAction::NotHere(object, refusal) => {
                        let why = self.told(&refusal);
                        self.not_here(object, &why);
                    }
                }
            }
        }
    }

    fn not_here(&mut self, object: ObjectId, why: &str) {
        let is_gone = !self.store.has(object);
        if is_gone {
            self.lines.say(why.to_string());
            self.post(Event::Evicted(object));
        }
        for delivery in self.deliveries_of(object) {
            self.give_up(delivery, object, why, is_gone);
        }
    }

    fn deliveries_of(&mut self, object: ObjectId) -> Vec<Delivery> {
        let (ready, rest) =
            std::mem::take(&mut self.deliveries).into_iter().partition(|delivery| delivery.missing.contains(&object));
        self.deliveries = rest;
        ready
    }

    /// A call is not to be started after all; says whether it was not.
    pub(super) fn withdraw(&mut self, attempt: Attempt) -> bool {
        let is_it = |delivery: &Delivery| match &delivery.to {
            Recipient::Call(_, run) => run.attempt == attempt,
            Recipient::Fragment(other) => *other == attempt,
            Recipient::Question(_, _) | Recipient::Peer(_) => false,
        };
        let Some(place) = self.deliveries.iter().position(is_it) else { return false };
        let delivery = self.deliveries.remove(place);
        self.not_read(delivery.to.client(), &delivery.opened);
        true
    }

    /// A client is gone, and what it waited for is not brought any more.
    pub(super) fn forget_deliveries(&mut self, id: ClientId) {
        self.deliveries.retain(|delivery| delivery.to.client() != id);
    }

    /// What was opened for someone is not handed over.
    fn not_read(&mut self, id: ClientId, opened: &[Here]) {
        let now = self.now();
        for here in opened {
            self.store.release(now, id, (here.object, here.edition), false);
        }
        self.settle_store();
    }
}
