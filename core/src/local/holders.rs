//! Who made and who holds the objects in the store, for `sheaf memory` and for the errors of a store that is full.

use std::fmt::Write;

use serde_json::{Value, json};

use super::peers::PEERS;
use super::shell::Shell;
use crate::ids::{Attempt, ClientId, ObjectId};
use crate::schedule::{Hold, References};
use crate::store::{Holding, Refusal};

/// Objects that are named when the store is full.
const NAMED: usize = 5;
/// Clients and nodes that are named for one object.
const NAMED_HOLDERS: usize = 5;

impl Shell {
    /// What makes an object, as people are told: a client's `put`, or what it runs.
    pub(super) fn origin(&self, client: ClientId, attempt: Option<Attempt>) -> String {
        let ran = attempt.and_then(|attempt| self.node.spec_of_run(attempt)).map(|spec| self.name_of(&spec.common));
        match ran {
            Some(name) => format!("{name} ({})", self.process_of(client)),
            None => format!("put by {}", self.client_name(client)),
        }
    }

    /// A client, as people know it.
    pub(super) fn client_name(&self, client: ClientId) -> String {
        match self.workers.get(&client).map(|worker| worker.name()) {
            _ if client == PEERS => "another node".to_string(),
            Some("") => format!("a worker ({})", self.process_of(client)),
            Some(name) => format!("{name} ({})", self.process_of(client)),
            None => format!("a driver ({})", self.process_of(client)),
        }
    }

    fn process_of(&self, client: ClientId) -> String {
        let pid = match self.workers.get(&client) {
            Some(worker) => worker.pid(),
            None => self.clients.get(&client).and_then(super::clients::Client::pid),
        };
        pid.map_or_else(|| "gone".to_string(), |pid| format!("pid {pid}"))
    }

    /// Why there is no room, with what takes it and who holds that.
    pub(super) fn told(&self, refusal: &Refusal) -> String {
        let mut text = refusal.why.clone();
        if !refusal.is_full {
            return text;
        }
        for held in self.store.largest(NAMED, true) {
            let holders = self.holders(&held);
            // Text can always be written to.
            let _ = write!(text, "\n  {}: {} bytes, made by {}, {holders}", held.id, held.size, held.origin);
        }
        text + "\nlet go of arrays and tables that were got from the store, or give it more (object_store_memory); \
                sheaf memory lists all of a cluster"
    }

    /// Who holds an object, as far as this node knows.
    fn holders(&self, held: &Holding) -> String {
        let readers = some_of(held.readers.iter().map(|client| self.client_name(*client)));
        let read = readers.map_or_else(|| "read by nobody".to_string(), |readers| format!("read by {readers}"));
        let references = self.references_text(held.id);
        if references.is_empty() { read } else { format!("{read}, {references}") }
    }

    /// What keeps an object, as far as this node knows: all, if it owns it.
    pub(super) fn references_text(&self, object: ObjectId) -> String {
        let References { clients, uses, lineage, runs, borrowers } = self.node.references_to(object);
        let mut parts = Vec::new();
        let counted = clients.iter().map(|(client, count)| match count {
            1 => self.client_name(*client),
            count => format!("{count} × {}", self.client_name(*client)),
        });
        parts.extend(some_of(counted).map(|clients| format!("referenced by {clients}")));
        for (count, what) in [
            (uses, "needed by tasks that wait or within objects"),
            (runs, "handed to what runs here"),
            (lineage, "kept to make lost results again"),
        ] {
            if count > 0 {
                parts.push(format!("{what}: {count}"));
            }
        }
        let borrowed = borrowers.iter().map(|(node, hold)| match hold {
            Hold::Lineage => format!("{node} (lineage)"),
            _ => node.to_string(),
        });
        parts.extend(some_of(borrowed).map(|nodes| format!("borrowed by {nodes}")));
        parts.join(", ")
    }

    /// The largest objects of this node and the sums of all.
    pub(super) fn memory_as_json(&self, most: usize) -> Value {
        let totals = self.store.totals();
        let objects = self.store.largest(most, false).into_iter().map(|held| {
            json!({
                "key": held.id,
                "id": held.id.to_string(),
                "owner": held.id.owner().to_string(),
                "size": held.size,
                "is_spilled": held.is_spilled,
                "origin": &*held.origin,
                "holders": self.holders(&held),
            })
        });
        json!({
            "objects": objects.collect::<Value>(),
            "memory": totals.memory,
            "disk": totals.disk,
            "limit": totals.limit,
        })
    }
}

/// The first few, and how many more there are.
fn some_of(all: impl Iterator<Item = String>) -> Option<String> {
    let mut all = all.peekable();
    all.peek()?;
    let named: Vec<String> = all.by_ref().take(NAMED_HOLDERS).collect();
    let more = all.count();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(named.join(", ") + &rest)
}
