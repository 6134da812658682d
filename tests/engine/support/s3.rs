//! A real S3 server inside the test process: `s3s-fs` on a loopback port of its own, with signatures checked. It ends
//! with the test.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use object_store::RetryConfig;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use s3s::HttpError;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use sheaf_connectors::stores::StorageOptions;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};

const KEY: &str = "AKTEST";
const SECRET: &str = "SKTEST";
/// The one bucket that a server has.
pub(crate) const BUCKET: &str = "bucket";

pub(crate) struct S3Server {
    folder: TempDir,
    address: SocketAddr,
    accept: JoinHandle<()>,
}

impl S3Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        // s3s-fs looks and writes in two steps: conditional writes must not meet.
        let gate = Arc::new(Mutex::new(()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accept = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (service, gate) = (service.clone(), Arc::clone(&gate));
                let handle = service_fn(move |request: Request<Incoming>| {
                    let (service, gate) = (service.clone(), Arc::clone(&gate));
                    async move {
                        let headers = request.headers();
                        let conditional = request.method() != Method::GET
                            && (headers.contains_key("if-none-match") || headers.contains_key("if-match"));
                        let _alone = if conditional { Some(gate.lock().await) } else { None };
                        let head = request.method() == Method::HEAD;
                        let mut answer = Service::call(&service, request).await?;
                        // To s3s-fs a folder of its disk is an object that it cannot read; on S3 there is no such
                        // object.
                        if head && answer.status() == StatusCode::INTERNAL_SERVER_ERROR {
                            *answer.status_mut() = StatusCode::NOT_FOUND;
                        }
                        Ok::<_, HttpError>(answer)
                    }
                });
                connections.spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), handle).await;
                });
            }
        });
        Self { folder, address, accept }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// What a user gives to reach this server.
    pub(crate) fn options(&self) -> StorageOptions {
        options_at(self.address, SECRET)
    }

    /// The same with a wrong secret.
    pub(crate) fn wrong_options(&self) -> StorageOptions {
        options_at(self.address, "WRONG")
    }

    /// The bucket's store without retries, so that injected faults are the only ones.
    pub(crate) fn store(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", self.address))
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(BUCKET)
            .with_access_key_id(KEY)
            .with_secret_access_key(SECRET)
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .build()
            .unwrap()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

/// Storage options for a server at this address.
pub(crate) fn options_at(address: SocketAddr, secret: &str) -> StorageOptions {
    let pairs = [
        ("endpoint_url", format!("http://{address}")),
        ("region", "us-east-1".to_string()),
        ("access_key_id", KEY.to_string()),
        ("secret_access_key", secret.to_string()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}

/// Storage options for this server behind another address.
pub(crate) fn options_behind(address: SocketAddr) -> StorageOptions {
    options_at(address, SECRET)
}
