//! The file source of the formats that Sheaf decodes itself: CSV, JSON lines, Arrow IPC, text, NumPy and whole files.
//!
//! It splits files over partitions, takes projections, counts bytes, and hands each file to its format's `open`.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroupPartitioner, FileOpenFuture, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::{DisplayFormatType, apply_expression_roots};
use futures::{FutureExt, TryFutureExt};
use object_store::ObjectStore;

use super::bytes::Input;
use super::csv::Dialect;
use super::numbers::{numbered, without_numbers};
use super::scan::{Layout, Scan};
use super::{binary, csv, ipc, json, numpy, text};
use crate::format::Compression;

/// How rows are decoded.
#[derive(Debug, Clone)]
pub(crate) enum Decode {
    Csv(Arc<Dialect>),
    Json,
    Ipc,
    Text,
    Binary,
    Numpy,
}

impl Decode {
    fn name(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Json => "json",
            Self::Ipc => "ipc",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Numpy => "numpy",
        }
    }

    /// Whether a file may be read in ranges of bytes.
    fn splits(&self, file: &PartitionedFile, compression: Option<Compression>) -> bool {
        if compression_of(file, compression) != Compression::None {
            return false;
        }
        match self {
            Self::Csv(dialect) => dialect.splits(file.extension::<Layout>()),
            Self::Json | Self::Text => true,
            Self::Binary | Self::Numpy => false,
            Self::Ipc => file.extension::<Layout>().is_some_and(|layout| layout.splits),
        }
    }
}

fn compression_of(file: &PartitionedFile, given: Option<Compression>) -> Compression {
    given.unwrap_or_else(|| Compression::from_path(file.object_meta.location.as_ref()))
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct RowSource {
    decode: Decode,
    compression: Option<Compression>,
    table: TableSchema,
    projection: SplitProjection,
    /// Whether the last column in files is that of their rows' numbers.
    is_numbered: bool,
    batch_size: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl RowSource {
    pub(crate) fn new(decode: Decode, compression: Option<Compression>, table: TableSchema, is_numbered: bool) -> Self {
        Self {
            decode,
            compression,
            projection: SplitProjection::unprojected(&table),
            table,
            is_numbered,
            batch_size: 8192,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl FileSource for RowSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let file_schema = self.table.file_schema();
        let opener = RowOpener {
            source: self.clone(),
            store,
            partition,
            schema: Arc::new(file_schema.project(&self.projection.file_indices)?),
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), file_schema)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_size, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        self.decode.name()
    }

    fn fmt_extra(&self, _t: DisplayFormatType, _f: &mut Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        min_size: usize,
        output_ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        let mut files = config.file_groups.iter().flat_map(|group| group.iter());
        // In the middle of a file nobody knows how many rows came before.
        if self.is_numbered || !files.all(|file| self.decode.splits(file, self.compression)) {
            return Ok(None);
        }
        let groups = FileGroupPartitioner::new()
            .with_target_partitions(target_partitions)
            .with_repartition_file_min_size(min_size)
            .with_preserve_order_within_groups(output_ordering.is_some())
            .repartition_file_groups(&config.file_groups);
        Ok(groups.map(|file_groups| {
            let mut config = config.clone();
            config.file_groups = file_groups;
            config
        }))
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}

struct RowOpener {
    source: RowSource,
    store: Arc<dyn ObjectStore>,
    partition: usize,
    schema: SchemaRef,
}

impl FileOpener for RowOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let source = &self.source;
        let scanned = MetricBuilder::new(&source.metrics).counter("bytes_scanned", self.partition);
        let bound = |at: i64| u64::try_from(at).map_err(|_| DataFusionError::Internal(format!("range at {at}")));
        let range = match &file.range {
            Some(range) => Some((bound(range.start)?, bound(range.end)?)),
            None => None,
        };
        let wanted = &source.projection.file_indices;
        let (table, projection, with_numbers) = match source.is_numbered {
            true => without_numbers(source.table.file_schema(), wanted)?,
            false => (Arc::clone(source.table.file_schema()), wanted.clone(), false),
        };
        let schema = match with_numbers {
            true => Arc::new(table.project(&projection)?),
            false => Arc::clone(&self.schema),
        };
        let scan = Scan {
            input: Input {
                store: Arc::clone(&self.store),
                location: file.object_meta.location.clone(),
                size: file.object_meta.size,
                compression: match source.decode {
                    // What the name says of its contents is for those who read them.
                    Decode::Binary => Compression::None,
                    _ => compression_of(&file, source.compression),
                },
                scanned,
            },
            range,
            layout: file.extension::<Layout>().cloned(),
            table,
            projection,
            schema,
            batch_size: source.batch_size,
        };
        let opened: FileOpenFuture = match &source.decode {
            Decode::Csv(dialect) => csv::open(scan, Arc::clone(dialect)).boxed(),
            Decode::Json => json::open(scan).boxed(),
            Decode::Ipc => ipc::open(scan).boxed(),
            Decode::Text => text::open(scan).boxed(),
            Decode::Binary => binary::open(scan).boxed(),
            Decode::Numpy => numpy::open(scan).boxed(),
        };
        if !with_numbers {
            return Ok(opened);
        }
        let schema = Arc::clone(&self.schema);
        Ok(opened.map_ok(move |batches| numbered(batches, schema)).boxed())
    }
}
