//! `Cluster`: the nodes that a session's queries run on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sheaf_core::client::{Client, Host, Reply};
use sheaf_core::fragment::{Chunk, PartInput, PartReader, Unread, read_inline, unread};
use sheaf_core::ids::{Attempt, NodeId, ObjectId};
use sheaf_core::parts::Place;
use sheaf_core::resources::CPU;
use sheaf_core::wire::{CallOptions, Line, NodeInfo, Reason, Where, Work};
use sheaf_core::{Error, ErrorKind, Result};
use sheaf_flight::cluster::{Access, PartClient, join};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use crate::codec::{FunctionDecoder, NoFunctions, NoteReferences, References};

use super::plan::{BYTES_PER_PARTITION, BYTES_PER_TASK, ClusterShape, MOST_TASKS};
use super::uploads::Uploads;

/// How often a task runs again when its node dies, or an error says that another try may help.
const RETRIES: u32 = 4;

/// How long it takes at the most until it is known that a node is gone, and how often it is asked for meanwhile.
const KNOWN_GONE: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How queries run on a cluster.
#[derive(Clone)]
pub struct ClusterOptions {
    /// What is shown to its nodes.
    pub access: Access,
    /// The environment of the worker processes in which the user's functions run, as the runtime names it; the usual one
    /// is empty.
    pub env: String,
    /// Reads what lies under errors of the user's functions.
    pub functions: Arc<dyn FunctionDecoder + Send + Sync>,
    /// Notes to what they refer.
    pub notes: Arc<dyn NoteReferences>,
    /// Bytes of files that are worth a partition: fewer do not get a task of their own.
    pub bytes_per_partition: usize,
    /// Bytes of files that a task reads, about, where there are more tasks than nodes.
    pub bytes_per_task: usize,
    /// Whether what cannot leave this process runs in it, and all does once the connection has ended.
    pub falls_back: bool,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        let (access, functions, notes) = (Access::default(), Arc::new(NoFunctions), Arc::new(NoFunctions));
        let (env, bytes_per_partition, bytes_per_task) = (String::new(), BYTES_PER_PARTITION, BYTES_PER_TASK);
        Self { access, env, functions, notes, bytes_per_partition, bytes_per_task, falls_back: false }
    }
}

impl fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may have secrets in it.
        f.debug_struct("ClusterOptions").finish_non_exhaustive()
    }
}

/// A connection to a cluster, through one of its nodes; it ends when it is dropped, and what ran for it too.
pub struct Cluster {
    client: Arc<Client>,
    /// Whether the connection is that of this alone.
    is_own: bool,
    reader: PartClient,
    env: String,
    functions: Arc<dyn FunctionDecoder + Send + Sync>,
    notes: Arc<dyn NoteReferences>,
    /// Bytes of a partition's files, and of a task's.
    bytes: (usize, usize),
    falls_back: bool,
    /// The numbers of options that the node was told, by stage and CPUs: it keeps each of them.
    options: Mutex<BTreeMap<(usize, usize), u32>>,
    uploads: Uploads,
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
    pub fn connect(address: &str, options: ClusterOptions) -> Result<Arc<Self>> {
        let (socket, _) = join(address, &options.access)?;
        Self::with(Client::new(socket, Driver)?, options, true)
    }

    /// The cluster of a connection that is there already, and whose end is not its own.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses a thread.
    pub fn over(client: Arc<Client>, options: ClusterOptions) -> Result<Arc<Self>> {
        Self::with(client, options, false)
    }

    fn with(client: Arc<Client>, how: ClusterOptions, is_own: bool) -> Result<Arc<Self>> {
        let ClusterOptions { access, env, functions, notes, bytes_per_partition, bytes_per_task, falls_back } = how;
        let (reader, options, uploads) = (PartClient::start(access)?, Mutex::default(), Uploads::default());
        Ok(Arc::new(Self {
            client,
            is_own,
            reader,
            env,
            functions,
            notes,
            bytes: (bytes_per_partition, bytes_per_task),
            falls_back,
            options,
            uploads,
        }))
    }

    pub(super) fn functions(&self) -> &dyn FunctionDecoder {
        self.functions.as_ref()
    }

    pub(super) fn notes(&self) -> &dyn NoteReferences {
        self.notes.as_ref()
    }

    /// Lines that workers printed for this program, waiting so long for the first one; `None` when the connection has
    /// ended and all are read. One that is shared gives each line once.
    #[must_use]
    pub fn output(&self, patience: Duration) -> Option<Vec<Line>> {
        self.client.output(patience)
    }

    /// What reaches the nodes for rows.
    pub(super) fn reader(&self) -> &PartClient {
        &self.reader
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

    /// What plans are cut for now. It asks the node and waits for the answer.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when no node has CPUs and none can come, [`ErrorKind::Cancelled`] when the node is
    /// gone.
    pub(super) fn shapes(&self) -> Result<Shapes> {
        let (nodes, coming) = self.client.nodes_and_coming()?;
        self.know(&nodes);
        let cpus = |total: &BTreeMap<String, f64>| total.get(CPU).map_or(0, |cpus| *cpus as usize);
        let there = nodes.iter().map(|node| cpus(&node.total));
        let more = coming.iter().flat_map(|more| std::iter::repeat_n(cpus(&more.total), more.more as usize));
        let there: Vec<usize> = there.filter(|cpus| *cpus > 0).collect();
        // Those that are there are not to be used for less because smaller ones may come.
        let least = there.iter().min().copied().unwrap_or(1);
        let more = more.filter(|cpus| *cpus >= least).take(MOST_TASKS.saturating_sub(there.len()));
        let all: Vec<usize> = there.iter().copied().chain(more).collect();
        let (bytes_per_partition, bytes_per_task) = self.bytes;
        let shape_of = |cpus: &[usize]| {
            let least = cpus.iter().min().copied()?;
            let shape = ClusterShape::new(cpus.len(), least);
            let there = if there.is_empty() { cpus.len() } else { there.len() };
            Some(ClusterShape { bytes_per_partition, bytes_per_task, there, ..shape })
        };
        let none = || {
            Error::invalid(format!("none of the {} nodes of the cluster has CPUs", nodes.len()))
                .with_hint("start one that has: sheaf node --num-cpus N --head HOST:PORT")
        };
        Ok(Shapes { there: shape_of(&there), all: shape_of(&all).ok_or_else(none)? })
    }

    /// The objects that are held for as long as a plan is that refers to them: those of this very connection.
    pub(super) fn held(&self, references: &References) -> Vec<ObjectId> {
        if self.is_own { Vec::new() } else { references.objects.clone() }
    }

    pub(super) fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    /// Where an object is, once it is made.
    pub(super) async fn place_of(&self, object: ObjectId) -> std::result::Result<Place, Absent> {
        let (sender, answer) = oneshot::channel();
        // One that nobody waits for any more is not told.
        self.client.when_placed(object, move |reply| drop(sender.send(reply))).map_err(Absent::Error)?;
        placed(answer.await.unwrap_or(Reply::Ended))
    }

    /// Whether a query that cannot be planned for the cluster, for that reason, runs in this process.
    pub(super) fn falls_back_from(&self, error: &Error) -> bool {
        let kinds = [ErrorKind::Unsupported, ErrorKind::UserFunction, ErrorKind::Cancelled];
        self.falls_back && kinds.contains(&error.kind())
    }

    /// The CPUs that tasks ask for which are as wide as that: what actors hold on the smallest node is left to them, as
    /// long as it is no more than half.
    pub(super) fn cpus_to_ask(&self, cpus: usize) -> Result<usize> {
        let free = |node: &NodeInfo| {
            let amount = |of: &BTreeMap<String, f64>| of.get(CPU).copied().unwrap_or_default();
            (amount(&node.total) >= 1.0).then(|| amount(&node.free) as usize)
        };
        let free = self.client.nodes()?.iter().filter_map(free).min();
        Ok(free.unwrap_or(cpus).clamp(cpus.div_ceil(2), cpus))
    }

    /// Says something to whoever runs the program.
    pub(super) fn tell(&self, text: String) {
        log::info!("{text}");
        self.client.tell(text);
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
            work: Work { name: format!("stage {stage} of a query"), env: self.env.clone(), ..Work::default() },
        })?;
        options.insert((stage, cpus), number);
        Ok(number)
    }

    /// The nodes that are there now; the reader of results knows where from then on.
    pub(super) fn look(&self) -> Result<Vec<NodeInfo>> {
        let nodes = self.client.nodes()?;
        self.know(&nodes);
        Ok(nodes)
    }

    fn know(&self, nodes: &[NodeInfo]) {
        self.reader.know(nodes.iter().map(|node| (node.id, node.address.clone())));
    }

    /// Waits until the nodes are others than these were, but not for ever: a link may have been cut, and no node be lost.
    pub(super) async fn until_others(self: &Arc<Self>, nodes: &[NodeInfo]) -> Result<()> {
        let were: BTreeSet<NodeId> = nodes.iter().map(|node| node.id).collect();
        let until = Instant::now() + KNOWN_GONE;
        while Instant::now() < until {
            let nodes = self.speak(|cluster| cluster.look()).await?;
            if nodes.iter().map(|node| node.id).collect::<BTreeSet<_>>() != were {
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    /// The nodes that are there, with their addresses.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when the node is gone.
    pub fn nodes(&self) -> Result<BTreeMap<NodeId, String>> {
        Ok(self.client.nodes()?.into_iter().map(|node| (node.id, node.address)).collect())
    }
}

/// What plans are cut for: as many tasks as there are nodes with CPUs, as wide as the smallest of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shapes {
    /// The nodes that are there, if any of them has CPUs.
    pub(super) there: Option<ClusterShape>,
    /// Those among them that would come for tasks that wait.
    pub(super) all: ClusterShape,
}

/// Why an object is nowhere.
#[derive(Debug)]
pub(super) enum Absent {
    Unmade(Reason),
    Error(Error),
}

/// Where an object is, by an answer.
pub(super) fn placed(reply: Reply) -> std::result::Result<Place, Absent> {
    match reply {
        Reply::Failed(reason) => Err(Absent::Unmade(reason)),
        reply => reply.place().ok_or_else(|| {
            Absent::Error(Error::new(ErrorKind::Cancelled, "the node that this program belongs to is gone"))
        }),
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("node", &self.client.node()).finish_non_exhaustive()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.is_own {
            self.client.close();
        }
    }
}

impl PartInput for Cluster {
    fn read(&self, object: ObjectId, place: &Place, parts: Range<u32>) -> Receiver<std::result::Result<Chunk, Unread>> {
        let from = self.client.node();
        match place {
            Place::Inline(bytes) => read_inline(bytes, parts, from),
            Place::At(nodes) if !nodes.is_empty() => self.reader.read(object, nodes[0], parts),
            Place::At(_) | Place::Later => unread(Unread { from, why: "no node has it".to_string() }),
        }
    }
}
