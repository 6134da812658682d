//! Parts of plans, which the node runs itself.
//!
//! What an attempt made enters the store when its end is heard, and only if it is still wanted: the result of an
//! attempt that was given up must not take the place of a later one's.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot::Sender;

use super::parts::Written;
use super::peers::PEERS;
use super::shell::{Input, Shell};
use super::source::{RangeSource, mapped};
use super::values::Recipient;
use crate::fragment::{Ended, Fragment, Kept};
use crate::ids::{Attempt, NodeId, ObjectId};
use crate::parts::Place;
use crate::schedule::{Event, Failure, Made, Outcome, Raised, Returned, TaskSpec};
use crate::store::{Content, Here, Ranges};

/// The values of what a fragment needs, and where that is of which it reads parts.
type Given = (Vec<Bytes>, Vec<(ObjectId, Place)>);

/// An attempt to run a fragment, from its start to its end.
#[derive(Debug)]
pub(super) struct Running {
    spec: Arc<TaskSpec>,
    /// What it is begun with, before it is.
    begins_with: Option<Given>,
    /// Nobody waits for it any more.
    is_stopped: bool,
}

impl Shell {
    /// Runs an attempt in this process.
    pub(super) fn start_fragment(
        &mut self,
        attempt: Attempt,
        spec: &Arc<TaskSpec>,
        values: &[(ObjectId, Option<Bytes>)],
        places: Vec<(ObjectId, Place)>,
    ) {
        if self.options.executor.is_none() {
            let why = Arc::from("this node runs no parts of plans");
            return self.post(Event::Ended(attempt, Outcome::Failed(Failure::Crashed(why))));
        }
        let before = self.fragments.keys().filter(|other| other.task == attempt.task).copied();
        for other in before.collect::<Vec<_>>() {
            self.stop_fragment(other);
        }
        let stored = values.iter().filter(|(_, value)| value.is_none()).map(|(object, _)| *object).collect::<Vec<_>>();
        // The values of those come, in this order, from the store.
        let of =
            |object: &ObjectId| values.iter().find(|(other, _)| other == object).and_then(|(_, value)| value.clone());
        let needs = spec.needs.iter().map(|object| of(object).unwrap_or_default()).collect();
        let running = Running { spec: Arc::clone(spec), begins_with: Some((needs, places)), is_stopped: false };
        self.fragments.insert(attempt, running);
        self.deliver(Recipient::Fragment(attempt), stored);
    }

    /// What it needs is there.
    pub(super) fn begin_fragment(&mut self, attempt: Attempt, opened: Vec<Here>) {
        // What is not mapped in the end is closed as it is dropped.
        let opened: Vec<_> = opened.into_iter().map(|here| (here.object, self.reading(here))).collect();
        let mut given = Vec::new();
        for (object, reading) in opened {
            match mapped(reading) {
                Ok(bytes) => given.push((object, bytes)),
                Err(error) => {
                    let why = format!("{object} cannot be mapped: {error}");
                    return self.fragment_failed(attempt, Failure::Crashed(why.into()));
                }
            }
        }
        let parts = match self.node_parts() {
            Ok(parts) => parts,
            Err(error) => return self.fragment_failed(attempt, Failure::Crashed(error.to_string().into())),
        };
        let Some(executor) = &self.options.executor else { return };
        let Some(running) = self.fragments.get_mut(&attempt) else { return };
        let Some((mut needs, places)) = running.begins_with.take() else { return };
        for (object, bytes) in given {
            let wanted = running.spec.needs.iter().zip(&mut needs).filter(|(need, _)| **need == object);
            wanted.for_each(|(_, need)| *need = bytes.clone());
        }
        let (life, inlet) = (self.node.id(), self.inlet.clone());
        let end = move |attempt, ended| {
            // A node that is gone waits for nothing.
            inlet.tell(Input::Ended(life, attempt, ended));
        };
        executor.start(Fragment::new(attempt, needs, running.spec.payload.clone(), places, parts, end));
    }

    /// It cannot begin.
    pub(super) fn fragment_failed(&mut self, attempt: Attempt, failure: Failure) {
        if self.fragments.remove(&attempt).is_some() {
            self.post(Event::Ended(attempt, Outcome::Failed(failure)));
        }
    }

    /// Stops an attempt; says whether there is one.
    pub(super) fn stop_fragment(&mut self, attempt: Attempt) -> bool {
        let Some(running) = self.fragments.get_mut(&attempt) else { return false };
        let has_begun = running.begins_with.is_none();
        running.is_stopped = true;
        if !has_begun {
            self.withdraw(attempt);
            self.fragment_failed(attempt, Failure::Cancelled);
        } else if let Some(executor) = &self.options.executor {
            executor.stop(attempt);
        }
        true
    }

    /// This life of the node is over.
    pub(super) fn stop_fragments(&mut self) {
        for attempt in std::mem::take(&mut self.fragments).into_keys() {
            if let Some(executor) = &self.options.executor {
                executor.stop(attempt);
            }
        }
    }

    /// An attempt ended, in that life of the node.
    pub(super) fn fragment_ended(&mut self, life: NodeId, attempt: Attempt, ended: Ended) {
        if life != self.node.id() {
            return;
        }
        let Some(running) = self.fragments.remove(&attempt) else { return };
        let outcome = match ended {
            _ if running.is_stopped => Outcome::Failed(Failure::Cancelled),
            Ended::Raised(error) => Outcome::Raised(Raised { error, contains: Vec::new() }),
            Ended::Failed(failure) => Outcome::Failed(failure),
            Ended::Made(kept) => self.keep_all(attempt, &running.spec, kept),
        };
        self.post(Event::Ended(attempt, outcome));
    }

    fn keep_all(&mut self, attempt: Attempt, spec: &TaskSpec, kept: Vec<Kept>) -> Outcome {
        let count = kept.len();
        let made = (0..).zip(kept).map(|(index, kept)| self.keep(attempt.task.result(index), spec, kept));
        let made: Option<Vec<Made>> = made.collect();
        match made {
            Some(made) if count == spec.returns as usize => {
                Outcome::Values(made.into_iter().map(|made| Returned { made, contains: Vec::new() }).collect())
            }
            _ => {
                let why = format!("it was to have {} results of this node's store, and had {count}", spec.returns);
                Outcome::Failed(Failure::Crashed(why.into()))
            }
        }
    }

    fn keep(&mut self, object: ObjectId, spec: &TaskSpec, Kept(written): Kept) -> Option<Made> {
        let (now, edition) = (self.now(), self.next_edition());
        let origin: Arc<str> = Arc::from(format!("the fragment {}", spec.id));
        match *written.downcast::<Written>().ok()? {
            Written::Inline(bytes) => Some(Made::Inline(bytes)),
            Written::Memory(room, memory, size) => {
                let content = Content { memory, size, edition, origin, kept_as: None };
                let question = room.into_room()?.0;
                self.store.insert(now, PEERS, question, object, content);
                self.settle_store();
                Some(Made::Stored { size })
            }
            Written::Disk(spilled) => {
                let size = spilled.size();
                self.store.insert_on_disk(now, object, spilled, (edition, origin));
                self.settle_store();
                Some(Made::Stored { size })
            }
        }
    }

    /// Somebody reads ranges of an object.
    pub(super) fn open_source(&mut self, object: ObjectId, answer: Sender<Result<RangeSource, String>>) {
        let now = self.now();
        let failed = |error: std::io::Error| format!("it cannot be opened: {error}");
        let source = match self.store.open_ranges(now, PEERS, object) {
            Ok(Ranges::Memory(here)) => {
                let reading = self.reading(here);
                RangeSource::in_memory(reading, Arc::clone(&self.indexes)).map_err(failed)
            }
            Ok(Ranges::Disk(spilled, edition)) => {
                Ok(RangeSource::on_disk(object, spilled, edition, Arc::clone(&self.indexes)))
            }
            Ok(Ranges::Nowhere) => Err("it is not in the store".to_string()),
            Err(error) => Err(failed(error)),
        };
        // One that is not wanted any more is closed as it is dropped.
        let _ = answer.send(source);
    }
}
