//! Writing: what comes back is what went in, for each format, layout and mode; and nothing stays behind.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::SortOptions;
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, displayable};
use futures::StreamExt;
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::format::{Compression, CsvOptions, Format};
use sheaf_connectors::read::ReadOptions;
use sheaf_connectors::stores::StorageOptions;
use sheaf_connectors::write::{
    CsvWriteOptions, IpcCompression, IpcWriteOptions, JsonWriteOptions, ParquetCompression, ParquetWriteOptions,
    WriteFormat, WriteMode, WriteOptions, plan,
};
use sheaf_core::ErrorKind;

use crate::support::{Engine, batch, data_files};

/// The clean-up of a dropped write runs by itself: this long is plenty.
const PATIENCE: Duration = Duration::from_secs(20);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }
}

async fn numbers(target: &str) -> Vec<i64> {
    Engine::new().numbers(target, &StorageOptions::new()).await.unwrap()
}

fn mode(mode: WriteMode) -> WriteOptions {
    WriteOptions { mode, ..WriteOptions::default() }
}

/// Columns of the types that every format holds.
fn all_types() -> RecordBatch {
    let columns: [(&str, ArrayRef); 6] = [
        ("whole", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)]))),
        ("real", Arc::new(Float64Array::from(vec![Some(0.5), Some(-1e300), None]))),
        ("text", Arc::new(StringArray::from(vec![Some("a,\"b\"\nc"), Some("ü"), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("day", Arc::new(Date32Array::from(vec![Some(0), Some(19_000), None]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None, Some(1_600_000_000_000_000)]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn formats() -> Vec<WriteFormat> {
    let mut formats = Vec::new();
    for compression in ["none", "snappy", "gzip", "lz4", "brotli", "zstd(3)"] {
        let compression: ParquetCompression = compression.parse().unwrap();
        formats.push(WriteFormat::Parquet(ParquetWriteOptions { compression, ..ParquetWriteOptions::default() }));
    }
    for compression in [IpcCompression::None, IpcCompression::Lz4, IpcCompression::Zstd] {
        formats.push(WriteFormat::Ipc(IpcWriteOptions { compression }));
    }
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz] {
        let compression = Some(compression);
        formats.push(WriteFormat::Csv(CsvWriteOptions { compression, ..CsvWriteOptions::default() }));
        formats.push(WriteFormat::Json(JsonWriteOptions { compression }));
    }
    formats
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_and_compression_comes_back_as_it_went() {
    let folder = Folder::new();
    let rows = all_types();
    let csv = CsvOptions { newlines_in_values: true, ..CsvOptions::default() };
    for (number, format) in formats().into_iter().enumerate() {
        let target = folder.path(&format!("{number}"));
        let options = WriteOptions { format: format.clone(), ..WriteOptions::default() };
        let written = Engine::new().write(&[vec![rows.clone()]], &target, options).await.unwrap();
        assert_eq!((written.files, written.rows), (1, 3), "{format:?}");
        let read = ReadOptions {
            format: matches!(format, WriteFormat::Csv(_)).then(|| Format::Csv(csv.clone())),
            ..ReadOptions::default()
        };
        let found = Engine::new().read_with(&target, &read).await.unwrap();
        // JSON has no order of columns, and no dates: they are read as text, which prints alike.
        let found: Vec<RecordBatch> = found.iter().map(|batch| in_order(batch, &rows)).collect();
        let expected = pretty_format_batches(std::slice::from_ref(&rows)).unwrap().to_string();
        assert_eq!(pretty_format_batches(&found).unwrap().to_string(), expected, "{format:?}");
    }
}

/// The columns of a batch in the order of another one's.
fn in_order(batch: &RecordBatch, other: &RecordBatch) -> RecordBatch {
    let names: Vec<String> = other.schema().fields().iter().map(|field| field.name().clone()).collect();
    let columns = names.iter().map(|name| (name, batch.column_by_name(name).unwrap().clone(), true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_name_decides_what_its_text_is_compressed_with() {
    let folder = Folder::new();
    for (name, magic) in [("a.csv.gz", vec![0x1f, 0x8b]), ("a.jsonl.zst", vec![0x28, 0xb5, 0x2f, 0xfd])] {
        let target = folder.path(name);
        let format = WriteFormat::from_path(name).unwrap();
        let options = WriteOptions { format, ..WriteOptions::default() };
        Engine::new().write(&[vec![batch(0..100)]], &target, options).await.unwrap();
        assert!(std::fs::read(&target).unwrap().starts_with(&magic), "{name}");
        assert_eq!(numbers(&target).await, (0..100).collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partition_columns_become_folders_and_columns_again() {
    let folder = Folder::new();
    let target = folder.path("data");
    let n: ArrayRef = Arc::new((0..6).collect::<Int64Array>());
    let k: ArrayRef = Arc::new(StringArray::from(vec![
        Some("plain"),
        Some("a/b=c%d"),
        None,
        Some("space é"),
        Some("plain"),
        Some("../.."),
    ]));
    let day: ArrayRef = Arc::new(Date32Array::from(vec![Some(0), Some(0), Some(1), None, Some(1), Some(0)]));
    let rows = RecordBatch::try_from_iter([("day", day), ("n", n), ("k", k)]).unwrap();
    let options = WriteOptions { partition_by: vec!["k".into(), "day".into()], ..WriteOptions::default() };
    let written = Engine::new().write(&[vec![rows.clone()]], &target, options).await.unwrap();
    assert_eq!((written.files, written.rows), (6, 6));

    let mut folders: Vec<String> =
        data_files(Path::new(&target)).iter().map(|file| file.rsplit_once('/').unwrap().0.to_string()).collect();
    folders.sort();
    assert_eq!(
        folders,
        [
            "k=..%2F../day=1970-01-01",
            "k=__HIVE_DEFAULT_PARTITION__/day=1970-01-02",
            "k=a%2Fb%3Dc%25d/day=1970-01-01",
            "k=plain/day=1970-01-01",
            "k=plain/day=1970-01-02",
            "k=space é/day=__HIVE_DEFAULT_PARTITION__",
        ]
    );
    let engine = Engine::new();
    let table = engine.open(&target, &ReadOptions::default()).await.unwrap();
    engine.context.register_table("t", table).unwrap();
    engine.context.register_batch("rows", rows).unwrap();
    for (left, right) in [("t", "rows"), ("rows", "t")] {
        let query = format!("SELECT n, k, day FROM {left} EXCEPT ALL SELECT n, k, day FROM {right}");
        let missing = engine.context.sql(&query).await.unwrap().collect().await.unwrap();
        assert_eq!(missing.iter().map(RecordBatch::num_rows).sum::<usize>(), 0, "{missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_does_what_it_says() {
    let folder = Folder::new();
    for (name, appends) in [("data", true), ("data.parquet", false)] {
        let target = folder.path(name);
        let engine = Engine::new();
        let write = async |rows: Vec<i64>, how: WriteMode| engine.write(&[vec![batch(rows)]], &target, mode(how)).await;
        write(vec![1, 2], WriteMode::Error).await.unwrap();
        let refused = write(vec![3], WriteMode::Error).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(refused.to_string().contains("overwrite"), "{refused}");
        let ignored = write(vec![3], WriteMode::Ignore).await.unwrap();
        assert_eq!((ignored.files, ignored.rows), (0, 0));
        assert_eq!(numbers(&target).await, [1, 2]);
        if appends {
            write(vec![4], WriteMode::Append).await.unwrap();
            assert_eq!(numbers(&target).await, [1, 2, 4]);
            assert_eq!(data_files(Path::new(&target)).len(), 2);
        }
        write(vec![9], WriteMode::Overwrite).await.unwrap();
        assert_eq!(numbers(&target).await, [9]);
        if appends {
            assert_eq!(data_files(Path::new(&target)).len(), 1, "what was replaced is gone");
            assert_eq!(
                std::fs::read_dir(Path::new(&target).join("_sheaf")).unwrap().count(),
                1,
                "one manifest is left"
            );
        }
    }
    assert_eq!(data_files(folder.0.path()).len(), 2, "nothing else is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_other_writers_can_be_appended_to_and_replaced() {
    let folder = Folder::new();
    let single = folder.path("data/theirs.parquet");
    Engine::new().write(&[vec![batch([1])]], &single, WriteOptions::default()).await.unwrap();
    std::fs::write(folder.path("data/_SUCCESS"), "x").unwrap();
    let target = folder.path("data");
    assert_eq!(
        Engine::new().write(&[vec![batch([2])]], &target, mode(WriteMode::Error)).await.unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert!(!Path::new(&folder.path("data/_sheaf")).exists(), "a refused write leaves no trace");
    Engine::new().write(&[vec![batch([2])]], &target, mode(WriteMode::Append)).await.unwrap();
    assert_eq!(numbers(&target).await, [1, 2]);
    let csv = WriteOptions { format: WriteFormat::from_path("x.csv").unwrap(), ..mode(WriteMode::Append) };
    let mixed = Engine::new().write(&[vec![batch([3])]], &target, csv).await.unwrap_err();
    assert_eq!(mixed.kind(), ErrorKind::InvalidInput, "{mixed}");
    Engine::new().write(&[vec![batch([3])]], &target, mode(WriteMode::Overwrite)).await.unwrap();
    assert_eq!(numbers(&target).await, [3]);
    assert!(!Path::new(&single).exists());
    assert!(Path::new(&folder.path("data/_SUCCESS")).exists(), "what is no data stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_size_gives_several_files_in_order() {
    let folder = Folder::new();
    let target = folder.path("data");
    let batches: Vec<RecordBatch> = (0..20).map(|n| batch(n * 1_000..(n + 1) * 1_000)).collect();
    for format in ["x.parquet", "x.csv", "x.jsonl", "x.arrow"] {
        let options = WriteOptions {
            format: WriteFormat::from_path(format).unwrap(),
            target_file_bytes: Some(8_000),
            ..mode(WriteMode::Overwrite)
        };
        let written = Engine::new().write(std::slice::from_ref(&batches), &target, options).await.unwrap();
        assert!(written.files >= 5, "{format}: {written:?}");
        assert_eq!(written.files as usize, data_files(Path::new(&target)).len());
        assert_eq!(numbers(&target).await, (0..20_000).collect::<Vec<_>>(), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_folders_than_open_files_are_all_written() {
    let folder = Folder::new();
    let target = folder.path("data");
    let n: ArrayRef = Arc::new((0..900).collect::<Int64Array>());
    let k: ArrayRef = Arc::new((0..900).map(|n| n % 150).collect::<Int64Array>());
    let rows = RecordBatch::try_from_iter([("n", n), ("k", k)]).unwrap();
    let batches = vec![rows.slice(0, 450), rows.slice(450, 450)];
    let options = WriteOptions { partition_by: vec!["k".into()], ..WriteOptions::default() };
    let written = Engine::new().write(&[batches], &target, options).await.unwrap();
    assert!(written.files > 150, "files that were closed early are continued in others: {written:?}");
    assert_eq!(numbers(&target).await, (0..900).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_without_rows_keeps_its_schema() {
    let folder = Folder::new();
    for (name, by) in [("folder", vec![]), ("partitioned", vec!["k".to_string()]), ("file.parquet", vec![])] {
        let target = folder.path(name);
        let options = WriteOptions { partition_by: by, ..WriteOptions::default() };
        let written = Engine::new().write(&[vec![batch([])], vec![batch([])]], &target, options).await.unwrap();
        assert_eq!((written.files, written.rows), (1, 0), "{name}");
        let engine = Engine::new();
        let table = engine.open(&target, &ReadOptions::default()).await.unwrap();
        let frame = engine.context.read_table(table).unwrap();
        let names: Vec<_> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["n", "k"], "{name}");
        assert_eq!(frame.count().await.unwrap(), 0, "{name}");
        // Nothing appended to something is no file.
        if name == "folder" {
            let written = Engine::new().write(&[vec![batch([])]], &target, mode(WriteMode::Append)).await.unwrap();
            assert_eq!(written.files, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sorted_partitions_become_one_sorted_file() {
    let folder = Folder::new();
    let target = folder.path("sorted.parquet");
    let even = batch((0..5_000).map(|n| n * 2));
    let odd = batch((0..5_000).map(|n| n * 2 + 1));
    let schema = even.schema();
    let by_n = PhysicalSortExpr::new(col("n", &schema).unwrap(), SortOptions::default());
    let source = MemorySourceConfig::try_new(&[vec![even], vec![odd]], schema, None).unwrap();
    let source = source.try_with_sort_information(vec![LexOrdering::new([by_n]).unwrap()]).unwrap();
    let input = datafusion::datasource::source::DataSourceExec::from_data_source(source);
    let engine = Engine::new();
    let written = plan(&engine.context.state(), &engine.stores, input, &target, WriteOptions::default()).await.unwrap();
    let text = displayable(written.as_ref()).indent(false).to_string();
    assert!(text.contains("SortPreservingMergeExec"), "{text}");
    engine.run(written).await.unwrap();
    let found = engine.read(&target).await.unwrap();
    let n: Vec<i64> = found
        .iter()
        .flat_map(|batch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec())
        .collect();
    assert_eq!(n, (0..10_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_what_it_will_write() {
    let engine = Engine::new();
    let options = WriteOptions { partition_by: vec!["k".into()], ..mode(WriteMode::Overwrite) };
    let plan = engine.plan_write(&[vec![batch([1])], vec![batch([2])]], "/data/out", options).await.unwrap();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).take(3).collect();
    assert_eq!(
        lines,
        [
            "CommitExec: folder=/data/out, mode=overwrite",
            "CoalescePartitionsExec",
            "WriteFilesExec: format=parquet, compression=snappy, partition_by=[k]",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_what_was_written_and_a_plan_runs_once() {
    let folder = Folder::new();
    let engine = Engine::new();
    let target = folder.path("data");
    let plan = engine.plan_write(&[vec![batch(0..10)], vec![batch(10..20)]], &target, mode(WriteMode::Append)).await;
    let plan = plan.unwrap();
    let written = engine.run(Arc::clone(&plan)).await.unwrap();
    let node = &plan.children()[0].children()[0];
    let metrics = node.metrics().unwrap();
    let sum = |name: &str| metrics.sum_by_name(name).unwrap().as_usize() as u64;
    assert_eq!((sum("rows_written"), sum("bytes_written"), sum("files_written")), (20, written.bytes, written.files));

    assert_eq!(engine.run(Arc::clone(&plan)).await.unwrap_err().kind(), ErrorKind::Internal);
    let again = datafusion::physical_plan::execution_plan::reset_plan_states(plan).unwrap();
    engine.run(again).await.unwrap();
    assert_eq!(numbers(&target).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_is_refused_before_anything_is_done() {
    let folder = Folder::new();
    let engine = Engine::new();
    let refused = async |rows: RecordBatch, target: &str, options: WriteOptions| {
        engine.plan_write(&[vec![rows]], target, options).await.unwrap_err()
    };
    let by = |names: &[&str]| WriteOptions {
        partition_by: names.iter().map(ToString::to_string).collect(),
        ..WriteOptions::default()
    };
    let target = folder.path("data");
    let unknown = refused(batch([1]), &target, by(&["nn"])).await;
    assert_eq!(unknown.kind(), ErrorKind::UnknownColumn);
    assert!(unknown.to_string().contains("did you mean \"n\""), "{unknown}");
    assert_eq!(refused(batch([1]), &target, by(&["n", "k"])).await.kind(), ErrorKind::InvalidInput);
    let one = WriteOptions { single_file: Some(true), ..mode(WriteMode::Append) };
    assert_eq!(refused(batch([1]), &target, one).await.kind(), ErrorKind::InvalidInput);
    let glob = folder.path("*.parquet");
    assert_eq!(refused(batch([1]), &glob, WriteOptions::default()).await.kind(), ErrorKind::InvalidInput);
    let http = refused(batch([1]), "https://host/x.parquet", WriteOptions::default()).await;
    assert_eq!(http.kind(), ErrorKind::Unsupported);

    let twice = RecordBatch::try_new(
        Arc::new(arrow::datatypes::Schema::new(vec![batch([]).schema().field(0).clone(); 2])),
        vec![batch([1]).column(0).clone(); 2],
    )
    .unwrap();
    let error = refused(twice, &target, WriteOptions::default()).await;
    assert!(error.to_string().contains("two columns are named \"n\""), "{error}");

    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]);
    let nested = RecordBatch::try_from_iter([("tags", Arc::new(list) as ArrayRef)]).unwrap();
    let csv = WriteOptions { format: WriteFormat::from_path("x.csv").unwrap(), ..WriteOptions::default() };
    let error = refused(nested, &target, csv).await;
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    assert!(error.to_string().contains("tags"), "{error}");
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 0);
}

/// An input that gives some rows and then fails, or never ends.
#[derive(Debug)]
struct Broken {
    schema: arrow::datatypes::SchemaRef,
    fails: bool,
}

impl PartitionStream for Broken {
    fn schema(&self) -> &arrow::datatypes::SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let fails = self.fails;
        let rows = futures::stream::iter((0..50).map(|n| Ok(batch(n * 1_000..(n + 1) * 1_000))));
        let end = futures::stream::once(async move {
            match fails {
                true => Err(DataFusionError::Execution("the input broke".into())),
                false => futures::future::pending().await,
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows.chain(end).boxed()))
    }
}

async fn plan_broken(engine: &Engine, target: &str, fails: bool) -> Arc<dyn ExecutionPlan> {
    let schema = batch([]).schema();
    let partitions: Vec<Arc<dyn PartitionStream>> =
        (0..2).map(|_| Arc::new(Broken { schema: Arc::clone(&schema), fails }) as _).collect();
    let input = StreamingTableExec::try_new(schema, partitions, None, [], false, None).unwrap();
    // Small files, so that some are finished before the end.
    let options = WriteOptions { target_file_bytes: Some(10_000), ..mode(WriteMode::Overwrite) };
    plan(&engine.context.state(), &engine.stores, Arc::new(input), target, options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_fails_leaves_the_old_data_and_no_file() {
    let folder = Folder::new();
    for name in ["data", "data.parquet"] {
        let target = folder.path(name);
        let engine = Engine::new();
        engine.write(&[vec![batch([1])]], &target, WriteOptions::default()).await.unwrap();
        let before = data_files(folder.0.path());
        let error = engine.run(plan_broken(&engine, &target, true).await).await.unwrap_err();
        assert!(error.to_string().contains("the input broke"), "{error}");
        assert_eq!(data_files(folder.0.path()), before);
        assert_eq!(numbers(&target).await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_removes_its_files() {
    let folder = Folder::new();
    for name in ["data", "data.parquet"] {
        let target = folder.path(name);
        let engine = Engine::new();
        engine.write(&[vec![batch([1])]], &target, WriteOptions::default()).await.unwrap();
        let before = data_files(folder.0.path());
        let plan = plan_broken(&engine, &target, false).await;
        let mut stream = datafusion::physical_plan::execute_stream(plan, engine.context.task_ctx()).unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
        assert!(waited.is_err(), "the input never ends");
        // A single file that is smaller than one part is in memory until its end.
        assert!(name == "data.parquet" || data_files(folder.0.path()) != before, "files are on their way");
        // As when a user's thread drops it, outside the engine's.
        tokio::task::spawn_blocking(move || drop(stream)).await.unwrap();
        let removed = async {
            while data_files(folder.0.path()) != before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, removed).await.expect("files of a dropped write stay");
        assert_eq!(numbers(&target).await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overwrite_removes_old_leftovers_of_killed_writers_only() {
    let folder = Folder::new();
    let target = folder.path("data");
    Engine::new().write(&[vec![batch([1])]], &target, WriteOptions::default()).await.unwrap();
    let id = "0199".repeat(8);
    let long_ago = SystemTime::now() - Duration::from_secs(25 * 3600);
    for (name, modified) in [
        (format!("part-{id}-00000.parquet"), Some(long_ago)),
        (format!("part-{id}-00001.parquet"), None),
        ("theirs.parquet".to_string(), Some(long_ago)),
    ] {
        let file = std::fs::File::create(Path::new(&target).join(name)).unwrap();
        if let Some(modified) = modified {
            file.set_modified(modified).unwrap();
        }
    }
    Engine::new().write(&[vec![batch([2])]], &target, mode(WriteMode::Overwrite)).await.unwrap();
    let left = data_files(Path::new(&target));
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!left.contains(&format!("part-{id}-00000.parquet")), "{left:?}");
    assert_eq!(numbers(&target).await, [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_with_little_memory_still_writes() {
    let folder = Folder::new();
    let target = folder.path("data.parquet");
    let text: ArrayRef = Arc::new((0..200_000).map(|n| Some(format!("{n:050}"))).collect::<StringArray>());
    let n: ArrayRef = Arc::new((0..200_000).collect::<Int64Array>());
    let rows = RecordBatch::try_from_iter([("n", n), ("text", text)]).unwrap();
    let batches: Vec<RecordBatch> = (0..20).map(|at| rows.slice(at * 10_000, 10_000)).collect();
    let engine = Engine::with_memory(Some(1 << 20));
    engine.write(&[batches], &target, WriteOptions::default()).await.unwrap();
    assert_eq!(engine.context.runtime_env().memory_pool.reserved(), 0);
    let file = std::fs::File::open(&target).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert!(reader.metadata().num_row_groups() > 1, "row groups end early where memory is short");
    assert_eq!(numbers(&target).await, (0..200_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_encoded_on_several_threads_equals_its_input() {
    let folder = Folder::new();
    let target = folder.path("lanes.parquet");
    let rows = all_types();
    let nested = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let mut columns: Vec<(String, ArrayRef)> = rows
        .schema()
        .fields()
        .iter()
        .zip(rows.columns())
        .map(|(field, column)| (field.name().clone(), column.clone()))
        .collect();
    columns.insert(3, ("tags".into(), Arc::new(nested)));
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let format = WriteFormat::Parquet(ParquetWriteOptions { row_group_rows: 4, ..ParquetWriteOptions::default() });
    let options = WriteOptions { format, ..WriteOptions::default() };
    let batches = vec![rows.clone(), rows.clone(), rows.clone()];
    Engine::new().write(std::slice::from_ref(&batches), &target, options).await.unwrap();
    let file = std::fs::File::open(&target).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let sizes: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(sizes, [4, 4, 1]);
    let found: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(
        pretty_format_batches(&found).unwrap().to_string(),
        pretty_format_batches(&batches).unwrap().to_string()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_first_write_in_progress_finds_nothing() {
    let folder = Folder::new();
    let target = folder.path("data");
    let engine = Engine::new();
    let plan = plan_broken(&engine, &target, false).await;
    let mut stream = datafusion::physical_plan::execute_stream(plan, engine.context.task_ctx()).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(500), stream.next()).await.is_err());
    assert!(!data_files(Path::new(&target)).is_empty(), "files are on their way");
    let error = Engine::new().read(&target).await.map_err(|error| error.kind());
    assert_eq!(error.unwrap_err(), ErrorKind::NotFound);
    drop(stream);
    let gone = async {
        while !data_files(Path::new(&target)).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("files of a dropped write stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_or_forbidden_folder_is_an_error_that_names_the_target() {
    let folder = Folder::new();
    std::fs::write(folder.path("file"), "x").unwrap();
    let target = folder.path("file/below");
    let error = Engine::new().write(&[vec![batch([1])]], &target, WriteOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("file/below"), "{error}");
    let engine = Engine::new();
    let plan = engine.plan_write(&[vec![batch([1])]], &folder.path("file"), mode(WriteMode::Overwrite)).await.unwrap();
    let error = datafusion::physical_plan::collect(plan, engine.context.task_ctx()).await.map_err(from_datafusion);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::AlreadyExists, "a folder does not replace a file");
    assert_eq!(std::fs::read_to_string(folder.path("file")).unwrap(), "x");
}
