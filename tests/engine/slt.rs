//! The `.slt` corpus: statements with the rows they must give, each file in a session and a folder of its own, on each
//! of the engines below.
//!
//! `$DIR` in a file is its folder. `UPDATE=1` writes the rows that the engine gives into the files: read the change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use sheaf::core::settings::Exchange;
use sheaf::dataset::NoFunctions;
use sheaf::{Dataset, Options, Session, SessionSql};
use sqllogictest::{
    AsyncDB, ColumnType, DBOutput, DefaultColumnType, Runner, TestError, default_column_validator, default_normalizer,
    default_validator,
};

use crate::support::nodes::{Nodes, USUAL};
use crate::support::processes::Processes;

/// A way to run the corpus: `skipif NAME` in a file leaves a record out.
#[derive(Clone, Copy)]
enum Kind {
    /// One partition, so that plans as text are the same on every machine.
    Plain,
    /// Many partitions and batches of a few rows: operators that forget what crosses a batch are found.
    Torn,
    /// Each plan is written down and read by another session, which runs it.
    Sent,
    /// On a cluster of two nodes in this process, by the durable exchange; what is small is cut as well.
    Durable,
    /// The same by the streaming exchange.
    Streaming,
    /// On three nodes that are processes of their own, by the durable exchange.
    Processes,
}

/// Those nodes, for all files.
static PROCESSES: Mutex<Option<Processes>> = Mutex::new(None);

impl Kind {
    fn exchange(self) -> Exchange {
        match self {
            Self::Streaming => Exchange::Streaming,
            _ => Exchange::Durable,
        }
    }
}

struct Engine {
    kind: Kind,
    session: Session,
    /// Where plans are sent.
    other: Option<Session>,
    /// Where they run, if in this process.
    _nodes: Option<Nodes>,
}

impl Engine {
    fn start(kind: Kind) -> sheaf::Result<Self> {
        let (threads, batch_size) = match kind {
            Kind::Plain => (1, 8192),
            Kind::Torn => (4, 3),
            Kind::Sent | Kind::Durable | Kind::Streaming | Kind::Processes => (2, 8192),
        };
        let (threads, batch_size, exchange) = (Some(threads), Some(batch_size), Some(kind.exchange()));
        let options = Options { threads, batch_size, exchange, ..Options::default() };
        let other = matches!(kind, Kind::Sent).then(|| Session::new(options.clone())).transpose()?;
        let is_cluster = matches!(kind, Kind::Durable | Kind::Streaming);
        let (mut session, nodes) = (Session::new(options)?, is_cluster.then(|| Nodes::start(2, USUAL)));
        if let Some(nodes) = &nodes {
            session = session.on(&nodes.cluster);
        }
        if let (Kind::Processes, Some(nodes)) = (kind, &*PROCESSES.lock().unwrap()) {
            session = session.on(&nodes.cluster);
        }
        Ok(Self { kind, session, other, _nodes: nodes })
    }

    /// The dataset as the session has it that it is sent to.
    fn sent(&self, dataset: Dataset) -> sheaf::Result<Dataset> {
        let Some(other) = &self.other else { return Ok(dataset) };
        let bytes = match dataset.to_bytes() {
            Ok(bytes) => bytes,
            // Tables that tell of the session itself.
            Err(error) if error.to_string().contains("can be read in this process alone") => return Ok(dataset),
            Err(error) => return Err(error),
        };
        let sent = other.dataset_from_bytes(&bytes, &NoFunctions)?;
        let plan = |dataset: &Dataset| dataset.logical_plan().display_indent_schema().to_string();
        assert_eq!(plan(&sent), plan(&dataset));
        Ok(sent)
    }
}

#[async_trait]
impl AsyncDB for Engine {
    type Error = sheaf::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> sheaf::Result<DBOutput<DefaultColumnType>> {
        let dataset = self.sent(self.session.sql(sql).await?)?;
        let schema = dataset.schema();
        let batches = dataset.collect().await?;
        if schema.fields().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let types = schema.fields().iter().map(|field| column_type(field.data_type())).collect();
        Ok(DBOutput::Rows { types, rows: batches.iter().flat_map(rows).collect() })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &'static str {
        match self.kind {
            Kind::Plain => "plain",
            Kind::Torn => "torn",
            Kind::Sent => "sent",
            Kind::Durable => "durable",
            Kind::Streaming => "streaming",
            // What holds for one cluster holds for the other.
            Kind::Processes => "durable",
        }
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    let letter = match data_type {
        data_type if data_type.is_integer() => 'I',
        data_type if data_type.is_floating() || data_type.is_decimal() => 'R',
        _ => 'T',
    };
    DefaultColumnType::from_char(letter).unwrap()
}

/// The rows of a batch as text: one line each, an empty text written so that it can be seen.
fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let cell = |column: &ArrayFormatter<'_>, row: usize| match column.value(row).to_string() {
        text if text.is_empty() => "(empty)".to_string(),
        text => text.trim_end().replace('\n', " / "),
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect()
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "slt"));
    files.sort();
    assert!(files.len() >= 10, "the corpus has {} files: some are lost", files.len());
    files
}

/// Runs a file's text; fails with the first record that is not as it says.
async fn run(kind: Kind, name: &str, text: &str) -> Result<(), TestError> {
    let folder = tempfile::tempdir().unwrap();
    let text = text.replace("$DIR", folder.path().to_str().unwrap());
    let mut runner = Runner::new(|| async { Engine::start(kind) });
    let result = runner.run_script_with_name_async(&text, name.to_string()).await;
    runner.shutdown_async().await;
    result
}

/// Writes the rows that the engine gives into a file of the corpus.
async fn update(file: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let copy = folder.path().join("corpus.slt");
    fs::write(&copy, fs::read_to_string(file).unwrap().replace("$DIR", dir)).unwrap();
    let mut runner = Runner::new(|| async { Engine::start(Kind::Plain) });
    runner
        .update_test_file(&copy, " ", default_validator, default_normalizer, default_column_validator)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    fs::write(file, fs::read_to_string(&copy).unwrap().replace(dir, "$DIR")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_corpus_passes() {
    let updating = std::env::var_os("UPDATE").is_some();
    let nodes = tokio::task::spawn_blocking(|| Processes::start(3)).await.unwrap();
    *PROCESSES.lock().unwrap() = Some(nodes);
    let mut failed = Vec::new();
    for file in corpus() {
        if updating {
            update(&file).await;
        }
        let name = file.file_name().unwrap().to_str().unwrap();
        for kind in [Kind::Plain, Kind::Torn, Kind::Sent, Kind::Durable, Kind::Streaming, Kind::Processes] {
            if let Err(error) = run(kind, name, &fs::read_to_string(&file).unwrap()).await {
                failed.push(error.to_string());
            }
        }
    }
    let nodes = PROCESSES.lock().unwrap().take().unwrap();
    let worked = nodes.worked();
    assert!(worked[0] > 0.5, "a node had nothing to do, which has had these seconds of a CPU: {worked:?}");
    tokio::task::spawn_blocking(|| drop(nodes)).await.unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn a_wrong_answer_fails() {
    let run = |text: &'static str| run(Kind::Torn, "planted", text);
    run("query I\nSELECT 1 + 1\n----\n2\n").await.unwrap();
    let error = run("query I\nSELECT 1 + 1\n----\n3\n").await.unwrap_err();
    assert!(error.to_string().contains("query result mismatch"), "{error}");
    run("statement error nothing of the kind\nSELECT no_such_column\n").await.unwrap_err();
    run("skipif torn\nquery I\nSELECT 1\n----\n2\n").await.unwrap();
}
