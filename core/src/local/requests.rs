//! What clients ask for.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Role;
use super::clients::{Prepared, Question, prepare};
use super::shell::Shell;
use crate::ids::{Attempt, ClientId, NodeId, ObjectId, TaskId};
use crate::schedule::{
    Event, Failure, GroupRequest, HeadRequest, Kind, Made, Member, Outcome, Raised, Returned, Stop, TaskSpec,
};
use crate::store::Content;
use crate::store::spill::Spilled;
use crate::wire::{Answer, Arguments, Ending, FragmentSubmission, Lies, MadeHere, NodeInfo, Submission, ToNode, Wish};

/// What of a call only its worker understands, as the node carries it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payload {
    pub(super) method: Option<String>,
    pub(super) has_function: bool,
    pub(super) arguments: Arguments,
}

fn unknown(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

impl Shell {
    /// # Errors
    /// When the client does not keep to the protocol.
    pub(super) fn request(&mut self, id: ClientId, message: ToNode) -> io::Result<()> {
        match message {
            ToNode::Define(number, mut options) => {
                options.work.driver = self.driver_of(id);
                let prepared = prepare(options).map_err(io::Error::other)?;
                if let Some(client) = self.clients.get_mut(&id) {
                    client.options.insert(number, Arc::new(prepared));
                }
            }
            ToNode::Submit(submission) => self.submit(id, submission)?,
            ToNode::SubmitFragment(submission) => self.submit_fragment(id, submission)?,
            ToNode::Put(object, made, contains) => {
                let made = self.made(id, object, None, made)?;
                self.post(Event::Put(id, object, Returned { made, contains }));
            }
            ToNode::AddRef(object) => self.post(Event::AddRef(id, object)),
            ToNode::DropRef(object) => self.post(Event::DropRef(id, object)),
            ToNode::Get { first, objects, wish, blocks } => {
                self.ask(id, first, &objects, wish, blocks);
            }
            ToNode::Forget { first, count } => {
                for question in first..first.saturating_add(count) {
                    if let Some(asked) = self.close_question(id, question) {
                        self.post(Event::Forget(id, question, asked.object));
                    }
                }
            }
            ToNode::Reserve(question, bytes) => {
                let now = self.now();
                self.store.reserve(now, id, question, bytes);
                self.settle_store();
            }
            ToNode::Unreserve(question) => {
                let now = self.now();
                self.store.unreserve(now, id, question);
                self.settle_store();
            }
            ToNode::Release { object, edition, unseen } => {
                let now = self.now();
                self.store.release(now, id, (object, edition), unseen);
                self.settle_store();
            }
            ToNode::Cancel(task, force, recursive) => self.post(Event::Cancel(task, Stop { force, recursive })),
            ToNode::Kill(actor, for_good) => self.post(Event::Kill(actor, !for_good)),
            ToNode::Yielded(attempt, index, made, contains) => {
                let made = self.made(id, attempt.task.result(index), Some(attempt), made)?;
                self.post(Event::Yielded(attempt, index, Returned { made, contains }));
            }
            ToNode::Ended(attempt, ending) => self.ended(id, attempt, ending)?,
            ToNode::ReadParts(object, place, parts) => self.read_parts(id, object, &place, parts)?,
            ToNode::Metrics(updates) => self.take_metrics(updates),
            ToNode::ExitActor => {
                if let Some(actor) = self.workers.get(&id).and_then(|worker| worker.actor) {
                    self.post(Event::Kill(actor, false));
                }
            }
            question => self.inquire(id, question),
        }
        Ok(())
    }

    /// Questions that are not about the value of an object.
    fn inquire(&mut self, id: ClientId, message: ToNode) {
        match message {
            ToNode::ClaimName(question, name, actor, meta, is_detached) => {
                let request = HeadRequest::Claim(Arc::from(name), actor, Bytes::from(meta.into_vec()));
                self.post(Event::AskHead(id, question, request));
                if is_detached {
                    self.post(Event::Detach(actor));
                }
            }
            ToNode::LookUp(question, name) => {
                self.post(Event::AskHead(id, question, HeadRequest::LookUp(Arc::from(name))));
            }
            ToNode::Names(question, prefix) => {
                self.post(Event::AskHead(id, question, HeadRequest::List(Arc::from(prefix))));
            }
            ToNode::CreateGroup(question, group) => self.create_group(id, question, group),
            ToNode::RemoveGroup(question, group) => {
                self.post(Event::Group(id, question, GroupRequest::Remove(group)));
            }
            ToNode::Groups(question) => self.post(Event::Group(id, question, GroupRequest::List)),
            ToNode::Ping(question) => self.answer(id, question, Answer::Ready, Vec::new()),
            ToNode::Nodes(question) => self.post(Event::Members(id, question)),
            ToNode::KeepRoom(question, room) => {
                self.post(Event::AskHead(id, question, HeadRequest::KeepRoom(room)));
            }
            ToNode::About(question, object) => self.post(Event::Explain(id, question, object)),
            ToNode::MetricsText(question) => {
                let text = self.metrics_text();
                self.answer(id, question, Answer::Texts(vec![text]), Vec::new());
            }
            ToNode::PendingCalls(question, actor) => {
                let count = self.node.pending_calls(actor, id) as u64;
                self.answer(id, question, Answer::Count(count), Vec::new());
            }
            ToNode::Objects(question) => {
                let objects = self.store.objects();
                self.answer(id, question, Answer::Objects(objects), Vec::new());
            }
            _ => {}
        }
    }

    /// The driver for which a client works; in a node that has but one, nobody asks.
    pub(super) fn driver_of(&self, id: ClientId) -> Option<(NodeId, ClientId)> {
        match self.workers.get(&id) {
            _ if self.options.role == Role::Alone => None,
            Some(worker) => worker.pool.driver,
            None => Some((self.node.id(), id)),
        }
    }

    /// Nodes as clients are told of them.
    pub(super) fn as_told(&self, members: Vec<Member>) -> Vec<NodeInfo> {
        let amounts =
            |of: &crate::resources::Resources| of.amounts().map(|(name, amount)| (name.to_string(), amount)).collect();
        let told = members.into_iter().map(|member| NodeInfo {
            id: member.id,
            address: member.address.to_string(),
            total: amounts(&member.total),
            // What this node knows of itself is newer.
            free: amounts(if member.id == self.node.id() { self.node.free() } else { &member.free }),
            labels: member.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        });
        told.collect()
    }

    /// What a task asks for that is a client's from now on; `None` for a client that is gone.
    fn prepared(&mut self, id: ClientId, task: TaskId, options: u32) -> io::Result<Option<Arc<Prepared>>> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(None) };
        let Some(prepared) = client.options.get(&options).cloned() else {
            return Err(unknown("a call with options that were not told"));
        };
        client.children.insert(task);
        Ok(Some(prepared))
    }

    fn submit(&mut self, id: ClientId, call: Submission) -> io::Result<()> {
        let Some(prepared) = self.prepared(id, call.task, call.options)? else { return Ok(()) };
        let options = &prepared.options;
        let (actor, method) = call.actor.map_or((None, None), |(actor, method)| (Some(actor), Some(method)));
        let kind = match actor {
            Some(actor) => Kind::Call { actor, caller: id },
            None if call.makes_actor => {
                Kind::Actor { held: prepared.held.clone(), concurrency: options.concurrency.max(1) }
            }
            None => Kind::Function,
        };
        let payload = Payload { method, has_function: call.function.is_some(), arguments: call.arguments };
        let spec = TaskSpec {
            id: call.task,
            kind,
            shape: Arc::clone(&prepared.shape),
            // The function goes first: it is needed like an argument.
            needs: call.function.into_iter().chain(call.needs).collect(),
            refs: call.refs,
            returns: if call.makes_actor { 1 } else { options.returns },
            streams: options.streams && !call.makes_actor,
            max_retries: options.max_retries,
            common: prepared.work.clone(),
            payload: Bytes::from(postcard::to_stdvec(&payload).map_err(io::Error::other)?),
        };
        self.post(Event::Submit(id, Arc::new(spec)));
        Ok(())
    }

    fn submit_fragment(&mut self, id: ClientId, part: FragmentSubmission) -> io::Result<()> {
        let Some(prepared) = self.prepared(id, part.task, part.options)? else { return Ok(()) };
        let spec = TaskSpec {
            id: part.task,
            kind: Kind::Fragment {
                reads: part.reads,
                is_repeatable: part.is_repeatable,
                in_worker: part.in_worker,
                siblings: part.siblings,
                // Only a worker asks where things are.
                begins_early: part.begins_early && part.in_worker && prepared.shape.demand.is_empty(),
            },
            shape: Arc::clone(&prepared.shape),
            needs: part.needs,
            refs: Vec::new(),
            returns: 1,
            streams: false,
            max_retries: prepared.options.max_retries,
            common: prepared.work.clone(),
            payload: Bytes::from(part.payload.into_vec()),
        };
        self.post(Event::Submit(id, Arc::new(spec)));
        Ok(())
    }

    /// A value that a client made, with what is in shared memory taken into the store.
    fn made(&mut self, id: ClientId, object: ObjectId, attempt: Option<Attempt>, made: MadeHere) -> io::Result<Made> {
        match made {
            MadeHere::Inline(bytes) => Ok(Made::Inline(Bytes::from(bytes.into_vec()))),
            MadeHere::Stored { size, room, lies } => {
                let (memory, kept_as) = self.memory_of(id, room, lies)?;
                let now = self.now();
                let origin = Arc::from(self.origin(id, attempt));
                let content = Content { memory, size, edition: self.next_edition(), origin, kept_as };
                self.store.insert(now, id, room, object, content);
                self.settle_store();
                Ok(Made::Stored { size })
            }
            MadeHere::File { size } => {
                let Some(client) = self.clients.get_mut(&id) else { return Err(unknown("a client that is gone")) };
                let spilled = Spilled::of_parts(client.inbox.take_file()?.into(), size);
                let origin = Arc::from(self.origin(id, attempt));
                let (now, edition) = (self.now(), self.next_edition());
                self.store.insert_on_disk(now, object, spilled, (edition, origin));
                self.settle_store();
                Ok(Made::Stored { size })
            }
        }
    }

    /// A value that nobody wants any more: its memory and its room go.
    fn discard(&mut self, id: ClientId, made: &MadeHere) -> io::Result<()> {
        if let MadeHere::Stored { room, lies, .. } = made {
            drop(self.memory_of(id, *room, *lies)?);
            let now = self.now();
            self.store.unreserve(now, id, *room);
            self.settle_store();
        } else if let (MadeHere::File { .. }, Some(client)) = (made, self.clients.get_mut(&id)) {
            drop(client.inbox.take_file()?);
        }
        Ok(())
    }

    /// Where a client made a value, and the number by which it keeps that memory.
    fn memory_of(&mut self, id: ClientId, room: u64, lies: Lies) -> io::Result<(OwnedFd, Option<u64>)> {
        if lies == Lies::Again {
            let again = self.store.again(id, room).map(|(memory, number)| (memory, Some(number)));
            return again.ok_or_else(|| unknown("memory to write again"));
        }
        let Some(client) = self.clients.get_mut(&id) else { return Err(unknown("a client that is gone")) };
        let memory = client.inbox.take_file()?;
        Ok((memory, (lies == Lies::Kept).then_some(room)))
    }

    fn ask(&mut self, id: ClientId, first: u64, objects: &[ObjectId], wish: Wish, blocks: bool) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        for (question, object) in (first..).zip(objects) {
            client.questions.insert(question, Question { object: *object, wish, blocks });
        }
        if blocks {
            client.blocking += objects.len();
        }
        for (question, object) in (first..).zip(objects) {
            self.post(match wish {
                Wish::Value | Wish::Here => Event::Get(id, question, *object),
                Wish::Anywhere | Wish::Place => Event::See(id, question, *object),
            });
        }
        self.pump();
        self.tell_blocked(id);
    }

    fn ended(&mut self, id: ClientId, attempt: Attempt, ending: Ending) -> io::Result<()> {
        let outcome = match ending {
            // What a stopped attempt made must not take the place of a later one's.
            Ending::Values(values) if self.is_stopped_fragment(id, attempt) => {
                values.iter().try_for_each(|(made, _)| self.discard(id, made))?;
                Outcome::Failed(Failure::Cancelled)
            }
            Ending::Unread(object, from, why) => Outcome::Failed(Failure::Unread(object, from, why.into())),
            Ending::Values(values) => {
                let mut returned = Vec::with_capacity(values.len());
                for (index, (made, contains)) in (0..).zip(values) {
                    let made = self.made(id, attempt.task.result(index), Some(attempt), made)?;
                    returned.push(Returned { made, contains });
                }
                Outcome::Values(returned)
            }
            Ending::Raised(error, again, contains) => {
                let raised = Raised { error: Bytes::from(error.into_vec()), contains };
                if again { Outcome::Raised(raised) } else { Outcome::Failed(Failure::Error(raised)) }
            }
            Ending::NotBegun(why) => Outcome::Failed(Failure::Crashed(why.into())),
            Ending::Cancelled => Outcome::Failed(Failure::Cancelled),
        };
        self.call_ended(id, attempt, outcome);
        Ok(())
    }
}
