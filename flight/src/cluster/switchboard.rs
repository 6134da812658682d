//! Which connection leads to whom. Nothing here waits: a parcel for which there is no room is dropped, and sent again
//! by the link that it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sheaf_core::env::Threads;
use sheaf_core::fragment::PartReader;
use sheaf_core::ids::{NodeId, ObjectId};
use sheaf_core::local::Inlet;
use sheaf_core::network::{Network, Parcel, Peer};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;

use super::access::Access;
use super::exchange::{Hello, converse};
use super::objects::{self, Links, Partial, Reach};
use super::parts::FlightParts;

/// Parcels that wait for one connection.
const QUEUE: usize = 256;
/// Between two attempts to connect: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often it is seen that nobody listens where a node did, before that node is given up.
const LOOKS: u32 = 4;
/// Objects that are fetched at once; more wait. Few are enough to fill a network, and each takes its room in the store
/// before its bytes come.
const FETCHES: usize = 8;

/// A way to a peer.
#[derive(Debug)]
struct Way {
    parcels: Sender<Parcel>,
    /// What carries them, if this node began the connection.
    task: Option<AbortHandle>,
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[derive(Debug)]
struct State {
    node: NodeId,
    addresses: BTreeMap<NodeId, String>,
    dead: BTreeSet<NodeId>,
    ways: BTreeMap<Peer, Way>,
    /// Connections that others began, by a number, and from whom.
    accepted: BTreeMap<u64, (NodeId, AbortHandle)>,
    next: u64,
}

/// All that is known of the other nodes, for every task of the network.
pub(super) struct Switchboard {
    inlet: Inlet,
    address: String,
    head: Option<String>,
    links: Links,
    state: Mutex<State>,
    pub(super) fetching: Semaphore,
    /// What came of objects whose sender was lost.
    pub(super) partial: Mutex<BTreeMap<ObjectId, Partial>>,
    /// Why the last connection to the head ended.
    trouble: Mutex<Option<String>>,
}

impl Switchboard {
    pub(super) fn new(inlet: Inlet, address: String, head: Option<String>, access: Access, handle: Handle) -> Self {
        let state = State {
            node: NodeId(0),
            addresses: BTreeMap::new(),
            dead: BTreeSet::new(),
            ways: BTreeMap::new(),
            accepted: BTreeMap::new(),
            next: 0,
        };
        Self {
            inlet,
            address,
            head,
            links: Links::new(access, handle),
            state: Mutex::new(state),
            fetching: Semaphore::new(FETCHES),
            partial: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    pub(super) fn access(&self) -> &Access {
        self.links.access()
    }

    /// This node.
    pub(super) fn node(&self) -> NodeId {
        self.state.lock().node
    }

    /// Where others reach this node.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether the head is here.
    pub(super) fn is_head(&self) -> bool {
        self.head.is_none()
    }

    pub(super) fn hello(&self, to: Option<NodeId>) -> Hello {
        Hello::new(self.node(), &self.address, to)
    }

    /// Where a peer is reached, as far as is known.
    pub(super) fn address_of(&self, peer: Peer) -> Option<String> {
        match peer {
            Peer::Head => self.head.clone(),
            Peer::Node(node) => self.state.lock().addresses.get(&node).cloned(),
        }
    }

    fn send(self: &Arc<Self>, to: Peer, parcel: Parcel) {
        let mut state = self.state.lock();
        if let Some(way) = state.ways.get(&to)
            && !way.parcels.is_closed()
        {
            // A queue that is full is that of a peer that does not read: it is sent again.
            let _ = way.parcels.try_send(parcel);
            return;
        }
        if matches!(to, Peer::Node(node) if state.dead.contains(&node)) {
            return;
        }
        let (parcels, queue) = channel(QUEUE);
        let _ = parcels.try_send(parcel);
        let task = self.links.handle().spawn(Arc::clone(self).dial(to, queue)).abort_handle();
        state.ways.insert(to, Way { parcels, task: Some(task) });
    }

    /// Keeps a connection to a peer, until nobody has anything for it.
    async fn dial(self: Arc<Self>, peer: Peer, mut queue: Receiver<Parcel>) {
        let mut pause = PAUSES.0;
        loop {
            let to = match peer {
                Peer::Head => None,
                Peer::Node(node) => Some(node),
            };
            if let Some(address) = self.address_of(peer) {
                let (sender, receiver) = channel(QUEUE);
                let hello = self.hello(to);
                let conversation = converse(&self, &address, hello, receiver);
                let feed = async {
                    while let Some(parcel) = queue.recv().await {
                        if sender.send(parcel).await.is_err() {
                            break;
                        }
                    }
                    // Nothing more is said, and what the other one says is not waited for.
                };
                let started = std::time::Instant::now();
                tokio::select! {
                    ended = conversation => {
                        let why = ended.map_or_else(|error| error.to_string(), |()| format!("{address} hung up"));
                        log::debug!("the connection to {address} ended: {why}");
                        if peer == Peer::Head {
                            *self.trouble.lock() = Some(why);
                        }
                    }
                    () = feed => {}
                }
                if started.elapsed() > PAUSES.1 {
                    pause = PAUSES.0;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSES.1);
            // What waited is old: it is sent again.
            while queue.try_recv().is_ok() {}
            if queue.is_closed() {
                return;
            }
        }
    }

    /// A node began a connection: what is for it goes there from now on, unless this one began one too. `None` for a
    /// node that is dead.
    pub(super) fn accept(&self, hello: &Hello, task: AbortHandle) -> (u64, Option<Receiver<Parcel>>) {
        let mut state = self.state.lock();
        state.next += 1;
        let number = state.next;
        state.accepted.insert(number, (hello.node, task));
        state.addresses.insert(hello.node, hello.address.clone());
        let peer = Peer::Node(hello.node);
        if state.ways.get(&peer).is_some_and(|way| way.task.is_some() && !way.parcels.is_closed()) {
            return (number, None);
        }
        let (parcels, queue) = channel(QUEUE);
        state.ways.insert(peer, Way { parcels, task: None });
        (number, Some(queue))
    }

    /// A connection that another node began has ended. Where that node listened and nobody does any more its process is
    /// gone, and the head, if it is here, is told; a machine that is gone does not even refuse, and is given up when it
    /// has been silent for long enough.
    pub(super) async fn hung_up(&self, number: u64, node: NodeId, address: &str) {
        self.state.lock().accepted.remove(&number);
        if !self.is_head() {
            return;
        }
        for _ in 0..LOOKS {
            tokio::time::sleep(PAUSES.1 / LOOKS).await;
            let place = address.rsplit('/').next().unwrap_or(address);
            let connecting = tokio::time::timeout(PAUSES.1, tokio::net::TcpStream::connect(place)).await;
            let is_refused = matches!(connecting, Ok(Err(why)) if why.kind() == std::io::ErrorKind::ConnectionRefused);
            if !is_refused {
                return;
            }
        }
        self.inlet.gone(node);
    }
}

/// The network that a node is given.
pub(super) struct FlightNetwork {
    board: Arc<Switchboard>,
    serving: AbortHandle,
    // The last to go: its tasks are those of the others.
    _threads: Arc<Threads>,
}

impl Reach for Switchboard {
    fn address_of_node(&self, node: NodeId) -> Option<String> {
        self.address_of(Peer::Node(node))
    }

    fn links(&self) -> &Links {
        &self.links
    }
}

impl FlightNetwork {
    pub(super) fn new(board: Arc<Switchboard>, threads: Arc<Threads>, serving: AbortHandle) -> Self {
        Self { board, serving, _threads: threads }
    }
}

impl Drop for FlightNetwork {
    fn drop(&mut self) {
        self.serving.abort();
        self.board.state.lock().ways.clear();
    }
}

impl Network for FlightNetwork {
    fn begin(&mut self, node: NodeId) {
        let mut state = self.board.state.lock();
        state.node = node;
        state.ways.clear();
        for (_, task) in std::mem::take(&mut state.accepted).into_values() {
            task.abort();
        }
        self.board.partial.lock().clear();
    }

    fn send(&mut self, to: Peer, parcel: Parcel) {
        self.board.send(to, parcel);
    }

    fn meet(&mut self, node: NodeId, address: &str) {
        self.board.state.lock().addresses.insert(node, address.to_string());
    }

    fn trouble(&self) -> Option<String> {
        self.board.trouble.lock().clone()
    }

    fn part(&mut self, node: NodeId) {
        let mut state = self.board.state.lock();
        state.dead.insert(node);
        state.addresses.remove(&node);
        state.ways.remove(&Peer::Node(node));
    }

    fn fetch(&mut self, object: ObjectId, from: NodeId) {
        self.board.links.handle().spawn(objects::fetch(Arc::clone(&self.board), object, from));
    }

    fn parts(&self) -> Option<Arc<dyn PartReader>> {
        let board: Arc<dyn Reach> = Arc::<Switchboard>::clone(&self.board);
        Some(Arc::new(FlightParts::new(board)))
    }
}
