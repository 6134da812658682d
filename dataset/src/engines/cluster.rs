//! `Cluster`: the nodes that a session's queries run on.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use sheaf_core::client::{Client, Host};
use sheaf_core::fragment::{Chunk, PartInput, PartReader, Unread, inline_parts};
use sheaf_core::ids::{Attempt, NodeId, ObjectId};
use sheaf_core::resources::CPU;
use sheaf_core::schedule::Place;
use sheaf_core::wire::{CallOptions, NodeInfo, Where, Work};
use sheaf_core::{Error, Result};
use sheaf_flight::cluster::{Access, PartClient, join};
use tokio::sync::mpsc::{self, Receiver};

use super::plan::{BYTES_PER_PARTITION, ClusterShape};

/// How often a task runs again when its node dies, or an error says that another try may help.
const RETRIES: u32 = 4;
/// Chunks that wait for one reader.
const AHEAD: usize = 2;

/// A connection to a cluster, through one of its nodes; it ends when it is dropped, and what ran for it too.
pub struct Cluster {
    client: Arc<Client>,
    reader: PartClient,
    bytes_per_partition: usize,
    /// The numbers of options that the node was told, by stage and CPUs: it keeps each of them.
    options: Mutex<BTreeMap<(usize, usize), u32>>,
}

/// The driver of datasets hears of its node's end by what it asks for next.
struct Driver;

impl Host for Driver {
    fn node_is_gone(&self) {}
    fn stop(&self, _: Attempt, _: bool) {}
}

impl Cluster {
    /// Connects to the cluster whose head is at an address, such as `sheaf://host:7070`, through the node of it that
    /// runs on this machine.
    ///
    /// # Errors
    /// As [`join`]: an address that is none, a head that does not answer or lets nobody in without a token, no node of
    /// the cluster on this machine.
    pub fn connect(address: &str, access: Access) -> Result<Arc<Self>> {
        let (socket, _) = join(address, &access)?;
        Self::over(Client::new(socket, Driver)?, access)
    }

    /// The cluster of a connection that is there already.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Io`] when the system refuses a thread.
    pub fn over(client: Arc<Client>, access: Access) -> Result<Arc<Self>> {
        Self::with_bytes_per_partition(client, access, BYTES_PER_PARTITION)
    }

    /// As [`Cluster::over`], where so many bytes of files are worth a partition: fewer do not get a task of their own.
    ///
    /// # Errors
    /// As [`Cluster::over`].
    pub fn with_bytes_per_partition(
        client: Arc<Client>,
        access: Access,
        bytes_per_partition: usize,
    ) -> Result<Arc<Self>> {
        let options = Mutex::default();
        Ok(Arc::new(Self { client, reader: PartClient::start(access)?, bytes_per_partition, options }))
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Speaks with the node, which may wait for it, on a thread that may.
    pub(super) async fn speak<T: Send + 'static>(
        self: &Arc<Self>,
        with: impl FnOnce(&Arc<Self>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let cluster = Arc::clone(self);
        let spoken = tokio::task::spawn_blocking(move || with(&cluster)).await;
        spoken.map_err(|error| Error::internal(error.to_string()))?
    }

    /// What plans are cut for now: as many tasks as there are nodes with CPUs, as wide as the smallest of them. It asks
    /// the node and waits for the answer.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] when no node has CPUs, [`sheaf_core::ErrorKind::Cancelled`] when the node is gone.
    pub fn shape(&self) -> Result<ClusterShape> {
        let nodes = self.look()?;
        let cpus = nodes.iter().filter_map(|node| node.total.get(CPU).copied()).map(|cpus| cpus as usize);
        let cpus: Vec<usize> = cpus.filter(|cpus| *cpus > 0).collect();
        let Some(least) = cpus.iter().min().copied() else {
            return Err(Error::invalid(format!("none of the {} nodes of the cluster has CPUs", nodes.len()))
                .with_hint("start one that has: sheaf node --num-cpus N --head HOST:PORT"));
        };
        Ok(ClusterShape { bytes_per_partition: self.bytes_per_partition, ..ClusterShape::new(cpus.len(), least) })
    }

    /// The number by which the node knows what tasks of a stage ask for.
    pub(super) fn options(&self, stage: usize, cpus: usize) -> Result<u32> {
        let mut options = self.options.lock();
        if let Some(number) = options.get(&(stage, cpus)) {
            return Ok(*number);
        }
        let number = self.client.define(CallOptions {
            resources: BTreeMap::from([(CPU.to_string(), cpus as f64)]),
            place: Where::Spread,
            fail_if_unschedulable: true,
            returns: 1,
            streams: false,
            max_retries: RETRIES,
            held: BTreeMap::new(),
            concurrency: 1,
            work: Work { name: format!("stage {stage} of a query"), ..Work::default() },
        })?;
        options.insert((stage, cpus), number);
        Ok(number)
    }

    /// The nodes that are there now; the reader of results knows where from then on.
    pub(super) fn look(&self) -> Result<Vec<NodeInfo>> {
        let nodes = self.client.nodes()?;
        self.reader.know(nodes.iter().map(|node| (node.id, node.address.clone())));
        Ok(nodes)
    }

    /// The nodes that are there, with their addresses.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Cancelled`] when the node is gone.
    pub fn nodes(&self) -> Result<BTreeMap<NodeId, String>> {
        Ok(self.client.nodes()?.into_iter().map(|node| (node.id, node.address)).collect())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("node", &self.client.node()).finish_non_exhaustive()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.client.close();
    }
}

impl PartInput for Cluster {
    fn read(&self, object: ObjectId, place: &Place, parts: Range<u32>) -> Receiver<std::result::Result<Chunk, Unread>> {
        let from = self.client.node();
        match place {
            Place::At(nodes) => match nodes.first() {
                Some(node) => self.reader.read(object, *node, parts),
                None => told(vec![Err(Unread { from, why: "no node has it".to_string() })]),
            },
            Place::Inline(bytes) => match inline_parts(bytes, parts) {
                Ok(chunks) => told(chunks.into_iter().map(Ok).collect()),
                Err(error) => told(vec![Err(Unread { from, why: error.to_string() })]),
            },
        }
    }
}

/// A receiver of what is there already.
fn told(chunks: Vec<std::result::Result<Chunk, Unread>>) -> Receiver<std::result::Result<Chunk, Unread>> {
    let (sender, receiver) = mpsc::channel(chunks.len().max(AHEAD));
    for chunk in chunks {
        // There is room for all.
        let _ = sender.try_send(chunk);
    }
    receiver
}
