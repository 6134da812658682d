//! What waits for nodes, and which can come: told to the head of this process, and by it.

use serde_json::{Value, json};

use super::shell::Shell;
use crate::autoscale::Prospect;
use crate::schedule::HeadEvent;

impl Shell {
    /// The nodes that are there, and what waits for more: a [`crate::autoscale::ClusterView`].
    pub(super) fn demand_as_json(&self) -> Value {
        match &self.head {
            Some(head) => json!(head.view()),
            None => self.not_the_head(),
        }
    }

    /// Takes in which nodes can still come; all that can.
    pub(super) fn prospects(&mut self, prospects: Option<Vec<Prospect>>) -> Value {
        if let Some(prospects) = prospects {
            self.step_head(HeadEvent::Prospects(prospects));
        }
        match &self.head {
            Some(head) => json!(head.prospects()),
            None => self.not_the_head(),
        }
    }

    /// What a node answers that is asked for what the head knows.
    pub(super) fn not_the_head(&self) -> Value {
        json!({ "error": format!("{} is not the head", self.node.id()), "help": "ask the head: --address" })
    }
}
