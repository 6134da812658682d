//! Leases: resources of a node, lent to an owner for tasks of one shape, one at a time.
//!
//! An owner runs what it can on its own node and asks the head for the rest. Who lends keeps the ledger; who borrows
//! gives a lease back when it has nothing more to run on it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::turns::Turns;
use super::{Action, Node, Task};
use crate::env::Moment;
use crate::ids::{Attempt, BundleId, LeaseId, NodeId, ObjectId};
use crate::placement::Strategy;
use crate::resources::{CPU, Resources};
use crate::schedule::message::{Failure, Known, NodeMessage, Outcome, Stop, ToHead};
use crate::schedule::spec::{Kind, Shape};

/// Leases of one shape that an owner asks the head for at once: what a cluster can start in the time that an answer
/// takes, and little enough that no owner takes it all.
const MAX_WANT: usize = 64;
/// How long a lease of another node is kept while there is work for it, in milliseconds: then it goes to whoever is
/// next, so that nobody starves.
const LEASE_TIME: u64 = 2_000;
/// How long a wish may be open before the head is told again, in milliseconds: a node may have died, or be out of
/// reach, with the lease that was the answer.
const ASK_AGAIN_AFTER: u64 = 2_000;

/// Attempts of one shape that wait for a lease.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Some may be cancelled.
    pub(super) queue: Turns,
    idle: Vec<LeaseId>,
    /// How many leases the head was asked for and has not granted.
    asked: u32,
    asked_at: Moment,
}

/// A lease that this node may run tasks on.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) node: NodeId,
    shape: Arc<Shape>,
    pub(super) running: Option<Attempt>,
    until: Moment,
}

/// A lease on this node's resources.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) owner: NodeId,
    shape: Arc<Shape>,
    /// The bundle that it is of, if it is of one.
    pub(super) bundle: Option<BundleId>,
    /// What runs on it waits for objects, and its CPUs are lent to others.
    is_blocked: bool,
}

/// Why what no node could ever run does not wait for one; `None` if it does.
pub(super) fn why_not_wait(shape: &Shape, missing: &Resources) -> Option<String> {
    let demand = &shape.demand;
    if let Strategy::Node { node, soft: false } = shape.strategy {
        return Some(format!(
            "it may run on {node} alone, which is not there or can never have {demand} free; soft=True lets it run \
             elsewhere"
        ));
    }
    let lack = match shape.strategy.group() {
        Some(group) => format!("no nodes could ever hold {group}"),
        None if missing.is_empty() => "its scheduling strategy allows none of the nodes that are there".to_string(),
        None => format!("no node has {missing}"),
    };
    shape.fail_if_unschedulable.then(|| format!("it asks for {demand}, and {lack}; fail_if_unschedulable=True"))
}

impl Node {
    /// Runs what can be run of a shape, and asks the head for the rest.
    pub(super) fn dispatch(&mut self, shape: &Arc<Shape>) {
        while self.next_queued(shape).is_some() {
            let Some(lease) = self.idle_lease(shape).or_else(|| self.lend_to_self(shape)) else { break };
            if let Some(attempt) = self.take_nearest(shape, lease) {
                self.run_on(lease, attempt);
            }
        }
        self.tell_wants(shape);
        self.return_idle(shape);
    }

    /// The first attempt in the queue that still waits.
    fn next_queued(&mut self, shape: &Arc<Shape>) -> Option<Attempt> {
        let (backlog, tasks) = (self.backlogs.get_mut(shape)?, &self.tasks);
        backlog.queue.next(|attempt| tasks.get(&attempt.task).is_some_and(|task| task.waits_as(attempt.number)))
    }

    /// Takes the attempt out of the queue that has most of what it is handed on the node of a lease: among the first ones
    /// of whose turn it is.
    fn take_nearest(&mut self, shape: &Arc<Shape>, lease: LeaseId) -> Option<Attempt> {
        let node = self.leases.get(&lease)?.node;
        let nearness = |(place, attempt): (usize, Attempt)| {
            let task = self.waiting_for_lease(attempt)?;
            Some((task.objects_on(node), Reverse(place)))
        };
        let nearest = self.backlogs.get(shape)?.queue.ahead().enumerate().filter_map(nearness).max();
        let place = nearest.map_or(0, |(_, Reverse(place))| place);
        self.backlogs.get_mut(shape)?.queue.take(place)
    }

    /// The task of an attempt that waits for a lease.
    fn waiting_for_lease(&self, attempt: Attempt) -> Option<&Task> {
        self.tasks.get(&attempt.task).filter(|task| task.waits_as(attempt.number))
    }

    fn take_from_queue(&mut self, shape: &Arc<Shape>) {
        if let Some(backlog) = self.backlogs.get_mut(shape) {
            backlog.queue.drop_first();
        }
    }

    /// Ends all that no node could ever run, and that is not to wait for one.
    pub(super) fn fail_queued(&mut self, shape: &Arc<Shape>, why: &str) {
        while let Some(attempt) = self.next_queued(shape) {
            self.take_from_queue(shape);
            if self.drop_queued_second(attempt) {
                continue;
            }
            let is_actor =
                self.tasks.get(&attempt.task).is_some_and(|task| matches!(task.spec.kind, Kind::Actor { .. }));
            self.fail(attempt.task, &Failure::Unschedulable(is_actor, Arc::from(why)));
        }
        self.tell_wants(shape);
    }

    fn idle_lease(&mut self, shape: &Arc<Shape>) -> Option<LeaseId> {
        self.backlogs.get_mut(shape)?.idle.pop()
    }

    /// A lease on this node's own resources, where the strategy lets a task run here unasked.
    fn lend_to_self(&mut self, shape: &Arc<Shape>) -> Option<LeaseId> {
        if self.is_leaving() {
            return None;
        }
        let bundle = match shape.strategy {
            Strategy::Group { .. } => Some(self.take_from_bundle(shape)?),
            Strategy::Default => self.ledger.take(&shape.demand).then_some(None)?,
            Strategy::Node { node, .. } => (node == self.id && self.ledger.take(&shape.demand)).then_some(None)?,
            Strategy::Spread | Strategy::Labels { .. } => return None,
        };
        self.next_lease += 1;
        let id = LeaseId { granted_by: Some(self.id), number: self.next_lease };
        self.lent.insert(id, Lent { owner: self.id, shape: Arc::clone(shape), bundle, is_blocked: false });
        self.keep_lease(self.id, id, shape);
        Some(id)
    }

    fn keep_lease(&mut self, node: NodeId, id: LeaseId, shape: &Arc<Shape>) {
        let until = self.now + LEASE_TIME;
        self.leases.insert(id, Lease { node, shape: Arc::clone(shape), running: None, until });
    }

    fn run_on(&mut self, id: LeaseId, attempt: Attempt) {
        let (Some(lease), Some(task)) = (self.leases.get_mut(&id), self.tasks.get(&attempt.task)) else { return };
        lease.running = Some(attempt);
        let (node, spec) = (lease.node, Arc::clone(&task.spec));
        let known = self.begins_on(id, attempt);
        self.send(node, NodeMessage::Execute(id, attempt, spec, known));
    }

    /// What is known of objects that an attempt needs; what this node owns may have moved since.
    pub(super) fn known_now(&self, known: BTreeMap<ObjectId, Known>) -> Vec<(ObjectId, Known)> {
        let now = |(object, known): (ObjectId, Known)| {
            let owned = object.owner() == self.id;
            (object, if owned { self.known(object).unwrap_or(known) } else { known })
        };
        known.into_iter().map(now).collect()
    }

    /// What was taken from this node, or from a bundle here, is free again; with the bundle itself it was before.
    pub(super) fn give_to(&mut self, bundle: Option<BundleId>, resources: &Resources) {
        if let Some(ledger) = self.ledger_of(bundle) {
            ledger.give(resources);
            self.dispatch_all();
        }
    }

    /// The bundle that a lease is of.
    pub(super) fn bundle_of(&self, lease: Option<LeaseId>) -> Option<BundleId> {
        lease.and_then(|lease| self.lent.get(&lease)?.bundle)
    }

    /// Tells the head how many more leases this node has work for, when that changed.
    fn tell_wants(&mut self, shape: &Arc<Shape>) {
        let first = self.next_queued(shape);
        let Some(backlog) = self.backlogs.get_mut(shape) else { return };
        let wants = backlog.queue.len().min(MAX_WANT) as u32;
        let is_old = wants > 0 && self.now.since(backlog.asked_at) >= ASK_AGAIN_AFTER;
        let is_new = wants != backlog.asked || is_old;
        if wants == 0 && backlog.idle.is_empty() {
            self.backlogs.remove(shape);
            self.unplaceable.remove(shape);
        } else if is_new {
            (backlog.asked, backlog.asked_at) = (wants, self.now);
        }
        if !is_new {
            return;
        }
        let mut near = BTreeMap::new();
        if let Some(task) = first.and_then(|attempt| self.tasks.get(&attempt.task)) {
            for known in task.known.values() {
                if let Known::Stored(copies, _) = known {
                    copies.iter().for_each(|node| *near.entry(*node).or_default() += 1);
                }
            }
        }
        self.head.send(ToHead::Want(Arc::clone(shape), wants, near));
    }

    /// Tells the head again of wishes that have been open for long.
    pub(super) fn ask_again(&mut self) {
        let is_old = |backlog: &Backlog| backlog.asked > 0 && self.now.since(backlog.asked_at) >= ASK_AGAIN_AFTER;
        let old: Vec<_> =
            self.backlogs.iter().filter(|(_, backlog)| is_old(backlog)).map(|(shape, _)| Arc::clone(shape)).collect();
        let tasks = &self.tasks;
        for shape in &old {
            // What was cancelled is wanted no more.
            let Some(backlog) = self.backlogs.get_mut(shape) else { continue };
            backlog.queue.retain(|attempt| tasks.get(&attempt.task).is_some_and(|task| task.waits_as(attempt.number)));
        }
        old.iter().for_each(|shape| self.dispatch(shape));
    }

    /// Tells another life of the head of all wishes.
    pub(super) fn want_anew(&mut self) {
        self.backlogs.values_mut().for_each(|backlog| backlog.asked = 0);
        self.dispatch_all();
    }

    fn return_idle(&mut self, shape: &Arc<Shape>) {
        let Some(backlog) = self.backlogs.get_mut(shape) else { return };
        for id in std::mem::take(&mut backlog.idle) {
            self.give_back(id);
        }
        self.tell_wants(shape);
    }

    /// Gives back what is not in use of a node that leaves.
    pub(super) fn return_idle_of(&mut self, node: NodeId) {
        let idle = self.leases.iter().filter(|(_, lease)| lease.node == node && lease.running.is_none());
        for (id, shape) in idle.map(|(id, lease)| (*id, Arc::clone(&lease.shape))).collect::<Vec<_>>() {
            if let Some(backlog) = self.backlogs.get_mut(&shape) {
                backlog.idle.retain(|other| *other != id);
            }
            self.give_back(id);
            self.tell_wants(&shape);
        }
    }

    fn give_back(&mut self, id: LeaseId) {
        if let Some(lease) = self.leases.remove(&id) {
            self.send(lease.node, NodeMessage::ReturnLease(id));
        }
    }

    /// The head wants resources lent.
    pub(super) fn granted(&mut self, id: LeaseId, shape: Arc<Shape>, owner: NodeId, bundle: Option<BundleId>) {
        if self.dead.contains(&owner) {
            return;
        }
        if self.is_leaving() || !self.ledger_of(bundle).is_some_and(|ledger| ledger.take(&shape.demand)) {
            return self.head.send(ToHead::Refused(id));
        }
        self.lent.insert(id, Lent { owner, shape: Arc::clone(&shape), bundle, is_blocked: false });
        self.send(owner, NodeMessage::Leased(id, shape));
    }

    /// Another node, or this one by the head's word, lends to this one.
    pub(super) fn leased(&mut self, from: NodeId, id: LeaseId, shape: &Arc<Shape>) {
        let leaves = self.leaves(from);
        let backlog = self.backlogs.entry(Arc::clone(shape)).or_default();
        backlog.asked = backlog.asked.saturating_sub(1);
        if leaves {
            self.send(from, NodeMessage::ReturnLease(id));
        } else {
            backlog.idle.push(id);
            self.keep_lease(from, id, shape);
        }
        self.dispatch(shape);
    }

    /// An attempt on a lease ended: the next one may run on it.
    pub(super) fn lease_is_free(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        lease.running = None;
        let (shape, node, until) = (Arc::clone(&lease.shape), lease.node, lease.until);
        // What was taken while a task waited is paid back before anything new begins.
        let is_due = match node == self.id {
            _ if self.leaves(node) => true,
            true => self.ledger_of(self.bundle_of(Some(id))).is_none_or(|ledger| ledger.is_overdrawn()),
            false => until <= self.now,
        };
        if is_due {
            self.give_back(id);
        } else {
            self.backlogs.entry(Arc::clone(&shape)).or_default().idle.push(id);
        }
        self.dispatch(&shape);
    }

    /// Whether this lease on this node's resources is there.
    pub(super) fn is_lent(&self, id: LeaseId) -> bool {
        self.lent.contains_key(&id)
    }

    /// An attempt ended that nobody waits for any more: what it ran on is free.
    pub(super) fn free_lease_of(&mut self, attempt: Attempt) {
        let lease = self.leases.iter().find(|(_, lease)| lease.running == Some(attempt)).map(|(id, _)| *id);
        if let Some(lease) = lease {
            self.lease_is_free(lease);
        }
    }

    /// What was lent is back; what still runs on it is not wanted any more.
    pub(super) fn lease_returned(&mut self, id: LeaseId) {
        self.take_back(id, &Failure::Crashed(Arc::from("its lease was taken back")));
    }

    /// Ends a lease of this node's, and with a failure what still runs on it.
    pub(super) fn take_back(&mut self, id: LeaseId, failure: &Failure) {
        for attempt in self.unended_runs_of(id) {
            self.actions.push(Action::Kill(attempt, Stop { force: true, recursive: true }));
            self.end(attempt, Outcome::Failed(failure.clone()));
        }
        self.set_blocked(id, false);
        if let Some(lent) = self.lent.remove(&id) {
            self.give_to(lent.bundle, &lent.shape.demand);
        }
    }

    /// Lends the CPUs of a lease to others while what runs on it waits, and takes them back, free or not, when it
    /// goes on: a task that waits for another one must not keep it from running.
    pub(super) fn set_blocked(&mut self, id: LeaseId, is_blocked: bool) {
        let Some(lent) = self.lent.get_mut(&id) else { return };
        if std::mem::replace(&mut lent.is_blocked, is_blocked) == is_blocked {
            return;
        }
        let (bundle, cpus) = (lent.bundle, lent.shape.demand.only(CPU));
        if is_blocked {
            self.give_to(bundle, &cpus);
        } else if let Some(ledger) = self.ledger_of(bundle) {
            ledger.take_anyhow(&cpus);
        }
    }

    /// The attempts of a shape that wait for a lease.
    pub(super) fn queued(&self, shape: &Arc<Shape>) -> Vec<Attempt> {
        let waits = |attempt: &&Attempt| self.waiting_for_lease(**attempt).is_some();
        self.backlogs
            .get(shape)
            .map(|backlog| backlog.queue.iter().filter(waits).copied().collect())
            .unwrap_or_default()
    }

    pub(super) fn dispatch_all(&mut self) {
        let shapes: Vec<_> = self.backlogs.keys().cloned().collect();
        shapes.iter().for_each(|shape| self.dispatch(shape));
    }

    /// A node is dead or out of reach: what it lent is given up, and what it borrowed is taken back.
    pub(super) fn leases_without(&mut self, node: NodeId, why: &str) {
        let gone: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.node == node).map(|(id, _)| *id).collect();
        for id in gone {
            let Some(lease) = self.leases.remove(&id) else { continue };
            self.send(node, NodeMessage::ReturnLease(id));
            if let Some(backlog) = self.backlogs.get_mut(&lease.shape) {
                backlog.idle.retain(|idle| *idle != id);
            }
            if let Some(attempt) = lease.running {
                self.attempt_lost(id, node, attempt, &Failure::Crashed(Arc::from(format!("{node} {why}"))));
            }
        }
        let back: Vec<LeaseId> = self.lent.iter().filter(|(_, lent)| lent.owner == node).map(|(id, _)| *id).collect();
        for id in back {
            // An owner that lives is told how the runs ended, should it ever listen again.
            self.lease_returned(id);
        }
    }

    fn unended_runs_of(&self, lease: LeaseId) -> Vec<Attempt> {
        self.runs.iter().filter(|(_, run)| run.lease == Some(lease) && !run.has_ended()).map(|(id, _)| *id).collect()
    }
}
