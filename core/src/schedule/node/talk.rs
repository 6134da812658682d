//! The talk with the head: a link to one of its lives, in the first messages of which a node says all that the head has
//! to know of it. The node goes on meanwhile with what it has; what it asked and was not answered it asks again.

use super::{Action, Node};
use crate::env::Moment;
use crate::ids::HeadLife;
use crate::link::{Frame, Link};
use crate::schedule::message::{FromHead, Member, Report, ToHead};

/// How long the head may acknowledge nothing, in milliseconds, before all is told anew, in place of what has piled up.
/// It has declared this node dead by then, if it lives and is out of reach.
const TELL_ANEW_AFTER: u64 = 10_000;

impl Node {
    /// Something came from the head.
    pub(super) fn hear_of_head(&mut self, life: HeadLife, talk: u64, frame: Frame<FromHead>) {
        self.head_heard_at = self.now;
        match self.head_life {
            None => self.head_life = Some(life),
            Some(known) if known == life => {}
            // Words of a life that is over, or of the head of another cluster, are nothing to this node.
            Some(known) if known.cluster != life.cluster || known.epoch > life.epoch => return,
            Some(_) => return self.begin_talk(Some(life)),
        }
        if talk == self.talk {
            for message in self.head.receive(frame, self.now) {
                self.hear_head(message);
            }
        }
    }

    /// The head is not the one that this node takes it for.
    pub(super) fn meet_head(&mut self, life: HeadLife) {
        match self.head_life {
            Some(known) if known.cluster != life.cluster => {
                let why = format!(
                    "the head belongs to another cluster than {} did: it was started without the state of the one before",
                    self.id
                );
                self.actions.push(Action::Reset(why.into()));
            }
            Some(known) if known.epoch >= life.epoch => {}
            _ => self.begin_talk(Some(life)),
        }
    }

    /// Tells all anew where the head has not been heard for long: else what it is told would pile up.
    pub(super) fn talk_to_the_silent(&mut self) {
        let is_silent = |since: Moment| self.now.since(since) >= TELL_ANEW_AFTER;
        if self.head.stalled_since().is_some_and(is_silent) {
            self.begin_talk(self.head_life);
        }
    }

    fn begin_talk(&mut self, life: Option<HeadLife>) {
        self.head_life = life;
        self.talk += 1;
        self.head = Link::default();
        self.grants = 0;
        self.head.send(ToHead::Register(self.ledger.total().clone(), self.labels.clone()));
        if let Some(address) = &self.address {
            self.head.send(ToHead::At(address.clone()));
        }
        self.head.send(ToHead::Bundles(self.groups.reserved()));
        self.head.send(ToHead::Names(self.names.of_actors()));
        self.tell_of_gone_clients();
        // What is free before what is wanted: the head lends on what it was told.
        (self.told, self.beat_at) = (None, self.now);
        self.beat();
        self.tell_of_leaving();
        self.ask_names_again();
        self.ask_of_groups_again();
        self.ask_for_explanations_again();
        self.want_anew();
    }

    /// The frame that the head is due, if one is.
    pub(super) fn report_to_head(&mut self) -> Option<Report> {
        let frame = self.head.flush(self.now)?;
        Some(Report { head: self.head_life, talk: self.talk, frame })
    }

    /// This node, as it tells the head of itself.
    #[must_use]
    pub fn as_member(&self) -> Member {
        Member {
            id: self.id,
            address: self.address.clone().unwrap_or_default(),
            total: self.ledger.total().clone(),
            free: self.ledger.free().clone(),
            labels: self.labels.clone(),
        }
    }

    /// When the head was heard last. It answers each word that says that this node lives.
    #[must_use]
    pub fn head_heard_at(&self) -> Moment {
        self.head_heard_at
    }
}
