//! What people ask of a node, and its answers as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::shell::Shell;

/// A question about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inquiry {
    /// Which nodes are there, and where? Asked of the head.
    Nodes,
    /// What is in the store?
    Objects,
    /// Which workers are there, and what do they run?
    Workers,
}

impl Shell {
    /// The answer to a question, as text in JSON.
    pub(super) fn inquired(&self, inquiry: Inquiry) -> String {
        match inquiry {
            Inquiry::Nodes => self.nodes_as_json(),
            Inquiry::Objects => self.objects_as_json(),
            Inquiry::Workers => self.workers_as_json(),
        }
        .to_string()
    }

    fn nodes_as_json(&self) -> Value {
        let members = self.head.as_ref().map(|head| head.members().collect()).unwrap_or_default();
        // What a new node says first may overtake its greeting, which has the address.
        let told = self.as_told(members).into_iter().filter(|node| !node.address.is_empty()).map(|node| {
            json!({
                "id": node.id.to_string(),
                "is_head": node.id == self.node.id(),
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
}
