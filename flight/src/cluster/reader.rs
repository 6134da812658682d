//! `PartClient`: reads parts of objects from the nodes that have them, and calls other services there, for what is no
//! node itself.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use sheaf_core::env::Threads;
use sheaf_core::fragment::{Chunk, PartReader, Unread};
use sheaf_core::ids::{NodeId, ObjectId};
use sheaf_core::{Error, Result};
use tokio::sync::mpsc::Receiver;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::Channel;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::access::Access;
use super::objects::{Links, Reach};
use super::parts::FlightParts;
use super::{CALLS, connect_for};

/// What calls of gRPC go through.
pub type Calls = BoxCloneSyncService<Request<Body>, Response<Body>, tonic::transport::Error>;

/// Reads parts of objects from nodes; copies share their connections.
#[derive(Clone)]
pub struct PartClient(Arc<Known>);

struct Known {
    addresses: Mutex<BTreeMap<NodeId, String>>,
    links: Links,
    /// What calls go through, by address: connections of their own.
    calls: Mutex<BTreeMap<String, Channel>>,
    // The last to go: what comes is carried by them.
    _threads: Arc<Threads>,
}

impl PartClient {
    /// One that shows this wherever it comes.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Io`] when the system refuses a thread.
    pub fn start(access: Access) -> Result<Self> {
        let threads = Threads::start(1)?;
        let links = Links::new(access, threads.handle().clone());
        let (addresses, calls) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Known { addresses, links, calls, _threads: threads })))
    }

    /// These are the nodes that are there now, and where they are reached.
    pub fn know(&self, nodes: impl IntoIterator<Item = (NodeId, String)>) {
        *self.0.addresses.lock() = nodes.into_iter().collect();
    }

    /// Calls of gRPC to the node at an address such as `http://127.0.0.1:7070`, by the services of
    /// [`super::Port::with_service`].
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Io`] when it cannot be reached.
    pub async fn calls_to(&self, address: &str) -> Result<Calls> {
        let (channel, access) = (self.channel_to(address).await?, self.0.links.access().clone());
        Ok(Calls::new(channel.map_request(move |mut request: Request<Body>| {
            access.show_to(request.headers_mut());
            request
        })))
    }
}

impl PartClient {
    async fn channel_to(&self, address: &str) -> Result<Channel> {
        if let Some(channel) = self.0.calls.lock().get(address).cloned() {
            return Ok(channel);
        }
        let (to, access) = (address.to_string(), self.0.links.access().clone());
        // Whoever connects carries what comes.
        let connecting = self.0.links.handle().spawn(async move { connect_for(&to, &access, CALLS).await });
        let channel = connecting.await.map_err(|error| Error::internal(format!("connecting ended: {error}")))??;
        self.0.calls.lock().insert(address.to_string(), channel.clone());
        Ok(channel)
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

    fn links(&self) -> &Links {
        &self.links
    }
}
