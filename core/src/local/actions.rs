//! What the node wants done.

use std::sync::Arc;

use super::shell::Shell;
use super::values::Recipient;
use crate::client::submitter;
use crate::ids::{Attempt, ClientId};
use crate::network::{Parcel, Peer};
use crate::parts::Place;
use crate::schedule::{Action, Event, Failure, Found, HeadAnswer, HeadEvent, Kind, Lost, Packet, Stop};
use crate::wire::{Answer, Coming, Reason, ToClient, Wish};

impl Shell {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::ToHead(report) if self.head.is_some() => {
                self.step_head(HeadEvent::Arrived(self.node.id(), report));
            }
            Action::ToHead(report) => self.send_parcel(Peer::Head, Parcel::ToHead(self.node.id(), report)),
            Action::ToNode(to, frame) => {
                self.send_parcel(Peer::Node(to), Parcel::ToNode(Packet::Node(self.node.id(), frame)));
            }
            Action::Fetch(object, from) => match &mut self.network {
                Some(network) => network.fetch(object, from),
                None => self.post(Event::FetchFailed(object, from)),
            },
            Action::Meet(node, address) => {
                if let Some(network) = &mut self.network {
                    network.meet(node, &address);
                }
            }
            Action::Part(node) => {
                if let Some(network) = &mut self.network {
                    network.part(node);
                }
            }
            Action::Reset(why) => self.begin_anew(&why),
            Action::Leave => self.leave(),
            Action::End => self.is_over = true,
            Action::Start(attempt, spec, values) => self.start(attempt, &spec, values),
            Action::StartFragment(attempt, spec, values, places) => match spec.kind {
                Kind::Fragment { in_worker: true, .. } => self.start_fragment_on(attempt, &spec, values, places),
                _ => self.start_fragment(attempt, &spec, &values, places),
            },
            Action::Kill(attempt, stop) => self.stop(attempt, stop),
            Action::KillActor(actor, _) => self.end_actor(actor),
            Action::Drop(object) => {
                let now = self.now();
                self.store.remove(now, object);
                self.settle_store();
            }
            Action::Answer(id, question, answer) => self.answer_get(id, question, answer),
            Action::Item(id, object) => self.send(id, &ToClient::Item(object), Vec::new()),
            Action::HeadAnswered(id, question, answer) => {
                let answer = match answer {
                    HeadAnswer::Done => Answer::Ready,
                    HeadAnswer::Taken(actor, meta) => Answer::Named(actor, meta.to_vec().into()),
                    HeadAnswer::Free => Answer::Nobody,
                    HeadAnswer::Names(names) => Answer::Texts(names.iter().map(ToString::to_string).collect()),
                };
                self.answer(id, question, answer, Vec::new());
            }
            Action::Members(id, question, members, more) => {
                let answer = Answer::Nodes(self.as_told(members), more.into_iter().map(Coming::from).collect());
                self.answer(id, question, answer, Vec::new());
            }
            Action::Grouped(id, question, answer) => self.group_answered(id, question, answer),
            Action::Explained(id, question, about) => {
                let answer = Answer::About(about.text, about.is_call, about.lacks_a_node);
                self.answer(id, question, answer, Vec::new());
            }
            Action::WarnOfGroup(group, why) => self.warn_of_group(&group, &why),
            Action::Warn(_, _) => self.warn_of_shapes(),
            Action::Again(_) => {}
            Action::Done(task) => {
                if let Some(client) = self.clients.get_mut(&submitter(task)) {
                    client.children.remove(&task);
                }
            }
        }
    }

    fn answer_get(&mut self, id: ClientId, question: u64, answer: Result<Found, Failure>) {
        let Some(asked) = self.clients.get(&id).and_then(|client| client.questions.get(&question)).copied() else {
            return;
        };
        let answer = match answer {
            _ if asked.wish == Wish::Here => Answer::There(asked.object),
            // Not kept in mind as there: the next one may want it here.
            _ if asked.wish == Wish::Anywhere => Answer::Ready,
            Err(failure) => Answer::Failed(reason(failure)),
            Ok(Found { place: Place::Inline(bytes), .. }) => Answer::Inline(bytes.to_vec().into()),
            Ok(Found { place: Place::At(nodes), .. }) if asked.wish == Wish::Place => Answer::At(nodes),
            Ok(_) => return self.deliver(Recipient::Question(id, question), vec![asked.object]),
        };
        self.close_question(id, question);
        self.answer(id, question, answer, Vec::new());
    }

    /// Stops what runs here.
    fn stop(&mut self, attempt: Attempt, stop: Stop) {
        if self.is_withdrawn(attempt) || self.stop_fragment(attempt) {
            return;
        }
        let Some(id) = self.running.get(&attempt).copied() else { return };
        if stop.recursive
            && let Some(client) = self.clients.get_mut(&id)
            && self.workers.get(&id).is_some_and(|worker| worker.actor.is_none())
        {
            for child in client.children.clone() {
                self.post(Event::Cancel(child, stop));
            }
        }
        // The process of an actor is not that of the one who called it. One that is being set up hears nothing yet, and
        // runs nothing that could be hurt.
        let actor = self.workers.get(&id).and_then(|worker| worker.actor);
        let is_call = actor.is_some_and(|actor| actor.task != attempt.task);
        if (stop.force && !is_call) || self.is_being_set_up(id) {
            self.kill_for(id, attempt);
        } else if !self.spend_on_stopped(id, attempt) {
            self.send(id, &ToClient::Stop(attempt), Vec::new());
        }
    }
}

/// Why there is no value, as clients are told.
pub(super) fn reason(failure: Failure) -> Reason {
    match failure {
        Failure::Error(raised) => Reason::Raised(raised.error.to_vec().into()),
        Failure::Crashed(why) => Reason::Crashed(why.to_string()),
        Failure::ActorDied(why) => Reason::ActorDied(why.to_string()),
        Failure::ActorUnavailable(why) => Reason::ActorUnavailable(format!(
            "{why}\nthe call may have run or not; the actor is made anew (max_restarts)"
        )),
        Failure::Setup(why) => Reason::Setup(why.to_string()),
        Failure::NoRoom(why) => Reason::NoRoom(why.to_string()),
        Failure::Unschedulable(is_actor, why) => Reason::Unschedulable(is_actor, why.to_string()),
        Failure::NotMade(failure) => Reason::NotMade(Box::new(reason(Arc::unwrap_or_clone(failure)))),
        Failure::Cancelled => Reason::Cancelled,
        Failure::Drained(is_actor, node) => {
            let why = format!("{node} was drained before it ended, and it may not begin again elsewhere");
            if is_actor { Reason::ActorDied(why) } else { Reason::Crashed(why) }
        }
        Failure::GroupRemoved(group) => {
            Reason::GroupRemoved(format!("its placement group ({group}) was removed, or ended with its driver"))
        }
        Failure::Lost(Lost::OwnerDied) => Reason::Lost("the node that owned it died".to_string()),
        Failure::Lost(Lost::NoLineage) => Reason::Lost(
            "no task is known that could make it again: it was put, or its task is too long ago".to_string(),
        ),
        Failure::Lost(Lost::RetriesUsedUp) => {
            Reason::Lost("its task may not run again (max_retries; calls of actors never do)".to_string())
        }
        Failure::Lost(Lost::NotRepeatable) => {
            Reason::Lost("another run of its task would make something else".to_string())
        }
        Failure::Unread(object, node, why) => {
            Reason::Crashed(format!("{object} could not be read from {node}, time and again: {why}"))
        }
        Failure::Lost(Lost::Freed) => Reason::Lost("nobody held it any more".to_string()),
    }
}
