//! Second attempts of fragments that take far longer than those that do alike work: the first one to end well counts.
//!
//! As Dean and Ghemawat describe for backup tasks in *MapReduce: Simplified Data Processing on Large Clusters* (OSDI
//! 2004), with the measure of Spark's speculative execution: many times the median of those that have ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::tasks::State;
use super::{Node, Task};
use crate::env::Moment;
use crate::ids::{Attempt, ClientId, LeaseId, NodeId, ObjectId, TaskId};
use crate::placement::Strategy;
use crate::schedule::message::{Failure, Known, NodeMessage, Outcome, Stop};
use crate::schedule::spec::{Shape, TaskSpec};

/// How many times the median an attempt may take.
const TIMES: u64 = 3;
/// What it may take at the least, in milliseconds: less is not worth another attempt.
const LEAST: u64 = 2_000;
/// Nodes that are remembered for having ended such work.
const NODES: usize = 8;
/// Of so many that have ended, one more may have a second attempt at a time.
const ENDED_FOR_ONE: usize = 10;

/// How often a second attempt may begin beside the same first one, whatever ends it.
const MOST_BESIDE: u32 = 2;

/// Which fragments do alike work: those of a client that need the same first, with the same number.
pub(super) type Alike = (ClientId, Option<ObjectId>, u32);

/// A second attempt beside the one that runs.
#[derive(Debug)]
pub(super) struct Second {
    pub(super) number: u32,
    /// What it runs on, once it does, and since when.
    pub(super) lease: Option<(LeaseId, Moment)>,
}

/// Fragments that do alike work.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    /// Those that are not over.
    left: BTreeSet<TaskId>,
    /// Those of them that run, since when.
    running: BTreeMap<TaskId, Moment>,
    /// How long the others took, in milliseconds, in that order.
    took: Vec<u64>,
    /// Where: first where one ended last, last where a second attempt began last.
    nodes: VecDeque<NodeId>,
}

impl Siblings {
    /// Those that have run for far longer than the others took, once half of them have ended.
    fn slow(&self, now: Moment) -> impl Iterator<Item = TaskId> {
        let median = self.took.get(self.took.len() / 2).filter(|_| self.took.len() >= self.left.len());
        let longest = median.map(|median| (median * TIMES).max(LEAST));
        let is_slow = move |since: &Moment| longest.is_some_and(|longest| now.since(*since) > longest);
        self.running.iter().filter(move |(_, since)| is_slow(since)).map(|(id, _)| *id)
    }

    fn ended(&mut self, task: TaskId, node: NodeId, now: Moment) {
        let Some(since) = self.running.remove(&task) else { return };
        let took = now.since(since);
        self.took.insert(self.took.partition_point(|other| *other < took), took);
        self.nodes.retain(|other| *other != node);
        self.nodes.push_front(node);
        self.nodes.truncate(NODES);
    }
}

impl Task {
    pub(super) fn alike(&self) -> Option<Alike> {
        let number = self.spec.siblings()?;
        Some((self.order.0, self.spec.needs.first().copied(), number))
    }

    /// Whether an attempt of it waits for a lease.
    pub(super) fn waits_as(&self, number: u32) -> bool {
        let is_first = self.attempt == number && self.state == State::Queued;
        is_first || self.second.as_ref().is_some_and(|second| second.number == number && second.lease.is_none())
    }

    /// The number of another attempt.
    pub(super) fn next_attempt(&mut self) -> u32 {
        self.attempts += 1;
        self.attempts
    }

    /// Whether another attempt may run beside the first.
    fn may_have_second(&self) -> bool {
        let is_free = matches!(self.spec.shape.strategy, Strategy::Default | Strategy::Spread);
        let may_again = self.attempts < self.attempt + MOST_BESIDE;
        self.second.is_none() && may_again && self.retries > 0 && is_free
    }

    fn is_second(&self, number: u32) -> bool {
        self.second.as_ref().is_some_and(|second| second.number == number)
    }
}

impl Node {
    /// A task is there.
    pub(super) fn alike_is_there(&mut self, id: TaskId) {
        if let Some(alike) = self.tasks.get(&id).and_then(Task::alike) {
            self.siblings.entry(alike).or_default().left.insert(id);
        }
    }

    /// Its first attempt begins.
    fn alike_begins(&mut self, id: TaskId) {
        let now = self.now;
        if let Some(siblings) = self.siblings_of(id).filter(|siblings| siblings.left.contains(&id)) {
            siblings.running.insert(id, now);
        }
    }

    fn siblings_of(&mut self, id: TaskId) -> Option<&mut Siblings> {
        let alike = self.tasks.get(&id)?.alike()?;
        self.siblings.get_mut(&alike)
    }

    /// It does not run any more: it ended well on that node, or (`None`) waits again.
    pub(super) fn alike_stops(&mut self, id: TaskId, ended_on: Option<NodeId>) {
        let now = self.now;
        let Some(siblings) = self.siblings_of(id) else { return };
        match ended_on {
            Some(node) => siblings.ended(id, node, now),
            None => drop(siblings.running.remove(&id)),
        }
    }

    /// It is over.
    pub(super) fn alike_is_over(&mut self, alike: Alike, id: TaskId) {
        let Some(siblings) = self.siblings.get_mut(&alike) else { return };
        siblings.running.remove(&id);
        siblings.left.remove(&id);
        if siblings.left.is_empty() {
            self.siblings.remove(&alike);
        }
    }

    /// Runs those a second time that are slow, on nodes where others have ended.
    pub(super) fn help_stragglers(&mut self) {
        let mut slow = Vec::new();
        for siblings in self.siblings.values() {
            let has_second = |id: &TaskId| self.tasks.get(id).is_some_and(|task| task.second.is_some());
            let (helped, others): (Vec<_>, Vec<_>) = siblings.slow(self.now).partition(has_second);
            let more = (1 + siblings.took.len() / ENDED_FOR_ONE).saturating_sub(helped.len());
            if more > 0 && !others.is_empty() {
                slow.push((others, more));
            }
        }
        for (others, mut more) in slow {
            for id in others {
                if let (Some(node), true) = (self.where_beside(id), more > 0) {
                    self.run_beside(id, node);
                    more -= 1;
                }
            }
        }
    }

    /// Where a second attempt may run: of the nodes where others have ended, the one that had none for the longest time.
    fn where_beside(&self, id: TaskId) -> Option<NodeId> {
        let task = self.tasks.get(&id).filter(|task| task.may_have_second())?;
        let State::Running(lease) = task.state else { return None };
        let slow = self.leases.get(&lease)?.node;
        // What another owner has may not be known here any more.
        let is_known = |object| matches!(self.known_here(object), Some(Known::Inline(_, _) | Known::Stored(_, _)));
        let is_there = |node: &&NodeId| **node != slow && !self.dead.contains(node) && !self.leaves(**node);
        let siblings = self.siblings.get(&task.alike()?).filter(|_| task.spec.awaited().all(is_known))?;
        siblings.nodes.iter().find(is_there).copied()
    }

    /// Begins a second attempt on that node.
    fn run_beside(&mut self, id: TaskId, node: NodeId) {
        if let Some(siblings) = self.siblings_of(id) {
            siblings.nodes.retain(|other| *other != node);
            siblings.nodes.push_back(node);
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let strategy = Strategy::Node { node, soft: false };
        let shape = Arc::new(Shape { strategy, fail_if_unschedulable: true, ..(*task.spec.shape).clone() });
        let number = task.next_attempt();
        task.second = Some(Second { number, lease: None });
        let (party, attempt) = (task.party(), Attempt { task: id, number });
        self.backlogs.entry(Arc::clone(&shape)).or_default().queue.push(party, attempt);
        self.dispatch(&shape);
    }

    /// What is known of an object of this node's.
    fn known_here(&self, object: ObjectId) -> Option<Known> {
        (object.owner() == self.id).then(|| self.known(object)).flatten()
    }

    /// What is known of all that a second attempt waits for. Its node asks for what it needs and is not known; what it
    /// reads and is lost by now ends it.
    fn known_beside(&self, spec: &TaskSpec) -> Vec<(ObjectId, Known)> {
        let reads: BTreeSet<ObjectId> = spec.reads().iter().copied().collect();
        let needs = spec.needs.iter().filter(|object| !reads.contains(object));
        let needs = needs.filter_map(|object| Some((*object, self.known_here(*object)?)));
        let lost = || Known::Failed(Failure::Cancelled);
        let reads = reads.iter().map(|object| (*object, self.known_here(*object).unwrap_or_else(lost)));
        needs.chain(reads).collect()
    }

    /// An attempt runs on that lease from now on; what is known of all that it needs.
    pub(super) fn begins_on(&mut self, lease: LeaseId, attempt: Attempt) -> Vec<(ObjectId, Known)> {
        let Some(task) = self.tasks.get_mut(&attempt.task) else { return Vec::new() };
        if let Some(second) = task.second.as_mut().filter(|second| second.number == attempt.number) {
            second.lease = Some((lease, self.now));
            let spec = Arc::clone(&task.spec);
            return self.known_beside(&spec);
        }
        task.state = State::Running(lease);
        let known = std::mem::take(&mut task.known);
        self.alike_begins(attempt.task);
        self.known_now(known)
    }

    /// Whether an attempt is the second one of its task.
    pub(super) fn is_second(&self, attempt: Attempt) -> bool {
        self.tasks.get(&attempt.task).is_some_and(|task| task.is_second(attempt.number))
    }

    /// A second attempt waits in vain: the first one goes on alone. Says whether it was one.
    pub(super) fn drop_queued_second(&mut self, attempt: Attempt) -> bool {
        let task = self.tasks.get_mut(&attempt.task).filter(|task| task.is_second(attempt.number));
        task.is_some_and(|task| task.second.take().is_some())
    }

    /// A second attempt ended: one that ended well takes the place of the first.
    pub(super) fn second_finished(&mut self, node: NodeId, attempt: Attempt, outcome: Outcome) {
        let is_good = matches!(outcome, Outcome::Values(_));
        let first = self.tasks.get(&attempt.task).and_then(Task::runs_on);
        if is_good && self.second_goes_on(attempt.task) {
            if let Some((lease, first)) = first {
                self.stop_beside(lease, first);
            }
            return self.finished(node, attempt, outcome);
        }
        self.tell_unread(&outcome);
        let second = self.tasks.get_mut(&attempt.task).and_then(|task| task.second.take());
        self.send(node, NodeMessage::Committed(attempt, false));
        if let Some((lease, _)) = second.and_then(|second| second.lease) {
            self.lease_is_free(lease);
        }
    }

    /// The second attempt, where it runs, takes the place of the first. Says whether there is one.
    fn second_goes_on(&mut self, id: TaskId) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let Some(Second { number, lease: Some((lease, since)) }) = task.second else { return false };
        (task.second, task.attempt, task.state) = (None, number, State::Running(lease));
        if let Some(running) = self.siblings_of(id).and_then(|siblings| siblings.running.get_mut(&id)) {
            *running = since;
        }
        true
    }

    /// The first attempt ended, or nobody wants it any more: the second one is stopped.
    pub(super) fn drop_second(&mut self, id: TaskId) {
        let second = self.tasks.get_mut(&id).and_then(|task| task.second.take());
        if let Some(Second { number, lease: Some((lease, _)) }) = second {
            self.stop_beside(lease, Attempt { task: id, number });
        }
    }

    /// Stops an attempt beside which another one counts. What it was handed stays until it reports.
    fn stop_beside(&mut self, lease: LeaseId, attempt: Attempt) {
        let Some(node) = self.leases.get(&lease).map(|lease| lease.node) else { return };
        let spec = self.tasks.get(&attempt.task).map(|task| Arc::clone(&task.spec));
        let refs: Vec<ObjectId> = spec.iter().flat_map(|spec| spec.needs.iter().chain(&spec.refs)).copied().collect();
        self.cover(node, attempt, refs);
        self.send(node, NodeMessage::Cancel(attempt, Stop::default()));
    }

    /// The node of an attempt is dead or out of reach: the other one goes on, or the task runs again.
    pub(super) fn attempt_lost(&mut self, lease: LeaseId, node: NodeId, attempt: Attempt, failure: &Failure) {
        let Some(task) = self.tasks.get_mut(&attempt.task) else { return };
        if task.is_second(attempt.number) {
            task.second = None;
            return self.abandon(node, attempt);
        }
        // One that was stopped is waited for no more.
        if task.state != State::Running(lease) || task.attempt != attempt.number {
            return;
        }
        self.abandon(node, attempt);
        if !self.lost_beside_second(attempt.task) {
            self.retry(attempt.task, failure);
        }
    }

    /// The first attempt is gone by itself: the second one, where it runs, takes its place.
    pub(super) fn lost_beside_second(&mut self, id: TaskId) -> bool {
        let goes_on = self.second_goes_on(id);
        self.drop_second(id);
        goes_on
    }
}

#[cfg(test)]
mod tests;
