//! The tasks that this node owns, from their submission to the end of the last thing that may be asked of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::fetches::Waiter;
use super::objects::Owned;
use super::references::Count;
use super::stragglers::Second;
use super::unread::Unread;
use super::{Action, Node};
use crate::flaw::{Flaw, planted};
use crate::ids::{Attempt, ClientId, LeaseId, NodeId, ObjectId, TaskId};
use crate::schedule::message::{Failure, Known, Lost, Made, NodeMessage, Outcome, Returned, Stop};
use crate::schedule::spec::{Kind, TaskSpec};

/// Objects of a task of which it is asked where they are, to choose it for a node: one that reads more reads them from
/// everywhere.
const MOST_OBJECTS: usize = 64;

/// A task of this node's.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) spec: Arc<TaskSpec>,
    /// The number of the attempt that counts.
    pub(super) attempt: u32,
    /// How many numbers its attempts have had.
    pub(super) attempts: u32,
    /// A second attempt beside the one that runs.
    pub(super) second: Option<Second>,
    /// How often it may still run again.
    pub(super) retries: u32,
    /// Somebody wants it ended: it never runs again.
    pub(super) is_unwanted: bool,
    pub(super) state: State,
    /// What it could not read.
    pub(super) unread: Unread,
    /// Results that are not freed.
    pub(super) results: u32,
    /// Results that came while it ran.
    pub(super) items: u32,
    /// The references in them that their owners may not know of.
    pub(super) within_items: Vec<ObjectId>,
    /// What is known of the objects it needs that others own.
    pub(super) known: BTreeMap<ObjectId, Known>,
    /// Its place among all tasks: by who submitted it, and when.
    pub(super) order: (ClientId, u64),
}

/// Where a task is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// These objects are not ready.
    Waiting(BTreeSet<ObjectId>),
    /// It has all it needs but a lease.
    Queued,
    /// Its last attempt runs.
    Running(LeaseId),
    /// Its last attempt was sent to an actor.
    Called,
    /// It ended, and is kept to make its results again.
    Done,
}

impl Task {
    pub(super) fn no_more_retries(&mut self) {
        (self.retries, self.is_unwanted) = (0, true);
    }

    /// Whether it may run again after a failure, and whether that is one retry less: that its node left is nobody's
    /// fault, but a call that had begun may have done half of its work.
    pub(super) fn may_retry(&self, failure: &Failure) -> Option<u32> {
        let is_free = matches!(failure, Failure::Drained(_, _)) && self.actor().is_none();
        match is_free {
            true => (self.spec.max_retries > 0 && !self.is_unwanted).then_some(0),
            false => (self.retries > 0).then_some(1),
        }
    }

    fn actor(&self) -> Option<ObjectId> {
        self.spec.call().map(|(actor, _)| actor)
    }

    /// The lease that its last attempt runs on.
    pub(super) fn runs_on(&self) -> Option<(LeaseId, Attempt)> {
        match self.state {
            State::Running(lease) => Some((lease, self.last_attempt())),
            _ => None,
        }
    }

    /// How many of the first objects that it is handed are in the store of a node.
    pub(super) fn objects_on(&self, node: NodeId) -> usize {
        let is_there = |known: &&Known| matches!(known, Known::Stored(copies, _) if copies.contains(&node));
        self.known.values().take(MOST_OBJECTS).filter(is_there).count()
    }

    /// Its last attempt.
    pub(super) fn last_attempt(&self) -> Attempt {
        Attempt { task: self.spec.id, number: self.attempt }
    }

    /// All results that there were so far.
    pub(super) fn all_results(&self) -> impl Iterator<Item = ObjectId> + Clone + use<> {
        let id = self.spec.id;
        (0..self.spec.returns + self.items).map(move |index| id.result(index))
    }

    fn makes_an_actor(&self) -> bool {
        matches!(self.spec.kind, Kind::Actor { .. })
    }

    pub(super) fn is_fragment(&self) -> bool {
        matches!(self.spec.kind, Kind::Fragment { .. })
    }

    /// About what it takes to keep it.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.spec.payload.len() + self.spec.handed().count() * size_of::<ObjectId>()
    }

    /// All that it is handed, as a value or as a reference, and the handle of the actor that it calls.
    fn refs(&self) -> Vec<ObjectId> {
        self.spec.handed().chain(self.actor()).collect()
    }
}

/// An attempt whose end was taken, and of which that is told once the owners of all within know of this node's hold.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    attempt: Attempt,
    /// Where it ran.
    pub(super) node: NodeId,
    /// Whether its results were taken.
    kept: bool,
    within: BTreeSet<ObjectId>,
}

impl Node {
    pub(super) fn submit(&mut self, client: ClientId, spec: Arc<TaskSpec>) {
        let id = spec.id;
        for index in 0..spec.returns {
            self.owned.insert(id.result(index), Owned::default());
            self.add_ref(client, id.result(index));
        }
        let task = Task {
            attempt: 0,
            attempts: 0,
            second: None,
            retries: spec.max_retries,
            is_unwanted: false,
            state: State::Done,
            unread: Unread::default(),
            results: spec.returns,
            items: 0,
            within_items: Vec::new(),
            known: BTreeMap::new(),
            order: (client, self.submitted),
            spec,
        };
        let makes_an_actor = task.makes_an_actor();
        task.refs().into_iter().for_each(|object| self.hold(object, Count::Use));
        self.tasks.insert(id, task);
        if makes_an_actor {
            self.actor_is(id.result(0), &Ok(None));
        }
        self.submitted += 1;
        self.alike_is_there(id);
        self.gather(id);
    }

    /// Waits for all that a task needs.
    fn gather(&mut self, id: TaskId) {
        self.drop_second(id);
        self.alike_stops(id, None);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if let Some((actor, order)) = task.actor().map(|actor| (actor, task.order)) {
            self.line_up(actor, order, id);
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let needs = task.waits_for();
        task.state = State::Waiting(needs.clone());
        task.known.clear();
        if needs.is_empty() {
            return self.enqueue(id);
        }
        for object in needs {
            self.want(object, Waiter::Task(id), None);
        }
    }

    /// An object that a task needs is ready.
    pub(super) fn need_ready(&mut self, id: TaskId, object: ObjectId, known: &Known) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let State::Waiting(missing) = &mut task.state else { return };
        if let Known::Failed(failure) = known {
            let failure = match task.makes_an_actor() {
                true => Failure::NotMade(Arc::new(failure.clone())),
                false => failure.clone(),
            };
            return self.fail(id, &failure);
        }
        if missing.remove(&object) {
            let is_complete = missing.is_empty();
            task.known.insert(object, known.clone());
            if is_complete {
                self.enqueue(id);
            }
        }
    }

    fn enqueue(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.attempt = task.next_attempt();
        task.state = State::Queued;
        if let Some(actor) = task.actor() {
            return self.unsent.push(actor);
        }
        let shape = Arc::clone(&task.spec.shape);
        let (party, attempt) = (task.party(), task.last_attempt());
        self.backlogs.entry(Arc::clone(&shape)).or_default().queue.push(party, attempt);
        self.dispatch(&shape);
    }

    /// An attempt ended on `node`.
    pub(super) fn finished(&mut self, node: NodeId, attempt: Attempt, outcome: Outcome) {
        if self.is_second(attempt) {
            return self.second_finished(node, attempt, outcome);
        }
        let task = self.tasks.get(&attempt.task);
        let is_last = task.is_some_and(|task| task.attempt == attempt.number);
        let running = task.and_then(|task| match task.state {
            State::Running(lease) => Some(Some(lease)),
            State::Called => Some(None),
            _ => None,
        });
        let actor = task.and_then(Task::actor);
        let has_run = match &outcome {
            Outcome::NotStarted => false,
            Outcome::Failed(failure) => !failure.is_death(),
            Outcome::Values(_) | Outcome::Raised(_) => true,
        };
        if !is_last && planted(Flaw::DoubleCommit) && task.is_some() {
            return self.commit(node, attempt, outcome);
        }
        let (Some(lease), true) = (running, is_last) else {
            self.forget_abandoned(attempt);
            self.send(node, NodeMessage::Committed(attempt, false));
            return self.free_lease_of(attempt);
        };
        if let Some(task) = self.tasks.get_mut(&attempt.task) {
            task.state = State::Waiting(BTreeSet::new()); // The next lines say what it is.
        }
        self.settle_end(node, attempt, outcome);
        if let Some(lease) = lease {
            self.lease_is_free(lease);
        }
        if let Some(actor) = actor {
            self.call_answered(actor, attempt.task, has_run);
        }
    }

    /// Takes what the attempt that counts ended with, or has the task go on.
    fn settle_end(&mut self, node: NodeId, attempt: Attempt, outcome: Outcome) {
        let may_go_on = match &outcome {
            Outcome::Failed(failure) => failure.is_death() || matches!(failure, Failure::Unread(_, _, _)),
            Outcome::Raised(_) | Outcome::NotStarted => true,
            Outcome::Values(_) => false,
        };
        if may_go_on && self.lost_beside_second(attempt.task) {
            self.tell_unread(&outcome);
            return self.send(node, NodeMessage::Committed(attempt, false));
        }
        self.drop_second(attempt.task);
        match outcome {
            Outcome::Failed(Failure::Unread(object, _, _)) if self.may_read_again(attempt.task, object) => {
                self.send(node, NodeMessage::Committed(attempt, false));
                self.tell_unread(&outcome);
                self.gather(attempt.task);
            }
            Outcome::Failed(failure) if failure.is_death() => {
                self.send(node, NodeMessage::Committed(attempt, false));
                self.retry(attempt.task, &failure);
            }
            Outcome::Failed(failure) => self.take_failure(node, attempt, &failure),
            Outcome::Raised(raised) => {
                if self.tasks.get(&attempt.task).is_some_and(|task| task.retries == 0) {
                    self.take_failure(node, attempt, &Failure::Error(raised));
                } else {
                    self.send(node, NodeMessage::Committed(attempt, false));
                    self.retry(attempt.task, &Failure::Error(raised));
                }
            }
            Outcome::NotStarted => {
                self.send(node, NodeMessage::Committed(attempt, false));
                self.gather(attempt.task);
            }
            values => self.commit(node, attempt, values),
        }
    }

    /// Takes the results of an attempt.
    fn commit(&mut self, node: NodeId, attempt: Attempt, outcome: Outcome) {
        let Outcome::Values(mut values) = outcome else { return };
        let makes_an_actor = self.tasks.get(&attempt.task).is_some_and(Task::makes_an_actor);
        if makes_an_actor {
            // A handle has no value that could be lost.
            values = vec![Returned { made: Made::Inline(Bytes::new()), contains: Vec::new() }];
        }
        let mut within = self.within_items(attempt.task);
        for (index, value) in (0..).zip(values) {
            let object = attempt.task.result(index);
            if self.is_pending(object) || planted(Flaw::DoubleCommit) {
                within.extend(value.contains.iter().copied());
                self.set_value(object, node, value);
            } else if matches!(value.made, Made::Stored { .. }) {
                // Made again beside one that was lost.
                self.copied(node, object);
            }
        }
        if makes_an_actor {
            self.actor_lives(node, attempt);
        }
        self.fail_missing_items(attempt.task);
        self.alike_stops(attempt.task, Some(node));
        self.ended_well(attempt.task);
        self.confirm(Unconfirmed { attempt, node, kept: true, within });
    }

    /// Takes the error of an attempt, which is not tried again.
    fn take_failure(&mut self, node: NodeId, attempt: Attempt, failure: &Failure) {
        let mut within = self.within_items(attempt.task);
        within.extend(failure.contains());
        self.fail(attempt.task, failure);
        self.confirm(Unconfirmed { attempt, node, kept: false, within });
    }

    fn confirm(&mut self, mut end: Unconfirmed) {
        end.within.retain(|object| self.is_unconfirmed(*object));
        if end.within.is_empty() {
            self.send(end.node, NodeMessage::Committed(end.attempt, end.kept));
        } else {
            self.unconfirmed.push(end);
        }
    }

    /// The owner of `object` knows of the hold: what was taken with it can be told to be taken.
    pub(super) fn commit_confirmed(&mut self, object: ObjectId) {
        let mut told = Vec::new();
        self.unconfirmed.retain_mut(|end| {
            let waited = end.within.remove(&object);
            if waited && end.within.is_empty() {
                told.push((end.node, NodeMessage::Committed(end.attempt, end.kept)));
                return false;
            }
            true
        });
        for (node, message) in told {
            self.send(node, message);
        }
    }

    /// The task has run: it is kept for as long as it may have to run again.
    fn ended_well(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = State::Done;
        if task.makes_an_actor() {
            // It keeps its arguments: it may have to be made anew at any time.
            return self.actions.push(Action::Done(id));
        }
        let (retries, results, refs) = (task.retries, task.all_results(), task.refs());
        let is_fragment = task.is_fragment();
        let is_repeatable = task.spec.is_repeatable() || (is_fragment && planted(Flaw::MixedAttempts));
        let may_again = retries > 0 && is_repeatable;
        // Small results of a fragment are never lost, but dropped: those of the stages behind it may need them again.
        let may_be_missed = |result| is_fragment || self.can_be_lost(result);
        let keep = may_again && results.clone().any(may_be_missed);
        self.actions.push(Action::Done(id));
        if let Some(alike) = self.tasks.get(&id).and_then(Task::alike) {
            self.alike_is_over(alike, id);
        }
        for object in refs {
            if keep {
                self.hold(object, Count::Lineage);
            }
            self.release(object, Count::Use);
        }
        if keep {
            self.keep(id);
        } else {
            if !may_again {
                let why = if is_fragment && !is_repeatable { Lost::NotRepeatable } else { Lost::RetriesUsedUp };
                self.set_final(results, why);
            }
            self.tasks.remove(&id);
        }
    }

    /// Keeps a task that ended, and lets go of the oldest ones when they are too many.
    fn keep(&mut self, id: TaskId) {
        self.lineage_bytes += self.tasks.get(&id).map_or(0, Task::bytes);
        self.lineage.push_back(id);
        while self.lineage_bytes > self.lineage_limit
            && let Some(oldest) = self.lineage.pop_front()
        {
            self.forget_task(oldest);
        }
        // Many in the queue are gone already.
        if self.lineage.len() > 2 * self.tasks.len() + 64 {
            let tasks = &self.tasks;
            self.lineage.retain(|id| tasks.get(id).is_some_and(|task| task.state == State::Done));
        }
    }

    /// The actor that a task made is over, and with it the task, whether it runs again or not.
    pub(super) fn forget_maker(&mut self, id: TaskId) {
        if !self.tasks.get(&id).is_some_and(Task::makes_an_actor) {
            return;
        }
        if let Some((lease, attempt)) = self.tasks.get(&id).and_then(Task::runs_on)
            && let Some(node) = self.leases.get(&lease).map(|lease| lease.node)
        {
            self.abandon(node, attempt);
        }
        if let Some(task) = self.tasks.remove(&id) {
            if task.state != State::Done {
                self.actions.push(Action::Done(id));
            }
            if let State::Waiting(missing) = &task.state {
                missing.iter().for_each(|object| self.unwant(*object, Waiter::Task(id)));
            }
            task.refs().into_iter().for_each(|inner| self.release(inner, Count::Use));
        }
    }

    /// A task that ended is not kept any more, nor what it would need.
    fn forget_task(&mut self, id: TaskId) {
        if self.tasks.get(&id).is_some_and(|task| task.state == State::Done)
            && let Some(task) = self.tasks.remove(&id)
        {
            self.lineage_bytes -= task.bytes();
            task.refs().into_iter().for_each(|inner| self.release(inner, Count::Lineage));
        }
    }

    /// Runs a task again that a machine failed, if it may.
    pub(super) fn retry(&mut self, id: TaskId, failure: &Failure) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(cost) = task.may_retry(failure) else { return self.fail(id, failure) };
        task.retries -= cost;
        if task.makes_an_actor() {
            self.actions.push(Action::Again(id));
        }
        self.gather(id);
    }

    /// Goes on without an attempt of which nothing is heard. What it was handed stays covered until it reports or its
    /// node is dead for long enough: it may have handed that on, which fragments do not.
    pub(super) fn abandon(&mut self, node: NodeId, attempt: Attempt) {
        let Some(task) = self.tasks.get(&attempt.task) else { return };
        let refs = if task.is_fragment() { Vec::new() } else { task.refs() };
        self.cover(node, attempt, refs);
    }

    /// Holds what an attempt was handed that does not count any more, until it reports or its node is dead.
    pub(super) fn cover(&mut self, node: NodeId, attempt: Attempt, refs: Vec<ObjectId>) {
        refs.iter().for_each(|object| self.hold(*object, Count::Use));
        self.abandoned.insert(attempt, (node, refs));
    }

    fn forget_abandoned(&mut self, attempt: Attempt) {
        let (_, refs) = self.abandoned.remove(&attempt).unwrap_or((self.id, Vec::new()));
        refs.into_iter().for_each(|object| self.release(object, Count::Use));
    }

    /// Lets go of what attempts were handed on a node that died.
    pub(super) fn forget_abandoned_on(&mut self, node: NodeId) {
        let there = self.abandoned.iter().filter(|(_, (on, _))| *on == node);
        for attempt in there.map(|(attempt, _)| *attempt).collect::<Vec<_>>() {
            self.forget_abandoned(attempt);
        }
    }

    /// Ends a task that has not ended with a failure for each of its results.
    pub(super) fn fail(&mut self, id: TaskId, failure: &Failure) {
        self.drop_second(id);
        let Some(task) = self.tasks.remove(&id) else { return };
        let never = match failure {
            Failure::Cancelled => Some("it was ended before it was made"),
            Failure::GroupRemoved(_) => Some("its placement group was removed before it was made"),
            _ => None,
        };
        let never = never.filter(|_| task.makes_an_actor()).map(|why| Failure::ActorDied(Arc::from(why)));
        let failure = never.as_ref().unwrap_or(failure);
        if task.state != State::Done {
            self.actions.push(Action::Done(id));
        }
        self.unsent.extend(task.actor());
        if task.makes_an_actor() {
            self.actor_is(id.result(0), &Err(failure.without_refs()));
        }
        if let State::Waiting(missing) = &task.state {
            missing.iter().for_each(|object| self.unwant(*object, Waiter::Task(id)));
        }
        for object in task.all_results() {
            if self.is_pending(object) {
                self.set_failed(object, failure.clone());
            }
        }
        if let Some(alike) = task.alike() {
            self.alike_is_over(alike, id);
        }
        task.refs().into_iter().for_each(|object| self.release(object, Count::Use));
    }

    pub(super) fn cancel(&mut self, id: TaskId, stop: Stop) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match task.state {
            State::Done => {}
            State::Waiting(_) | State::Queued => self.fail(id, &Failure::Cancelled),
            State::Called => {
                task.no_more_retries();
                let attempt = task.last_attempt();
                if let Some(node) = task.actor().and_then(|actor| self.called_on(actor, id)) {
                    self.send(node, NodeMessage::Cancel(attempt, stop));
                }
            }
            State::Running(lease) => {
                task.no_more_retries();
                let attempt = task.last_attempt();
                self.drop_second(id);
                if let Some(node) = self.leases.get(&lease).map(|lease| lease.node) {
                    self.send(node, NodeMessage::Cancel(attempt, stop));
                }
            }
        }
    }

    /// Makes a lost object again, or fails it for good.
    pub(super) fn rebuild(&mut self, object: ObjectId) {
        let Some(task) = self.tasks.get_mut(&object.task) else {
            return self.set_failed(object, Failure::Lost(self.why_lost(object)));
        };
        if task.state != State::Done {
            // It runs again already.
            return self.await_again(object);
        }
        if task.retries == 0 {
            return self.set_failed(object, Failure::Lost(Lost::RetriesUsedUp));
        }
        task.retries -= 1;
        let (refs, results, bytes) = (task.refs(), task.all_results(), task.bytes());
        self.lineage_bytes -= bytes;
        self.actions.push(Action::Again(object.task));
        for result in results {
            if result == object || self.is_missed(result) {
                self.await_again(result);
            }
        }
        for inner in refs {
            self.hold(inner, Count::Use);
            self.release(inner, Count::Lineage);
        }
        self.gather(object.task);
    }

    /// A result is freed: with the last one the task goes, and what it would need.
    pub(super) fn result_freed(&mut self, object: ObjectId) {
        let Some(task) = self.tasks.get_mut(&object.task) else { return };
        task.results = task.results.saturating_sub(1);
        if task.results == 0 {
            self.forget_task(object.task);
        }
    }
}
