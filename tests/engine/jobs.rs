//! Writes that go on where they were: a job is killed at each call that it makes to its store, and the next attempt
//! writes every row exactly once.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use object_store::local::LocalFileSystem;
use sheaf::Dataset;
use sheaf_connectors::fault::{Fault, FaultStore};
use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::write::{WriteMode, WriteOptions};
use sheaf_core::{ErrorKind, Options, Result};
use sheaf_dataset::expr::{col, lit};
use sheaf_dataset::jobs::began_by;
use sheaf_dataset::{JoinOptions, JoinType, Session};

const JOB: &str = "nightly";
/// No attempt makes as many calls: a test that came here would go on for ever.
const MANY_CALLS: u64 = 600;

const UNDETERMINED: &str = "groupby of some twenty rows";

/// What a job does with its two inputs.
type Work = fn(&Dataset, &Dataset) -> Result<Dataset>;

const WORKS: [(&str, Work); 5] = [
    ("groupby", |left, _| left.groupby([col("k")]).agg([sum(col("v")).alias("s"), count(lit(1_i64)).alias("n")])),
    ("join", |left, right| left.join(right, &joined(JoinType::Inner))),
    ("full join and group", |left, right| {
        let both = left.join(right, &joined(JoinType::Full))?;
        both.groupby([col("name")]).agg([sum(col("v")).alias("s")])
    }),
    ("sort", |left, _| left.sort([col("v").sort(false, false)])),
    // Which rows it groups is not determined: what was read of a stage must be what is read again.
    (UNDETERMINED, |left, _| left.limit(3, Some(20))?.groupby([col("k")]).agg([count(lit(1_i64)).alias("n")])),
];

fn joined(how: JoinType) -> JoinOptions {
    JoinOptions::on(&["k"], how)
}

fn session(threads: usize) -> Session {
    let options = Options { threads: Some(threads), ..Options::default() };
    Session::new(options).unwrap()
}

/// A session whose store of local files fails as it is told to.
fn faulty(fault: Fault) -> (Session, FaultStore) {
    let store = FaultStore::new(Arc::new(LocalFileSystem::new()), fault);
    let session = session(2);
    session.stores().register_store(&"file:///".parse().unwrap(), Arc::new(store.clone()));
    (session, store)
}

/// Two folders of files to read.
async fn write_inputs(folder: &Path) {
    let session = session(2);
    for part in 0..3_i64 {
        let keys = Int64Array::from_iter((0..40).map(|at| (at % 11 != 0).then_some((at * 7 + part) % 13)));
        let values = Int64Array::from_iter_values((0..40).map(|at| part * 40 + at));
        let left = RecordBatch::try_from_iter([("k", Arc::new(keys) as _), ("v", Arc::new(values) as _)]).unwrap();
        write_input(&session, &folder.join(format!("left/{part}.parquet")), left).await;
        let keys = Int64Array::from_iter_values((0..6).map(|at| part * 6 + at));
        let names = StringArray::from_iter_values((0..6).map(|at| format!("name {}", (part + at) % 5)));
        let right = RecordBatch::try_from_iter([("k", Arc::new(keys) as _), ("name", Arc::new(names) as _)]).unwrap();
        write_input(&session, &folder.join(format!("right/{part}.parquet")), right).await;
    }
}

async fn write_input(session: &Session, path: &Path, batch: RecordBatch) {
    let rows = session.from_batches(batch.schema(), vec![batch]).unwrap();
    rows.write(path.to_str().unwrap(), WriteOptions::default()).await.unwrap();
}

async fn open(session: &Session, folder: &Path, name: &str) -> Result<Dataset> {
    session.read(&[folder.join(name).to_str().unwrap().to_string()], &ReadOptions::default()).await
}

fn as_job(mode: WriteMode) -> WriteOptions {
    WriteOptions { job: Some(JOB.into()), mode, ..WriteOptions::default() }
}

/// One attempt at the job.
async fn attempt(session: &Session, folder: &Path, work: Work) -> Result<u64> {
    let (left, right) = (open(session, folder, "left").await?, open(session, folder, "right").await?);
    let target = folder.join("out");
    let report = work(&left, &right)?.write(target.to_str().unwrap(), as_job(WriteMode::Error)).await?;
    Ok(report.rows)
}

/// The rows of a dataset as text, sorted.
async fn rows_of(dataset: &Dataset) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in dataset.collect().await.unwrap() {
        let columns: Vec<_> = batch.columns().iter().map(Arc::clone).collect();
        for row in 0..batch.num_rows() {
            let cell = |column: &Arc<dyn arrow::array::Array>| {
                arrow::util::display::array_value_to_string(column, row).unwrap()
            };
            rows.push(columns.iter().map(cell).collect::<Vec<_>>().join("|"));
        }
    }
    rows.sort();
    rows
}

/// What is in the target: rows, and files that are no data.
async fn look(folder: &Path) -> (Vec<String>, Vec<String>) {
    let session = session(2);
    let found = rows_of(&open(&session, folder, "out").await.unwrap()).await;
    let mut others = Vec::new();
    let mut folders = vec![folder.join("out")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder.join("out")).unwrap().to_str().unwrap().to_string();
            match path.is_dir() {
                true => folders.push(path),
                false if name.starts_with("part-") || name.starts_with("_sheaf/") => {}
                false => others.push(name),
            }
        }
    }
    others.sort();
    (found, others)
}

async fn unbroken(folder: &Path, work: Work) -> Vec<String> {
    let session = session(2);
    let (left, right) = (open(&session, folder, "left").await.unwrap(), open(&session, folder, "right").await.unwrap());
    rows_of(&work(&left, &right).unwrap()).await
}

/// The rows of all data files that are there, whether or not they are listed.
async fn rows_in_files(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder.join("out")).unwrap().map(|entry| entry.unwrap().path());
    let mut rows = 0;
    for file in files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")) {
        let name = file.to_str().unwrap().to_string();
        rows += session(1).read(&[name], &ReadOptions::default()).await.unwrap().count().await.unwrap();
    }
    rows
}

async fn check_done(folder: &Path, work: Work, name: &str, at: &str) {
    // A job that is done tells its report again, and clears what it could not clear when it was killed.
    let report = attempt(&session(2), folder, work).await.unwrap();
    let (found, others) = look(folder).await;
    let expected = unbroken(folder, work).await;
    if name == UNDETERMINED {
        let counted = found.iter().map(|row| row.split('|').nth(1).unwrap().parse::<u64>().unwrap());
        assert_eq!(counted.sum::<u64>(), 20, "{name} {at}");
    } else {
        assert_eq!(found, expected, "{name} {at}");
    }
    assert_eq!(report, found.len() as u64, "{name} {at}");
    assert_eq!(others, ["_sheaf_jobs/nightly/done.json", "_sheaf_jobs/nightly/job.json"], "{name} {at}");
    assert_eq!(rows_in_files(folder).await, report, "{name} {at}: files of killed attempts are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_killed_anywhere_writes_every_row_once() {
    for (name, work) in WORKS {
        let mut calls = 0;
        for call in (0..).step_by(3) {
            assert!(call < MANY_CALLS, "{name} never ends");
            let folder = tempfile::tempdir().unwrap();
            write_inputs(folder.path()).await;
            let (first, store) = faulty(Fault::KillBefore(call));
            let told = attempt(&first, folder.path(), work).await;
            if !store.was_met() {
                told.unwrap();
                break;
            }
            calls = call;
            attempt(&session(2), folder.path(), work).await.unwrap_or_else(|error| panic!("{name} {call}: {error:?}"));
            check_done(folder.path(), work, name, &format!("killed before call {call} of {:#?}", store.calls())).await;
        }
        assert!(calls > 20, "{name} made {calls} calls only");
    }
}

/// Each attempt is killed a little later than the one before it, so that all of them add to what is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_killed_again_and_again_gets_there() {
    for (name, work) in WORKS {
        let folder = tempfile::tempdir().unwrap();
        write_inputs(folder.path()).await;
        let mut attempts = 0_u64;
        loop {
            let (session, _) = faulty(Fault::KillAfter(20 + 5 * (attempts % 9)));
            attempts += 1;
            assert!(attempts < 100, "{name}: what is recorded is computed again");
            if attempt(&session, folder.path(), work).await.is_ok() {
                break;
            }
        }
        assert!(attempts > 1, "{name} was never killed");
        check_done(folder.path(), work, name, &format!("after {attempts} attempts")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recorded_is_not_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path()).await;
    let work = WORKS[0].1;
    let (first, store) = faulty(Fault::Never);
    attempt(&first, folder.path(), work).await.unwrap();
    let commit =
        store.calls().iter().position(|call| call.starts_with("put") && call.contains("done.json")).unwrap() as u64;
    std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    let (second, _) = faulty(Fault::KillBefore(commit - 2));
    attempt(&second, folder.path(), work).await.unwrap_err();
    let (third, store) = faulty(Fault::Never);
    attempt(&third, folder.path(), work).await.unwrap();
    let computed: Vec<_> = store.calls().into_iter().filter(|call| call.contains(".arrows")).collect();
    assert!(computed.iter().all(|call| !call.starts_with("put")), "{computed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_at_the_same_job_write_it_once() {
    let (name, work) = WORKS[2];
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path()).await;
    let (one, two) = (session(2), session(2));
    let (first, second) = tokio::join!(attempt(&one, folder.path(), work), attempt(&two, folder.path(), work));
    assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
    check_done(folder.path(), work, name, "by two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_plan_or_other_data_under_the_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path()).await;
    let (first, _) = faulty(Fault::KillBefore(40));
    attempt(&first, folder.path(), WORKS[0].1).await.unwrap_err();
    let error = attempt(&session(2), folder.path(), WORKS[1].1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("another plan or other data"), "{error}");
    let more = RecordBatch::try_from_iter([
        ("k", Arc::new(Int64Array::from(vec![1])) as _),
        ("v", Arc::new(Int64Array::from(vec![1000])) as _),
    ]);
    write_input(&session(1), &folder.path().join("left/9.parquet"), more.unwrap()).await;
    let error = attempt(&session(2), folder.path(), WORKS[0].1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_with_other_cores_goes_on() {
    let (name, work) = WORKS[2];
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path()).await;
    let (first, _) = faulty(Fault::KillBefore(45));
    attempt(&first, folder.path(), work).await.unwrap_err();
    attempt(&session(5), folder.path(), work).await.unwrap();
    check_done(folder.path(), work, name, "with five threads").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_targets_that_no_job_can_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows = session(1).range(0, 3).unwrap();
    let target = folder.path().join("out").to_str().unwrap().to_string();
    for name in ["", "a/b", "..", "ä"] {
        let options = WriteOptions { job: Some(name.into()), ..WriteOptions::default() };
        let error = rows.write(&target, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}");
    }
    let error = rows.write(&format!("{target}.parquet"), as_job(WriteMode::Error)).await.unwrap_err();
    assert!(error.to_string().contains("a job writes a folder"), "{error}");
    let stores = session(1).stores().clone();
    let error = began_by(&stores, &target, &std::collections::BTreeMap::new(), JOB).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_appends_once() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out").to_str().unwrap().to_string();
    session(1).range(0, 3).unwrap().write(&target, WriteOptions::default()).await.unwrap();
    for _ in 0..2 {
        session(2).range(10, 15).unwrap().write(&target, as_job(WriteMode::Append)).await.unwrap();
    }
    let found = rows_of(&open(&session(1), folder.path(), "out").await.unwrap()).await;
    assert_eq!(found, ["0", "1", "10", "11", "12", "13", "14", "2"]);
}
