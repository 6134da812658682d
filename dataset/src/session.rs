//! `Session`: settings, threads, memory, spill folder and catalog of one user of the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::MemTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlanBuilder, UNNAMED_TABLE};
use datafusion::prelude::{SessionConfig, SessionContext};
use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::read::{self, FilesTable, ReadOptions};
use sheaf_connectors::stores::Stores;
use sheaf_core::env::Threads;
use sheaf_core::{Error, ErrorKind, Options, Result, Settings};

use crate::aggregates;
use crate::dataset::Dataset;
use crate::expr::{self, UserFunction};
use crate::memory::SharePool;
use crate::planner::SheafPlanner;
use crate::rules;
use crate::run::Watch;
use crate::spill::SpillFolder;
use crate::tables::unplanned;

/// Build sides up to this many bytes are kept whole instead of both sides being repartitioned: measured on TPC-H
/// SF 1, the best of the settings tried (2.76 s against 3.2 s for the sum of the queries).
const WHOLE_BUILD_SIDE_BYTES: u64 = 64 << 20;
/// The same limit in rows, for inputs whose size in bytes is not known.
const WHOLE_BUILD_SIDE_ROWS: usize = 8 << 20;
/// A whole build side may take at most this share of the memory limit.
const WHOLE_BUILD_SIDE_SHARE: u64 = 8;
/// With at least this memory limit, joins on integers look their keys up in an array instead of a hash table down to
/// this share of the key range in use: such an array has at most 204 bytes for each row of the build side, where a hash
/// table has about 40, and TPC-H SF 1 takes 8 % less time than with DataFusion's share of 0.15.
const SPARSE_KEYS: f64 = 0.02;
/// See [`SPARSE_KEYS`]: below this, five times the memory is too much.
const AMPLE_MEMORY: u64 = 2 << 30;
/// Memory that a thread uses and no operator accounts for: pages that are being decoded, batches on their way from
/// one operator to the next.
const THREAD_BYTES: u64 = 32 << 20;
/// The same for what the allocator loses, as a share of the limit.
const LOST_SHARE: u64 = 8;
/// Memory that a partition needs so that its sorts, merges and tables can each hold a few batches while they spill:
/// with less, joins of two sorted sides fail. Measured with 64 and 96 MiB for each of 2, 4 and 8 threads.
const PARTITION_MEMORY: u64 = 96 << 20;
/// What a merge may hold of a run that it reads from disk: four batches, in buffers that have grown by doubling, twice
/// the size at which they were accounted for. Otherwise a merge takes all that is free, and others fail.
const RUN_IN_MEMORY_BYTES: u64 = 16 << 20;
/// Fewer runs at once make too many passes over the data.
const LEAST_MERGED_AT_ONCE: usize = 4;
/// More runs at once save no pass of any data that a machine's disks hold.
const MOST_MERGED_AT_ONCE: usize = 128;
/// Memory that a spilling sort keeps back for its merge, as a share of the limit for each thread.
const SORT_MERGE_SHARE: u64 = 32;
/// No sort merge needs more than this.
const SORT_MERGE_BYTES: u64 = 10 << 20;

/// Settings of the engine that decide what a plan means: times without a zone are what the session's zone makes of
/// them, and ANSI mode makes errors of what is null without it.
const MEANING: [&str; 2] = ["datafusion.execution.time_zone", "datafusion.execution.enable_ansi_mode"];

/// Those that decide how the same plan is carried out: all nodes of a query have to come to the same stages, whatever
/// memory each of them has.
const PLANNING: &str = "datafusion.optimizer.";

/// What an exchange spills goes to a file of its own batch by batch: with files of several batches, two that are open
/// at once, and all outputs waiting, DataFusion 55 reads one to its end while what it waits for is in the other.
const SPILLED_BATCH_FILE_BYTES: usize = 1;

/// One user of the engine: settings, threads, a memory pool, a spill folder and a catalog of tables.
///
/// Cloning gives another handle on the same session. The last handle to go, of the session and of the datasets and
/// runs made from it, ends its threads and removes its spill folder.
///
/// ```
/// use sheaf_core::Options;
/// use sheaf_dataset::Session;
///
/// let session = Session::new(Options { memory_limit: Some(256 << 20), ..Options::default() })?;
/// let rows = session.threads().block_on(session.range(0, 1000)?.count())?;
/// assert_eq!(rows, 1000);
/// # Ok::<(), sheaf_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped in this order: plans and their spill files first, then the threads, then the folder.
    context: SessionContext,
    threads: Arc<Threads>,
    spill: Arc<SpillFolder>,
    settings: Settings,
    stores: Arc<Stores>,
}

/// What a session holds now, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// Reserved by operators.
    pub reserved: u64,
    /// The most that operators may reserve.
    pub limit: u64,
    /// Spilled to disk and still there.
    pub on_disk: u64,
}

impl Session {
    /// Starts a session.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a setting out of its range; I/O kinds when the spill folder
    /// cannot be made.
    pub fn new(options: Options) -> Result<Self> {
        let settings = options.validate()?;
        let threads = Threads::start(settings.threads)?;
        let spill = Arc::new(SpillFolder::create(&settings.spill_dir, &spill_name())?);
        let stores = Stores::new();
        let runtime = runtime(&settings, &spill, &stores)?;
        let state = SessionStateBuilder::new()
            .with_config(config(&settings))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_query_planner(Arc::new(SheafPlanner::default()));
        let state = rules::install(expr::install(aggregates::install(state))).build();
        let context = SessionContext::new_with_state(state);
        Ok(Self { inner: Arc::new(Inner { context, threads, spill, settings, stores }) })
    }

    /// The validated settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The threads that this session's plans run on.
    #[must_use]
    pub fn threads(&self) -> &Arc<Threads> {
        &self.inner.threads
    }

    /// DataFusion's context under this session: for functions, catalogs and rules of your own.
    #[must_use]
    pub fn context(&self) -> &SessionContext {
        &self.inner.context
    }

    /// A snapshot of the engine's state: catalog, functions, rules, settings.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.inner.context.state()
    }

    /// The settings of the engine that decide what plans mean, and not how they run.
    pub(crate) fn meaning(&self) -> BTreeMap<String, String> {
        those_of(self.state().config_options(), is_meaning)
    }

    /// The settings of the engine that decide how plans are made.
    pub(crate) fn planning(&self) -> BTreeMap<String, String> {
        those_of(self.state().config_options(), |key| key.starts_with(PLANNING))
    }

    /// This session where plans mean what they do under these options, and are made as under them.
    pub(crate) fn planning_like(&self, options: &ConfigOptions) -> Result<Self> {
        self.meaning_as(&those_of(options, |key| is_meaning(key) || key.starts_with(PLANNING)))
    }

    /// This session where plans mean what they do under these settings, and are made as those say that are among them:
    /// another handle on its threads, memory, stores and catalog.
    pub(crate) fn meaning_as(&self, settings: &BTreeMap<String, String>) -> Result<Self> {
        let mut state = self.state();
        let own = those_of(state.config_options(), |key| is_meaning(key) || key.starts_with(PLANNING));
        let planned = settings.iter().filter(|(key, _)| key.starts_with(PLANNING));
        let changed: Vec<_> = planned.filter(|(key, value)| own.get(*key) != Some(value)).collect();
        let meant: BTreeMap<_, _> = settings.iter().filter(|(key, _)| is_meaning(key)).collect();
        if changed.is_empty() && meant == own.iter().filter(|(key, _)| is_meaning(key)).collect() {
            return Ok(self.clone());
        }
        let options = state.config_mut().options_mut();
        (options.execution.time_zone, options.execution.enable_ansi_mode) = (None, false);
        for (key, value) in meant.into_iter().chain(changed) {
            options.set(key, value).map_err(from_datafusion)?;
        }
        Ok(self.with_state(state))
    }

    /// This session with another state: another handle on its settings, threads, memory and stores.
    pub(crate) fn with_state(&self, state: SessionState) -> Self {
        let Inner { threads, spill, settings, stores, .. } = self.inner.as_ref();
        let (threads, spill, stores) = (Arc::clone(threads), Arc::clone(spill), Arc::clone(stores));
        let context = SessionContext::new_with_state(state);
        Self { inner: Arc::new(Inner { context, threads, spill, settings: settings.clone(), stores }) }
    }

    /// What operators hold in memory and on disk now.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        let runtime = self.inner.context.runtime_env();
        MemoryUse {
            reserved: runtime.memory_pool.reserved() as u64,
            limit: self.inner.settings.memory_limit,
            on_disk: runtime.disk_manager.used_disk_space(),
        }
    }

    /// The session's own folder for spilled data.
    #[must_use]
    pub fn spill_folder(&self) -> &std::path::Path {
        self.inner.spill.path()
    }

    /// Runs a future on the session's threads, whatever runtime the caller has; dropping the call ends it.
    ///
    /// # Errors
    /// The future's own, and [`sheaf_core::ErrorKind::Internal`] when it panicked.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let task = AbortOnDropHandle(self.inner.threads.handle().spawn(Watch::inherited(future)));
        task.await
    }

    /// The object stores that this session has opened.
    #[must_use]
    pub fn stores(&self) -> &Arc<Stores> {
        &self.inner.stores
    }

    /// A dataset of the files at these paths: files, globs, folders or URLs, all of one format.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::NotFound`] when nothing is there; [`sheaf_core::ErrorKind::CorruptFile`] and
    /// [`sheaf_core::ErrorKind::TypeMismatch`] for files whose schemas cannot be read or do not fit together.
    pub async fn read(&self, paths: &[String], options: &ReadOptions) -> Result<Dataset> {
        let files = self.from_provider(self.open(paths, options).await?)?;
        options.parallelism.map_or(Ok(files.clone()), |partitions| files.coalesce(partitions))
    }

    /// The table of the files at these paths, for catalogs; see [`Session::read`].
    ///
    /// # Errors
    /// As [`Session::read`].
    pub async fn open(&self, paths: &[String], options: &ReadOptions) -> Result<Arc<FilesTable>> {
        let (session, paths, options) = (self.clone(), paths.to_vec(), options.clone());
        self.run(async move { read::open(&session.state(), session.stores(), &paths, &options).await }).await
    }

    /// A dataset over record batches that are in memory. All must have the schema `schema`.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a batch of another schema.
    pub fn from_batches(&self, schema: arrow::datatypes::SchemaRef, batches: Vec<RecordBatch>) -> Result<Dataset> {
        // Batches are dealt in runs, so that the order of rows is the order of partitions.
        let parts = self.inner.settings.threads.min(batches.len()).max(1);
        let chunk = batches.len().div_ceil(parts).max(1);
        let mut rest = batches.into_iter();
        let partitions = (0..parts).map(|_| rest.by_ref().take(chunk).collect()).collect();
        let table = MemTable::try_new(schema, partitions).map_err(from_datafusion)?;
        self.from_provider(Arc::new(table))
    }

    /// A dataset over anything that DataFusion can scan.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] when the provider's schema has two columns of one name.
    pub fn from_provider(&self, provider: Arc<dyn TableProvider>) -> Result<Dataset> {
        let plan = LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(provider), None)
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_datafusion)?;
        Ok(Dataset::new(self.clone(), plan))
    }

    /// One column `id` of 64-bit integers from `start` to before `end`.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] when `end` is before `start`.
    pub fn range(&self, start: i64, end: i64) -> Result<Dataset> {
        self.from_provider(Arc::new(crate::operators::range::RangeTable::new(start, end, 1)?))
    }

    /// Registers a dataset under a name that SQL can use; a table of that name is replaced.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a name that is none.
    pub fn register(&self, name: &str, dataset: &Dataset) -> Result<()> {
        let table = datafusion::common::TableReference::bare(name);
        let view = datafusion::datasource::ViewTable::new(dataset.logical_plan().clone(), None);
        let context = &self.inner.context;
        context.deregister_table(table.clone()).map_err(from_datafusion)?;
        context.register_table(table, Arc::new(view)).map_err(from_datafusion)?;
        Ok(())
    }

    /// Removes a name; whether there was such a table.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a name that is none.
    pub fn deregister(&self, name: &str) -> Result<bool> {
        let table = datafusion::common::TableReference::bare(name);
        Ok(self.inner.context.deregister_table(table).map_err(from_datafusion)?.is_some())
    }

    /// Gives a function of the user's a name for SQL, in small letters unless it is quoted there. One of the user's
    /// that has the name is replaced.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::AlreadyExists`] where a function of the engine's has the name.
    pub fn register_function(&self, name: &str, function: &UserFunction) -> Result<()> {
        let context = &self.inner.context;
        let taken = context.state().scalar_functions().get(name).is_some_and(|known| UserFunction::of(known).is_none());
        if taken {
            let message = format!("the engine has a function {name:?} of its own");
            return Err(Error::new(ErrorKind::AlreadyExists, message).with_hint("give yours another name"));
        }
        context.register_udf(function.named(name));
        Ok(())
    }

    /// The registered table of this name.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::NotFound`] when there is none.
    pub async fn table(&self, name: &str) -> Result<Dataset> {
        let table = datafusion::common::TableReference::bare(name);
        let found = self.inner.context.table(table).await;
        let frame = found.map_err(|error| unplanned(&self.inner.context.state(), error))?;
        Ok(Dataset::new(self.clone(), frame.into_unoptimized_plan()))
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDropHandle<T>(tokio::task::JoinHandle<Result<T>>);

impl<T> Future for AbortOnDropHandle<T> {
    type Output = Result<T>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context).map(|joined| {
            joined.unwrap_or_else(|error| Err(Error::internal(format!("a task of the engine failed: {error}"))))
        })
    }
}

impl<T> Drop for AbortOnDropHandle<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether an option decides what plans mean.
fn is_meaning(key: &str) -> bool {
    MEANING.contains(&key)
}

/// Those of the options whose keys are asked for.
fn those_of(options: &ConfigOptions, asked: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let entries = options.entries().into_iter().filter(|entry| asked(&entry.key));
    entries.filter_map(|entry| Some((entry.key, entry.value?))).collect()
}

/// A name that no other session of this machine has: the process and a count.
pub(crate) fn spill_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_nanos());
    format!("{}-{}-{nanos:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The part of the memory limit that operators may account for, so that the process stays near the limit.
fn accounted(limit: u64, threads: usize) -> u64 {
    let rest = limit / LOST_SHARE + THREAD_BYTES.saturating_mul(threads as u64);
    limit - rest.min(limit / 2)
}

/// Partitions that a plan runs in parallel: as many as threads, where the memory lets each of them spill in good order.
fn partitions(settings: &Settings) -> usize {
    let with_memory = usize::try_from(settings.memory_limit / PARTITION_MEMORY).unwrap_or(usize::MAX);
    settings.threads.min(with_memory).max(1)
}

/// Runs that one merge reads at once.
fn merged_at_once(counted: u64, partitions: usize) -> usize {
    let merges = 2 * partitions as u64; // a join has one for each of its sides
    let runs = usize::try_from(counted / merges / RUN_IN_MEMORY_BYTES).unwrap_or(usize::MAX);
    runs.clamp(LEAST_MERGED_AT_ONCE, MOST_MERGED_AT_ONCE)
}

fn runtime(settings: &Settings, spill: &SpillFolder, stores: &Arc<Stores>) -> Result<Arc<RuntimeEnv>> {
    let counted = accounted(settings.memory_limit, settings.threads);
    let capacity = usize::try_from(counted).unwrap_or(usize::MAX);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill.path().to_path_buf()]))
        .with_max_temp_directory_size(settings.spill_limit)
        .with_max_spill_merge_fan_in(merged_at_once(counted, partitions(settings)));
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(SharePool::new(capacity)))
        .with_disk_manager_builder(disk)
        .with_object_store_registry(Arc::clone(stores) as _)
        .build_arc()
        .map_err(from_datafusion)
}

fn config(settings: &Settings) -> SessionConfig {
    let whole = WHOLE_BUILD_SIDE_BYTES.min(settings.memory_limit / WHOLE_BUILD_SIDE_SHARE);
    let merge = SORT_MERGE_BYTES.min(settings.memory_limit / SORT_MERGE_SHARE / partitions(settings) as u64);
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions(settings))
        .with_batch_size(settings.batch_size)
        .with_information_schema(true)
        .with_default_catalog_and_schema("sheaf", "public")
        .with_sort_spill_reservation_bytes(usize::try_from(merge).unwrap_or(usize::MAX));
    config = config.set_usize("datafusion.execution.max_spill_file_size_bytes", SPILLED_BATCH_FILE_BYTES);
    if settings.memory_limit >= AMPLE_MEMORY {
        config.options_mut().execution.perfect_hash_join_min_key_density = SPARSE_KEYS;
    }
    let optimizer = &mut config.options_mut().optimizer;
    optimizer.hash_join_single_partition_threshold = usize::try_from(whole).unwrap_or(usize::MAX);
    optimizer.hash_join_single_partition_threshold_rows =
        WHOLE_BUILD_SIDE_ROWS.min(usize::try_from(whole / WHOLE_BUILD_SIDE_SHARE).unwrap_or(usize::MAX));
    config
}
