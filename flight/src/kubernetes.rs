//! `KubernetesProvider`: nodes as pods of Kubernetes, for a cluster that grows and shrinks there. It asks the API
//! server by HTTP/2, with JSON both ways. It remembers nothing: what there is, that server knows, whichever head asks.
//!
//! `pods` knows how an instance is written as a pod, and how it is read from one.

mod pods;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use serde_json::Value;
use sheaf_core::autoscale::{Instance, NodeProvider, NodeType};
use sheaf_core::env::Threads;
use sheaf_core::{Error, ErrorKind, Result, settings};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt};

use crate::cluster::{TlsClient, connected, root};
use pods::{CLUSTER, instance_of, pod_of};

/// Where Kubernetes puts the files of a pod's service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long one request may take, its connection included.
const BOUND: Duration = Duration::from_secs(10);
/// What one answer may have, in bytes: a page of pods, with all that the API server knows of each.
const BODY_BYTES: usize = 64 << 20;
/// Pods of one page.
const PAGE: usize = 500;
/// Pages of one list: more than a cluster of Kubernetes has pods.
const PAGES: usize = 1_000;
/// Characters of the value of a label.
const LABEL_LENGTH: usize = 63;
/// What the logs of the API server tell of who asks.
const AGENT: &str = concat!("sheaf/", env!("CARGO_PKG_VERSION"));

/// Where pods are started, on whose behalf, and from what.
#[derive(Clone)]
pub struct KubernetesOptions {
    /// The API server, with scheme and port, such as `https://10.0.0.1:443`.
    pub server: String,
    /// The certificate of the authority that the API server's is of: a PEM file. With `https` there has to be one.
    pub ca: Option<PathBuf>,
    /// The file with the token of a service account. It is read for each request, because Kubernetes writes a new one
    /// from time to time.
    pub token: Option<PathBuf>,
    /// The namespace of the pods.
    pub namespace: String,
    /// The name of the cluster, the value of the label by which its pods are known: no other one in this namespace may
    /// have it.
    pub cluster: String,
    /// The pod of each node type, by its name: an object with `metadata` and `spec`. The command of its first container
    /// passes on `$(SHEAF_NODE_LABELS)`.
    pub templates: BTreeMap<String, Value>,
}

impl fmt::Debug for KubernetesOptions {
    // Templates may have secrets in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesOptions")
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .field("cluster", &self.cluster)
            .field("types", &self.templates.keys())
            .finish_non_exhaustive()
    }
}

impl KubernetesOptions {
    /// Those of a process in a pod: its own namespace, and its service account.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] outside of Kubernetes, [`ErrorKind::PermissionDenied`] for a pod without a service
    /// account.
    pub fn in_cluster(cluster: &str, templates: BTreeMap<String, Value>) -> Result<Self> {
        Self::of_pod(settings::kubernetes_server(), Path::new(ACCOUNT), cluster, templates)
    }

    fn of_pod(
        server: Option<String>,
        account: &Path,
        cluster: &str,
        templates: BTreeMap<String, Value>,
    ) -> Result<Self> {
        let server = server.ok_or_else(|| {
            Error::invalid("this process is in no pod of Kubernetes: KUBERNETES_SERVICE_HOST is not set")
                .with_hint("run the head of the cluster in a pod, with a service account")
        })?;
        let file = account.join("namespace");
        let namespace = std::fs::read_to_string(&file).map_err(|error| {
            let message = format!("this pod has no service account, {} cannot be read: {error}", file.display());
            Error::new(ErrorKind::PermissionDenied, message)
                .with_hint("give it a serviceAccountName, and automountServiceAccountToken: true")
        })?;
        Ok(Self {
            server,
            ca: Some(account.join("ca.crt")),
            token: Some(account.join("token")),
            namespace: namespace.trim().to_string(),
            cluster: cluster.to_string(),
            templates,
        })
    }

    /// Whether the connection is to be behind a certificate.
    fn is_secure(&self) -> bool {
        self.server.starts_with("https://")
    }

    /// The path of all pods of the namespace.
    fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", encoded(&self.namespace))
    }

    /// What shows who asks.
    fn shown_token(&self) -> Result<Option<HeaderValue>> {
        let Some(path) = &self.token else { return Ok(None) };
        let failed = |why: &dyn fmt::Display| {
            Error::new(ErrorKind::Io, format!("the token cannot be read from {}: {why}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", text.trim())).map_err(|error| failed(&error))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Starts nodes as pods of Kubernetes, one for each instance, and ends them.
pub struct KubernetesProvider {
    options: KubernetesOptions,
    endpoint: Endpoint,
    /// The connection, while nothing has gone wrong there.
    channel: Option<Channel>,
    bound: Duration,
    threads: Arc<Threads>,
}

impl fmt::Debug for KubernetesProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesProvider").field("options", &self.options).finish_non_exhaustive()
    }
}

impl KubernetesProvider {
    /// Looks at the options; the first call connects.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an address that is none or has no authority, a name of the cluster that is no
    /// value of a label, and templates without a container; [`ErrorKind::Io`] when the system refuses a thread.
    pub fn new(options: KubernetesOptions) -> Result<Self> {
        let endpoint = endpoint(&options.server)?;
        if options.is_secure() && options.ca.is_none() {
            return Err(Error::invalid(format!("nothing says whose certificate {} is to have", options.server))
                .with_hint("give the certificate of its authority, a PEM file"));
        }
        if !is_label(&options.cluster) {
            return Err(Error::invalid(format!("{:?} is no name of a cluster on Kubernetes", options.cluster))
                .with_hint(format!("letters, digits and, between them, -, _ and .: at most {LABEL_LENGTH} in all")));
        }
        let has_container = |template: &Value| template["spec"]["containers"][0].is_object();
        if let Some((name, _)) = options.templates.iter().find(|(_, template)| !has_container(template)) {
            return Err(no_template(name));
        }
        Ok(Self { options, endpoint, channel: None, bound: BOUND, threads: Threads::start(1)? })
    }

    /// Sends a request and waits for its answer: the status, and what is told.
    fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let request = self.request(method, path, body)?;
        let (threads, bound) = (Arc::clone(&self.threads), self.bound);
        let answered = threads.block_on(async { tokio::time::timeout(bound, self.send(request)).await });
        answered.unwrap_or_else(|_| Err(self.lost(&format!("no answer within {bound:?}"))))
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Request<Body>> {
        let bytes = body.map(ToString::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, AGENT)
            .body(Body::new(axum::body::Body::from(bytes)))
            .map_err(|error| Error::invalid(format!("{path:?} cannot be asked for: {error}")))?;
        if let Some(token) = self.options.shown_token()? {
            request.headers_mut().insert(header::AUTHORIZATION, token);
        }
        Ok(request)
    }

    async fn send(&mut self, request: Request<Body>) -> Result<(StatusCode, Value)> {
        // It comes back when all went well: after an error, or when nobody waits any more, the next call connects anew.
        let mut channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.connect().await?,
        };
        let ready = channel.ready().await.map_err(|error| self.lost(&root(&error)))?;
        let answer = ready.call(request).await.map_err(|error| self.lost(&root(&error)))?;
        let status = answer.status();
        let bytes = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), BODY_BYTES)
            .await
            .map_err(|error| self.lost(&root(&error)))?;
        self.channel = Some(channel);
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    async fn connect(&self) -> Result<Channel> {
        let authority = self.options.ca.as_deref().filter(|_| self.options.is_secure());
        let tls = authority.map(TlsClient::trusting).transpose()?;
        connected(&self.endpoint, tls).await.map_err(|why| self.lost(&why))
    }

    fn lost(&self, why: &str) -> Error {
        let server = &self.options.server;
        Error::new(ErrorKind::Io, format!("the API server of Kubernetes at {server} is not reached: {why}"))
    }
}

impl NodeProvider for KubernetesProvider {
    fn create(&mut self, name: &str, node_type: &NodeType) -> Result<()> {
        let KubernetesOptions { templates, cluster, .. } = &self.options;
        let pod = templates.get(&node_type.name).and_then(|template| pod_of(template, cluster, name, node_type));
        let pod = pod.ok_or_else(|| no_template(&node_type.name))?;
        let (status, told) = self.call(Method::POST, &self.options.pods(), Some(&pod))?;
        // It may be there of a request whose answer got lost.
        let is_there = status == StatusCode::CONFLICT && told["reason"] == "AlreadyExists";
        if status.is_success() || is_there { Ok(()) } else { Err(refusal(&format!("start pod {name}"), status, &told)) }
    }

    fn list(&mut self) -> Result<Vec<Instance>> {
        let KubernetesOptions { cluster, .. } = &self.options;
        let first = format!("{}?labelSelector={CLUSTER}%3D{}&limit={PAGE}", self.options.pods(), encoded(cluster));
        let (mut path, mut instances) = (first.clone(), Vec::new());
        for _ in 0..PAGES {
            let (status, told) = self.call(Method::GET, &path, None)?;
            // What is no list, such as the page of a proxy, does not say that there are none.
            if !status.is_success() || told["kind"] != "PodList" {
                return Err(refusal("list pods", status, &told));
            }
            instances.extend(told["items"].as_array().into_iter().flatten().filter_map(instance_of));
            match told["metadata"]["continue"].as_str() {
                None | Some("") => return Ok(instances),
                Some(next) => path = format!("{first}&continue={}", encoded(next)),
            }
        }
        Err(Error::new(ErrorKind::Io, format!("the list of pods does not end after {PAGES} pages of {PAGE}")))
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        let path = format!("{}/{}", self.options.pods(), encoded(name));
        let (status, told) = self.call(Method::DELETE, &path, None)?;
        let is_gone = status == StatusCode::NOT_FOUND;
        if status.is_success() || is_gone { Ok(()) } else { Err(refusal(&format!("end pod {name}"), status, &told)) }
    }
}

/// The API server as an endpoint.
fn endpoint(server: &str) -> Result<Endpoint> {
    let wrong = |why: &dyn fmt::Display| {
        Error::invalid(format!("{server:?} is no address of an API server: {why}"))
            .with_hint("write its scheme, host and port, such as https://10.0.0.1:443")
    };
    let origin = server.parse::<Uri>().map_err(|error| wrong(&error))?;
    let has_scheme = matches!(origin.scheme_str(), Some("http" | "https"));
    if !has_scheme || origin.port().is_none() || origin.path() != "/" {
        return Err(wrong(&"it has to be a scheme, a host and a port"));
    }
    // Certificates are ours to look at, and tonic is not told of them; requests have the scheme that there is.
    let endpoint = Endpoint::from_shared(server.replacen("https://", "http://", 1)).map_err(|error| wrong(&error))?;
    Ok(endpoint.origin(origin))
}

/// Whether a label may have this value.
fn is_label(value: &str) -> bool {
    let is_inner = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let is_outer = |character: char| character.is_ascii_alphanumeric();
    value.len() <= LABEL_LENGTH
        && value.chars().all(is_inner)
        && value.starts_with(is_outer)
        && value.ends_with(is_outer)
}

/// The text as it stands within a path or a query.
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn no_template(node_type: &str) -> Error {
    Error::invalid(format!("there is no template of a pod for nodes of type {node_type:?}"))
        .with_hint("give an object with metadata and spec, which has a container, such as that of a Pod")
}

/// The error that an answer tells: what Kubernetes calls a Status.
fn refusal(what: &str, status: StatusCode, told: &Value) -> Error {
    let why = told["message"].as_str().map_or_else(|| format!("it answers {status}"), str::to_string);
    let message = format!("the API server of Kubernetes does not {what}: {why}");
    match status {
        StatusCode::FORBIDDEN => Error::new(ErrorKind::PermissionDenied, message).with_hint(
            "the Role of the service account needs the verbs create, list and delete on pods; quotas and policies of \
             the namespace may forbid a pod too",
        ),
        StatusCode::UNAUTHORIZED => Error::new(ErrorKind::PermissionDenied, message)
            .with_hint("the token is to be that of a service account of this cluster of Kubernetes"),
        _ => Error::new(ErrorKind::Io, message),
    }
}

#[cfg(test)]
mod tests;
