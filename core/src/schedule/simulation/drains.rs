//! Nodes that leave: in time, nothing that others own is lost with them.

use super::*;

impl World {
    /// A node was drained and goes.
    pub(super) fn leave(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get(&id) else { return };
        if host.node.leaves_in_time() {
            self.told.left += 1;
            if let Some((attempt, _)) = host.workers.iter().find(|(_, (spec, _))| spec.call().is_none()) {
                let what = format!("{id} leaves in time while {attempt} runs there");
                return self.broken(&what);
            }
            for object in host.store.iter().copied().filter(|object| object.owner() != id).collect::<Vec<_>>() {
                self.check_copied(id, object);
            }
        }
        self.end_host(id);
        self.start_node();
    }

    /// The process of a node ends, if it still runs, and another one starts.
    pub(super) fn end_node(&mut self, id: NodeId) {
        if self.hosts.contains_key(&id) {
            self.end_host(id);
            self.start_node();
        }
    }

    /// What a node leaves behind is on another one too, if its owner lives and still has it.
    fn check_copied(&mut self, id: NodeId, object: ObjectId) {
        let Some(owner) = self.hosts.get(&object.owner()) else { return };
        if !owner.node.needs_copy_on(object, id) {
            return;
        }
        // A store may lose what it has; then its owner fetches again or makes it anew.
        if !self.hosts.iter().any(|(other, host)| *other != id && host.store.contains(&object))
            && !self.evicted.contains(&object)
        {
            self.broken(&format!("{id} leaves in time with the only copy of {object}: {}", self.tell(object)));
        }
    }

    fn tell(&self, object: ObjectId) -> String {
        self.hosts.get(&object.owner()).map(|owner| owner.node.tell(object)).unwrap_or_default()
    }
}
