//! The network of a cluster: what `sheaf_core::network::Network` promises, over Arrow Flight.
//!
//! One port for each node. `DoExchange` carries parcels between two nodes, both ways over one connection (`exchange`);
//! `DoGet` brings objects and parts of them, over connections of its own (`objects`, `parts`; `reader` is for those who
//! are no node); `DoAction` answers questions of the command line (`ask`), and `http` is what is served to who speaks
//! that. `service` is the server, `switchboard` knows which connection leads to whom, and `access` says who may come.

mod access;
mod ask;
mod exchange;
mod http;
mod objects;
mod parts;
mod reader;
mod service;
mod switchboard;
mod tls;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use sheaf_core::env::Threads;
use sheaf_core::jobs::Jobs;
use sheaf_core::local::Inlet;
use sheaf_core::network::Network;
use sheaf_core::state::StateStore;
use sheaf_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, Uri};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, service_fn};

pub use access::Access;
pub use ask::{ask, ask_all, join, node_names};
pub use http::HttpClient;
pub use reader::{Calls, PartClient};
use switchboard::{FlightNetwork, Switchboard};
use tls::Tls;
pub(crate) use tls::TlsClient;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// How often an idle connection is looked at, and how long the answer may take: half of the time after which a silent
/// node is given up.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// What one message may be, in bytes: the largest of ours have the small values of all arguments of a call.
const MESSAGE_BYTES: usize = 1 << 30;
/// Bytes that may be on their way to whoever does not read them yet: to one reader, and to all of a connection.
type Windows = (u32, u32);
/// Of connections that objects and what nodes say come through: few readers at once.
const OBJECTS: Windows = (4 << 20, 1 << 30);
/// Of those for calls, of which many may wait for others to be read.
const CALLS: Windows = (256 << 10, (1 << 31) - 1);
/// What an answer may say besides its bytes, such as why it ended.
const HEADER_BYTES: u32 = 1 << 20;
/// Threads for all that goes in and out of a node.
const THREADS: usize = 2;

/// A port that is this process' own, before anything is served there.
pub struct Port {
    listener: TcpListener,
    address: String,
    access: Access,
    offers: http::Offers,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("address", &self.address).field("access", &self.access).finish_non_exhaustive()
    }
}

impl Port {
    /// Takes a port, such as `127.0.0.1:7070`; with port 0 one that is free. `advertised`: the host by which others
    /// reach it, where that is not the one that is bound.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an address that is none, and for one that other machines reach while neither a
    /// token nor certificates keep strangers out; [`ErrorKind::Io`] when the port is taken.
    pub fn bind(address: &str, advertised: Option<&str>, access: Access) -> Result<Self> {
        let address = resolved(address)?;
        if !access.is_closed() && !address.ip().is_loopback() {
            return Err(Error::invalid(format!(
                "{address} is reached from other machines, and without a token or certificates anybody there could \
                 run code here"
            ))
            .with_hint(
                "give a token (--token-file) or certificates (--tls-cert, --tls-key, --tls-ca), or bind to 127.0.0.1",
            ));
        }
        let failed = |error| Error::new(ErrorKind::Io, format!("cannot listen at {address}: {error}"));
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let host = advertised.map_or_else(|| bound.ip().to_string(), str::to_string);
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        Ok(Self {
            listener,
            address: format!("{}://{host}:{}", access.scheme(), bound.port()),
            access,
            offers: http::Offers::default(),
        })
    }

    /// Lets jobs be submitted and followed there: it has to be the head's.
    #[must_use]
    pub fn with_jobs(mut self, jobs: Arc<Jobs>) -> Self {
        self.offers.jobs = Some(jobs);
        self
    }

    /// Keeps packages in a folder, where the next head finds them: it has to be the head's.
    #[must_use]
    pub fn with_packages(mut self, folder: PathBuf) -> Self {
        self.offers.packages = Some(folder);
        self
    }

    /// Lets durable actors save what they are in these tables: they have to be the head's, and to outlive it.
    #[must_use]
    pub fn with_tables(mut self, tables: Arc<dyn StateStore>) -> Self {
        self.offers.tables = Some(tables);
        self
    }

    /// Serves a service of gRPC beside its own, to who may come.
    #[must_use]
    pub fn with_service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.offers.service = Some(Box::new(move |routes: Routes| routes.add_service(service)));
        self
    }

    /// What is asked of who comes, and shown to others.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Where others reach it, such as `http://127.0.0.1:7070`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Serves the node behind the inlet, and carries its parcels. `head`: where the head is, unless it is here.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses threads.
    pub fn open(self, inlet: Inlet, head: Option<String>) -> Result<Box<dyn Network>> {
        let threads = Threads::start(THREADS)?;
        let board = Arc::new(Switchboard::new(inlet, self.address, head, self.access, threads.handle().clone()));
        let serving = threads.handle().spawn(service::serve(self.listener, Arc::clone(&board), self.offers));
        Ok(Box::new(FlightNetwork::new(board, threads, serving.abort_handle())))
    }
}

/// The address in the form of Sheaf's users, `sheaf://host:port`, as that of an endpoint.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when it is none.
pub fn endpoint_of(address: &str, access: &Access) -> Result<String> {
    let rest = address.strip_prefix("sheaf://").unwrap_or(address);
    let rest = rest.split("://").last().unwrap_or(rest).trim_end_matches('/');
    match rest.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(format!("{}://{rest}", access.scheme()))
        }
        _ => Err(Error::invalid(format!("{address:?} is no address of a cluster"))
            .with_hint("write the head's host and port: sheaf://host:7070")),
    }
}

fn resolved(address: &str) -> Result<SocketAddr> {
    let wrong = |why: String| Error::invalid(format!("{address:?} is no address to listen at: {why}"));
    let mut found = address.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong("no machine has that name".to_string()))
}

/// A connection to a node.
async fn connect(address: &str, access: &Access) -> Result<Channel> {
    connect_for(address, access, OBJECTS).await
}

async fn connect_for(address: &str, access: &Access, (of_each, of_all): Windows) -> Result<Channel> {
    // The scheme says what is around the connection; what is within it is the same.
    let endpoint = Endpoint::from_shared(address.replacen("https://", "http://", 1))
        .map_err(|error| Error::invalid(format!("{address:?} is not an address: {error}")))?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .initial_stream_window_size(of_each)
        .initial_connection_window_size(of_all)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let failed = |why: String| Error::new(ErrorKind::Io, format!("cannot connect to the node at {address}: {why}"));
    connected(&endpoint, access.tls().map(Tls::client)).await.map_err(failed)
}

/// A connection to any endpoint, through certificates where there are to be some; or why there is none.
pub(crate) async fn connected(endpoint: &Endpoint, tls: Option<TlsClient>) -> Result<Channel, String> {
    let connecting = async {
        match tls {
            None => endpoint.connect().await,
            Some(tls) => endpoint.connect_with_connector(service_fn(move |uri: Uri| through(tls.clone(), uri))).await,
        }
    };
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(root(&error)),
        Err(_) => Err(format!("no answer within {} s", CONNECT.as_secs())),
    }
}

async fn through(tls: TlsClient, uri: Uri) -> std::io::Result<TokioIo<impl AsyncRead + AsyncWrite + Unpin>> {
    let host = uri.host().unwrap_or_default();
    Ok(TokioIo::new(tls.connect(host, uri.port_u16().unwrap_or_default()).await?))
}

/// The cause that says most.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
