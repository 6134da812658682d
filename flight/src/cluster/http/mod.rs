//! HTTP on the port of a node, beside Arrow Flight: for people, scripts and scrapers, who speak HTTP/1.1 or HTTP/2.
//!
//! `routes` is the one table of what is served. `guard` stands before all of it, Flight included; `reply` turns answers
//! and errors into JSON; `packages` keeps files for the cluster, `durable` what its actors save, `jobs` is what submits
//! and follows jobs, `metrics` is for Prometheus. `client` is the other side of all this, for the command line.

mod client;
mod durable;
mod guard;
mod jobs;
mod metrics;
mod packages;
mod reply;

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::routing::{any, get, post, put};
use axum::{Router, middleware};
use serde_json::json;
use sheaf_core::jobs::Jobs;
use sheaf_core::network::Peer;
use sheaf_core::state::StateStore;
use sheaf_core::{Error, ErrorKind};
use tokio::sync::Semaphore;
use tonic::service::Routes;

use super::switchboard::Switchboard;
use durable::Files;
use guard::Guard;
use packages::Packages;
use reply::{Answer, Refusal, json_of};

pub use client::HttpClient;

/// What a request may bring that is read as a whole, in bytes; packages are streamed and have a limit of their own.
const BODY_BYTES: usize = 1 << 20;

/// Adds a service of gRPC to those that are there.
pub(super) type Added = Box<dyn FnOnce(Routes) -> Routes + Send>;

/// What a node offers beyond its cluster.
#[derive(Default)]
pub(super) struct Offers {
    /// Another service.
    pub(super) service: Option<Added>,
    /// Its jobs, where it has any.
    pub(super) jobs: Option<Arc<Jobs>>,
    /// The folder for packages, where they outlive it.
    pub(super) packages: Option<PathBuf>,
    /// Its tables, where they outlive it.
    pub(super) tables: Option<Arc<dyn StateStore>>,
}

/// What the routes look at and act on.
#[derive(Clone)]
struct Site {
    board: Arc<Switchboard>,
    /// Only the head keeps packages.
    packages: Option<Arc<Packages>>,
    /// The jobs of the head, where it has any.
    jobs: Option<Arc<Jobs>>,
    /// What durable actors save with the head, where that outlives it.
    files: Option<Arc<Files>>,
    /// Requests that wait for something to be printed.
    followers: Arc<Semaphore>,
}

/// What is served, and by whom.
fn routes() -> Router<Site> {
    let files = put(durable::create).get(durable::read).layer(DefaultBodyLimit::max(durable::FILE_BYTES));
    Router::new()
        .route("/api/version", get(version))
        .route("/metrics", get(metrics::metrics))
        .route("/api/packages/{sha256}", put(packages::store).get(packages::read))
        .route("/api/durable/names/{*prefix}", get(durable::names))
        .route("/api/durable/delete", post(durable::delete))
        .route("/api/durable/files/{*name}", files)
        .route("/api/jobs", post(jobs::submit).get(jobs::list))
        .route("/api/jobs/", post(jobs::submit).get(jobs::list))
        .route("/api/jobs/{id}", get(jobs::describe).delete(jobs::delete))
        .route("/api/jobs/{id}/stop", post(jobs::stop))
        .route("/api/jobs/{id}/logs", get(jobs::logs))
}

/// The services of gRPC with all of the above, and the guard before them.
pub(super) fn with_http(services: Routes, board: Arc<Switchboard>, offers: Offers) -> Routes {
    let guard = Guard::new(board.access().clone(), board.address());
    let packages = board.is_head().then(|| Arc::new(Packages::open(offers.packages)));
    let files = offers.tables.map(|store| Arc::new(Files::new(store)));
    let followers = Arc::new(Semaphore::new(jobs::FOLLOWERS));
    let site = Site { board, packages, jobs: offers.jobs, files, followers };
    let ours = routes().layer(DefaultBodyLimit::max(BODY_BYTES)).with_state(site);
    let services = offers.service.into_iter().fold(services, |services, add| add(services));
    let all = services.into_axum_router().merge(ours).fallback(any(unknown));
    all.layer(middleware::from_fn_with_state(Arc::new(guard), guard::look)).into()
}

async fn version() -> Answer {
    json_of(&json!({ "version": env!("CARGO_PKG_VERSION"), "name": "sheaf" }))
}

async fn unknown(uri: Uri) -> Refusal {
    Error::new(ErrorKind::NotFound, format!("nothing is served at {}", uri.path())).into()
}

impl Site {
    /// What only the head has; elsewhere people are told where that is.
    fn of_head<'a, T>(&self, part: Option<&'a T>, what: &str) -> Result<&'a T, Refusal> {
        part.ok_or_else(|| {
            let head = self.board.address_of(Peer::Head).unwrap_or_default();
            Error::new(ErrorKind::NotFound, format!("this node is not the head, which alone has the {what}"))
                .with_hint(format!("ask the head: {head}"))
                .into()
        })
    }
}
