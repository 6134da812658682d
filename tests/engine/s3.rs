//! Reading and writing on a real S3 server: listing, multipart uploads, conditional puts, and what goes wrong there.

use std::time::Duration;

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::stores::StorageOptions;
use sheaf_connectors::write::{WriteMode, WriteOptions};
use sheaf_core::ErrorKind;

use crate::support::large::uncompressed;
use crate::support::proxy::Proxy;
use crate::support::s3::{BUCKET, S3Server, options_behind};
use crate::support::{Engine, batch};

/// No test here waits longer for an answer: what hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

fn options(server: &S3Server) -> WriteOptions {
    WriteOptions { storage_options: server.options(), ..WriteOptions::default() }
}

/// Rows whose file is about as large as they are: nothing repeats.
fn incompressible(rows: i64) -> RecordBatch {
    let mut state = 88_172_645_463_325_252u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let text: StringArray = (0..rows).map(|_| Some(format!("{:016x}{:016x}{:016x}", next(), next(), next()))).collect();
    let n: Int64Array = (0..rows).collect();
    RecordBatch::try_from_iter([("n", std::sync::Arc::new(n) as _), ("text", std::sync::Arc::new(text) as _)]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_more_files_than_one_listing_holds_is_read_whole() {
    const FILES: i64 = 1_203;
    let server = S3Server::start().await;
    let store = server.store();
    for n in 0..FILES {
        let path = Path::from(format!("many/k={}/{n:05}.csv", n % 3));
        store.put(&path, format!("n\n{n}\n").into()).await.unwrap();
    }
    let found = Engine::new().numbers(&format!("s3://{BUCKET}/many/"), &server.options()).await.unwrap();
    assert_eq!(found, (0..FILES).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_several_parts_comes_back_as_it_went() {
    const ROWS: i64 = 400_000;
    let server = S3Server::start().await;
    let target = format!("s3://{BUCKET}/large.parquet");
    let options = WriteOptions { format: uncompressed(), ..options(&server) };
    let rows = incompressible(ROWS);
    let batches: Vec<RecordBatch> = (0..40).map(|n| rows.slice(n * 10_000, 10_000)).collect();
    let written = Engine::new().write(&[batches], &target, options).await.unwrap();
    assert!(written.bytes > 2 * (8 << 20), "{written:?}");
    let meta = server.store().head(&Path::from("large.parquet")).await.unwrap();
    assert_eq!(meta.size, written.bytes);
    assert!(meta.e_tag.unwrap().trim_matches('"').contains('-'), "an object of several parts has a tag that says so");

    let read = ReadOptions { storage_options: server.options(), ..ReadOptions::default() };
    let found = Engine::new().read_with(&target, &read).await.unwrap();
    let mut texts: Vec<(i64, String)> = Vec::new();
    for batch in &found {
        let n = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
        let text = arrow::compute::cast(batch.column(1), &arrow::datatypes::DataType::Utf8).unwrap();
        let text = text.as_any().downcast_ref::<StringArray>().unwrap();
        texts.extend((0..batch.num_rows()).map(|at| (n.value(at), text.value(at).to_string())));
    }
    texts.sort();
    let expected = rows.column(1).as_any().downcast_ref::<StringArray>().unwrap();
    assert_eq!(texts.len(), expected.len());
    assert!(texts.iter().enumerate().all(|(at, (n, text))| *n == at as i64 && text == expected.value(at)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_puts_have_one_winner() {
    let server = S3Server::start().await;
    let store = server.store();
    let path = Path::from("once");
    let puts = futures::future::join_all((0..16).map(|n| {
        let (store, path) = (&store, &path);
        async move { store.put_opts(path, format!("{n}").into(), PutMode::Create.into()).await }
    }))
    .await;
    assert_eq!(puts.iter().filter(|put| put.is_ok()).count(), 1);
    assert!(puts.iter().filter_map(|put| put.as_ref().err()).all(|e| matches!(e, StoreError::AlreadyExists { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_modes_work_on_s3() {
    let server = S3Server::start().await;
    for target in [format!("s3://{BUCKET}/folder"), format!("s3://{BUCKET}/file.parquet")] {
        let engine = Engine::new();
        let write = async |rows: std::ops::Range<i64>, mode: WriteMode| {
            let options = WriteOptions { mode, ..options(&server) };
            engine.write(&[vec![batch(rows)]], &target, options).await
        };
        assert_eq!(write(0..3, WriteMode::Error).await.unwrap().rows, 3);
        assert_eq!(write(3..6, WriteMode::Error).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(write(3..6, WriteMode::Ignore).await.unwrap().files, 0);
        assert_eq!(engine.numbers(&target, &server.options()).await.unwrap(), [0, 1, 2]);
        write(6..8, WriteMode::Overwrite).await.unwrap();
        assert_eq!(engine.numbers(&target, &server.options()).await.unwrap(), [6, 7]);
        if !target.ends_with("parquet") {
            write(8..9, WriteMode::Append).await.unwrap();
            assert_eq!(engine.numbers(&target, &server.options()).await.unwrap(), [6, 7, 8]);
        }
    }
}

/// Tells a child process that it is one; without it the child's test does nothing.
const CHILD: &str = "SHEAF_TEST_S3_ENVIRONMENT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_with_arguments_and_from_the_environment() {
    let server = S3Server::start().await;
    server.store().put(&Path::from("a.csv"), "n\n1\n2\n".into()).await.unwrap();
    let found = Engine::new().numbers(&format!("s3://{BUCKET}/a.csv"), &server.options()).await.unwrap();
    assert_eq!(found, [1, 2]);

    // The environment is a process's: a child has one of its own.
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "s3::environment_child", "--nocapture"]).env(CHILD, "1");
    for (option, value) in server.options() {
        child.env(format!("AWS_{}", option.to_uppercase()), value);
    }
    let done = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("read from the environment: [1, 2]"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "how a test talks to the child that it starts")]
async fn environment_child() {
    if std::env::var(CHILD).is_ok() {
        let (engine, target, none) = (Engine::new(), format!("s3://{BUCKET}/a.csv"), StorageOptions::new());
        let reading = engine.numbers(&target, &none);
        println!("read from the environment: {:?}", tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_told_as_such() {
    let server = S3Server::start().await;
    server.store().put(&Path::from("a.csv"), "n\n1\n".into()).await.unwrap();
    let wrong = server.wrong_options();
    let read = Engine::new().numbers(&format!("s3://{BUCKET}/a.csv"), &wrong).await.unwrap_err();
    assert_eq!(read.kind(), ErrorKind::PermissionDenied, "{read:?}");
    assert!(read.to_string().contains("credentials"), "{read}");
    let options = WriteOptions { storage_options: wrong, ..WriteOptions::default() };
    let write = Engine::new().write(&[vec![batch([1])]], &format!("s3://{BUCKET}/b"), options).await.unwrap_err();
    assert_eq!(write.kind(), ErrorKind::PermissionDenied, "{write:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_bucket_is_told_as_such() {
    let server = S3Server::start().await;
    let missing = Engine::new().numbers("s3://no-such-bucket/a.csv", &server.options()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing:?}");
    assert!(missing.to_string().contains("bucket"), "{missing}");
    // The test server would make the bucket for a single put; a folder's write looks first.
    let write = Engine::new().write(&[vec![batch([1])]], "s3://no-such-bucket/folder", options(&server)).await;
    let missing = write.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing:?}");
    assert!(missing.to_string().contains("bucket"), "{missing}");
}

/// Writes a file that is large enough for its answers to be cut, and gives its target.
async fn large_file(server: &S3Server) -> (String, i64) {
    let target = format!("s3://{BUCKET}/cut.parquet");
    let rows = incompressible(60_000);
    let options = WriteOptions { format: uncompressed(), ..options(server) };
    Engine::new().write(&[vec![rows]], &target, options).await.unwrap();
    (target, 60_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_drops_midway_never_gives_short_data() {
    let server = S3Server::start().await;
    let (target, rows) = large_file(&server).await;

    // It drops twice and then holds: the read goes on where it was.
    let proxy = Proxy::start(server.address(), 300_000, 2).await;
    let engine = Engine::new();
    let storage_options = options_behind(proxy.address());
    let reading = engine.numbers(&target, &storage_options);
    let found = tokio::time::timeout(PATIENCE, reading).await.expect("the read hangs").unwrap();
    assert_eq!(found, (0..rows).collect::<Vec<_>>());
    assert_eq!(proxy.broken(), 2);

    // It never holds: an error, in bounded time.
    let proxy = Proxy::start(server.address(), 300_000, usize::MAX).await;
    let storage_options = options_behind(proxy.address());
    let read = ReadOptions { storage_options: storage_options.clone(), ..ReadOptions::default() };
    let engine = Engine::new();
    let reading = engine.read_with(&target, &read);
    match tokio::time::timeout(PATIENCE, reading).await.expect("the read hangs") {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{error:?}"),
        // Each try may get a little further: then all of it must be there.
        Ok(batches) => assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows as usize),
    }
    assert!(proxy.broken() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_told_in_bounded_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let storage_options: StorageOptions = options_behind(nobody);
    let engine = Engine::new();
    let reading = engine.numbers("s3://bucket/a.csv", &storage_options);
    let error = tokio::time::timeout(PATIENCE, reading).await.expect("the read hangs").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
}
