//! `PortableTable`: a table of another language's that can leave its process.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use sheaf_core::Result;

/// A table with its bytes, of which a [`super::FunctionDecoder`] makes it again where a dataset goes.
pub struct PortableTable {
    table: Arc<dyn TableProvider>,
    to_bytes: Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync>,
}

impl PortableTable {
    /// This table, of these bytes, which are asked for when a dataset over it is written down.
    pub fn new(table: Arc<dyn TableProvider>, to_bytes: impl Fn() -> Result<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self { table, to_bytes: Box::new(to_bytes) }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        (self.to_bytes)()
    }
}

impl fmt::Debug for PortableTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PortableTable").field(&self.table).finish()
    }
}

#[async_trait]
impl TableProvider for PortableTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        self.table.scan(state, projection, filters, limit).await
    }
}
