//! The thread that saves what the head wants saved, so that the node's own never waits for a disk.
//!
//! A disk that refuses is tried again for as long as the head lives: until then the head says nothing that depends on
//! it, and nodes go on with what they have.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::eventfd::EventFd;

use super::shell::{Input, Shell};
use crate::schedule::{HeadAction, HeadEvent};
use crate::state::{Batch, StateStore};
use crate::{Result, env};

/// Between two tries at a disk that refuses: a full one is seldom full for less.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Takes batches in, one at a time; when it is dropped, none is being written any more.
#[derive(Debug)]
pub(super) struct Keeper {
    batches: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// `epoch` is that of the head whose batches these are.
    pub(super) fn start(
        store: Arc<dyn StateStore>,
        epoch: u64,
        results: Sender<Input>,
        waker: Arc<EventFd>,
    ) -> Result<Self> {
        let (batches, coming) = channel::<Batch>();
        let thread = env::thread("sheaf-keeper", move || {
            let tell = |input| {
                // The node's thread may have ended before this one.
                let _ = results.send(input);
                let _ = waker.write(1);
            };
            while let Ok(batch) = coming.recv() {
                let mut has_failed = false;
                while let Err(error) = store.commit(&batch) {
                    if !std::mem::replace(&mut has_failed, true) {
                        tell(Input::Unsaved(error.to_string()));
                    }
                    if coming.recv_timeout(TRY_AGAIN_AFTER) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
                tell(Input::Saved { epoch, has_failed });
            }
        })?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }

    fn take(&self, batch: Batch) {
        if let Some(batches) = &self.batches {
            // It ends after whoever sends to it.
            let _ = batches.send(batch);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Shell {
    pub(super) fn step_head(&mut self, event: HeadEvent) {
        let now = self.now();
        let Some(head) = &mut self.head else { return };
        let actions = self.outbox.take(head.step(now, event));
        self.act_for_head(actions);
    }

    fn act_for_head(&mut self, actions: Vec<HeadAction>) {
        for action in actions {
            match (action, &self.keeper) {
                (HeadAction::Send(to, packet), _) => self.deliver_packet(to, packet),
                (HeadAction::Save(batch), Some(keeper)) => keeper.take(batch),
                // Nothing of this head outlives it.
                (HeadAction::Save(_), None) => {
                    let actions = self.outbox.saved();
                    self.act_for_head(actions);
                }
            }
        }
    }

    /// What the head wanted saved is on disk.
    pub(super) fn head_is_saved(&mut self, epoch: u64, has_failed: bool) {
        if self.head.as_ref().is_none_or(|head| head.life().epoch != epoch) {
            return;
        }
        if has_failed {
            self.lines.say("the head can save its tables again, and answers".to_string());
        }
        let actions = self.outbox.saved();
        self.act_for_head(actions);
    }

    pub(super) fn head_is_not_saved(&self, why: &str) {
        self.lines.say(format!(
            "the head cannot save its tables, and answers nobody until it can; it tries again every second: {why}"
        ));
    }
}
