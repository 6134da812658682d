//! Reading and writing on Google Cloud Storage and Azure: the credentials that a user gives reach the cloud, and all
//! that a dataset needs of it works.

use std::process::Command;

use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::stores::StorageOptions;
use sheaf_connectors::write::{WriteMode, WriteOptions};
use sheaf_core::ErrorKind;

use crate::support::cloud::{BUCKET, CloudServer, azure, gcs};
use crate::support::large::{blobs, large, uncompressed};
use crate::support::{Engine, batch};

/// A cloud, and what a user writes to reach it.
struct Cloud {
    server: CloudServer,
    scheme: &'static str,
    options: StorageOptions,
}

impl Cloud {
    /// Google Cloud Storage, to a user with the key of a service account.
    async fn google() -> Self {
        let server = CloudServer::start(gcs::speak).await;
        let options = pairs(&[("endpoint_url", &server.endpoint()), ("service_account_key", gcs::ACCOUNT)]);
        Self { server, scheme: "gs", options }
    }

    /// Azure, to a user who gives this besides the account.
    async fn azure(credential: (&str, &str)) -> Self {
        let server = CloudServer::start(azure::speak).await;
        let options = pairs(&[("endpoint_url", &server.endpoint()), ("account", azure::ACCOUNT), credential]);
        Self { server, scheme: "az", options }
    }

    async fn both() -> [Self; 2] {
        [Self::google().await, Self::azure(("account_key", azure::KEY)).await]
    }

    fn target(&self, name: &str) -> String {
        format!("{}://{BUCKET}/{name}", self.scheme)
    }

    /// The same cloud, to a user who gives these options instead or besides.
    fn with(&self, others: &[(&str, &str)]) -> StorageOptions {
        self.options.clone().into_iter().chain(pairs(others)).collect()
    }

    async fn write(&self, numbers: std::ops::Range<i64>, name: &str, mode: WriteMode) {
        let partition_by = if name.contains('.') { Vec::new() } else { vec!["k".to_string()] };
        let storage_options = self.options.clone();
        let options = WriteOptions { mode, partition_by, storage_options, ..WriteOptions::default() };
        Engine::new().write(&[vec![batch(numbers)]], &self.target(name), options).await.unwrap();
    }

    async fn numbers(&self, name: &str) -> Vec<i64> {
        Engine::new().numbers(&self.target(name), &self.options).await.unwrap()
    }

    /// A file, and a folder through all that changes it, are written and read back.
    async fn keeps_what_is_written(&self) {
        self.write(0..100, "file.parquet", WriteMode::Error).await;
        assert_eq!(self.numbers("file.parquet").await, (0..100).collect::<Vec<_>>());

        self.write(0..10, "folder", WriteMode::Error).await;
        self.write(10..20, "folder", WriteMode::Append).await;
        assert_eq!(self.numbers("folder").await, (0..20).collect::<Vec<_>>());
        self.write(20..23, "folder", WriteMode::Overwrite).await;
        assert_eq!(self.numbers("folder").await, [20, 21, 22]);
        let left = self.server.names("folder/");
        let manifests = left.iter().filter(|name| name.starts_with("_sheaf/")).count();
        assert_eq!((manifests, left.len()), (1, 4), "what was replaced is gone: {left:?}");
    }
}

fn pairs(options: &[(&str, &str)]) -> StorageOptions {
    options.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gs_is_read_and_written_with_the_key_of_a_service_account() {
    Cloud::google().await.keeps_what_is_written().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn az_is_read_and_written_with_the_key_of_an_account() {
    Cloud::azure(("account_key", azure::KEY)).await.keeps_what_is_written().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn az_is_read_and_written_with_a_shared_access_signature() {
    Cloud::azure(("sas_token", azure::SAS)).await.keeps_what_is_written().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn az_is_read_and_written_with_a_token() {
    Cloud::azure(("bearer_token", azure::TOKEN)).await.keeps_what_is_written().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_go_up_in_parts_and_come_back() {
    let rows = large(&[0, 1, 2, 3, 4]);
    for cloud in Cloud::both().await {
        let (target, storage_options) = (cloud.target("large.parquet"), cloud.options.clone());
        let options = WriteOptions {
            format: uncompressed(),
            storage_options: storage_options.clone(),
            ..WriteOptions::default()
        };
        Engine::new().write(&[vec![rows.clone()]], &target, options).await.unwrap();
        assert_eq!(cloud.server.parts("large.parquet"), 3, "{target}");
        let read = ReadOptions { storage_options, ..ReadOptions::default() };
        let found = Engine::new().read_with(&target, &read).await.unwrap();
        assert!(blobs(&found) == blobs(std::slice::from_ref(&rows)), "{target} holds other bytes");
    }
}

/// Tells a child process where to write and read.
const CHILD: &str = "SHEAF_TEST_CLOUD";

/// A process that finds its credentials in the environment writes numbers to this cloud and reads them back.
async fn writes_and_reads_in_a_child(cloud: &Cloud, environment: &[(&str, &str)]) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["clouds::environment_child", "--exact", "--ignored", "--nocapture"]);
    child.env(CHILD, cloud.target("from_the_environment")).envs(environment.iter().copied());
    let done = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    let failed = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("read back: [1, 2, 3]"), "{told}\n{failed}");
    assert_eq!(cloud.numbers("from_the_environment").await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process that other tests start"]
#[expect(clippy::disallowed_methods, reason = "the parent tells its child what to do, past the test harness")]
async fn environment_child() {
    let (engine, target) = (Engine::new(), std::env::var(CHILD).unwrap());
    engine.write(&[vec![batch(1..4)]], &target, WriteOptions::default()).await.unwrap();
    println!("read back: {:?}", engine.numbers(&target, &StorageOptions::new()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gs_is_read_and_written_from_the_environment() {
    let cloud = Cloud::google().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), gcs::ACCOUNT).unwrap();
    let endpoint = cloud.server.endpoint();
    let credentials = file.path().to_str().unwrap();
    for variable in ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT"] {
        writes_and_reads_in_a_child(&cloud, &[("GOOGLE_BASE_URL", &endpoint), (variable, credentials)]).await;
        cloud.server.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn az_is_read_and_written_from_the_environment() {
    let cloud = Cloud::azure(("account_key", azure::KEY)).await;
    let endpoint = cloud.server.endpoint();
    for credential in [("AZURE_STORAGE_ACCOUNT_KEY", azure::KEY), ("AZURE_STORAGE_SAS_TOKEN", azure::SAS)] {
        let account = [("AZURE_STORAGE_ACCOUNT_NAME", azure::ACCOUNT), ("AZURE_STORAGE_ENDPOINT", &endpoint)];
        writes_and_reads_in_a_child(&cloud, &[account[0], account[1], credential]).await;
        cloud.server.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_told_as_such() {
    let [google, azure] = Cloud::both().await;
    let stranger = gcs::ACCOUNT.replace("tests@", "stranger@");
    // Each has a right length and form.
    let wrong_key = azure::KEY.replace('Y', "Z");
    for (cloud, wrong) in [
        (&google, google.with(&[("service_account_key", &stranger)])),
        (&azure, azure.with(&[("account_key", &wrong_key)])),
        (&azure, azure.with(&[("bearer_token", "another")])),
    ] {
        cloud.write(0..3, "a.parquet", WriteMode::Overwrite).await;
        let read = Engine::new().numbers(&cloud.target("a.parquet"), &wrong).await.unwrap_err();
        assert_eq!(read.kind(), ErrorKind::PermissionDenied, "{read:?}");
        assert!(read.to_string().contains("credentials"), "{read}");
        for name in ["b.parquet", "folder"] {
            let options = WriteOptions { storage_options: wrong.clone(), ..WriteOptions::default() };
            let write = Engine::new().write(&[vec![batch([1])]], &cloud.target(name), options).await.unwrap_err();
            assert_eq!(write.kind(), ErrorKind::PermissionDenied, "{write:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_credentials_sends_none() {
    for (scheme, speak) in [("gs", gcs::speak as fn(&mut _, &_) -> _), ("az", azure::speak)] {
        let server = CloudServer::start(speak).await;
        let options = [("endpoint_url", &*server.endpoint()), ("anon", "true"), ("account", azure::ACCOUNT)];
        let given = if scheme == "az" { &options[..] } else { &options[..2] };
        let read = Engine::new().numbers(&format!("{scheme}://{BUCKET}/a.csv"), &pairs(given)).await.unwrap_err();
        assert_eq!(read.kind(), ErrorKind::PermissionDenied, "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_told_as_such() {
    for cloud in Cloud::both().await {
        let missing = Engine::new().numbers(&cloud.target("missing.parquet"), &cloud.options).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing:?}");
        assert!(missing.to_string().contains("missing.parquet"), "{missing}");

        let elsewhere = format!("{}://no-such-bucket/a.parquet", cloud.scheme);
        let missing = Engine::new().numbers(&elsewhere, &cloud.options).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing:?}");
        assert!(missing.to_string().contains("bucket"), "{missing}");
    }
}
