//! What people ask of a node, and its answers: JSON, but for metrics. Each is bounded, however much there is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot::Sender;

use super::actions::reason;
use super::files::{self, Part};
use super::shell::Shell;
use crate::autoscale::Prospect;
use crate::ids::{NodeId, ObjectId};
use crate::schedule::{ActorRow, Kind, TaskRow, TaskSpec};
use crate::wire::{Reason, Work};

/// Objects of which an owner is asked at once.
const MAX_KEYS: usize = 10_000;
/// Actors with open calls that are told at once.
const MAX_CALLED: usize = 100_000;
/// What ends the namespace in the name of an actor.
const SEPARATOR: char = '\0';

/// A question about a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inquiry {
    /// Which nodes are there, and where? The head knows all of them, another node itself.
    Nodes,
    /// What is in the store?
    Objects,
    /// Which workers are there, and what do they run?
    Workers,
    /// The largest objects in the store, at most so many, with who made and who holds them; and the sums of all.
    Memory(usize),
    /// What keeps these objects of the node's?
    References(Vec<ObjectId>),
    /// Which tasks are there that were submitted on the node?
    Tasks(Filter),
    /// Which actors are there that were made on the node, and how many calls of it to each have not ended?
    Actors(Filter),
    /// What is there to measure? The answer is Prometheus' text.
    Metrics,
    /// Which files with what workers printed are there?
    Files,
    /// A part of such a file.
    File(Part),
    /// What does the node wait for if it is drained, and what goes with it?
    Leaving,
    /// Drain that node within so many milliseconds. Asked of the head.
    Drain(NodeId, u64),
    /// Which nodes are there, and what waits for more? Asked of the head.
    Demand,
    /// Drain that node within so many milliseconds, if nothing of it is lent. Asked of the head.
    DrainIdle(NodeId, u64),
    /// There can be more nodes of these types; in answer, what there can be. Told to the head.
    Prospects(Option<Vec<Prospect>>),
}

/// Which rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filter {
    /// In this state alone.
    pub state: Option<String>,
    /// Of this name alone: that of the function, class or method, or of the actor.
    pub name: Option<String>,
    /// At most so many; how many there are is told besides.
    pub most: usize,
}

/// The names of functions and classes, each read once for all calls with the same options.
#[derive(Default)]
struct Names(BTreeMap<usize, String>);

impl Names {
    fn of(&mut self, shell: &Shell, spec: &TaskSpec) -> &str {
        self.0.entry(spec.common.as_ptr().addr()).or_insert_with(|| shell.name_of(&spec.common))
    }
}

impl Shell {
    /// Answers a question. Who does not wait any more needs no answer.
    pub(super) fn inquired(&mut self, inquiry: Inquiry, answer: Sender<String>) {
        let text = match inquiry {
            Inquiry::Files => return files::list(self.log_folder(), answer),
            Inquiry::File(part) => return files::read(self.log_folder(), part, answer),
            Inquiry::Metrics => self.metrics_text(),
            Inquiry::Nodes => self.nodes_as_json().to_string(),
            Inquiry::Objects => self.objects_as_json().to_string(),
            Inquiry::Workers => self.workers_as_json().to_string(),
            Inquiry::Memory(most) => self.memory_as_json(most).to_string(),
            Inquiry::References(objects) => self.references_as_json(&objects).to_string(),
            Inquiry::Tasks(filter) => self.tasks_as_json(&filter).to_string(),
            Inquiry::Actors(filter) => self.actors_as_json(&filter).to_string(),
            Inquiry::Leaving => self.leaving_as_json().to_string(),
            Inquiry::Drain(node, millis) => self.drain(node, millis).to_string(),
            Inquiry::DrainIdle(node, millis) => self.drain_idle(node, millis).to_string(),
            Inquiry::Demand => self.demand_as_json().to_string(),
            Inquiry::Prospects(prospects) => self.prospects(prospects).to_string(),
        };
        let _ = answer.send(text);
    }

    /// What a call is to people, as its options say.
    pub(super) fn name_of(&self, common: &[u8]) -> String {
        postcard::from_bytes::<Work>(common).map_or_else(|_| String::new(), |work| work.name)
    }

    fn nodes_as_json(&self) -> Value {
        let members = match &self.head {
            Some(head) => head.members().collect(),
            None => vec![self.node.as_member()],
        };
        // What a new node says first may overtake its greeting, which has the address.
        let told = self.as_told(members).into_iter().filter(|node| !node.address.is_empty()).map(|node| {
            json!({
                "id": node.id.to_string(),
                "is_head": self.head.is_some() && node.id == self.node.id(),
                "state": self.head.as_ref().map_or("alive", |head| head.state_of(node.id)),
                "address": node.address,
                "total": node.total,
                "free": node.free,
                "labels": node.labels,
            })
        });
        told.collect()
    }

    fn objects_as_json(&self) -> Value {
        let told = self.store.objects().into_iter().map(|object| {
            json!({
                "id": object.id.to_string(),
                "owner": object.id.owner().to_string(),
                "size": object.size,
                "is_spilled": object.is_spilled,
                "readers": object.readers,
            })
        });
        told.collect()
    }

    fn workers_as_json(&self) -> Value {
        self.workers.iter().map(|(id, worker)| worker.as_json(*id)).collect()
    }

    fn references_as_json(&self, objects: &[ObjectId]) -> Value {
        objects.iter().take(MAX_KEYS).map(|object| self.references_text(*object)).collect()
    }

    fn tasks_as_json(&self, filter: &Filter) -> Value {
        let mut names = Names::default();
        let is_wanted = |spec: &TaskSpec, state: &str| {
            filter.state.as_ref().is_none_or(|wanted| wanted == state)
                && filter.name.as_ref().is_none_or(|wanted| wanted == names.of(self, spec))
        };
        let (total, rows) = self.node.list_tasks(filter.most, is_wanted);
        let rows: Value = rows.iter().map(|row| self.task_as_json(row)).collect();
        json!({ "total": total, "rows": rows })
    }

    fn task_as_json(&self, TaskRow { spec, state, attempt, node }: &TaskRow) -> Value {
        let kind = match spec.kind {
            Kind::Function => "task",
            Kind::Fragment { .. } => "fragment",
            Kind::Actor { .. } => "actor",
            Kind::Call { .. } => "call",
        };
        let why = match *state {
            "waiting" | "queued" => self.node.explain_task(spec.id),
            _ => String::new(),
        };
        json!({
            "id": spec.id.to_string(),
            "name": self.name_of(&spec.common),
            "kind": kind,
            "state": state,
            "attempt": attempt,
            "runs_on": node.map(|node| node.to_string()),
            "why": why,
        })
    }

    fn actors_as_json(&self, filter: &Filter) -> Value {
        let (mut total, mut rows) = (0, Vec::new());
        for row in self.node.list_actors() {
            let class = row.spec.as_ref().map(|spec| class_of(&self.name_of(&spec.common))).unwrap_or_default();
            let (namespace, name) = parts_of(row.name.as_deref());
            let is_wanted = filter.state.as_ref().is_none_or(|wanted| wanted == row.state)
                && filter.name.as_ref().is_none_or(|wanted| *wanted == class || *wanted == name);
            if is_wanted {
                total += 1;
                if rows.len() < filter.most {
                    rows.push(actor_as_json(&row, &class, namespace, name));
                }
            }
        }
        let calls: BTreeMap<String, usize> =
            self.node.open_calls().take(MAX_CALLED).map(|(actor, count)| (actor.to_string(), count)).collect();
        json!({ "total": total, "rows": rows, "calls": calls })
    }
}

fn actor_as_json(row: &ActorRow, class: &str, namespace: &str, name: &str) -> Value {
    let why = row.failure.clone().map(|failure| match reason(failure) {
        Reason::Raised(_) => "its constructor raised".to_string(),
        Reason::ActorDied(why) | Reason::Crashed(why) | Reason::Setup(why) | Reason::Lost(why) => why,
        other => format!("{other:?}"),
    });
    json!({
        "id": row.id.to_string(),
        "class": class,
        "namespace": namespace,
        "name": name,
        "is_detached": row.is_detached,
        "state": row.state,
        "lives_on": row.node.map(|node| node.to_string()),
        "restarts": row.lives.saturating_sub(1),
        "why": why,
    })
}

/// The class, out of the name of the task that makes an actor: `Counter.__init__`.
fn class_of(name: &str) -> String {
    name.strip_suffix(".__init__").unwrap_or(name).to_string()
}

/// The namespace and the name.
fn parts_of(name: Option<&str>) -> (&str, &str) {
    name.and_then(|name| name.split_once(SEPARATOR)).unwrap_or_default()
}
