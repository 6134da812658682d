//! What goes wrong: machines that die, stand still or forget, links that are cut, clocks that jump.

use super::*;

impl World {
    /// One of the kinds of faults, somewhere.
    pub(super) fn fault(&mut self, kind: u64) {
        let nodes: Vec<NodeId> = self.hosts.keys().copied().collect();
        let one = nodes[self.random.below(nodes.len() as u64) as usize];
        let other = nodes[self.random.below(nodes.len() as u64) as usize];
        let kind = match kind {
            0 => {
                if self.random.below(2) == 0 {
                    self.groups.node_ends(self.now);
                    self.step_node(one, Event::End);
                    self.later(self.now + 1_000, Coming::Ends(one));
                } else {
                    self.end_host(one);
                    self.start_node();
                }
                "killed"
            }
            1 => {
                let long = 1_000 + self.random.below(14_000);
                self.freeze(one, long);
                "frozen"
            }
            2 => {
                let other = nodes.iter().copied().find(|node| *node != one).filter(|_| one == other).unwrap_or(other);
                let long = 1_000 + self.random.below(16_000);
                self.cuts.insert((one.min(other), one.max(other)), self.now + long);
                "cut"
            }
            3 => {
                let workers = self.hosts.get(&one).map(|host| host.workers.keys().copied().collect::<Vec<_>>());
                for attempt in workers.unwrap_or_default() {
                    self.crash_worker(one, attempt);
                }
                let awake = self.hosts.get(&one).filter(|host| host.frozen_until <= self.now);
                let actors = awake.map(|host| host.actors.clone());
                for (actor, life) in actors.unwrap_or_default() {
                    self.crash_actor(one, actor, life);
                }
                "workers crashed"
            }
            4 => {
                let awake = self.hosts.get(&one).filter(|host| host.frozen_until <= self.now);
                let store = awake.map(|host| host.store.iter().copied().collect::<Vec<_>>());
                for object in store.unwrap_or_default() {
                    if self.random.below(2) == 0 {
                        if let Some(host) = self.hosts.get_mut(&one) {
                            host.store.remove(&object);
                        }
                        self.evicted.insert(object);
                        self.step_node(one, Event::Evicted(object));
                    }
                }
                "evicted"
            }
            // Who asks for that asks again until there is a head.
            5 if !self.head_is_up => return self.later(self.now + 2_000, Coming::Fault(5)),
            5 => {
                let long = self.random.below(6_000);
                // The node of the head leaves with it alone.
                let leaves =
                    nodes.iter().copied().find(|node| *node != self.heads_host).filter(|_| one == self.heads_host);
                self.step_head(HeadEvent::Drain(leaves.unwrap_or(one), long));
                "drained"
            }
            6 => {
                match self.random.below(2) {
                    0 => self.kill_head(),
                    // It has just declared a node dead that goes on when the next life of the head has begun.
                    _ => {
                        let long = 13_000 + self.random.below(12_000);
                        self.freeze(one, long);
                        let at = self.now + 10_100 + self.random.below(3_000);
                        self.later(at, Coming::HeadDies);
                    }
                }
                "head killed"
            }
            _ => {
                let jump = self.random.below(5_000);
                match self.hosts.get_mut(&one) {
                    Some(host) if one != other => {
                        host.ahead += jump;
                        host.wakes_at = END_AT;
                        self.later(self.now, Coming::NodeWakes(one));
                    }
                    _ => {
                        self.head_ahead += jump;
                        self.later(self.now, Coming::HeadWakes);
                    }
                }
                "clock jumped"
            }
        };
        *self.told.faults.entry(kind).or_default() += 1;
    }

    /// A machine stands still.
    pub(super) fn freeze(&mut self, node: NodeId, long: u64) {
        if let Some(host) = self.hosts.get_mut(&node) {
            host.frozen_until = self.now + long;
            self.later(self.now + long, Coming::NodeWakes(node));
        }
    }
}
