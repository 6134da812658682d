//! What one file says about itself before it is read: its schema, and how it is laid out.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::physical_plan::metrics::Count;
use sheaf_core::{Error, Result};

use super::bytes::Input;
use super::csv::{self, Dialect};
use super::guard::name_file;
use super::listing::Listed;
use super::scan::Layout;
use super::{binary, ipc, json, numpy, text};
use crate::error::from_datafusion;
use crate::format::{Compression, Format};

/// A file's schema and layout.
#[derive(Debug, Clone)]
pub(crate) struct Inspected {
    pub(crate) schema: SchemaRef,
    pub(crate) layout: Option<Layout>,
}

/// A format, ready to read: its options are checked and compiled.
#[derive(Debug, Clone)]
pub(crate) enum Reader {
    Parquet,
    Csv(Arc<Dialect>),
    Json(crate::format::JsonOptions),
    Ipc,
    Text,
    Binary,
    Numpy,
}

impl Reader {
    pub(crate) fn new(format: Format) -> Result<Self> {
        Ok(match format {
            Format::Parquet => Self::Parquet,
            Format::Csv(options) => Self::Csv(Arc::new(Dialect::new(options)?)),
            Format::Json(options) => Self::Json(options),
            Format::Ipc => Self::Ipc,
            Format::Text => Self::Text,
            Format::Binary => Self::Binary,
            Format::Numpy => Self::Numpy,
        })
    }

    /// Whether values are text in the files, so that a column of mixed types is text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Csv(_))
    }

    /// Whether the scan needs what inspection finds in every file.
    pub(crate) fn needs_layout(&self) -> bool {
        matches!(self, Self::Csv(_) | Self::Ipc)
    }

    /// Looks into a file.
    ///
    /// # Errors
    /// Says the file's name; of the kind [`sheaf_core::ErrorKind::CorruptFile`] when it is not what it should be.
    pub(crate) async fn inspect(
        &self,
        state: &dyn Session,
        file: &Listed,
        compression: Option<Compression>,
    ) -> Result<Inspected> {
        self.try_inspect(state, file, compression).await.map_err(|error| name_file(&file.full, from_datafusion(error)))
    }

    async fn try_inspect(
        &self,
        state: &dyn Session,
        file: &Listed,
        compression: Option<Compression>,
    ) -> datafusion::error::Result<Inspected> {
        let location = file.meta.location.clone();
        let input = Input {
            store: Arc::clone(&file.store),
            size: file.meta.size,
            compression: compression.unwrap_or_else(|| Compression::from_path(location.as_ref())),
            location,
            scanned: Count::new(),
        };
        let plain = |schema| Inspected { schema, layout: None };
        Ok(match self {
            Self::Parquet => {
                let objects = std::slice::from_ref(&file.meta);
                plain(parquet(state).infer_schema(state, &file.store, objects).await?)
            }
            Self::Csv(dialect) => {
                let (schema, layout) = csv::infer(&input, dialect).await?;
                Inspected { schema, layout: Some(layout) }
            }
            Self::Json(options) => plain(json::infer(&input, options).await?),
            Self::Ipc => {
                let (schema, splits) = ipc::infer(&input).await?;
                Inspected { schema, layout: Some(Layout { columns: None, splits }) }
            }
            Self::Text => plain(text::schema()),
            Self::Binary => plain(binary::schema()),
            Self::Numpy => plain(numpy::infer(&input).await?),
        })
    }
}

/// Parquet with the session's options.
pub(crate) fn parquet(state: &dyn Session) -> ParquetFormat {
    ParquetFormat::new().with_options(state.default_table_options().parquet)
}

/// Checks that types were given for columns that exist.
pub(crate) fn check_dtypes(reader: &Reader, schema: &SchemaRef) -> Result<()> {
    let Reader::Csv(dialect) = reader else { return Ok(()) };
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    match dialect.options.dtypes.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => {
            let error: Error = crate::error::unknown_column_error(name, &names);
            Err(error.with_context("dtypes"))
        }
        None => Ok(()),
    }
}
