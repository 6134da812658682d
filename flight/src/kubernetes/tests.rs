//! Against an API server within the test: it keeps what it is asked, and answers in the words of Kubernetes 1.33.

use std::collections::VecDeque;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::Response;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use sheaf_core::resources::Resources;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;

const SECRET: &str = "eyJhbGciOiJSUzI1NiJ9.e30.first";

/// A request, as it came.
#[derive(Debug)]
struct Asked {
    scheme: String,
    request: String,
    authorization: Option<String>,
    body: Value,
}

/// What the API server does with a request.
enum Told {
    Json(u16, Value),
    HangsUp,
    Silence,
}

#[derive(Default)]
struct Record {
    asked: Mutex<Vec<Asked>>,
    answers: Mutex<VecDeque<Told>>,
    hang_up: Notify,
}

struct Api {
    address: String,
    record: Arc<Record>,
    _threads: Arc<Threads>,
}

impl Api {
    fn start(answers: impl IntoIterator<Item = Told>) -> Self {
        Self::start_behind(None, answers)
    }

    fn start_behind(tls: Option<TlsAcceptor>, answers: impl IntoIterator<Item = Told>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (record, threads) = (Arc::<Record>::default(), Threads::start(1).unwrap());
        record.answers.lock().extend(answers);
        threads.handle().spawn(serve(listener, Arc::clone(&record), tls));
        Self { address, record, _threads: threads }
    }

    fn provider(&self) -> KubernetesProvider {
        KubernetesProvider::new(options(&self.address)).unwrap()
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.record.asked.lock())
    }
}

async fn serve(listener: std::net::TcpListener, record: Arc<Record>, tls: Option<TlsAcceptor>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (record, tls) = (Arc::clone(&record), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => speak(stream, record).await,
                Some(tls) => {
                    // Who trusts another authority hangs up.
                    if let Ok(stream) = tls.accept(stream).await {
                        speak(stream, record).await;
                    }
                }
            }
        });
    }
}

/// Serves one connection: HTTP/2, and nothing else.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, record: Arc<Record>) {
    let router: Router = Router::new().fallback(answer).with_state(Arc::clone(&record));
    let builder = Builder::new(TokioExecutor::new()).http2_only();
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        _ = connection => {}
        () = record.hang_up.notified() => {}
    }
}

async fn answer(State(record): State<Arc<Record>>, request: Request<axum::body::Body>) -> Response<axum::body::Body> {
    let (head, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, BODY_BYTES).await.unwrap();
    let shown = head.headers.get(header::AUTHORIZATION);
    let asked = Asked {
        scheme: head.uri.scheme_str().unwrap_or_default().to_string(),
        request: format!("{} {}", head.method, head.uri.path_and_query().unwrap()),
        authorization: shown.map(|value| value.to_str().unwrap().to_string()),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    record.asked.lock().push(asked);
    let told = record.answers.lock().pop_front().unwrap_or_else(|| failure(500, "InternalError", "there is no more"));
    match told {
        Told::Json(status, body) => {
            let answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
            answer.body(axum::body::Body::from(body.to_string())).unwrap()
        }
        Told::HangsUp => {
            record.hang_up.notify_waiters();
            std::future::pending().await
        }
        Told::Silence => std::future::pending().await,
    }
}

/// What Kubernetes calls a Status.
fn failure(code: u16, reason: &str, message: &str) -> Told {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "details": { "kind": "pods" }, "code": code
    });
    Told::Json(code, status)
}

/// A page of a list, and what leads to the next one.
fn page(pods: &[Value], next: &str) -> Told {
    let mut list = json!({
        "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "10245" }, "items": pods
    });
    if !next.is_empty() {
        list["metadata"]["continue"] = next.into();
        list["metadata"]["remainingItemCount"] = 1.into();
    }
    Told::Json(200, list)
}

fn pod(name: &str, status: &Value) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "ml", "uid": "0b5a3c3e-8e0f-4c55-a9a6-5c2f7c6f0d11", "resourceVersion": "10231",
            "creationTimestamp": "2026-05-04T08:11:32Z",
            "labels": {
                "app": "sheaf", "sheaf.dev/cluster": "night", "sheaf.dev/instance": name, "sheaf.dev/node-type": "gpu",
                "sheaf.dev/version": env!("CARGO_PKG_VERSION")
            }
        },
        "spec": { "nodeName": "worker-3", "restartPolicy": "Never" },
        "status": status
    })
}

fn options(server: &str) -> KubernetesOptions {
    let template = json!({
        "metadata": { "labels": { "app": "sheaf" }, "annotations": { "team": "research" } },
        "spec": {
            "nodeSelector": { "pool": "gpu" },
            "restartPolicy": "Always",
            "containers": [
                {
                    "name": "node", "image": "sheaf:0.1.0",
                    "args": ["node", "--head=sheaf-head:7070", "--labels=$(SHEAF_NODE_LABELS)"],
                    "env": [{ "name": "HF_TOKEN", "value": "hf_verysecret" }],
                    "resources": { "limits": { "nvidia.com/gpu": 1 } }
                },
                { "name": "logs", "image": "fluent-bit:3" }
            ]
        }
    });
    KubernetesOptions {
        server: server.to_string(),
        ca: None,
        token: None,
        namespace: "ml".to_string(),
        cluster: "night".to_string(),
        templates: BTreeMap::from([("gpu".to_string(), template)]),
    }
}

fn gpu() -> NodeType {
    NodeType {
        name: "gpu".to_string(),
        resources: Resources::new([("CPU", 4.0), ("GPU", 1.0)]).unwrap(),
        labels: BTreeMap::from([("zone", "a"), ("price", "$(LOW)")].map(|(label, value)| (label.into(), value.into()))),
        min: 0,
        max: 4,
    }
}

#[test]
fn an_instance_is_the_pod_of_its_template() {
    let api = Api::start([Told::Json(201, pod("night-gpu-1", &json!({ "phase": "Pending" })))]);
    api.provider().create("night-gpu-1", &gpu()).unwrap();
    let asked = api.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((&*asked[0].scheme, &*asked[0].request), ("http", "POST /api/v1/namespaces/ml/pods"));
    assert_eq!(asked[0].authorization, None);
    let node_labels = r#"{"price":"$$(LOW)","sheaf/instance":"night-gpu-1","sheaf/node-type":"gpu","zone":"a"}"#;
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "night-gpu-1",
            "labels": {
                "app": "sheaf", "sheaf.dev/cluster": "night", "sheaf.dev/instance": "night-gpu-1",
                "sheaf.dev/node-type": "gpu", "sheaf.dev/version": env!("CARGO_PKG_VERSION")
            },
            "annotations": { "team": "research" }
        },
        "spec": {
            "nodeSelector": { "pool": "gpu" },
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "node", "image": "sheaf:0.1.0",
                    "args": ["node", "--head=sheaf-head:7070", "--labels=$(SHEAF_NODE_LABELS)"],
                    "env": [
                        { "name": "HF_TOKEN", "value": "hf_verysecret" },
                        { "name": "SHEAF_NODE_LABELS", "value": node_labels }
                    ],
                    "resources": { "limits": { "nvidia.com/gpu": 1 } }
                },
                { "name": "logs", "image": "fluent-bit:3" }
            ]
        }
    });
    assert_eq!(asked[0].body, expected);
}

#[test]
fn a_template_needs_no_more_than_a_container() {
    let bare = json!({ "spec": { "containers": [{ "name": "node", "image": "sheaf" }] } });
    let pod = pod_of(&bare, "night", "night-gpu-1", &gpu()).unwrap();
    assert_eq!(pod["metadata"]["labels"]["sheaf.dev/cluster"], "night");
    assert_eq!(pod["spec"]["containers"][0]["env"][0]["name"], "SHEAF_NODE_LABELS");
    for no_pod in [
        json!(null),
        json!({ "spec": { "containers": [] } }),
        json!({ "spec": { "containers": ["sheaf"] } }),
        json!({ "metadata": { "labels": [] }, "spec": { "containers": [{}] } }),
        json!({ "spec": { "containers": [{ "env": {} }] } }),
    ] {
        assert_eq!(pod_of(&no_pod, "night", "night-gpu-1", &gpu()), None, "{no_pod}");
    }
}

#[test]
fn what_is_there_already_is_no_error_and_what_is_forbidden_says_so() {
    let forbidden = "pods is forbidden: User \"system:serviceaccount:ml:default\" cannot create resource \"pods\" in \
                     API group \"\" in the namespace \"ml\"";
    let api = Api::start([
        failure(409, "AlreadyExists", "pods \"night-gpu-1\" already exists"),
        failure(409, "Conflict", "Operation cannot be fulfilled on resourcequotas \"ml\""),
        failure(403, "Forbidden", forbidden),
        failure(401, "Unauthorized", "Unauthorized"),
        failure(422, "Invalid", "Pod \"night-gpu-1\" is invalid: spec.containers[0].image: Required value"),
        Told::Json(502, json!(null)),
    ]);
    let mut provider = api.provider();
    provider.create("night-gpu-1", &gpu()).unwrap();
    let mut refused = || provider.create("night-gpu-1", &gpu()).unwrap_err();
    assert_eq!(refused().kind(), ErrorKind::Io);

    let error = refused();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().contains(forbidden), "{error}");
    assert!(error.hint().unwrap().contains("create, list and delete on pods"), "{error}");
    let error = refused();
    assert_eq!((error.kind(), error.hint().unwrap().contains("token")), (ErrorKind::PermissionDenied, true));

    for told in ["spec.containers[0].image: Required value", "502 Bad Gateway"] {
        let error = refused();
        assert!(error.kind() == ErrorKind::Io && error.message().ends_with(told), "{error}");
    }

    let other = NodeType { name: "cpu".to_string(), ..gpu() };
    api.asked();
    let error = provider.create("night-cpu-1", &other).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains("\"cpu\""), "{error}");
    assert!(api.asked().is_empty());
}

#[test]
fn a_list_has_all_pages_and_nothing_that_is_going() {
    let running = json!({ "phase": "Running" });
    let mut going = pod("night-gpu-2", &running);
    going["metadata"]["deletionTimestamp"] = "2026-05-04T09:00:00Z".into();
    going["metadata"]["deletionGracePeriodSeconds"] = 330.into();
    let mut head = pod("sheaf-head-0", &running);
    head["metadata"]["labels"] = json!({ "sheaf.dev/cluster": "night" });
    let api = Api::start([
        page(&[pod("night-gpu-1", &running), going], "eyJydiI6MTAyNDV9+="),
        page(&[head, pod("night-gpu-3", &json!({ "phase": "Pending" }))], ""),
    ]);
    let alive =
        |name: &str| Instance { name: name.to_string(), node_type: "gpu".to_string(), ended: None, waits: None };
    assert_eq!(api.provider().list().unwrap(), [alive("night-gpu-1"), alive("night-gpu-3")]);
    let first = "GET /api/v1/namespaces/ml/pods?labelSelector=sheaf.dev/cluster%3Dnight&limit=500";
    let asked: Vec<String> = api.asked().into_iter().map(|asked| asked.request).collect();
    assert_eq!(asked, [first.to_string(), format!("{first}&continue=eyJydiI6MTAyNDV9%2B%3D")]);
}

#[test]
fn what_is_no_list_does_not_say_that_there_is_nothing() {
    let api = Api::start([
        Told::Json(200, json!("welcome to the proxy")),
        page(&[], "a"),
        failure(410, "Expired", "The provided continue parameter is too old"),
        page(&[], ""),
    ]);
    let mut provider = api.provider();
    for _ in 0..2 {
        assert_eq!(provider.list().unwrap_err().kind(), ErrorKind::Io);
    }
    assert!(provider.list().unwrap().is_empty());
}

#[test]
fn pods_that_have_ended_say_why() {
    let exited = |code: i32, reason: &str| {
        let exit = json!({ "exitCode": code, "reason": reason });
        json!({ "name": "node", "state": { "terminated": exit } })
    };
    let cases = [
        (
            json!({ "phase": "Failed", "containerStatuses": [exited(137, "OOMKilled")] }),
            Some("OOMKilled, exit code 137"),
        ),
        (
            json!({ "phase": "Succeeded", "containerStatuses": [exited(0, "Completed")] }),
            Some("Completed, exit code 0"),
        ),
        (
            json!({ "phase": "Failed", "containerStatuses": [exited(0, "Completed"), exited(1, "Error")] }),
            Some("Error, exit code 1"),
        ),
        (
            json!({
                "phase": "Failed",
                "containerStatuses": [{ "name": "node", "state": { "waiting": { "reason": "PodInitializing" } } }],
                "initContainerStatuses": [exited(2, "Error")]
            }),
            Some("Error, exit code 2"),
        ),
        (
            json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. " }),
            Some("Evicted, The node was low on resource: memory."),
        ),
        (json!({ "phase": "Failed" }), Some("Failed")),
        (json!({ "phase": "Running", "containerStatuses": [exited(1, "Error")] }), None),
        (
            json!({
                "phase": "Pending",
                "containerStatuses": [{ "name": "node", "state": { "waiting": { "reason": "ImagePullBackOff" } } }]
            }),
            None,
        ),
        (json!({}), None),
    ];
    for (status, why) in cases {
        let instance = instance_of(&pod("night-gpu-1", &status)).unwrap();
        assert_eq!(instance.ended.as_deref(), why, "{status}");
    }
}

#[test]
fn pods_that_do_not_run_yet_say_why_and_those_of_another_version_go() {
    let waiting =
        json!({ "name": "node", "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such" } } });
    let unscheduled = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"
    });
    for (status, why) in [
        (json!({ "phase": "Pending", "containerStatuses": [waiting] }), Some("ImagePullBackOff, no such")),
        (json!({ "phase": "Pending", "conditions": [unscheduled] }), Some("Unschedulable, 0/3 nodes are available")),
        (json!({ "phase": "Running", "conditions": [{ "type": "PodScheduled", "status": "True" }] }), None),
        (json!({}), None),
    ] {
        let instance = instance_of(&pod("night-gpu-1", &status)).unwrap();
        assert_eq!((instance.waits.as_deref(), instance.ended), (why, None), "{status}");
    }
    let mut old = pod("night-gpu-1", &json!({ "phase": "Running" }));
    old["metadata"]["labels"]["sheaf.dev/version"] = "0.0.1".into();
    assert!(instance_of(&old).unwrap().ended.unwrap().contains("\"0.0.1\""));
}

#[test]
fn what_is_gone_already_is_removed() {
    let api = Api::start([
        Told::Json(200, pod("night-gpu-1", &json!({ "phase": "Running" }))),
        failure(404, "NotFound", "pods \"night-gpu-1\" not found"),
        failure(500, "InternalError", "etcdserver: request timed out"),
    ]);
    let mut provider = api.provider();
    provider.remove("night-gpu-1").unwrap();
    provider.remove("night-gpu-1").unwrap();
    let error = provider.remove("night-gpu-1").unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.message().contains("etcdserver: request timed out"), "{error}");
    for asked in api.asked() {
        assert_eq!(asked.request, "DELETE /api/v1/namespaces/ml/pods/night-gpu-1");
    }
}

#[test]
fn the_token_is_read_for_each_request_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let api = Api::start([page(&[], ""), page(&[], "")]);
    let mut provider =
        KubernetesProvider::new(KubernetesOptions { token: Some(token.clone()), ..options(&api.address) }).unwrap();
    assert_eq!(provider.list().unwrap_err().kind(), ErrorKind::Io, "there is no file");
    for content in [SECRET, "the second one"] {
        std::fs::write(&token, format!("{content}\n")).unwrap();
        provider.list().unwrap();
        let asked = api.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].authorization, Some(format!("Bearer {content}")));
    }
    std::fs::write(&token, format!("{SECRET}\nmore")).unwrap();
    let error = provider.list().unwrap_err();
    assert!(!format!("{error:?}").contains(SECRET) && api.asked().is_empty(), "{error:?}");
    let shown = format!("{provider:?} {:?}", provider.options);
    assert!(shown.contains("night") && !shown.contains("hf_verysecret") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn an_api_server_that_says_nothing_is_not_waited_for() {
    let api = Api::start([Told::Silence, page(&[], "")]);
    let mut provider = api.provider();
    assert_eq!(provider.bound, BOUND);
    provider.bound = Duration::from_millis(300);
    let start = Instant::now();
    let error = provider.list().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(error.kind() == ErrorKind::Io && error.message().contains("no answer within 300ms"), "{error}");
    provider.bound = BOUND;
    provider.list().unwrap();
}

#[test]
fn a_connection_that_breaks_is_made_anew() {
    let api = Api::start([page(&[], ""), Told::HangsUp, page(&[], "")]);
    let mut provider = api.provider();
    provider.list().unwrap();
    let error = provider.list().unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.message().contains(&api.address), "{error}");
    provider.list().unwrap();
    assert_eq!(api.asked().len(), 3, "none was sent twice");

    let mut provider = KubernetesProvider::new(options("http://127.0.0.1:1")).unwrap();
    assert_eq!(provider.list().unwrap_err().kind(), ErrorKind::Io, "nobody listens there");
}

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

/// Shows a certificate and asks for none, as the API server does to who has a token.
fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate("cluster.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("cluster.key")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config).into()
}

#[test]
fn only_an_api_server_of_the_authority_is_asked() {
    let api = Api::start_behind(Some(acceptor()), [page(&[], "")]);
    let trusting = |authority: &str| {
        let options = KubernetesOptions { ca: Some(certificate(authority)), ..options(&api.address) };
        KubernetesProvider::new(options).unwrap()
    };
    assert_eq!(trusting("stranger-ca.pem").list().unwrap_err().kind(), ErrorKind::Io);
    assert!(api.asked().is_empty());
    trusting("cluster-ca.pem").list().unwrap();
    assert_eq!(api.asked()[0].scheme, "https");
}

#[test]
fn options_that_cannot_be_right_are_refused() {
    let refused = |options: KubernetesOptions| {
        let error = KubernetesProvider::new(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        error.to_string()
    };
    for server in ["", "10.0.0.1:443", "https://10.0.0.1", "ftp://10.0.0.1:443", "http://10.0.0.1:443/k8s/clusters/c"] {
        assert!(refused(options(server)).contains("https://10.0.0.1:443"), "{server}");
    }
    assert!(refused(options("https://10.0.0.1:443")).contains("PEM file"));
    let here = || options("http://127.0.0.1:1");
    let long = "a".repeat(64);
    for cluster in ["", "-night", "night,app=other", long.as_str()] {
        let named = KubernetesOptions { cluster: cluster.to_string(), ..here() };
        assert!(refused(named).contains("no name of a cluster"), "{cluster}");
    }
    let templates = BTreeMap::from([("gpu".to_string(), json!({ "spec": {} }))]);
    assert!(refused(KubernetesOptions { templates, ..here() }).contains("no template of a pod"));
}

#[test]
fn a_pod_knows_its_own_namespace_and_account() {
    let account = tempfile::tempdir().unwrap();
    let found = |server: Option<&str>| {
        KubernetesOptions::of_pod(server.map(str::to_string), account.path(), "night", BTreeMap::new())
    };
    let error = found(None).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains("KUBERNETES_SERVICE_HOST"), "{error}");
    let server = "https://10.96.0.1:443";
    let error = found(Some(server)).unwrap_err();
    assert!(error.kind() == ErrorKind::PermissionDenied && error.hint().unwrap().contains("automount"), "{error}");

    std::fs::write(account.path().join("namespace"), "ml\n").unwrap();
    let options = found(Some(server)).unwrap();
    assert_eq!((&*options.server, &*options.namespace, &*options.cluster), (server, "ml", "night"));
    assert_eq!(options.token, Some(account.path().join("token")));
    assert_eq!(options.ca, Some(account.path().join("ca.crt")));
}
