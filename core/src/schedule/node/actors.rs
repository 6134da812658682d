//! Actors: where they live, and the calls that go to them in order.
//!
//! An actor's handle is an object, the result of the task that made it: handles are counted like all references, and
//! with the last one the actor ends. Its owner knows where it lives and makes it anew when it dies. A caller sends its
//! calls to the node of the actor itself, in the order in which they were submitted, and those of a life only when all
//! that it sent to the life before have been answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::runs::Run;
use super::tasks::State;
use super::{Action, Node};
use crate::ids::{Attempt, BundleId, ClientId, NodeId, ObjectId, TaskId};
use crate::resources::Resources;
use crate::schedule::message::{Failure, Known, Lost, NodeMessage, Outcome, Stop};
use crate::schedule::spec::{Kind, TaskSpec};

/// Calls that an actor's process is handed beyond those that it runs, so that it never waits for the next one.
const AHEAD: usize = 32;

/// Where an actor is, which of its lives it is, or why there will be none any more.
pub(super) type Place = Result<Option<(NodeId, u32)>, Failure>;

/// An actor of this node's.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) place: Place,
    /// It is to be ended as soon as it lives.
    is_doomed: bool,
    /// Nodes that asked where it is.
    listeners: BTreeSet<NodeId>,
}

/// The calls of this node to an actor.
#[derive(Debug)]
pub(super) struct Calls {
    /// As its owner said last.
    place: Place,
    /// Not sent, by who calls and in the order of their submission.
    queue: BTreeMap<(ClientId, u64), TaskId>,
    /// Sent and not answered, and to which life.
    sent: BTreeMap<TaskId, (NodeId, u32)>,
    /// How many of them to each life.
    sent_to: BTreeMap<u32, usize>,
}

impl Calls {
    /// How many have not ended.
    pub(super) fn open(&self) -> usize {
        self.queue.len() + self.sent.len()
    }

    fn send(&mut self, task: TaskId, place: (NodeId, u32)) {
        self.sent.insert(task, place);
        *self.sent_to.entry(place.1).or_default() += 1;
    }

    fn answered(&mut self, task: TaskId) -> Option<(NodeId, u32)> {
        let place = self.sent.remove(&task)?;
        if let Some(count) = self.sent_to.get_mut(&place.1) {
            *count -= 1;
            if *count == 0 {
                self.sent_to.remove(&place.1);
            }
        }
        Some(place)
    }
}

/// A life of an actor on this node.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) life: u32,
    held: Resources,
    /// The bundle that this is of, if it is of one.
    pub(super) bundle: Option<BundleId>,
    concurrency: u32,
    /// It may begin anew when it ends without anybody's fault.
    pub(super) may_begin_anew: bool,
    /// Whether another life may follow this one.
    may_return: bool,
    /// Calls that have not begun, as they came.
    queue: VecDeque<Attempt>,
    running: BTreeSet<Attempt>,
}

impl Resident {
    /// Whether its process has no call.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

// At the owner.
impl Node {
    /// The task that makes an actor ended with one on `node`.
    pub(super) fn actor_lives(&mut self, node: NodeId, attempt: Attempt) {
        let actor = attempt.task.result(0);
        self.actor_is(actor, &Ok(Some((node, attempt.number))));
        if self.actors.get(&actor).is_some_and(|state| state.is_doomed) {
            self.send(node, NodeMessage::EndActor(actor, attempt.number));
        }
    }

    pub(super) fn actor_is(&mut self, actor: ObjectId, place: &Place) {
        if place.is_err() {
            self.is_nameless(actor);
        }
        let none = || Actor { place: Ok(None), is_doomed: false, listeners: BTreeSet::new() };
        let state = self.actors.entry(actor).or_insert_with(none);
        state.place = place.clone();
        for node in state.listeners.clone() {
            self.send(node, NodeMessage::ActorAt(actor, place.clone()));
        }
    }

    /// Whether this node, which calls an actor, knows where it lives.
    pub(super) fn has_found(&self, actor: ObjectId) -> bool {
        self.calls.get(&actor).is_some_and(|calls| matches!(calls.place, Ok(Some(_))))
    }

    /// Whether an actor of this node's lives or may live again.
    pub(super) fn is_alive(&self, actor: ObjectId) -> bool {
        self.actors.get(&actor).is_some_and(|state| state.place.is_ok())
    }

    pub(super) fn where_is(&mut self, from: NodeId, actor: ObjectId) {
        let place = match self.actors.get_mut(&actor) {
            Some(state) => {
                state.listeners.insert(from);
                state.place.clone()
            }
            None => Err(Failure::Lost(Lost::Freed)),
        };
        self.send(from, NodeMessage::ActorAt(actor, place));
    }

    /// A life of an actor ended: it begins anew if it may.
    pub(super) fn actor_ended(&mut self, actor: ObjectId, life: u32, why: &Failure) {
        if !matches!(self.actors.get(&actor), Some(Actor { place: Ok(Some((_, alive))), .. }) if *alive == life) {
            return;
        }
        self.actor_is(actor, &Ok(None));
        self.retry(actor.task, why);
    }

    /// Ends an actor, at the wish of a client.
    pub(super) fn kill_actor(&mut self, actor: ObjectId, may_restart: bool) {
        if !may_restart && let Some(task) = self.tasks.get_mut(&actor.task) {
            task.no_more_retries();
        }
        match self.actors.get_mut(&actor) {
            Some(Actor { place: Ok(Some((node, life))), .. }) => {
                let (node, life) = (*node, *life);
                self.send(node, NodeMessage::EndActor(actor, life));
            }
            Some(state @ Actor { place: Ok(None), .. }) if !may_restart => {
                state.is_doomed = true;
                self.cancel(actor.task, Stop { force: true, recursive: false });
            }
            _ => {}
        }
    }

    /// The last handle of an actor is gone, if the object is one.
    pub(super) fn actor_is_over(&mut self, actor: ObjectId) {
        self.forget_maker(actor.task);
        self.is_nameless(actor);
        let Some(state) = self.actors.remove(&actor) else { return };
        // A task that is kept may run again, find a handle among its arguments, and call.
        for node in state.listeners {
            self.send(node, NodeMessage::ActorAt(actor, Err(Failure::Lost(Lost::Freed))));
        }
        if let Ok(Some((node, life))) = state.place {
            self.send(node, NodeMessage::EndActor(actor, life));
        }
    }
}

// At a caller.
impl Node {
    /// Puts a call in its place, by the order of submission.
    pub(super) fn line_up(&mut self, actor: ObjectId, order: (ClientId, u64), task: TaskId) {
        let is_first = !self.calls.contains_key(&actor);
        let none =
            || Calls { place: Ok(None), queue: BTreeMap::new(), sent: BTreeMap::new(), sent_to: BTreeMap::new() };
        self.calls.entry(actor).or_insert_with(none).queue.insert(order, task);
        if is_first && self.dead.contains(&actor.owner()) {
            self.actor_at(actor, Err(Failure::Lost(Lost::OwnerDied)));
        } else if is_first {
            self.send(actor.owner(), NodeMessage::WhereIs(actor));
        }
    }

    /// How many calls of a client to an actor have not ended.
    #[must_use]
    pub fn pending_calls(&self, actor: ObjectId, client: ClientId) -> usize {
        let Some(calls) = self.calls.get(&actor) else { return 0 };
        let is_its = |task: &TaskId| self.tasks.get(task).is_some_and(|task| task.order.0 == client);
        let waiting = calls.queue.range((client, 0)..=(client, u64::MAX)).count();
        waiting + calls.sent.keys().filter(|task| is_its(task)).count()
    }

    /// The owner of an actor says where it is.
    pub(super) fn actor_at(&mut self, actor: ObjectId, place: Place) {
        // Its owner may not have heard yet that the node is dead, and will say more when it has.
        let is_gone = matches!(place, Ok(Some((node, _))) if self.dead.contains(&node));
        if let Some(calls) = self.calls.get_mut(&actor) {
            calls.place = if is_gone { Ok(None) } else { place };
            self.unsent.push(actor);
        }
    }

    /// Sends the calls that are next, of each caller, as far as they have all they need.
    pub(super) fn send_calls(&mut self, actor: ObjectId) {
        let mut from = Bound::Unbounded;
        while let Some(calls) = self.calls.get(&actor)
            && let Some((order, id)) = calls.queue.range((from, Bound::Unbounded)).next()
        {
            let (order, id) = (*order, *id);
            // One that cannot go holds up the others of its caller.
            from = match self.send_call(actor, order, id) {
                true => Bound::Excluded(order),
                false => Bound::Excluded((order.0, u64::MAX)),
            };
        }
    }

    /// Sends a call, or fails it, and says whether the next one of its caller may go.
    fn send_call(&mut self, actor: ObjectId, order: (ClientId, u64), id: TaskId) -> bool {
        let Some(calls) = self.calls.get_mut(&actor) else { return false };
        let Some(task) = self.tasks.get_mut(&id) else {
            calls.queue.remove(&order);
            return true;
        };
        let (node, life) = match calls.place.clone() {
            Err(failure) => {
                calls.queue.remove(&order);
                self.fail(id, &failure);
                return true;
            }
            Ok(Some(place)) => place,
            Ok(None) => return false,
        };
        let earlier = calls.sent_to.keys().any(|sent| *sent != life);
        if earlier || task.state != State::Queued {
            return false;
        }
        calls.queue.remove(&order);
        calls.send(id, (node, life));
        task.state = State::Called;
        let (attempt, spec) = (task.last_attempt(), Arc::clone(&task.spec));
        let known = std::mem::take(&mut task.known);
        let known = self.known_now(known);
        self.send(node, NodeMessage::Call(life, attempt, spec, known));
        true
    }

    /// A call was answered. One that could not run tells that its life of the actor is over, or that an argument was
    /// lost with another one: the owner knows which.
    pub(super) fn call_answered(&mut self, actor: ObjectId, task: TaskId, has_run: bool) {
        if let Some(calls) = self.calls.get_mut(&actor) {
            let sent = calls.answered(task);
            if !has_run && matches!((&calls.place, sent), (Ok(Some(place)), Some(sent)) if *place == sent) {
                calls.place = Ok(None);
                self.send(actor.owner(), NodeMessage::WhereIs(actor));
            }
            self.unsent.push(actor);
        }
    }

    /// A node died: calls that were sent there may have run or not.
    pub(super) fn calls_without(&mut self, node: NodeId) {
        let actors: Vec<ObjectId> = self.calls.keys().copied().collect();
        for actor in actors {
            let failure = self.died_with(actor, node);
            let Some(calls) = self.calls.get_mut(&actor) else { continue };
            if matches!(calls.place, Ok(Some((at, _))) if at == node) {
                calls.place = Ok(None);
            }
            let sent = calls.sent.iter().filter(|(_, (to, _))| *to == node).map(|(task, _)| *task);
            for task in sent.collect::<Vec<_>>() {
                if let Some(calls) = self.calls.get_mut(&actor) {
                    calls.answered(task);
                }
                if let Some(attempt) = self.tasks.get(&task).map(super::tasks::Task::last_attempt) {
                    self.abandon(node, attempt);
                }
                self.retry(task, &failure);
            }
            if actor.owner() == node {
                self.actor_at(actor, Err(Failure::Lost(Lost::OwnerDied)));
            }
            self.unsent.push(actor);
        }
        let lives = self.actors.iter().filter_map(|(actor, state)| match state.place {
            Ok(Some((at, life))) if at == node => Some((*actor, life)),
            _ => None,
        });
        for (actor, life) in lives.collect::<Vec<_>>() {
            self.actor_ended(actor, life, &Failure::ActorDied(Arc::from(format!("{node} died"))));
        }
    }

    /// What came of calls that an actor had when its node died. Whether it is made anew its owner alone knows.
    fn died_with(&self, actor: ObjectId, node: NodeId) -> Failure {
        let why = Arc::from(format!("{node} died"));
        let died = Failure::ActorDied(Arc::clone(&why));
        let may_return = self.tasks.get(&actor.task).is_some_and(|maker| maker.may_retry(&died).is_some());
        if may_return { Failure::ActorUnavailable(why) } else { died }
    }

    /// Where a call was sent that is not answered.
    pub(super) fn called_on(&self, actor: ObjectId, task: TaskId) -> Option<NodeId> {
        self.calls.get(&actor)?.sent.get(&task).map(|(node, _)| *node)
    }

    pub(super) fn forget_calls(&mut self, actor: ObjectId) {
        self.calls.remove(&actor);
    }
}

// At the node where it lives.
impl Node {
    /// An attempt made an actor.
    pub(super) fn settle_in(&mut self, attempt: Attempt, spec: &TaskSpec) {
        if let Kind::Actor { held, concurrency } = &spec.kind {
            let actor = attempt.task.result(0);
            if let Some(life) = self.residents.get(&actor).map(|resident| resident.life) {
                // One that its owner has given up.
                self.end_actor(actor, life);
            }
            let bundle = self.bundle_of(self.runs.get(&attempt).and_then(|run| run.lease));
            if let Some(ledger) = self.ledger_of(bundle) {
                ledger.take_anyhow(held);
            }
            let resident = Resident {
                life: attempt.number,
                held: held.clone(),
                bundle,
                concurrency: *concurrency,
                may_begin_anew: spec.max_retries > 0,
                // One retry less for each life, as far as this node knows.
                may_return: attempt.number <= spec.max_retries,
                queue: VecDeque::new(),
                running: BTreeSet::new(),
            };
            self.residents.insert(actor, resident);
        }
    }

    /// A call came.
    pub(super) fn called(&mut self, life: u32, attempt: Attempt, spec: Arc<TaskSpec>, known: Vec<(ObjectId, Known)>) {
        let Some((actor, _)) = spec.call() else { return };
        match self.residents.get_mut(&actor).filter(|resident| resident.life == life) {
            Some(resident) => {
                resident.queue.push_back(attempt);
                self.prepare(None, attempt, spec, known);
            }
            None => self.send(attempt.task.owner, NodeMessage::Finished(attempt, Outcome::NotStarted)),
        }
    }

    /// Hands on the calls that are next. One that waits for its arguments holds up only later ones of the same caller.
    pub(super) fn start_calls(&mut self, actor: ObjectId) {
        let (mut held_up, mut at) = (BTreeSet::new(), 0);
        while !self.is_moving(actor)
            && let Some(resident) = self.residents.get(&actor)
            && resident.running.len() < resident.concurrency as usize + AHEAD
            && let Some(attempt) = resident.queue.get(at).copied()
        {
            self.fetch_lost_again(attempt);
            let run = self.runs.get(&attempt);
            let caller = (attempt.task.owner, run.and_then(Run::caller));
            if run.is_none_or(|run| !run.is_ready()) || held_up.contains(&caller) {
                held_up.insert(caller);
                at += 1;
                continue;
            }
            if let Some(resident) = self.residents.get_mut(&actor) {
                resident.queue.remove(at);
                resident.running.insert(attempt);
            }
            self.begin(attempt);
        }
    }

    /// A call ended here.
    pub(super) fn call_ended(&mut self, actor: ObjectId, attempt: Attempt) {
        if let Some(resident) = self.residents.get_mut(&actor) {
            if !resident.running.remove(&attempt) {
                resident.queue.retain(|queued| *queued != attempt);
            }
            self.start_calls(actor);
        }
    }

    /// The process of an actor is gone.
    pub(super) fn actor_gone(&mut self, actor: ObjectId, why: &Failure) {
        let may_return = self.residents.get(&actor).is_some_and(|resident| resident.may_return);
        match why {
            Failure::ActorDied(text) if may_return => {
                self.move_out(actor, why, &Failure::ActorUnavailable(Arc::clone(text)));
            }
            why => self.move_out(actor, why, why),
        }
    }

    /// The worker of an actor is gone, or has to go: its calls are answered, and its owner told.
    fn move_out(&mut self, actor: ObjectId, why: &Failure, of_calls: &Failure) {
        let Some(resident) = self.residents.remove(&actor) else { return };
        self.give_to(resident.bundle, &resident.held);
        for attempt in resident.running {
            self.end(attempt, Outcome::Failed(of_calls.clone()));
        }
        for attempt in resident.queue {
            self.end(attempt, Outcome::NotStarted);
        }
        // Its owner may not have heard of it yet: then it hears that it was never made.
        if !self.fail_unreported(Attempt { task: actor.task, number: resident.life }, why) {
            self.send(actor.owner(), NodeMessage::ActorEnded(actor, resident.life, why.clone()));
        }
    }

    /// Ends a life of an actor, if it is the one that lives here.
    pub(super) fn end_actor(&mut self, actor: ObjectId, life: u32) {
        let why = "it was ended: by kill or exit_actor, or with its last handle";
        self.end_resident(actor, life, &Failure::ActorDied(Arc::from(why)));
    }

    /// Ends a life of an actor for a reason, if it is the one that lives here.
    pub(super) fn end_resident(&mut self, actor: ObjectId, life: u32, why: &Failure) {
        if self.residents.get(&actor).is_some_and(|resident| resident.life == life) {
            self.actions.push(Action::KillActor(actor, life));
            self.move_out(actor, why, why);
        }
    }

    /// Ends the actors of a node that died.
    pub(super) fn residents_without(&mut self, node: NodeId) {
        let gone: Vec<(ObjectId, u32)> = self
            .residents
            .iter()
            .filter(|(actor, _)| actor.owner() == node)
            .map(|(actor, resident)| (*actor, resident.life))
            .collect();
        gone.into_iter().for_each(|(actor, life)| self.end_actor(actor, life));
    }
}
