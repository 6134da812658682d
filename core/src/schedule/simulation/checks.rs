//! What has to hold: while it runs, and when all is over.

use super::*;

impl World {
    /// Every reference that a client holds is known to its owner, who has the object; and lineage is bounded.
    pub(super) fn check_references(&mut self) {
        let mut lost = None;
        for (id, host) in &self.hosts {
            if !host.node.is_within_its_lineage() {
                lost = Some(format!("{id} keeps too much lineage"));
            }
            for (client, state) in &host.clients {
                for object in state.held() {
                    if let Some(owner) = self.hosts.get(&object.owner())
                        && !owner.node.knows(object)
                        && host.node.believes_in(object.owner())
                        && owner.node.believes_in(*id)
                    {
                        lost = Some(format!(
                            "{object} is freed, and {client} on {id} holds it: {}",
                            owner.node.tell(object)
                        ));
                    }
                }
            }
        }
        if let Some(lost) = lost {
            self.broken(&lost);
        }
    }

    /// Nothing is left of what was begun.
    pub(super) fn check_end(&mut self) {
        let mut broken = Vec::new();
        for (id, host) in &self.hosts {
            broken.extend(host.node.leftovers().into_iter().map(|what| format!("{id} has left {what}")));
            if !host.store.is_empty() {
                broken.push(format!("the store of {id} has {:?}", host.store));
            }
            if !host.actors.is_empty() {
                broken.push(format!("the actors {:?} live on {id}", host.actors));
            }
            for (client, state) in &host.clients {
                if state.waits() {
                    broken.push(format!("{client} on {id} waits for ever: {state:?}"));
                }
            }
        }
        broken.extend(self.running.iter().map(|task| format!("{task} never ended")));
        let unanswered = self.asked_names.iter().chain(&self.asked_why);
        broken.extend(unanswered.map(|asked| format!("{asked:?} is never answered")));
        broken.extend(self.head.groups().map(|group| format!("{group:?} is never removed")));
        if self.groups.unanswered() > 0 {
            broken.push(format!("questions about groups are never answered: {:?}", self.groups));
        }
        if !self.head.has_no_names() {
            broken.push("the head knows names".to_string());
        }
        if self.head.waiting() > 0 {
            broken.push(format!("{} leases are wanted", self.head.waiting()));
        }
        let there: BTreeSet<NodeId> = self.head.nodes().collect();
        if there != self.hosts.keys().copied().collect() {
            broken.push(format!("the head knows of {there:?} and there are {:?}", self.hosts.keys()));
        }
        self.told.broken.extend(broken);
    }
}
