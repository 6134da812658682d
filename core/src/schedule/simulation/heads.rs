//! The lives of the head: its process is killed, with what was not saved, and another one begins with what was.

use super::*;
use crate::state::StateStore;

impl World {
    pub(super) fn do_for_head(&mut self, actions: Vec<HeadAction>) {
        for action in actions {
            match action {
                HeadAction::Send(to, packet) => self.transmit(NodeId(0), to, &Coming::AtNode(to, packet)),
                HeadAction::Save(batch) => self.soon(50, Coming::Saved(self.head.life().epoch, batch)),
            }
        }
    }

    /// A batch is on the disk, unless the head died before.
    pub(super) fn saved(&mut self, epoch: u64, batch: &Batch) {
        if self.head_is_up && self.head.life().epoch == epoch {
            self.disk.commit(batch).unwrap();
            let actions = self.outbox.saved();
            self.do_for_head(actions);
        }
    }

    /// A head begins with what is on the disk, on a machine of its own.
    pub(super) fn start_head(&mut self) {
        self.heads_host = self.start_node();
        let now = self.now + self.head_ahead;
        self.head = Head::restore(now, HeadLimits::default(), self.heads_host, &self.disk).unwrap();
        (self.head_is_up, self.outbox) = (true, Outbox::default());
        self.step_head(HeadEvent::Tick);
    }

    /// The process of the head is killed, with the node in it. What was not saved is lost.
    pub(super) fn kill_head(&mut self) {
        if std::mem::take(&mut self.head_is_up) {
            self.end_host(self.heads_host);
            self.soon(9_000, Coming::HeadStarts);
        }
    }
}
