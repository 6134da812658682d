//! Parts of plans in the simulation: each reads what others made wherever that is, fails when it cannot be read there, and
//! may be one that another attempt would make otherwise.

use super::*;

/// What is kept of fragments.
#[derive(Default)]
pub(super) struct Fragments {
    /// Those of which no other attempt may follow one that ended well.
    unrepeatable: BTreeSet<TaskId>,
    /// Those of them that ended.
    ended: BTreeSet<TaskId>,
    /// Where what an attempt reads is.
    places: BTreeMap<(NodeId, Attempt), Vec<(ObjectId, Place)>>,
    /// The attempts that ask where something is, by the question.
    asked: BTreeMap<(NodeId, ClientId, u64), Attempt>,
    /// How many began before all that they read was there.
    pub(super) early: usize,
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
        let (reads, begins_early) = (reads.into_iter().collect(), self.random.below(8) == 0);
        Kind::Fragment { reads, is_repeatable, in_worker: true, siblings, begins_early }
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
            self.check_copies(attempt, *object, nodes);
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
        let later: Vec<ObjectId> =
            places.iter().filter(|(_, place)| *place == Place::Later).map(|(object, _)| *object).collect();
        if spec.begins_early() != (later.len() == places.len()) && !places.is_empty() {
            self.broken(&format!("{attempt} is to ask for {later:?} of {places:?}"));
        }
        self.fragments.places.insert((node, attempt), places);
        let id = self.start_worker(node, attempt, spec, values);
        for object in later {
            self.ask_where(node, id, attempt, object);
        }
    }

    /// What an attempt is told of is not what others of its task could not read.
    fn check_copies(&mut self, attempt: Attempt, object: ObjectId, nodes: &[NodeId]) {
        for from in nodes {
            let copy = (attempt.task, object, *from, self.edition(*from, object));
            // The first one may not have been heard of, for its node was given up.
            if self.fragments.unread.get(&copy).is_some_and(|times| *times > 1) {
                self.broken(&format!("{attempt} is to read {object} from {from}, where others before could not"));
            }
        }
    }

    /// An attempt that began early asks where something is.
    fn ask_where(&mut self, node: NodeId, id: ClientId, attempt: Attempt, object: ObjectId) {
        let question = self.number(node);
        if !self.asks(node, id, question, object) {
            return;
        }
        self.fragments.asked.insert((node, id, question), attempt);
        self.step_node(node, Event::See(id, question, object));
        if self.fragments.asked.contains_key(&(node, id, question)) {
            self.fragments.early += 1;
        }
    }

    /// It is told. Says whether it was such a question.
    pub(super) fn placed(
        &mut self,
        (node, id, question): (NodeId, ClientId, u64),
        object: ObjectId,
        answer: &Result<Found, Failure>,
    ) -> bool {
        let Some(attempt) = self.fragments.asked.remove(&(node, id, question)) else { return false };
        // What failed is nowhere.
        let place = answer.as_ref().map_or(Place::At(vec![object.owner()]), |found| found.place.clone());
        if place == Place::At(Vec::new()) || place == Place::Later {
            self.broken(&format!("{attempt} is told that {object} is nowhere"));
        }
        if let (Ok(_), Place::At(nodes)) = (answer, &place) {
            self.check_copies(attempt, object, nodes);
        }
        let places = self.fragments.places.get_mut(&(node, attempt)).into_iter().flatten();
        places.filter(|(other, _)| *other == object).for_each(|(_, own)| own.clone_from(&place));
        true
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
