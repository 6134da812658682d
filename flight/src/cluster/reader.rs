//! `PartClient`: reads parts of objects from the nodes that have them, and calls other services there, for what is no
//! node itself.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use sheaf_core::Result;
use sheaf_core::env::Threads;
use sheaf_core::fragment::{Chunk, PartReader, Unread};
use sheaf_core::ids::{NodeId, ObjectId};
use tokio::sync::mpsc::Receiver;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::access::Access;
use super::objects::{Links, Reach};
use super::parts::FlightParts;

/// What calls of gRPC go through.
pub type Calls = BoxCloneSyncService<Request<Body>, Response<Body>, tonic::transport::Error>;

/// Reads parts of objects from nodes; copies share their connections.
#[derive(Clone)]
pub struct PartClient(Arc<Known>);

struct Known {
    addresses: Mutex<BTreeMap<NodeId, String>>,
    links: Arc<Links>,
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
        let links = Arc::new(Links::new(access, threads.handle().clone()));
        Ok(Self(Arc::new(Known { addresses: Mutex::default(), links, _threads: threads })))
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
        let (channel, access) = (self.0.links.carried_to(address).await?, self.0.links.access().clone());
        Ok(Calls::new(channel.map_request(move |mut request: Request<Body>| {
            access.show_to(request.headers_mut());
            request
        })))
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
