//! Parts of plans in the simulation: each reads what others made wherever that is, fails when it cannot be read there, and
//! may be one that another attempt would make otherwise.

use super::*;
use crate::parts::Place;

/// What is kept of fragments.
#[derive(Default)]
pub(super) struct Fragments {
    /// Those of which no other attempt may follow one that ended well.
    unrepeatable: BTreeSet<TaskId>,
    /// Those of them that ended.
    ended: BTreeSet<TaskId>,
    /// Where what an attempt reads is.
    places: BTreeMap<(NodeId, Attempt), Vec<(ObjectId, Place)>>,
    /// How often a task could not read a copy, in its edition.
    unread: BTreeMap<(TaskId, ObjectId, NodeId, u64), u32>,
    /// How often each copy came into a store.
    editions: BTreeMap<(NodeId, ObjectId), u64>,
    /// How many attempts could not read something.
    pub(super) failed: usize,
    /// How many began beside another one.
    pub(super) beside: usize,
}

impl Fragments {
    pub(super) fn ended(&mut self, task: TaskId) {
        if self.unrepeatable.contains(&task) {
            self.ended.insert(task);
        }
    }
}

impl World {
    /// A part of a plan that reads what its client has references to.
    pub(super) fn fragment(&mut self, node: NodeId, id: ClientId) -> Kind {
        let reads: BTreeSet<ObjectId> = (0..self.random.below(5)).filter_map(|_| self.any_ref(node, id)).collect();
        let (is_repeatable, siblings) = (self.random.below(4) > 0, (self.random.below(4) > 0).then_some(0));
        Kind::Fragment { reads: reads.into_iter().collect(), is_repeatable, in_worker: false, siblings }
    }

    /// A copy of an object lies in the store of a node.
    pub(super) fn stores(&mut self, node: NodeId, object: ObjectId) {
        if let Some(host) = self.hosts.get_mut(&node) {
            host.store.insert(object);
            *self.fragments.editions.entry((node, object)).or_default() += 1;
        }
    }

    fn edition(&self, node: NodeId, object: ObjectId) -> u64 {
        self.fragments.editions.get(&(node, object)).copied().unwrap_or(0)
    }

    pub(super) fn start_fragment(
        &mut self,
        node: NodeId,
        attempt: Attempt,
        spec: Arc<TaskSpec>,
        values: &[(ObjectId, Option<Bytes>)],
        places: Vec<(ObjectId, Place)>,
    ) {
        if spec.reads().iter().ne(places.iter().map(|(object, _)| object)) {
            self.broken(&format!("{attempt} reads {:?} and is told of {places:?}", spec.reads()));
        }
        for (object, place) in &places {
            let Place::At(nodes) = place else { continue };
            if nodes.is_empty() {
                self.broken(&format!("{attempt} begins before {object} is anywhere"));
            }
            for from in nodes {
                let copy = (attempt.task, *object, *from, self.edition(*from, *object));
                // The first one may not have been heard of, for its node was given up.
                if self.fragments.unread.get(&copy).is_some_and(|times| *times > 1) {
                    self.broken(&format!("{attempt} is to read {object} from {from}, where others before could not"));
                }
            }
        }
        let runs = |host: &Host| {
            let is_other = |(other, _): (&Attempt, _)| other.task == attempt.task && *other != attempt;
            host.frozen_until <= self.now && host.workers.iter().any(is_other)
        };
        if self.hosts.iter().any(|(id, host)| *id != node && runs(host)) {
            self.fragments.beside += 1;
            if !spec.is_repeatable() && self.fragments.ended.contains(&attempt.task) {
                self.broken(&format!("{attempt} begins, and would make something else"));
            }
        }
        if !spec.is_repeatable() {
            self.fragments.unrepeatable.insert(attempt.task);
        }
        self.fragments.places.insert((node, attempt), places);
        self.start_worker(node, attempt, spec, values);
    }

    /// A task that has ended runs again.
    pub(super) fn check_again(&mut self, task: TaskId) {
        if self.fragments.ended.contains(&task) {
            self.broken(&format!("{task} runs again, and would make something else"));
        }
    }

    /// What an attempt cannot read of what it was to: no node that it was told of has it, none is reached, or what comes
    /// is broken.
    pub(super) fn unread_by(&mut self, node: NodeId, attempt: Attempt) -> Option<Failure> {
        let places = self.fragments.places.remove(&(node, attempt))?;
        for (object, place) in places {
            let Place::At(nodes) = place else { continue };
            // A checksum may be wrong too.
            let is_right = self.random.below(12) > 0;
            let is_read = |from: &NodeId| {
                let pair = (node.min(*from), node.max(*from));
                let is_cut = self.cuts.get(&pair).is_some_and(|until| *until > self.now);
                is_right && !is_cut && self.hosts.get(from).is_some_and(|host| host.store.contains(&object))
            };
            if !nodes.iter().any(is_read) {
                let from = *nodes.first()?;
                let copy = (attempt.task, object, from, self.edition(from, object));
                *self.fragments.unread.entry(copy).or_default() += 1;
                self.fragments.failed += 1;
                return Some(Failure::Unread(object, from, Arc::from("it is not there, or not reached")));
            }
        }
        None
    }
}
