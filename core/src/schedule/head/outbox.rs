//! `Outbox`: holds back what the head says until what it says it on is saved, so that nobody is told of what a next
//! life of the head would not know.
//!
//! One batch is written at a time. What changes meanwhile is one batch more: however much there is to save, a disk is
//! waited for twice at the most.

use super::HeadAction;
use crate::flaw::{Flaw, planted};
use crate::state::Batch;

/// What waits to be saved and to be sent.
#[derive(Debug, Default)]
pub struct Outbox {
    /// What may be sent when the batch that is being written is saved; `None` while none is.
    after: Option<Vec<HeadAction>>,
    /// What is to be saved then, and sent after that.
    next: Batch,
    after_next: Vec<HeadAction>,
}

impl Outbox {
    /// Takes in what the head wants done, and returns what of it is to be done now. A batch to be saved is one at most,
    /// and [`Outbox::saved`] is to be called when it is.
    #[must_use]
    pub fn take(&mut self, actions: Vec<HeadAction>) -> Vec<HeadAction> {
        let mut now = Vec::new();
        for action in actions {
            match (action, &mut self.after) {
                (HeadAction::Save(batch), Some(_)) => self.next.append(batch),
                (HeadAction::Save(batch), after) => {
                    *after = Some(Vec::new());
                    now.push(HeadAction::Save(batch));
                }
                (send, None) => now.push(send),
                (send, Some(_)) if planted(Flaw::EarlyAnswer) => now.push(send),
                (send, Some(after)) if self.next.is_empty() => after.push(send),
                (send, Some(_)) => self.after_next.push(send),
            }
        }
        now
    }

    /// The batch is on disk: what is to be done now.
    #[must_use]
    pub fn saved(&mut self) -> Vec<HeadAction> {
        let mut now = self.after.take().unwrap_or_default();
        if !self.next.is_empty() {
            now.push(HeadAction::Save(std::mem::take(&mut self.next)));
            self.after = Some(std::mem::take(&mut self.after_next));
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::schedule::Packet;

    fn save(key: &str) -> HeadAction {
        let mut batch = Batch::default();
        batch.put("table", key, "");
        HeadAction::Save(batch)
    }

    fn send(to: u64) -> HeadAction {
        HeadAction::Send(NodeId(to), Packet::Fenced)
    }

    #[test]
    fn what_is_said_waits_for_what_was_saved_before_it() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.take(vec![send(1)]), [send(1)]);
        assert_eq!(outbox.take(vec![save("a"), send(2)]), [save("a")]);
        assert_eq!(outbox.take(vec![send(3)]), []);
        assert_eq!(outbox.take(vec![save("b"), send(4)]), []);
        assert_eq!(outbox.take(vec![save("c"), send(5)]), []);
        let mut both = Batch::default();
        both.put("table", "b", "");
        both.put("table", "c", "");
        assert_eq!(outbox.saved(), [send(2), send(3), HeadAction::Save(both)]);
        assert_eq!(outbox.take(vec![send(6)]), []);
        assert_eq!(outbox.saved(), [send(4), send(5), send(6)]);
        assert_eq!(outbox.take(vec![send(7)]), [send(7)]);
    }
}
