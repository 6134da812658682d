//! Questions why an object is not ready. What this node does not know itself the owner of the object does, or that of
//! the actor that is called, or the head: they are asked, and their answers waited for as long as people like to wait.

use std::collections::BTreeMap;

use super::tasks::State;
use super::{Action, Node};
use crate::env::Moment;
use crate::ids::{ClientId, GroupId, NodeId, ObjectId};
use crate::schedule::message::{About, NodeMessage, ToHead};

/// How long an answer is waited for, in milliseconds.
const PATIENCE: u64 = 3_000;

/// Who asks, and the number of the question there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A client of this node's.
    Client(ClientId, u64),
    /// A node that was asked about something of this one's.
    Node(NodeId, u64),
}

/// Who knows more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The owner of an object.
    Owner(ObjectId),
    /// The head, of a placement group.
    Head(GroupId),
}

impl Source {
    /// What there is to say without an answer, and why there is none.
    fn silent(self, why: &str) -> About {
        let text = match self {
            Self::Owner(object) => format!("{object} belongs to {}, which {why}", object.owner()),
            Self::Head(_) => format!("the head, which keeps placement groups, {why}"),
        };
        About { text, ..About::default() }
    }
}

/// A question that others were asked.
#[derive(Debug)]
struct Asked {
    asker: Asker,
    source: Source,
    /// What this node knows itself.
    here: About,
    until: Moment,
}

impl Asked {
    fn answer(self, there: &About) -> (Asker, About) {
        let About { text, is_call, .. } = self.here;
        let text = if text.is_empty() { there.text.clone() } else { format!("{text}: {}", there.text) };
        // What a call waits for is its actor.
        let lacks_a_node = there.lacks_a_node.map(|is_actor| is_actor || is_call);
        (self.asker, About { text, is_call: is_call || there.is_call, lacks_a_node })
    }
}

/// Questions that others were asked and have not answered.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: BTreeMap<u64, Asked>,
    next: u64,
}

#[cfg(test)]
impl Questions {
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }
}

impl Node {
    /// Somebody wants to know why an object is not ready.
    pub(super) fn explain(&mut self, asker: Asker, object: ObjectId) {
        let is_own = object.owner() == self.id;
        let here = if is_own { self.about(object) } else { About::default() };
        let source = if is_own { self.who_knows_more(object) } else { Some(Source::Owner(object)) };
        let Some(source) = source else { return self.answer_why(asker, here) };
        let asked = Asked { asker, source, here, until: self.now + PATIENCE };
        if let Source::Owner(other) = source
            && self.dead.contains(&other.owner())
        {
            let (asker, about) = asked.answer(&source.silent("died"));
            return self.answer_why(asker, about);
        }
        self.questions.next += 1;
        let number = self.questions.next;
        self.questions.asked.insert(number, asked);
        match source {
            Source::Owner(other) => self.send(other.owner(), NodeMessage::Explain(number, other)),
            Source::Head(group) => self.head.send(ToHead::ExplainGroup(number, group)),
        }
    }

    /// Who knows why an object of this node's is not ready, where that is not this node.
    fn who_knows_more(&self, object: ObjectId) -> Option<Source> {
        let is_queued = |object: ObjectId| {
            let task = self.tasks.get(&object.task).filter(|task| task.state == State::Queued)?;
            self.is_pending(object).then_some(task)
        };
        let mut task = is_queued(object)?;
        if let Some((actor, _)) = task.spec.call() {
            if actor.owner() != self.id {
                return (!self.has_found(actor)).then_some(Source::Owner(actor));
            }
            task = is_queued(actor)?;
        }
        task.spec.shape.strategy.group().map(Source::Head)
    }

    fn answer_why(&mut self, asker: Asker, about: About) {
        match asker {
            Asker::Client(client, question) => self.actions.push(Action::Explained(client, question, about)),
            Asker::Node(node, question) => self.send(node, NodeMessage::Explained(question, about)),
        }
    }

    /// Another node, or the head, answers.
    pub(super) fn explained(&mut self, number: u64, there: &About) {
        if let Some(asked) = self.questions.asked.remove(&number) {
            let (asker, about) = asked.answer(there);
            self.answer_why(asker, about);
        }
    }

    /// The head says what a group waits for.
    pub(super) fn group_explained(&mut self, number: u64, text: String, never: bool) {
        self.explained(number, &About { text, is_call: false, lacks_a_node: never.then_some(false) });
    }

    /// Asks another life of the head what the one before has not answered.
    pub(super) fn ask_for_explanations_again(&mut self) {
        for (number, asked) in &self.questions.asked {
            if let Source::Head(group) = asked.source {
                self.head.send(ToHead::ExplainGroup(*number, group));
            }
        }
    }

    /// Does without answers that take too long.
    pub(super) fn give_up_on_answers(&mut self) {
        let now = self.now;
        self.do_without(|asked| asked.until <= now, "does not answer");
    }

    /// A node died: it answers nothing, and needs no answer.
    pub(super) fn questions_without(&mut self, node: NodeId) {
        self.questions.asked.retain(|_, asked| !matches!(asked.asker, Asker::Node(asker, _) if asker == node));
        self.do_without(|asked| matches!(asked.source, Source::Owner(other) if other.owner() == node), "died");
    }

    /// A client is gone, which needs no answer.
    pub(super) fn forget_questions_of(&mut self, client: ClientId) {
        self.questions.asked.retain(|_, asked| !matches!(asked.asker, Asker::Client(asker, _) if asker == client));
    }

    fn do_without(&mut self, is_in_vain: impl Fn(&Asked) -> bool, why: &str) {
        let in_vain = self.questions.asked.iter().filter(|(_, asked)| is_in_vain(asked));
        for (number, source) in in_vain.map(|(number, asked)| (*number, asked.source)).collect::<Vec<_>>() {
            self.explained(number, &source.silent(why));
        }
    }
}

#[cfg(test)]
mod tests;
