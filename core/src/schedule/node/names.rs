//! What is asked of the head: names of actors, which it keeps, and the list of nodes; and actors that live without a
//! handle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::references::Count;
use super::{Action, Node};
use crate::ids::{ClientId, ObjectId};
use crate::resources::Resources;
use crate::schedule::message::{HeadAnswer, HeadRequest, Member, ToHead};

/// What this node knows of names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Questions that the head has not answered; without a request, which nodes there are.
    asked: BTreeMap<u64, (ClientId, u64, Option<HeadRequest>)>,
    next: u64,
    /// Actors of this node's that have a name.
    named: BTreeMap<ObjectId, Arc<str>>,
    /// Those that live until they are ended.
    detached: BTreeSet<ObjectId>,
}

impl Names {
    /// The name of an actor of this node's, and whether it lives without a handle.
    pub(super) fn of(&self, actor: ObjectId) -> (Option<Arc<str>>, bool) {
        (self.named.get(&actor).cloned(), self.detached.contains(&actor))
    }

    /// The actors that have a name, or are to have one.
    pub(super) fn of_actors(&self) -> BTreeSet<ObjectId> {
        let claimed = |(_, _, request): &(ClientId, u64, Option<HeadRequest>)| match request {
            Some(HeadRequest::Claim(_, actor, _)) => Some(*actor),
            _ => None,
        };
        self.named.keys().copied().chain(self.asked.values().filter_map(claimed)).collect()
    }
}

#[cfg(test)]
impl Names {
    pub(super) fn len(&self) -> usize {
        self.asked.len() + self.named.len() + self.detached.len()
    }
}

impl Node {
    pub(super) fn ask_for_name(&mut self, client: ClientId, question: u64, request: HeadRequest) {
        self.names.next += 1;
        self.names.asked.insert(self.names.next, (client, question, Some(request.clone())));
        self.head.send(ToHead::Ask(self.names.next, request));
    }

    pub(super) fn ask_for_members(&mut self, client: ClientId, question: u64) {
        self.names.next += 1;
        self.names.asked.insert(self.names.next, (client, question, None));
        self.head.send(ToHead::Members(self.names.next));
    }

    /// Asks another life of the head what the one before has not answered.
    pub(super) fn ask_names_again(&mut self) {
        for (number, (_, _, request)) in &self.names.asked {
            self.head.send(match request {
                Some(request) => ToHead::Ask(*number, request.clone()),
                None => ToHead::Members(*number),
            });
        }
    }

    pub(super) fn members_told(&mut self, number: u64, members: Vec<Member>, more: Vec<(Resources, u64)>) {
        if let Some((client, question, _)) = self.names.asked.remove(&number) {
            self.actions.push(Action::Members(client, question, members, more));
        }
    }

    pub(super) fn name_answered(&mut self, number: u64, answer: HeadAnswer) {
        let Some((client, question, request)) = self.names.asked.remove(&number) else { return };
        if let Some(HeadRequest::Claim(name, actor, _)) = request {
            let is_over = !self.is_alive(actor);
            // One that is over may have had another name, and the head have died when it was told that this is free.
            if is_over || answer == HeadAnswer::Done {
                self.names.named.insert(actor, name);
            }
            if is_over {
                self.is_nameless(actor);
            }
        }
        self.actions.push(Action::HeadAnswered(client, question, answer));
    }

    /// Holds an actor of this node's until it is ended.
    pub(super) fn detach(&mut self, actor: ObjectId) {
        if self.is_alive(actor) && self.names.detached.insert(actor) {
            self.hold(actor, Count::Use);
        }
    }

    /// An actor is over: nobody finds it any more, and nothing of this node's holds it.
    pub(super) fn is_nameless(&mut self, actor: ObjectId) {
        if self.names.named.remove(&actor).is_some() {
            self.head.send(ToHead::Nameless(actor));
        }
        if self.names.detached.remove(&actor) {
            self.release(actor, Count::Use);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::env::Moment;
    use crate::ids::{HeadLife, NodeId, TaskId};
    use crate::link::Link;
    use crate::resources::Resources;
    use crate::schedule::message::{FromHead, Packet};
    use crate::schedule::node::Event;

    #[test]
    fn an_actor_that_is_over_keeps_no_name_whatever_becomes_of_its_claim() {
        let mut node = Node::new(NodeId(1), Resources::default(), BTreeMap::new());
        let mut head: Link<FromHead, ToHead> = Link::default();
        let mut step = |event| {
            let mut heard = Vec::new();
            for action in node.step(Moment(1), event) {
                if let Action::ToHead(report) = action {
                    heard.extend(head.receive(report.frame, Moment(1)));
                }
            }
            heard
        };
        let actor = TaskId { owner: NodeId(1), number: 1 }.result(0);
        let claim = HeadRequest::Claim(Arc::from("second"), actor, Bytes::new());
        step(Event::AskHead(ClientId(1), 1, claim));
        let other = TaskId { owner: NodeId(2), number: 1 }.result(0);
        let mut answer: Link<FromHead, ToHead> = Link::default();
        answer.send(FromHead::Answer(1, HeadAnswer::Taken(other, Bytes::new())));
        let frame = answer.flush(Moment(1)).unwrap();
        let heard = step(Event::Arrived(Packet::Head(HeadLife::default(), 0, frame)));
        assert!(heard.contains(&ToHead::Nameless(actor)), "{heard:?}");
    }
}
