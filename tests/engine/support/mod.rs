//! What the tests of reading and writing share: an engine with its own stores, an S3 server, two other
//! clouds, a network that breaks.

pub(crate) mod cloud;
pub(crate) mod large;
pub(crate) mod nodes;
pub(crate) mod processes;
pub(crate) mod proxy;
pub(crate) mod s3;

use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStore;
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::read::{FilesTable, ReadOptions, open};
use sheaf_connectors::stores::{StorageOptions, Stores};
use sheaf_connectors::write::{WriteOptions, plan};
use sheaf_core::Result;

/// An engine with stores of its own, as a new process would have them.
pub(crate) struct Engine {
    pub(crate) stores: Arc<Stores>,
    pub(crate) context: SessionContext,
}

/// What a write says it did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) files: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Engine {
    pub(crate) fn new() -> Self {
        Self::with_memory(None)
    }

    /// An engine with a limit on its memory.
    pub(crate) fn with_memory(limit: Option<usize>) -> Self {
        let stores = Stores::new();
        let mut runtime = RuntimeEnvBuilder::new().with_object_store_registry(Arc::clone(&stores) as _);
        if let Some(limit) = limit {
            runtime = runtime.with_memory_limit(limit, 1.0);
        }
        let config = SessionConfig::new().with_target_partitions(2);
        let context = SessionContext::new_with_config_rt(config, runtime.build_arc().unwrap());
        Self { stores, context }
    }

    /// An engine that finds this store under a URL without a path.
    pub(crate) fn with_store(url: &str, store: Arc<dyn ObjectStore>) -> Self {
        let engine = Self::new();
        engine.stores.register_store(&url.parse().unwrap(), store);
        engine
    }

    /// Plans to write the batches of some partitions.
    pub(crate) async fn plan_write(
        &self,
        partitions: &[Vec<RecordBatch>],
        target: &str,
        options: WriteOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = partitions[0][0].schema();
        let input = MemorySourceConfig::try_new_exec(partitions, schema, None).unwrap();
        plan(&self.context.state(), &self.stores, input, target, options).await
    }

    /// Runs a plan that writes.
    pub(crate) async fn run(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Written> {
        let batches = collect(plan, self.context.task_ctx()).await.map_err(from_datafusion)?;
        let number = |column: usize| {
            let column = batches[0].column(column).as_any().downcast_ref::<UInt64Array>().unwrap();
            column.value(0)
        };
        Ok(Written { files: number(0), rows: number(1), bytes: number(2) })
    }

    pub(crate) async fn write(
        &self,
        partitions: &[Vec<RecordBatch>],
        target: &str,
        options: WriteOptions,
    ) -> Result<Written> {
        self.run(self.plan_write(partitions, target, options).await?).await
    }

    /// The table of a file or folder.
    pub(crate) async fn open(&self, target: &str, options: &ReadOptions) -> Result<Arc<FilesTable>> {
        open(&self.context.state(), &self.stores, &[target.to_string()], options).await
    }

    pub(crate) async fn read(&self, target: &str) -> Result<Vec<RecordBatch>> {
        self.read_with(target, &ReadOptions::default()).await
    }

    pub(crate) async fn read_with(&self, target: &str, options: &ReadOptions) -> Result<Vec<RecordBatch>> {
        let frame = self.context.read_table(self.open(target, options).await?).map_err(from_datafusion)?;
        frame.collect().await.map_err(from_datafusion)
    }

    /// The values of the column `n`, sorted.
    pub(crate) async fn numbers(&self, target: &str, storage_options: &StorageOptions) -> Result<Vec<i64>> {
        let options = ReadOptions { storage_options: storage_options.clone(), ..ReadOptions::default() };
        Ok(numbers_of(&self.read_with(target, &options).await?))
    }
}

/// The values of the column `n`, sorted.
pub(crate) fn numbers_of(batches: &[RecordBatch]) -> Vec<i64> {
    let mut all: Vec<i64> = batches.iter().flat_map(|batch| column_n(batch).values().to_vec()).collect();
    all.sort_unstable();
    all
}

fn column_n(batch: &RecordBatch) -> Int64Array {
    let column = batch.column_by_name("n").unwrap();
    column.as_any().downcast_ref::<Int64Array>().unwrap().clone()
}

/// A batch of these numbers as column `n`, and their last decimal as column `k`.
pub(crate) fn batch(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let n: Int64Array = numbers.into_iter().collect();
    let k: Int64Array = n.iter().map(|n| n.map(|n| n % 10)).collect();
    let field = |name: &str| Field::new(name, DataType::Int64, true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field("n"), field("k")])), vec![Arc::new(n), Arc::new(k)]).unwrap()
}

/// All files below a folder, relative to it, sorted; manifests left out.
pub(crate) fn data_files(folder: &std::path::Path) -> Vec<String> {
    fn walk(folder: &std::path::Path, prefix: &str, into: &mut Vec<String>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            match entry.file_type().unwrap().is_dir() {
                true if name == "_sheaf" => {}
                true => walk(&entry.path(), &path, into),
                false => into.push(path),
            }
        }
    }
    let mut files = Vec::new();
    walk(folder, "", &mut files);
    files.sort();
    files
}
