//! The other side: requests of the command line to a head, over the same connections as Flight.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use serde_json::Value;
use sheaf_core::env::Threads;
use sheaf_core::{Error, ErrorKind, Result};
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

use super::super::access::Access;
use super::super::connect;

/// How long an answer may take: that to a request that waits comes within twenty seconds.
const ANSWER: Duration = Duration::from_secs(30);
/// What an answer may have, in bytes.
const BODY_BYTES: usize = 256 << 20;

/// A connection to the head, for requests with JSON both ways.
pub struct HttpClient {
    address: String,
    access: Access,
    channel: Channel,
    threads: Arc<Threads>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("address", &self.address).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Connects to a head at an address as [`super::super::endpoint_of`] makes it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when nobody answers there.
    pub fn connect(address: &str, access: &Access) -> Result<Self> {
        let threads = Threads::start(1)?;
        let channel = threads.block_on(connect(address, access))?;
        Ok(Self { address: address.to_string(), access: access.clone(), channel, threads })
    }

    /// Sends a request such as `GET /api/jobs/`, and waits for its answer.
    ///
    /// # Errors
    /// The error that the head tells; [`ErrorKind::Io`] when it does not answer in time.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.threads.block_on(async {
            let late = |_| Error::new(ErrorKind::Io, format!("the head at {} does not answer", self.address));
            tokio::time::timeout(ANSWER, self.ask(method, path, body)).await.map_err(late)?
        })
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let broke = |error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Io, format!("the connection to the head at {} broke: {error}", self.address))
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| broke(&error))?;
        let bytes = body.map(ToString::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(tonic::body::Body::new(axum::body::Body::from(bytes)))
            .map_err(|error| Error::invalid(format!("{path:?} cannot be asked for: {error}")))?;
        self.access.show_to(request.headers_mut());
        let mut channel = self.channel.clone();
        let ready = channel.ready().await.map_err(|error| broke(&error))?;
        let answer = ready.call(request).await.map_err(|error| broke(&error))?;
        let status = answer.status();
        let bytes = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), BODY_BYTES)
            .await
            .map_err(|error| broke(&error))?;
        let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() { Ok(told) } else { Err(error_of(status, &told)) }
    }
}

/// The error that an answer tells.
fn error_of(status: StatusCode, told: &Value) -> Error {
    let told = &told["error"];
    let named = told["kind"].as_str();
    let kind = named.and_then(ErrorKind::named).unwrap_or(ErrorKind::Io);
    let message = told["message"].as_str().map_or_else(|| format!("the head answers {status}"), str::to_string);
    let error = Error::new(kind, message);
    match told["hint"].as_str() {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
