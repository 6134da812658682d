//! A file source that knows its files' names: errors of the scan say which file, and broken files may be skipped.
//!
//! Wraps the source of any format. Everything else passes through, so that plans look and push down as before.

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, SortOrderPushdownResult};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStore;
use parking_lot::Mutex;
use sheaf_core::{Error, ErrorKind};

use crate::error::{from_datafusion, to_datafusion};

/// Files that were skipped because they could not be read.
#[derive(Debug, Default)]
pub struct Skipped {
    files: Mutex<BTreeSet<String>>,
}

impl Skipped {
    /// How many there are so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files.lock().len()
    }

    /// Their names.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.files.lock().iter().cloned().collect()
    }

    /// Keeps a file's name and tells the log; false when it was known.
    pub(crate) fn add(&self, file: &str, error: &Error) -> bool {
        let new = self.files.lock().insert(file.to_string());
        if new {
            log::warn!("skipped {file}: {error}");
        }
        new
    }

    /// Keeps the name of a file that another process has skipped.
    pub fn note(&self, file: &str) {
        self.files.lock().insert(file.to_string());
    }
}

/// The files that an operator skips, where it is a scan that may.
#[must_use]
pub fn skipped_by(plan: &dyn ExecutionPlan) -> Option<Arc<Skipped>> {
    let scan = plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    scan.file_source().downcast_ref::<GuardedSource>()?.guard.skipped.clone()
}

/// What a guarded scan does with errors.
#[derive(Clone)]
pub(crate) struct Guard {
    /// What stands before a path of the store to make it what users know.
    pub(crate) base: String,
    /// Where skipped files are kept, when broken files are to be skipped.
    pub(crate) skipped: Option<Arc<Skipped>>,
}

/// A file source whose errors say which file.
pub(crate) struct GuardedSource {
    inner: Arc<dyn FileSource>,
    guard: Guard,
}

impl GuardedSource {
    pub(crate) fn wrap(inner: Arc<dyn FileSource>, guard: Guard) -> Arc<dyn FileSource> {
        Arc::new(Self { inner, guard })
    }

    fn rewrap(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Self::wrap(inner, self.guard.clone())
    }
}

impl FileSource for GuardedSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.inner.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let inner = self.inner.create_morselizer(store, config, partition)?;
        let count = |_: &_| MetricBuilder::new(self.metrics()).counter("files_skipped", partition);
        let count = self.guard.skipped.as_ref().map(count);
        Ok(Box::new(GuardedMorselizer { inner, watch: Watch { guard: self.guard.clone(), count } }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.rewrap(self.inner.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, t: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(t, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        min_size: usize,
        output_ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        // Of a broken file the rows before its first error stay: which those are must not depend on how it was split.
        if self.guard.skipped.is_some() {
            return Ok(None);
        }
        // The result is a copy of `config`, whose source is the guarded one.
        self.inner.repartitioned(target_partitions, min_size, output_ordering, config)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let pushed = self.inner.try_pushdown_filters(filters, config)?;
        Ok(FilterPushdownPropagation {
            filters: pushed.filters,
            updated_node: pushed.updated_node.map(|inner| self.rewrap(inner)),
        })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.inner.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: self.rewrap(inner) },
            SortOrderPushdownResult::Inexact { inner } => {
                SortOrderPushdownResult::Inexact { inner: self.rewrap(inner) }
            }
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.inner.try_pushdown_projection(projection)?.map(|inner| self.rewrap(inner)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }
}

/// A guard with the counter of one partition.
#[derive(Clone)]
struct Watch {
    guard: Guard,
    count: Option<Count>,
}

impl Watch {
    /// The error with the file's name in it, or nothing when the file is to be skipped.
    fn judge(&self, file: &str, error: DataFusionError) -> Result<(), DataFusionError> {
        let error = name_file(file, from_datafusion(error));
        match (&self.guard.skipped, &self.count) {
            (Some(skipped), Some(count)) if is_broken_file(&error) => {
                if skipped.add(file, &error) {
                    count.add(1);
                }
                Ok(())
            }
            _ => Err(to_datafusion(error)),
        }
    }
}

/// Whether the error is the file's and not the machine's or the user's: another file may be well.
pub(crate) fn is_broken_file(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::CorruptFile | ErrorKind::Parse | ErrorKind::TypeMismatch | ErrorKind::NotFound)
}

/// An error of reading a file, with its name. What a decoder calls invalid is a corrupt file.
pub(crate) fn name_file(file: &str, error: Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Internal => ErrorKind::CorruptFile,
        kind => kind,
    };
    let hint = match (kind, error.hint()) {
        (ErrorKind::CorruptFile, _) => {
            Some("the file may be cut off or of another format; ignore_errors=True skips such files".to_string())
        }
        (_, hint) => hint.map(str::to_string),
    };
    let named = Error::new(kind, format!("{file}: {}", error.message())).with_source(error);
    match hint {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}

struct GuardedMorselizer {
    inner: Box<dyn Morselizer>,
    watch: Watch,
}

impl Debug for GuardedMorselizer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded({:?})", self.inner)
    }
}

impl Morselizer for GuardedMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let name: Arc<str> = format!("{}{}", self.watch.guard.base, file.object_meta.location).into();
        match self.inner.plan_file(file) {
            Ok(inner) => Ok(Box::new(GuardedPlanner { inner: Some(inner), name, watch: self.watch.clone() })),
            Err(error) => {
                self.watch.judge(&name, error)?;
                Ok(Box::new(GuardedPlanner { inner: None, name, watch: self.watch.clone() }))
            }
        }
    }
}

struct GuardedPlanner {
    /// `None` for a file that is skipped.
    inner: Option<Box<dyn MorselPlanner>>,
    name: Arc<str>,
    watch: Watch,
}

impl Debug for GuardedPlanner {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded({:?})", self.inner)
    }
}

impl MorselPlanner for GuardedPlanner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, name, watch } = *self;
        let Some(inner) = inner else { return Ok(None) };
        let mut plan = match inner.plan() {
            Ok(Some(plan)) => plan,
            Ok(None) => return Ok(None),
            Err(error) => return watch.judge(&name, error).map(|()| None),
        };
        let planner = |inner: Option<Box<dyn MorselPlanner>>| -> Box<dyn MorselPlanner> {
            Box::new(Self { inner, name: Arc::clone(&name), watch: watch.clone() })
        };
        let morsel = |inner: Box<dyn Morsel>| -> Box<dyn Morsel> {
            Box::new(GuardedMorsel { inner, name: Arc::clone(&name), watch: watch.clone() })
        };
        let morsels = plan.take_morsels().into_iter().map(morsel).collect();
        let planners = plan.take_ready_planners().into_iter().map(|inner| planner(Some(inner))).collect();
        let mut guarded = MorselPlan::new().with_morsels(morsels).with_planners(planners);
        if let Some(pending) = plan.take_pending_planner() {
            let (name, watch) = (Arc::clone(&name), watch.clone());
            guarded.set_pending_planner(async move {
                let inner = match pending.await {
                    Ok(inner) => Some(inner),
                    Err(error) => watch.judge(&name, error).map(|()| None)?,
                };
                Ok(Box::new(Self { inner, name, watch }) as Box<dyn MorselPlanner>)
            });
        }
        Ok(Some(guarded))
    }
}

struct GuardedMorsel {
    inner: Box<dyn Morsel>,
    name: Arc<str>,
    watch: Watch,
}

impl Debug for GuardedMorsel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded({:?})", self.inner)
    }
}

impl Morsel for GuardedMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, name, watch } = *self;
        // The first error ends the file: what comes after a broken part means nothing.
        let judged = inner.into_stream().scan(false, move |ended, batch| {
            let next = match batch {
                _ if *ended => None,
                Ok(batch) => Some(Ok(batch)),
                Err(error) => {
                    *ended = true;
                    watch.judge(&name, error).err().map(Err)
                }
            };
            futures::future::ready(next)
        });
        judged.boxed()
    }
}
