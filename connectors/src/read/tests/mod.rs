//! Reading end to end: files in a temporary folder, opened and queried through the engine.

mod csv;
mod files;
mod formats;
mod http;
mod parquet;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use tempfile::TempDir;

use super::*;
use crate::error::from_datafusion;
use crate::format::CsvOptions;

/// A session over a temporary folder.
struct Bench {
    folder: TempDir,
    context: SessionContext,
    stores: Arc<Stores>,
}

/// What a query read.
struct Ran {
    plan: Arc<dyn ExecutionPlan>,
    batches: Vec<RecordBatch>,
}

impl Ran {
    fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn text(&self) -> String {
        pretty_format_batches(&self.batches).unwrap().to_string()
    }

    /// A counter, summed over all scans of the plan.
    fn metric(&self, name: &str) -> usize {
        fn sum(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
            let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |value| value.as_usize());
            own + plan.children().into_iter().map(|child| sum(child, name)).sum::<usize>()
        }
        sum(&self.plan, name)
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(SessionConfig::new().with_target_partitions(4))
    }

    fn with(config: SessionConfig) -> Self {
        let stores = Stores::new();
        let runtime = RuntimeEnvBuilder::new().with_object_store_registry(Arc::clone(&stores) as _);
        let context = SessionContext::new_with_config_rt(config, runtime.build_arc().unwrap());
        Self { folder: tempfile::tempdir().unwrap(), context, stores }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text_path(&self, name: &str) -> String {
        // Not `join`, which would take the trailing slash's meaning away.
        format!("{}/{name}", self.folder.path().display())
    }

    fn write(&self, name: &str, body: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, body).unwrap();
        path
    }

    async fn open(&self, names: &[&str], options: &ReadOptions) -> Result<Arc<FilesTable>> {
        let paths: Vec<String> = names.iter().map(|name| self.text_path(name)).collect();
        let table = open(&self.context.state(), &self.stores, &paths, options).await?;
        self.context.deregister_table("t").unwrap();
        self.context.register_table("t", Arc::clone(&table) as _).unwrap();
        Ok(table)
    }

    async fn sql(&self, query: &str) -> Result<Ran> {
        let frame = self.context.sql(query).await.map_err(from_datafusion)?;
        let plan = frame.create_physical_plan().await.map_err(from_datafusion)?;
        let batches = collect(Arc::clone(&plan), self.context.task_ctx()).await.map_err(from_datafusion)?;
        Ok(Ran { plan, batches })
    }

    /// Opens and reads everything, sorted by the query's order.
    async fn read(&self, names: &[&str], options: &ReadOptions, query: &str) -> Result<Ran> {
        self.open(names, options).await?;
        self.sql(query).await
    }
}

fn csv_options(change: impl FnOnce(&mut CsvOptions)) -> ReadOptions {
    let mut options = CsvOptions::default();
    change(&mut options);
    ReadOptions { format: Some(Format::Csv(options)), ..ReadOptions::default() }
}

fn types(table: &FilesTable) -> Vec<(String, DataType)> {
    use datafusion::catalog::TableProvider;
    table.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
}

fn named(pairs: &[(&str, DataType)]) -> Vec<(String, DataType)> {
    pairs.iter().map(|(name, kind)| ((*name).to_string(), kind.clone())).collect()
}

#[track_caller]
fn assert_error(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    }
}

fn name_of(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}
