//! The thread that moves objects to disk and back, so that the node's own never waits for a disk.

use std::io::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use nix::sys::eventfd::EventFd;

use super::shell::Input;
use crate::store::StoreAction;
use crate::store::spill::Spilled;
use crate::{Result, env};

/// Takes objects in that are to be moved; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Disk(Sender<StoreAction>);

impl Disk {
    pub(super) fn start(folder: PathBuf, results: Sender<Input>, waker: Arc<EventFd>) -> Result<Self> {
        let (jobs, coming) = channel();
        env::thread("sheaf-disk", move || {
            for job in coming {
                let result = match job {
                    StoreAction::Spill(object, memory, size) => {
                        let written = Spilled::write(&memory, size, &folder);
                        // Which disk it was, where it did not take it.
                        let named = |error: Error| Error::new(error.kind(), format!("{} ({error})", folder.display()));
                        Input::Spilled(object, written.map_err(named))
                    }
                    StoreAction::ReadBack(object, spilled) => Input::Returned(object, spilled.read_back()),
                    _ => continue,
                };
                if results.send(result).is_err() {
                    return;
                }
                let _ = waker.write(1);
            }
        })?;
        Ok(Self(jobs))
    }

    pub(super) fn take(&self, job: StoreAction) {
        // It ends after whoever sends to it.
        let _ = self.0.send(job);
    }
}
