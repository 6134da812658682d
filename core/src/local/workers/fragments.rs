//! Parts of plans that workers run, for they have functions of the user's in them.

use std::io;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;

use super::{ENDING_TIME, Pool, as_run};
use crate::env::Threads;
use crate::fragment::{PartInput, send};
use crate::ids::{Attempt, ClientId, ObjectId};
use crate::local::parts::NodeParts;
use crate::local::requests::Payload;
use crate::local::shell::Shell;
use crate::local::values::Recipient;
use crate::parts::Place;
use crate::resources::CPU;
use crate::schedule::TaskSpec;
use crate::wire::{Arguments, Share, Terms, ToClient, Work};
use crate::{Error, Result};

impl Shell {
    /// Hands an attempt to a worker.
    pub(in crate::local) fn start_fragment_on(
        &mut self,
        attempt: Attempt,
        spec: &Arc<TaskSpec>,
        values: Vec<(ObjectId, Option<Bytes>)>,
        reads: Vec<(ObjectId, Place)>,
    ) {
        let nothing = super::Taken::default();
        let work = match postcard::from_bytes::<Work>(&spec.common) {
            Ok(work) => work,
            Err(error) => return self.cannot_start(attempt, &format!("its options cannot be read: {error}"), &nothing),
        };
        let worker = self.idle_worker(&work).or_else(|| self.add_worker(Pool::of(&work)));
        let share = self.share(spec, &work);
        let Some((id, worker)) = worker.and_then(|id| Some((id, self.workers.get_mut(&id)?))) else {
            return self.cannot_start(attempt, "there is no worker for it", &nothing);
        };
        self.running.insert(attempt, id);
        worker.running.insert(attempt);
        worker.name.clone_from(&work.name);
        worker.has_fragment = true;
        let arguments = Arguments::Inline(spec.payload.to_vec().into());
        let payload = Payload { method: None, has_function: false, arguments };
        let (mut run, stored) = as_run(attempt, spec, (payload, work), values, worker);
        run.fragment = Some(Terms { reads, share });
        self.tell_blocked(id);
        self.deliver(Recipient::Call(id, Box::new(run)), stored);
    }

    /// What a worker has of this node: of the memory for queries as much as of the CPUs.
    fn share(&self, spec: &TaskSpec, work: &Work) -> Share {
        let cpus = spec.shape.demand.amount(CPU).floor().max(1.0);
        let part = cpus / self.options.resources.amount(CPU).max(cpus);
        let own = self.options.executor.as_ref().and_then(|executor| executor.folder());
        Share {
            node: self.place.clone(),
            cpus: cpus as u32,
            memory: (self.options.query_bytes as f64 * part) as u64,
            folder: own.as_ref().unwrap_or(&self.options.spill_dir).display().to_string(),
            env: work.env.clone(),
        }
    }

    /// A worker whose part of a plan is to stop ends with it: what runs of the user's may go on for long. Says whether
    /// it is one, and has been told.
    pub(in crate::local) fn spend_on_stopped(&mut self, id: ClientId, attempt: Attempt) -> bool {
        let ends_by = self.now() + ENDING_TIME;
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.has_fragment) else { return false };
        (worker.killed_for, worker.ends_by, worker.is_spent) = (Some(attempt), Some(ends_by), true);
        self.send(id, &ToClient::Stop(attempt), Vec::new());
        true
    }

    /// Whether an attempt is one that was to stop.
    pub(in crate::local) fn is_stopped_fragment(&self, id: ClientId, attempt: Attempt) -> bool {
        let worker = self.workers.get(&id).filter(|worker| worker.has_fragment);
        worker.is_some_and(|worker| worker.killed_for == Some(attempt))
    }

    /// A worker reads parts of an object: they go to the socket that came along.
    pub(in crate::local) fn read_parts(
        &mut self,
        id: ClientId,
        object: ObjectId,
        place: &Place,
        parts: Range<u32>,
    ) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        let socket = UnixStream::from(client.inbox.take_file()?);
        match self.node_parts() {
            Ok(store) => {
                let chunks = store.read(object, place, parts);
                // A reader that is gone needs no more.
                drop(store.threads.handle().spawn(send(chunks, socket)));
            }
            // It reads that the socket is closed.
            Err(error) => self.lines.say(error.to_string()),
        }
        Ok(())
    }

    /// What parts of plans read from and write to.
    pub(in crate::local) fn node_parts(&mut self) -> Result<Arc<NodeParts>> {
        if let Some(parts) = &self.parts {
            return Ok(Arc::clone(parts));
        }
        let (inlet, folder) = (self.inlet.clone(), self.options.spill_dir.clone());
        let others = self.network.as_ref().and_then(|network| network.parts());
        let threads = Threads::start(1).map_err(|error: Error| error.with_context("parts of plans"))?;
        let parts = Arc::new(NodeParts { node: self.node.id(), inlet, folder, others, threads });
        Ok(Arc::clone(self.parts.insert(parts)))
    }
}
