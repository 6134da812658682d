//! The attempts that run on this node, for itself or for others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::fetches::Waiter;
use super::references::Count;
use super::{Action, Node};
use crate::ids::{Attempt, ClientId, LeaseId, ObjectId};
use crate::parts::Place;
use crate::schedule::message::{Failure, Known, Made, NodeMessage, Outcome, Stop, place_of};
use crate::schedule::spec::{Kind, TaskSpec};

/// An attempt that runs here.
#[derive(Debug)]
pub(super) struct Run {
    /// `None` for a call of an actor.
    pub(super) lease: Option<LeaseId>,
    spec: Arc<TaskSpec>,
    stage: Stage,
    /// The values of what it needs, as far as they are here.
    values: BTreeMap<ObjectId, Option<Bytes>>,
    /// Where what it reads is, as far as its owner knew.
    places: Vec<(ObjectId, Place)>,
    /// The references within its results, held until the owner of the task holds them.
    pub(super) contains: Vec<ObjectId>,
    /// Its results in this node's store.
    pub(super) made: Vec<ObjectId>,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// These values are not here.
    Fetching(BTreeSet<ObjectId>),
    /// It has all it needs, and waits for its turn if it is a call.
    Ready,
    /// A worker has it.
    Running,
    /// The owners of these objects do not know yet that this node holds them beyond the attempt.
    Reporting(Outcome, BTreeSet<ObjectId>),
    /// The owner of the task was told, and has not answered.
    Reported,
}

impl Run {
    pub(super) fn spec(&self) -> &TaskSpec {
        &self.spec
    }

    /// Whether it runs no more, and is there only for what is to be said of it.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Reporting(_, _) | Stage::Reported)
    }

    /// Whether a worker has it.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }

    /// Whether it is a call that has all it needs.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    fn actor(&self) -> Option<ObjectId> {
        self.spec.call().map(|(actor, _)| actor)
    }

    /// Who calls an actor by it.
    pub(super) fn caller(&self) -> Option<ClientId> {
        self.spec.call().map(|(_, caller)| caller)
    }
}

impl Node {
    pub(super) fn execute(
        &mut self,
        lease: LeaseId,
        attempt: Attempt,
        spec: Arc<TaskSpec>,
        known: Vec<(ObjectId, Known)>,
    ) {
        if !self.is_lent(lease) {
            let gone = match self.gone_group(&spec.shape) {
                Some(group) => Failure::GroupRemoved(group),
                None => Failure::Crashed(Arc::from(format!("{} took its resources back", self.id))),
            };
            return self.send(attempt.task.owner, NodeMessage::Finished(attempt, Outcome::Failed(gone)));
        }
        if self.is_overdue() {
            return self.send(attempt.task.owner, NodeMessage::Finished(attempt, Outcome::NotStarted));
        }
        self.prepare(Some(lease), attempt, spec, known);
    }

    /// Brings here what an attempt needs.
    pub(super) fn prepare(
        &mut self,
        lease: Option<LeaseId>,
        attempt: Attempt,
        spec: Arc<TaskSpec>,
        known: Vec<(ObjectId, Known)>,
    ) {
        let needs: BTreeSet<ObjectId> = spec.needs.iter().copied().collect();
        let refs: Vec<ObjectId> = spec.handed().collect();
        let mut known: BTreeMap<_, _> = known.into_iter().collect();
        let place = |object| if spec.begins_early() { Place::Later } else { place_of(known.get(object)) };
        let places = spec.reads().iter().map(|object| (*object, place(object))).collect();
        let failed = spec.reads().iter().find_map(|object| match known.get(object) {
            Some(Known::Failed(failure)) => Some(failure.clone()),
            _ => None,
        });
        let run = Run {
            lease,
            spec,
            stage: Stage::Fetching(needs.clone()),
            values: BTreeMap::new(),
            places,
            contains: Vec::new(),
            made: Vec::new(),
        };
        self.runs.insert(attempt, run);
        refs.into_iter().for_each(|object| self.hold(object, Count::Cover));
        if let Some(failure) = failed {
            // What it reads was there, was lost, and could not be made again since.
            return self.end(attempt, Outcome::Failed(failure));
        }
        if needs.is_empty() {
            return self.start(attempt);
        }
        for object in needs {
            self.want(object, Waiter::Run(attempt), known.remove(&object));
        }
    }

    /// The value of something that an attempt needs is here, or will never be.
    pub(super) fn need_arrived(&mut self, attempt: Attempt, object: ObjectId, known: &Known) {
        let Some(run) = self.runs.get_mut(&attempt) else { return };
        let Stage::Fetching(missing) = &mut run.stage else { return };
        let value = match known {
            Known::Failed(failure) => {
                let outcome = Outcome::Failed(failure.clone());
                return self.end(attempt, outcome);
            }
            Known::Inline(bytes, _) => Some(bytes.clone()),
            Known::Stored(_, _) => None,
        };
        missing.remove(&object);
        let is_complete = missing.is_empty();
        run.values.insert(object, value);
        if is_complete {
            self.start(attempt);
        }
    }

    fn start(&mut self, attempt: Attempt) {
        let Some(run) = self.runs.get_mut(&attempt) else { return };
        run.stage = Stage::Ready;
        self.fetch_lost_again(attempt);
        let Some(run) = self.runs.get_mut(&attempt).filter(|run| run.is_ready()) else { return };
        match run.actor() {
            Some(actor) => self.start_calls(actor),
            None => self.begin(attempt),
        }
    }

    /// Waits again for what the store has lost of what an attempt that is ready needs.
    pub(super) fn fetch_lost_again(&mut self, attempt: Attempt) {
        let Some(run) = self.runs.get_mut(&attempt).filter(|run| run.is_ready()) else { return };
        let lost = run.values.iter().filter(|(object, value)| value.is_none() && !self.stored.contains(object));
        let lost: BTreeSet<ObjectId> = lost.map(|(object, _)| *object).collect();
        if !lost.is_empty() {
            run.stage = Stage::Fetching(lost.clone());
            lost.into_iter().for_each(|object| self.want(object, Waiter::Run(attempt), None));
        }
    }

    /// Hands an attempt to a worker.
    pub(super) fn begin(&mut self, attempt: Attempt) {
        let Some(run) = self.runs.get_mut(&attempt) else { return };
        run.stage = Stage::Running;
        let values = std::mem::take(&mut run.values).into_iter().collect();
        let places = std::mem::take(&mut run.places);
        let spec = Arc::clone(&run.spec);
        self.actions.push(match spec.kind {
            Kind::Fragment { .. } => Action::StartFragment(attempt, spec, values, places),
            _ => Action::Start(attempt, spec, values),
        });
    }

    /// An attempt waits for objects, or goes on.
    pub(super) fn blocked(&mut self, attempt: Attempt, is_blocked: bool) {
        if let Some(Run { stage: Stage::Running, lease: Some(lease), .. }) = self.runs.get(&attempt) {
            self.set_blocked(*lease, is_blocked);
        }
    }

    /// A worker says how an attempt ended.
    pub(super) fn ended(&mut self, attempt: Attempt, outcome: Outcome) {
        if matches!(self.runs.get(&attempt), Some(Run { stage: Stage::Running, .. })) {
            self.end(attempt, outcome);
        } else if let Outcome::Values(values) = outcome {
            // Nobody waits for it any more.
            for (index, value) in (0..).zip(values) {
                let object = attempt.task.result(index);
                if matches!(value.made, Made::Stored { .. }) && !self.stored.contains(&object) {
                    self.actions.push(Action::Drop(object));
                }
            }
        }
    }

    pub(super) fn end(&mut self, attempt: Attempt, outcome: Outcome) {
        // Those that it made while it ran come first.
        let before =
            self.runs.get_mut(&attempt).map(|run| (std::mem::take(&mut run.made), std::mem::take(&mut run.contains)));
        let (mut made, mut contains) = (Vec::new(), outcome.contains());
        if let Outcome::Values(values) = &outcome {
            for (index, value) in (0..).zip(values) {
                let object = attempt.task.result(index);
                if matches!(value.made, Made::Stored { .. }) && self.stored.insert(object) {
                    made.push(object);
                }
            }
        }
        contains.iter().for_each(|object| self.hold(*object, Count::Use));
        let (made_before, contained_before) = before.unwrap_or_default();
        made.extend(made_before);
        contains.extend(contained_before);
        if let Some(lease) = self.runs.get(&attempt).and_then(|run| run.lease) {
            self.set_blocked(lease, false);
        }
        let Some(run) = self.runs.get_mut(&attempt) else { return };
        let missing = match &run.stage {
            Stage::Fetching(missing) => missing.clone(),
            _ => BTreeSet::new(),
        };
        let (spec, actor) = (Arc::clone(&run.spec), run.actor());
        (run.made, run.contains) = (made, contains);
        missing.iter().for_each(|object| self.unwant(*object, Waiter::Run(attempt)));
        let waits = spec.handed().filter(|object| self.is_unconfirmed(*object)).collect::<BTreeSet<_>>();
        if matches!(outcome, Outcome::Values(_)) {
            self.settle_in(attempt, &spec);
        }
        if let Some(run) = self.runs.get_mut(&attempt) {
            run.stage = Stage::Reporting(outcome, waits);
        }
        self.report(attempt);
        if let Some(actor) = actor {
            self.call_ended(actor, attempt);
        }
    }

    /// The owner is told of an object in this node's store: it stays there, also where an attempt that made it here does
    /// not count.
    pub(super) fn is_a_copy_now(&mut self, object: ObjectId) {
        let attempt = |number| Attempt { task: object.task, number };
        for (_, run) in self.runs.range_mut(attempt(0)..=attempt(u32::MAX)) {
            run.made.retain(|made| *made != object);
        }
    }

    /// Tells the owner of the task, once all that this node still holds of what it was handed is known.
    fn report(&mut self, attempt: Attempt) {
        let Some(run) = self.runs.get_mut(&attempt) else { return };
        if !matches!(&run.stage, Stage::Reporting(_, waits) if waits.is_empty()) {
            return;
        }
        let Stage::Reporting(outcome, _) = std::mem::replace(&mut run.stage, Stage::Reported) else { return };
        let spec = Arc::clone(&run.spec);
        self.send(attempt.task.owner, NodeMessage::Finished(attempt, outcome));
        spec.handed().for_each(|object| self.release(object, Count::Cover));
    }

    /// Whether an actor's owner has not been told yet that it was made.
    pub(super) fn is_reporting(&self, actor: ObjectId, life: u32) -> bool {
        let attempt = Attempt { task: actor.task, number: life };
        matches!(self.runs.get(&attempt).map(|run| &run.stage), Some(Stage::Running | Stage::Reporting(_, _)))
    }

    /// An attempt that is not reported yet failed after all. Says whether that was in time.
    pub(super) fn fail_unreported(&mut self, attempt: Attempt, why: &Failure) -> bool {
        match self.runs.get_mut(&attempt).map(|run| &mut run.stage) {
            Some(Stage::Reporting(outcome, _)) => {
                *outcome = Outcome::Failed(why.clone());
                true
            }
            _ => false,
        }
    }

    /// The owner of `object` knows of this node's hold: attempts that waited for that are reported.
    pub(super) fn report_confirmed(&mut self, object: ObjectId) {
        let mut ready = Vec::new();
        for (attempt, run) in &mut self.runs {
            if let Stage::Reporting(_, waits) = &mut run.stage
                && waits.remove(&object)
            {
                ready.push(*attempt);
            }
        }
        ready.into_iter().for_each(|attempt| self.report(attempt));
    }

    /// An attempt is over: its owner has the references within its results, and keeps the results or does not.
    pub(super) fn forget_run(&mut self, attempt: Attempt, kept: bool) {
        let Some(run) = self.runs.remove(&attempt) else { return };
        if let (Some(lease), false) = (run.lease, run.has_ended()) {
            self.set_blocked(lease, false);
        }
        if let Stage::Fetching(missing) = &run.stage {
            missing.iter().for_each(|object| self.unwant(*object, Waiter::Run(attempt)));
        }
        if !matches!(run.stage, Stage::Reported) {
            run.spec.handed().for_each(|object| self.release(object, Count::Cover));
        }
        let actor = run.actor();
        run.contains.into_iter().for_each(|object| self.release(object, Count::Use));
        if let (Kind::Actor { .. }, false) = (&run.spec.kind, kept) {
            self.end_actor(attempt.task.result(0), attempt.number);
        }
        if let Some(actor) = actor {
            self.call_ended(actor, attempt);
        }
        if !kept {
            run.made.into_iter().for_each(|object| self.free_copy(object));
        }
    }

    pub(super) fn cancel_run(&mut self, attempt: Attempt, stop: Stop) {
        match self.runs.get(&attempt).map(|run| &run.stage) {
            Some(Stage::Fetching(_) | Stage::Ready) => self.end(attempt, Outcome::Failed(Failure::Cancelled)),
            Some(Stage::Running) => self.actions.push(Action::Kill(attempt, stop)),
            _ => {}
        }
    }
}
