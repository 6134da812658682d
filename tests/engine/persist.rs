//! `persist` and `checkpoint`: rows that are kept, where they are kept, when they go, and what is known of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, DictionaryArray, Int64Array, ListArray, StringArray, StringViewArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use sheaf::dataset::{
    BatchFunction, BatchPosition, CheckpointOptions, JoinOptions, JoinType, MapBatchesOptions, Outputs,
};
use sheaf::expr::functions_aggregate::expr_fn::sum;
use sheaf::expr::{col, lit};
use sheaf::{Dataset, ErrorKind, Options, Result, Session, SessionSql};
use sheaf_connectors::write::{IpcWriteOptions, WriteFormat, WriteOptions};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn session(memory_limit: u64, spill: &Path) -> Session {
    let (memory_limit, spill_dir) = (Some(memory_limit), Some(spill.to_path_buf()));
    Session::new(Options { memory_limit, threads: Some(2), spill_dir, ..Options::default() }).unwrap()
}

fn wait<T>(session: &Session, future: impl Future<Output = Result<T>>) -> T {
    session.threads().block_on(future).unwrap()
}

fn all(dataset: &Dataset) -> RecordBatch {
    let batches = wait(dataset.session(), dataset.collect());
    concat_batches(&dataset.schema(), &batches).unwrap()
}

/// Numbers with a text that no compression makes small.
fn texts(session: &Session, rows: i64) -> Dataset {
    let text = "lpad(CAST(value * 2654435761 % 1000000007 AS VARCHAR), 64, '0') AS text";
    wait(session, session.sql(&format!("SELECT value AS id, {text} FROM range({rows})")))
}

/// Passes batches on and counts its calls.
struct Counted(AtomicUsize, Option<Vec<u8>>);

impl BatchFunction for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    fn call(&self, batch: RecordBatch, _at: BatchPosition) -> Outputs {
        self.0.fetch_add(1, Ordering::Relaxed);
        Outputs::one(Ok(batch))
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        self.1.clone()
    }
}

fn counted(input: &Dataset, fingerprint: Option<&[u8]>) -> (Arc<Counted>, Dataset) {
    let function = Arc::new(Counted(AtomicUsize::new(0), fingerprint.map(<[u8]>::to_vec)));
    let called: Arc<dyn BatchFunction> = Arc::clone(&function) as _;
    let mapped = input.map_batches(called, MapBatchesOptions::default(), Some(input.schema()));
    let mapped = wait(input.session(), mapped);
    (function, mapped)
}

#[test]
fn a_persisted_plan_runs_once_and_goes_with_its_last_dataset() {
    let spill = TempDir::new().unwrap();
    let session = session(512 * MIB, spill.path());
    let (function, mapped) = counted(&session.range(0, 100_000).unwrap(), None);
    let kept = wait(&session, mapped.persist());
    let calls = function.0.load(Ordering::Relaxed);
    let even = kept.filter((col("id") % lit(2)).eq(lit(0))).unwrap();
    drop(kept);
    assert_eq!(wait(&session, even.count()), 50_000);
    assert_eq!(wait(&session, even.count()), 50_000);
    assert_eq!(function.0.load(Ordering::Relaxed), calls);
    assert!(session.memory().reserved >= 800_000, "{:?}", session.memory());
    assert_eq!(session.memory().on_disk, 0);
    drop(even);
    assert_eq!(session.memory().reserved, 0);
}

#[test]
fn partitions_stay_as_they_are_and_what_is_known_of_them_is_used() {
    let spill = TempDir::new().unwrap();
    let session = session(512 * MIB, spill.path());
    let numbers = session.range(0, 100_000).unwrap();
    let kept = wait(&session, numbers.persist());
    assert_eq!(all(&kept), all(&numbers), "in the order of partitions");
    let plan = wait(&session, kept.physical_plan());
    assert_eq!(plan.properties().partitioning.partition_count(), 2);
    let sorted = wait(&session, numbers.sort([col("id").sort(false, false)]).unwrap().persist());
    let again = wait(&session, sorted.sort([col("id").sort(false, false)]).unwrap().explain());
    let physical = again.split("== Physical ==").nth(1).unwrap();
    assert!(!physical.contains("SortExec") && physical.contains("PersistedExec"), "{physical}");
    let counted = wait(&session, kept.aggregate(vec![sum(col("id")).alias("sum")]).unwrap().collect());
    assert_eq!(counted[0].column(0).as_primitive::<Int64Type>().value(0), 99_999 * 50_000);
    let grouped = numbers.groupby(vec![(col("id") % lit(1000)).alias("k")]).agg(vec![sum(col("id")).alias("s")]);
    let grouped = wait(&session, grouped.unwrap().persist());
    let again = grouped.groupby(vec![col("k")]).agg(vec![sum(col("s")).alias("s")]).unwrap();
    let physical = wait(&session, again.explain());
    let physical = physical.split("== Physical ==").nth(1).unwrap();
    assert!(!physical.contains("RepartitionExec"), "it is partitioned by the key already:\n{physical}");
    assert_eq!(wait(&session, again.count()), 1000);
}

#[test]
fn every_type_comes_back_from_disk() {
    let spill = TempDir::new().unwrap();
    // So little that nothing may stay in memory, where operators have none either.
    let (rows, session) = (20_000, session(64 * MIB, spill.path()));
    let text = |n: usize| (!n.is_multiple_of(7)).then(|| format!("a text of more than twelve bytes: {}", n % 100));
    let dictionary: DictionaryArray<Int32Type> = (0..rows).map(|n| ["red", "green"].get(n % 3).copied()).collect();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..rows).map(|n| (n % 5 != 0).then(|| (0..n % 4).map(|i| Some(i as i64)))),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new((0..rows as i64).map(|n| (n % 3 != 0).then_some(n)).collect::<Int64Array>())),
        ("text", Arc::new((0..rows).map(text).collect::<StringArray>())),
        ("view", Arc::new((0..rows).map(text).collect::<StringViewArray>())),
        ("kind", Arc::new(dictionary)),
        ("list", Arc::new(lists)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let pieces: Vec<_> = (0..rows).step_by(1000).map(|at| batch.slice(at, 1000)).collect();
    let source = session.from_batches(batch.schema(), pieces).unwrap();
    let hog = wait(&session, texts(&session, 400_000).persist());
    assert!(session.memory().on_disk > 0, "memory is full: {:?}", session.memory());
    let before = session.memory().on_disk;
    let kept = wait(&session, source.persist());
    assert!(session.memory().on_disk > before);
    assert_eq!(all(&kept), batch);
    let some = kept.select(vec![col("list"), col("n")]).unwrap().limit(500, Some(700)).unwrap();
    assert_eq!(wait(&session, some.count()), 700);
    drop((hog, kept, some));
    assert_eq!((session.memory().reserved, session.memory().on_disk), (0, 0));
}

#[test]
fn rows_of_no_columns_and_no_rows_are_kept() {
    let spill = TempDir::new().unwrap();
    let session = session(256 * MIB, spill.path());
    let none = session.range(0, 0).unwrap();
    let kept = wait(&session, none.persist());
    assert_eq!((wait(&session, kept.count()), kept.columns()), (0, vec!["id".to_string()]));
    let bare = session.range(0, 10_000).unwrap().select(Vec::new());
    if let Ok(bare) = bare {
        assert_eq!(wait(&session, wait(&session, bare.persist()).count()), 10_000);
    }
}

/// Rows of more than the memory: some stay in memory, the rest is on disk, and what needs the memory later has it.
#[test]
fn memory_goes_to_those_who_need_it() {
    let spill = TempDir::new().unwrap();
    let session = session(256 * MIB, spill.path());
    let source = texts(&session, 2_000_000);
    let kept = wait(&session, source.persist());
    let held = session.memory();
    assert!(held.reserved > 32 * MIB && held.reserved < 140 * MIB, "{held:?}");
    assert!(held.on_disk > 50 * MIB, "{held:?}");
    let sorted = kept.sort([col("text").sort(true, true)]).unwrap();
    let mut run = wait(&session, sorted.start());
    let mut rows = 0;
    while let Some(batch) = session.threads().block_on(run.next()).unwrap() {
        rows += batch.num_rows();
    }
    drop(run);
    assert_eq!(rows, 2_000_000);
    let after = session.memory();
    assert!(after.reserved < held.reserved, "the sort took some back: {held:?}, {after:?}");
    assert!(after.on_disk > held.on_disk, "{held:?}, {after:?}");
    // What would fail without it takes all: a cross join keeps one side in memory.
    let small = session.range(0, 2).unwrap().rename(&[("id".to_string(), "n".to_string())].into()).unwrap();
    let crossed = texts(&session, 900_000).cross_join(&small, &JoinOptions::on(&[], JoinType::Inner)).unwrap();
    assert_eq!(wait(&session, crossed.filter(col("text").not_eq(lit(""))).unwrap().count()), 1_800_000);
    let total = |dataset: &Dataset| all(&dataset.aggregate(vec![sum(col("id")).alias("total")]).unwrap());
    assert_eq!(total(&kept), total(&source));
    drop((kept, sorted));
    assert_eq!((session.memory().reserved, session.memory().on_disk), (0, 0));
    drop((source, crossed, small, session));
    assert_eq!(std::fs::read_dir(spill.path()).unwrap().count(), 0);
}

#[test]
fn no_room_on_disk_either_is_an_error_that_leaves_nothing() {
    let spill = TempDir::new().unwrap();
    let (memory_limit, spill_dir) = (Some(64 * MIB), Some(spill.path().to_path_buf()));
    let options = Options { memory_limit, threads: Some(2), spill_dir, spill_limit: Some(MIB), ..Options::default() };
    let session = Session::new(options).unwrap();
    let error = session.threads().block_on(texts(&session, 1_000_000).persist()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
    assert!(error.to_string().contains("persisting rows"), "{error}");
    assert_eq!((session.memory().reserved, session.memory().on_disk), (0, 0));
}

fn ipc() -> CheckpointOptions {
    CheckpointOptions { format: WriteFormat::Ipc(IpcWriteOptions::default()), ..CheckpointOptions::default() }
}

#[test]
fn a_checkpoint_is_read_where_plan_and_inputs_are_the_same() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let input = path("input.parquet");
    let run = |options: CheckpointOptions, fingerprint: Option<&[u8]>, least: i64| {
        let session = session(256 * MIB, folder.path());
        let read =
            wait(&session, session.read(std::slice::from_ref(&input), &sheaf_connectors::read::ReadOptions::default()));
        let (function, mapped) = counted(&read.filter(col("id").gt_eq(lit(least))).unwrap(), fingerprint);
        let kept = session.threads().block_on(mapped.checkpoint(&path("kept"), options));
        let rows = kept.map(|kept| wait(&session, kept.count()));
        (rows, function.0.load(Ordering::Relaxed))
    };
    let write = |rows| {
        let session = session(256 * MIB, folder.path());
        let options = WriteOptions { mode: "overwrite".parse().unwrap(), ..WriteOptions::default() };
        wait(&session, session.range(0, rows).unwrap().write(&input, options));
    };
    write(50_000);
    let (rows, calls) = run(ipc(), Some(b"f"), 10);
    assert!(rows.unwrap() == 49_990 && calls > 0);
    let (rows, calls) = run(ipc(), Some(b"f"), 10);
    assert_eq!((rows.unwrap(), calls), (49_990, 0), "another session reads it");
    for (fingerprint, least) in [(Some(&b"g"[..]), 10), (None, 10), (Some(&b"f"[..]), 11)] {
        let error = run(ipc(), fingerprint, least).0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    }
    write(60_000);
    assert_eq!(run(ipc(), Some(b"f"), 10).0.unwrap_err().kind(), ErrorKind::AlreadyExists, "the input changed");
    let (rows, calls) = run(CheckpointOptions { overwrite: true, ..ipc() }, Some(b"f"), 10);
    assert!(rows.unwrap() == 59_990 && calls > 0);
    let (rows, calls) = run(CheckpointOptions { overwrite: true, ..ipc() }, Some(b"f"), 10);
    assert_eq!((rows.unwrap(), calls), (59_990, 0));
}

#[test]
fn rows_in_memory_are_told_apart_by_value() {
    let folder = TempDir::new().unwrap();
    let kept = |values: &[i64], path: &str| {
        let session = session(256 * MIB, folder.path());
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let source = session.from_batches(batch.schema(), vec![batch]).unwrap();
        session.register("numbers", &source).unwrap();
        let doubled = wait(&session, session.sql("SELECT n * 2 AS n FROM numbers WHERE n IN (SELECT n FROM numbers)"));
        let target = folder.path().join(path).display().to_string();
        session.threads().block_on(doubled.checkpoint(&target, CheckpointOptions::default())).map(|kept| all(&kept))
    };
    let first = kept(&[1, 2, 3], "a").unwrap();
    assert_eq!(first.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>(), 12);
    let manifests = || std::fs::read_dir(folder.path().join("a/_sheaf")).unwrap().map(|e| e.unwrap().file_name());
    let before: Vec<_> = manifests().collect();
    kept(&[1, 2, 3], "a").unwrap();
    assert_eq!(manifests().collect::<Vec<_>>(), before, "nothing was written");
    assert_eq!(kept(&[1, 2, 4], "a").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(kept(&[1, 2, 4], "b").unwrap().num_rows(), 3);
}

#[test]
fn a_checkpoint_leaves_alone_what_is_none() {
    let folder = TempDir::new().unwrap();
    let session = session(256 * MIB, folder.path());
    let target = folder.path().join("data").display().to_string();
    let numbers = session.range(0, 10).unwrap();
    wait(&session, numbers.write(&target, WriteOptions::default()));
    let error = session.threads().block_on(numbers.checkpoint(&target, CheckpointOptions::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let csv = CheckpointOptions { format: WriteFormat::from_path("x.csv").unwrap(), ..CheckpointOptions::default() };
    let error = session.threads().block_on(numbers.checkpoint(&target, csv)).unwrap_err();
    assert!(error.to_string().contains("csv does not keep the types"), "{error}");
    // An append makes more of a checkpoint than its plan does.
    let kept = folder.path().join("kept").display().to_string();
    wait(&session, numbers.checkpoint(&kept, CheckpointOptions::default()));
    let append = WriteOptions { mode: "append".parse().unwrap(), ..WriteOptions::default() };
    wait(&session, numbers.write(&kept, append));
    let error = session.threads().block_on(numbers.checkpoint(&kept, CheckpointOptions::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}
