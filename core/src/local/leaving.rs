//! A node that is drained: what it waits for, told to people, and its end.

use serde_json::{Value, json};

use super::shell::Shell;
use crate::ids::NodeId;
use crate::schedule::{Event, HeadEvent};

impl Shell {
    /// Somebody wants a node to leave, within so many milliseconds. Asked of the head.
    pub(super) fn drain(&mut self, node: NodeId, millis: u64) -> Value {
        let refused = |why: String, help: &str| json!({ "error": why, "help": help });
        let Some(head) = &self.head else { return self.not_the_head() };
        if node == self.node.id() {
            return refused(
                format!("{node} is the head, which cannot be drained"),
                "drain the other nodes, and end the head with SIGTERM",
            );
        }
        match head.state_of(node) {
            "dead" | "left" => refused(format!("{node} is not there"), "sheaf nodes lists those that are"),
            state => {
                self.step_head(HeadEvent::Drain(node, millis));
                json!({ "was": state })
            }
        }
    }

    /// The same for a node that has nothing to do.
    pub(super) fn drain_idle(&mut self, node: NodeId, millis: u64) -> Value {
        match self.head.as_ref().is_some_and(|head| head.is_idle(node)) {
            true => self.drain(node, millis),
            false => json!({ "error": format!("{node} is not idle"), "help": "look at what it runs" }),
        }
    }

    /// What this node waits for before it leaves, and what goes with it.
    pub(super) fn leaving_as_json(&self) -> Value {
        let leaving = self.node.leaving();
        json!({
            "time": leaving.time,
            "running": leaving.running,
            "actors_that_move": leaving.actors.0,
            "actors_that_stay": leaving.actors.1,
            "copies": leaving.copies,
            "lost": leaving.lost,
            "owned": leaving.owned,
            "drivers": self.drivers(),
        })
    }

    /// Programs that belong to this node, or have it run something that nobody else waits for.
    fn drivers(&self) -> usize {
        let guests = self.options.executor.as_ref().map_or(0, |executor| executor.guests());
        self.clients.keys().filter(|id| !self.workers.contains_key(id)).count() + guests
    }

    /// Tells a node that leaves how many drivers it has, when that changed.
    pub(super) fn look_at_drivers(&mut self) {
        let drivers = self.drivers();
        if self.node.drivers_waited_for().is_some_and(|known| known != drivers) {
            self.post(Event::Drivers(drivers));
        }
    }

    /// This node is drained.
    pub(super) fn leave(&mut self) {
        self.lines.say(format!("{} is drained, and leaves the cluster", self.node.id()));
        self.end_for_good();
    }
}
