//! `PartClient`: reads parts of objects from the nodes that have them, for a process that is no node itself.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use sheaf_core::Result;
use sheaf_core::env::Threads;
use sheaf_core::fragment::{Chunk, PartReader, Unread};
use sheaf_core::ids::{NodeId, ObjectId};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tonic::transport::Channel;

use super::access::Access;
use super::objects::Reach;
use super::parts::FlightParts;
use super::switchboard::READS;

/// Reads parts of objects from nodes; copies share their connections.
#[derive(Clone)]
pub struct PartClient(Arc<Known>);

struct Known {
    access: Access,
    addresses: Mutex<BTreeMap<NodeId, String>>,
    channels: Mutex<BTreeMap<String, Channel>>,
    reading: Semaphore,
    threads: Arc<Threads>,
}

impl PartClient {
    /// One that shows this wherever it comes.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Io`] when the system refuses a thread.
    pub fn start(access: Access) -> Result<Self> {
        Ok(Self(Arc::new(Known {
            access,
            addresses: Mutex::default(),
            channels: Mutex::default(),
            reading: Semaphore::new(READS),
            threads: Threads::start(1)?,
        })))
    }

    /// These are the nodes that are there now, and where they are reached.
    pub fn know(&self, nodes: impl IntoIterator<Item = (NodeId, String)>) {
        *self.0.addresses.lock() = nodes.into_iter().collect();
    }
}

impl fmt::Debug for PartClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartClient").field(&self.0.addresses.lock()).finish()
    }
}

impl PartReader for PartClient {
    fn read(&self, object: ObjectId, from: NodeId, parts: Range<u32>) -> Receiver<std::result::Result<Chunk, Unread>> {
        let known: Arc<dyn Reach> = Arc::<Known>::clone(&self.0);
        FlightParts::new(known).read(object, from, parts)
    }
}

impl Reach for Known {
    fn address_of_node(&self, node: NodeId) -> Option<String> {
        self.addresses.lock().get(&node).cloned()
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn channels(&self) -> &Mutex<BTreeMap<String, Channel>> {
        &self.channels
    }

    fn reading(&self) -> &Semaphore {
        &self.reading
    }

    fn handle(&self) -> &Handle {
        self.threads.handle()
    }
}
