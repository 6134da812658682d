//! The table over files: lists them anew for each scan, prunes by folders, and plans a scan that reads no more than
//! the query needs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics, TableReference, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::datasource::table_schema::{TableSchema, TableSchemaBuilder};
use datafusion::error::Result as EngineResult;
use datafusion::execution::cache::TableScopedPath;
use datafusion::execution::cache::cache_manager::{CachedFileMetadata, SchemaFingerprint};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion_datasource::compute_all_files_statistics;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use parking_lot::Mutex;
use sheaf_core::{ErrorKind, Result};

use super::guard::{Guard, GuardedSource, Skipped, is_broken_file, name_file};
use super::inspect::{Inspected, Reader, parquet};
use super::listing::{self, Hive, LOOKUPS, Listed};
use super::numbers::with_row_numbers;
use super::rows::{Decode, RowSource};
use super::{ReadOptions, hive, prune};
use crate::error::{from_datafusion, to_datafusion};
use crate::format::Format;
use crate::location::Location;
use crate::stores::Stores;

/// Files that were looked into, by store and path.
pub(crate) type Known = HashMap<(String, Path), (Version, Inspected)>;

/// What changes when a file is written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    size: u64,
    modified: i64,
    e_tag: Option<String>,
}

impl Version {
    pub(crate) fn of(file: &Listed) -> Self {
        let meta = &file.meta;
        let modified = meta.last_modified.timestamp_nanos_opt().unwrap_or_default();
        Self { size: meta.size, modified, e_tag: meta.e_tag.clone() }
    }
}

/// Files of one format as one table.
#[derive(Debug)]
pub struct FilesTable {
    pub(crate) stores: Arc<Stores>,
    pub(crate) locations: Vec<Location>,
    pub(crate) format: Format,
    pub(crate) reader: Reader,
    pub(crate) options: ReadOptions,
    pub(crate) hive: Hive,
    /// Columns in the files; columns of their folders and, if asked for, their path.
    pub(crate) columns: TableSchema,
    pub(crate) fingerprint: Arc<SchemaFingerprint>,
    pub(crate) known: Mutex<Known>,
    pub(crate) skipped: Arc<Skipped>,
}

/// A file with its values of the partition columns.
struct Candidate {
    listed: Listed,
    values: Vec<ScalarValue>,
    inspected: Option<Inspected>,
}

impl FilesTable {
    /// Files that could not be read and were skipped so far, with `ignore_errors`.
    #[must_use]
    pub fn skipped_files(&self) -> usize {
        self.skipped.count()
    }

    /// The names of those files.
    #[must_use]
    pub fn skipped_file_names(&self) -> Vec<String> {
        self.skipped.files()
    }

    /// The same files with columns of each row's file and its number in it: of the path, which may be there already,
    /// and of the number. Both have names that no column has.
    #[must_use]
    pub fn with_places(&self, path: &str, number: &str) -> (Self, String) {
        let mut options = self.options.clone();
        let mut folders = self.columns.table_partition_cols().clone();
        let path = options.include_file_paths.get_or_insert_with(|| {
            let path_field: FieldRef = Arc::new(Field::new(path, DataType::Utf8, false));
            folders = folders.iter().cloned().chain([path_field]).collect();
            path.to_string()
        });
        let path = path.clone();
        options.include_row_numbers = Some(number.to_string());
        let in_files = Arc::clone(self.columns.file_schema());
        let columns = TableSchemaBuilder::new(in_files).with_table_partition_cols(folders).build();
        let columns = with_row_numbers(&columns, &self.reader, number);
        let fingerprint = Arc::new(SchemaFingerprint::from_schema(columns.file_schema()));
        let table = Self {
            stores: Arc::clone(&self.stores),
            locations: self.locations.clone(),
            format: self.format.clone(),
            reader: self.reader.clone(),
            options,
            hive: self.hive,
            columns,
            fingerprint,
            known: Mutex::new(self.known.lock().clone()),
            skipped: Arc::clone(&self.skipped),
        };
        (table, path)
    }

    /// Whether rows have their numbers.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.options.include_row_numbers.is_some()
    }

    /// The format of the files.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Where the files are, as the user wrote it.
    #[must_use]
    pub fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// The columns that the folders' names give, from the outermost in.
    #[must_use]
    pub fn partition_columns(&self) -> Vec<String> {
        let folders = self.columns.table_partition_cols().iter().map(|field| field.name().clone());
        folders.filter(|name| self.options.include_file_paths.as_ref() != Some(name)).collect()
    }

    /// The files as they are now, each with what changes when it is written again, and how they are read.
    ///
    /// # Errors
    /// As [`super::open`], when the files cannot be listed any more.
    pub async fn versions(&self) -> Result<Vec<String>> {
        let files = self.list().await?;
        // How a store is reached says nothing of what is in it.
        let options = ReadOptions { storage_options: BTreeMap::new(), ..self.options.clone() };
        let read = format!("{:?} {options:?} {:?}", self.format, self.columns.table_schema());
        Ok(files.iter().map(|file| format!("{} {:?}", file.full, Version::of(file))).chain([read]).collect())
    }

    /// The names of the files as they are now.
    ///
    /// # Errors
    /// What goes wrong while they are listed.
    pub async fn file_names(&self) -> Result<Vec<String>> {
        Ok(self.list().await?.into_iter().map(|file| file.full).collect())
    }

    async fn list(&self) -> Result<Vec<Listed>> {
        listing::list(&self.stores, &self.locations, &self.options, Some(&self.format), self.hive).await
    }

    /// The files as they are now, with what is known of them.
    async fn candidates(&self, state: &dyn Session) -> Result<Vec<Candidate>> {
        let files = self.list().await?;
        let files = self.reader_needs(state, files).await?;
        let folders = self.columns.table_partition_cols();
        let path_column = usize::from(self.options.include_file_paths.is_some());
        let folders = &folders[..folders.len() - path_column];
        let candidate = |(listed, inspected): (Listed, Option<Inspected>)| {
            let mut values = hive::values(&listed.full, &listed.pairs, folders)?;
            if path_column > 0 {
                values.push(ScalarValue::Utf8(Some(listed.full.clone())));
            }
            Ok(Candidate { listed, values, inspected })
        };
        files.into_iter().map(candidate).collect()
    }

    /// Looks into files that came or changed since the table was opened, where their layout matters.
    async fn reader_needs(&self, state: &dyn Session, files: Vec<Listed>) -> Result<Vec<(Listed, Option<Inspected>)>> {
        let look = self.reader.needs_layout() && self.options.schema.is_none();
        let known = |file: &Listed| {
            let known = self.known.lock();
            let found = known.get(&key(file))?;
            (found.0 == Version::of(file)).then(|| found.1.clone())
        };
        let one = |file: Listed| async move {
            let inspected = match known(&file) {
                Some(inspected) => Some(inspected),
                None if look => match self.reader.inspect(state, &file, self.options.compression).await {
                    Ok(inspected) => {
                        self.known.lock().insert(key(&file), (Version::of(&file), inspected.clone()));
                        Some(inspected)
                    }
                    Err(error) if self.options.ignore_errors && is_broken_file(&error) => {
                        self.skipped.add(&file.full, &error);
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                },
                None => None,
            };
            Ok(Some((file, inspected)))
        };
        let futures: Vec<_> = files.into_iter().map(one).collect();
        let found: Vec<Option<_>> = stream::iter(futures).buffered(LOOKUPS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let partition_columns: Vec<FieldRef> = self.columns.table_partition_cols().iter().cloned().collect();
        let (by_folder, others): (Vec<Expr>, Vec<Expr>) =
            filters.iter().cloned().partition(|filter| prune::decides(filter, &partition_columns));
        let candidates = self.candidates(state).await.map_err(to_datafusion)?;
        let values: Vec<_> = candidates.iter().map(|candidate| candidate.values.clone()).collect();
        let keep = prune::keep(&by_folder, &partition_columns, &values)?;
        let kept: Vec<_> = candidates.into_iter().zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect();
        let limit_files = if others.is_empty() { limit } else { None };
        let (stores, inexact) = self.gather(state, kept, limit_files).await?;
        let mut scans = Vec::with_capacity(stores.len());
        for files in stores {
            scans.push(self.scan_store(state, files, inexact, projection, limit)?);
        }
        match scans.len() {
            0 => Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?))),
            1 => Ok(scans.remove(0)),
            _ => UnionExec::try_new(scans),
        }
    }

    /// The files with their statistics, in runs of one store; and whether a limit left some out.
    async fn gather(
        &self,
        state: &dyn Session,
        files: Vec<Candidate>,
        limit: Option<usize>,
    ) -> EngineResult<(Vec<Vec<(Listed, PartitionedFile)>>, bool)> {
        let collect = state.config().collect_statistics();
        let fetch = state.config_options().execution.meta_fetch_concurrency.get();
        let futures: Vec<_> = files.into_iter().map(|file| self.with_statistics(state, file, collect)).collect();
        let mut all = stream::iter(futures).buffered(fetch);
        let mut stores: Vec<Vec<(Listed, PartitionedFile)>> = Vec::new();
        let mut rows = Precision::Exact(0);
        while let Some(found) = all.next().await {
            let Some((listed, file)) = found? else { continue };
            let count = file.statistics.as_ref().map_or(Precision::Absent, |statistics| statistics.num_rows);
            rows = rows.add(&count);
            match stores.last_mut() {
                Some(files) if files[0].0.url == listed.url => files.push((listed, file)),
                _ => stores.push(vec![(listed, file)]),
            }
            if let (Some(limit), Precision::Exact(rows)) = (limit, rows)
                && rows > limit
            {
                return Ok((stores, all.next().await.is_some()));
            }
        }
        Ok((stores, false))
    }

    async fn with_statistics(
        &self,
        state: &dyn Session,
        file: Candidate,
        collect: bool,
    ) -> EngineResult<Option<(Listed, PartitionedFile)>> {
        let Candidate { listed, values, inspected } = file;
        let mut planned = PartitionedFile::new_from_meta(listed.meta.clone());
        if let Some(layout) = inspected.and_then(|inspected| inspected.layout) {
            planned = planned.with_extension(layout);
        }
        let statistics = match self.reader {
            Reader::Parquet if collect => match self.parquet_statistics(state, &listed).await {
                Ok(statistics) => statistics,
                Err(error) => {
                    let error = name_file(&listed.full, from_datafusion(error));
                    if self.options.ignore_errors && is_broken_file(&error) {
                        self.skipped.add(&listed.full, &error);
                        return Ok(None);
                    }
                    return Err(to_datafusion(error));
                }
            },
            _ => Arc::new(Statistics::new_unknown(self.columns.file_schema())),
        };
        let mut statistics = with_partition_values(&statistics, &values);
        let made = self.columns.virtual_columns().iter().map(|_| ColumnStatistics::new_unknown());
        statistics.column_statistics.extend(made);
        planned.statistics = Some(Arc::new(statistics));
        planned.partition_values = values;
        Ok(Some((listed, planned)))
    }

    async fn parquet_statistics(&self, state: &dyn Session, file: &Listed) -> EngineResult<Arc<Statistics>> {
        let cache = state.runtime_env().cache_manager.get_file_statistic_cache();
        let path = TableScopedPath {
            // Paths are the same in many stores.
            table: Some(TableReference::bare(file.url.as_str())),
            path: file.meta.location.clone(),
        };
        if let Some(cached) = cache.as_ref().and_then(|cache| cache.get(&path))
            && cached.is_valid_for(&file.meta, &self.fingerprint)
        {
            return Ok(Arc::clone(&cached.statistics));
        }
        let schema = Arc::clone(self.columns.file_schema());
        let statistics = Arc::new(parquet(state).infer_stats(state, &file.store, schema, &file.meta).await?);
        if let Some(cache) = cache {
            let (meta, print) = (file.meta.clone(), Arc::clone(&self.fingerprint));
            cache.put(&path, CachedFileMetadata::new(meta, print, Arc::clone(&statistics), None));
        }
        Ok(statistics)
    }

    /// The scan of files of one store, in their order.
    fn scan_store(
        &self,
        state: &dyn Session,
        files: Vec<(Listed, PartitionedFile)>,
        inexact: bool,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Some((first, _)) = files.first() else {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        };
        let base = first.full.strip_suffix(first.meta.location.as_ref()).unwrap_or_default().to_string();
        let url = first.url.clone();
        let source = self.source(state, first);
        let guard = Guard { base, skipped: self.options.ignore_errors.then(|| Arc::clone(&self.skipped)) };
        // Not by DataFusion's `split_files`, which sorts them by their paths first.
        let wanted = self.options.parallelism.unwrap_or_else(|| state.config().target_partitions());
        let files: Vec<PartitionedFile> = files.into_iter().map(|(_, file)| file).collect();
        let runs = files.len().min(wanted.max(1));
        let bound = |run: usize| run * files.len() / runs;
        let groups = (0..runs).map(|run| FileGroup::new(files[bound(run)..bound(run + 1)].to_vec())).collect();
        // A file that is skipped has no rows, whatever its statistics say.
        let inexact = inexact || self.options.ignore_errors;
        let (groups, statistics) = compute_all_files_statistics(groups, self.schema(), true, inexact)?;
        let config = FileScanConfigBuilder::new(url, GuardedSource::wrap(source, guard))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        // Files that are fewer are read in parts, however small: that is what was asked for.
        if self.options.parallelism.is_some_and(|wanted| wanted > config.file_groups.len())
            && let Some(parts) = config.repartitioned(wanted, 0, None)?
        {
            return Ok(Arc::new(DataSourceExec::new(parts)));
        }
        Ok(DataSourceExec::from_data_source(config))
    }

    fn source(&self, state: &dyn Session, file: &Listed) -> Arc<dyn FileSource> {
        let rows = |decode| -> Arc<dyn FileSource> {
            Arc::new(RowSource::new(decode, self.options.compression, self.columns.clone(), self.is_numbered()))
        };
        match &self.reader {
            Reader::Parquet => {
                let options = state.default_table_options().parquet;
                let hint = options.global.metadata_size_hint;
                let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
                let factory = CachedParquetFileReaderFactory::new(Arc::clone(&file.store), cache);
                let source = ParquetSource::new(self.columns.clone())
                    .with_table_parquet_options(options)
                    .with_parquet_file_reader_factory(Arc::new(factory));
                Arc::new(match hint {
                    Some(hint) => source.with_metadata_size_hint(hint),
                    None => source,
                })
            }
            Reader::Csv(dialect) => rows(Decode::Csv(Arc::clone(dialect))),
            Reader::Json(_) => rows(Decode::Json),
            Reader::Ipc => rows(Decode::Ipc),
            Reader::Text => rows(Decode::Text),
            Reader::Binary => rows(Decode::Binary),
            Reader::Numpy => rows(Decode::Numpy),
        }
    }
}

pub(crate) fn key(file: &Listed) -> (String, Path) {
    (file.url.as_str().to_string(), file.meta.location.clone())
}

/// A file's statistics with those of its partition columns, each of which has one value in all of the file.
fn with_partition_values(statistics: &Statistics, values: &[ScalarValue]) -> Statistics {
    let mut all = statistics.clone();
    for value in values {
        let known = if value.is_null() { Precision::Absent } else { Precision::Exact(value.clone()) };
        let width = value.data_type().primitive_width();
        all.column_statistics.push(ColumnStatistics {
            null_count: if value.is_null() { all.num_rows } else { Precision::Exact(0) },
            max_value: known.clone(),
            min_value: known,
            sum_value: Precision::Absent,
            distinct_count: Precision::Exact(usize::from(!value.is_null())),
            byte_size: width.map_or(Precision::Absent, |width| all.num_rows.multiply(&Precision::Exact(width))),
        });
    }
    all
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.columns.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        match self.plan(state, projection, filters, limit).await.map_err(from_datafusion) {
            // A writer may have put other files in their place since they were listed.
            Err(error) if error.kind() == ErrorKind::NotFound => self.plan(state, projection, filters, limit).await,
            planned => planned.map_err(to_datafusion),
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let columns: Vec<FieldRef> = self.columns.table_partition_cols().iter().cloned().collect();
        let support = |filter: &&Expr| match self.reader {
            _ if prune::decides(filter, &columns) => TableProviderFilterPushDown::Exact,
            Reader::Parquet => TableProviderFilterPushDown::Inexact,
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }
}
