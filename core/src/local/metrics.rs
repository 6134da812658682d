//! What there is to measure of this node, as text: its own state and the metrics of its users.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::shell::Shell;
use crate::metrics::{Update, gauge};
use crate::resources::Resources;
use crate::wire::ObjectInfo;

/// A value, with the names and values of its tags.
type Tagged = (Vec<(&'static str, String)>, f64);

impl Shell {
    pub(super) fn take_metrics(&mut self, updates: Vec<Update>) {
        for update in updates {
            if let Some(why) = self.metrics.take(update) {
                self.lines.say(why);
            }
        }
    }

    /// In the text form of Prometheus.
    pub(super) fn metrics_text(&self) -> String {
        let node = format!("{:016x}", self.node.id().0);
        let one = |value: usize| [(vec![("node", node.clone())], value as f64)];
        let of = |tag: &'static str, name: &str, value: f64| -> Tagged {
            (vec![("node", node.clone()), (tag, name.to_string())], value)
        };
        let amounts = |resources: &Resources| -> Vec<Tagged> {
            resources.amounts().map(|(name, amount)| of("name", name, amount)).collect()
        };
        let states = self.node.tasks_by_state();
        let tasks: Vec<Tagged> = states.into_iter().map(|(state, count)| of("state", state, count as f64)).collect();
        let objects = self.store.objects();
        let (disk, memory): (Vec<_>, Vec<_>) = objects.iter().partition(|object| object.is_spilled);
        let by_place = |of_some: fn(&[&ObjectInfo]) -> f64| {
            [of("place", "memory", of_some(&memory)), of("place", "disk", of_some(&disk))]
        };
        let (counts, bytes) = (
            by_place(|objects| objects.len() as f64),
            by_place(|objects| objects.iter().map(|object| object.size).sum::<u64>() as f64),
        );
        [
            gauge("sheaf_tasks", "Tasks and calls that were submitted on this node, by state.", &tasks),
            gauge("sheaf_actors", "Actors that live on this node.", &one(self.node.actors_here())),
            gauge("sheaf_workers", "Worker processes.", &one(self.workers.len())),
            gauge("sheaf_store_objects", "Objects in the store.", &counts),
            gauge("sheaf_store_bytes", "Bytes of the objects in the store.", &bytes),
            gauge(
                "sheaf_store_reads",
                "Objects of this node's store of which parts are being read.",
                &one(self.reads()),
            ),
            gauge("sheaf_resources_total", "Resources of this node.", &amounts(self.node.total())),
            gauge("sheaf_resources_free", "Resources of this node that nothing holds.", &amounts(self.node.free())),
            self.head_metrics(),
            self.metrics.text(),
        ]
        .concat()
    }

    /// How many sources are open.
    fn reads(&self) -> usize {
        // Each has the indexes, and nothing else has them.
        Arc::strong_count(&self.indexes) - 1
    }

    /// What the head knows of the cluster; nothing elsewhere.
    fn head_metrics(&self) -> String {
        let Some(head) = &self.head else { return String::new() };
        let (dead, left) = head.gone();
        let mut counts = BTreeMap::from([("alive", 0), ("silent", 0), ("draining", 0), ("dead", dead), ("left", left)]);
        for node in head.nodes() {
            *counts.entry(head.state_of(node)).or_default() += 1;
        }
        let nodes: Vec<_> =
            counts.into_iter().map(|(state, count)| (vec![("state", state.to_string())], count as f64)).collect();
        let waiting = [(Vec::new(), head.waiting() as f64)];
        [
            gauge("sheaf_head_nodes", "Nodes that the head has known since it began, by state.", &nodes),
            gauge("sheaf_head_leases_waiting", "Leases that nodes want and that no node has room for.", &waiting),
        ]
        .concat()
    }
}
