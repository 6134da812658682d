//! A cloud's object store inside the test process: objects in memory behind HTTP, on a loopback port of its own. It
//! ends with the test.

pub(crate) mod azure;
pub(crate) mod gcs;
mod objects;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::body::{Bytes, Incoming};
use hyper::header::ETAG;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::Body;
use sheaf_connectors::location::percent_decode;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use self::objects::Objects;

/// The one bucket or container that a server has.
pub(crate) const BUCKET: &str = "bucket";
/// No request here has a larger body.
const BODY_BYTES: usize = 64 << 20;

pub(crate) type Answer = Response<Body>;

/// One request, taken apart.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// The path as it was sent, percent signs and all.
    pub(crate) path: String,
    /// The bucket or container.
    pub(crate) bucket: String,
    /// The name of the object; empty where the bucket itself is meant.
    pub(crate) name: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    async fn read(request: Request<Incoming>) -> io::Result<Self> {
        let (head, body) = request.into_parts();
        let body = Body::from(body).store_all_limited(BODY_BYTES).await.map_err(io::Error::other)?;
        let path = head.uri.path().to_string();
        let (bucket, name) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(key), percent_decode(&value.replace('+', " ")))
        });
        Ok(Self {
            method: head.method,
            bucket: percent_decode(bucket),
            name: percent_decode(name),
            query: query.collect(),
            headers: head.headers,
            body,
            path,
        })
    }

    /// A header; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A value of the query; empty where it is not there.
    pub(crate) fn queried(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }
}

/// An answer with this body.
pub(crate) fn answer(status: StatusCode, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer
}

/// An answer about an object that was stored.
pub(crate) fn stored(status: StatusCode, tag: &str) -> Answer {
    let mut answer = answer(status, Body::empty());
    answer.headers_mut().insert(ETAG, tag.parse().unwrap());
    answer
}

/// What both clouds say when something is wrong.
pub(crate) fn refused(status: StatusCode, code: &str) -> Answer {
    answer(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"))
}

/// Text as it stands in XML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Decodes Base64 of either alphabet, padded or not.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for char in text.bytes() {
        let six = match char {
            b'A'..=b'Z' => char - b'A',
            b'a'..=b'z' => char - b'a' + 26,
            b'0'..=b'9' => char - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// A cloud of one bucket.
pub(crate) struct CloudServer {
    address: SocketAddr,
    objects: Arc<Mutex<Objects>>,
    accept: JoinHandle<()>,
}

impl CloudServer {
    /// A server that speaks the protocol of this function.
    pub(crate) async fn start(speak: fn(&mut Objects, &Asked) -> Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let objects = Arc::new(Mutex::new(Objects::default()));
        let shared = Arc::clone(&objects);
        let accept = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let objects = Arc::clone(&shared);
                let handle = service_fn(move |request| {
                    let objects = Arc::clone(&objects);
                    async move {
                        let asked = Asked::read(request).await?;
                        io::Result::Ok(speak(&mut objects.lock().unwrap(), &asked))
                    }
                });
                connections.spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), handle).await;
                });
            }
        });
        Self { address, objects, accept }
    }

    /// What users give as the endpoint.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The names of the objects below a folder, relative to it.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        self.objects.lock().unwrap().names().filter_map(|name| name.strip_prefix(folder)).map(str::to_string).collect()
    }

    /// Forgets all objects.
    pub(crate) fn clear(&self) {
        *self.objects.lock().unwrap() = Objects::default();
    }

    /// How many parts an object came in.
    pub(crate) fn parts(&self, name: &str) -> usize {
        self.objects.lock().unwrap().parts_of(name)
    }
}

impl Drop for CloudServer {
    fn drop(&mut self) {
        self.accept.abort();
    }
}
