//! What `persist()` keeps on the cluster.

use std::sync::Arc;

use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};
use futures::FutureExt;
use sheaf_core::ids::ObjectId;
use sheaf_core::{Error, ErrorKind, Result};

use super::durable::Query;
use super::told::Failed;
use crate::operators::stored::{Own, StoredObject, StoredTable};

impl Query {
    /// Runs it, and leaves its rows where they were made. What was lost meanwhile and would not be made again as it was
    /// is made anew, with all that came of it.
    pub(super) async fn persisted(self) -> Result<StoredTable> {
        self.until_nothing_is_lost(|| self.persisted_once().boxed()).await
    }

    async fn persisted_once(&self) -> std::result::Result<StoredTable, Failed> {
        let (tasks, results) = self.made().await?;
        let ids: Vec<ObjectId> = results.iter().map(|(object, _)| *object).collect();
        let source = self.source(results)?;
        let mut objects = Vec::new();
        for (id, done) in ids.into_iter().zip(self.keep_done(&source).await) {
            let gone = || Failed::Lost(Error::new(ErrorKind::Io, format!("{id}, a result of the query, is gone")));
            objects.push(StoredObject { id, parts: done.ok_or_else(gone)?.parts });
        }
        let reader = self.reader();
        let own = Own {
            is_in_order: reader.is_determined,
            reader: Some(Arc::new(reader)),
            // What is read of other objects is held by the plan.
            _keeps: Arc::new((tasks, Arc::clone(&self.shipped))),
        };
        Ok(StoredTable::new(Arc::clone(&self.schema), objects).with(own))
    }
}

/// Whether a plan does nothing but read what lies on the cluster, and choose columns and the first rows: no task is needed
/// for that.
pub(super) fn only_reads(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = source_as_provider(&scan.source).ok();
            let stored = table.as_ref().and_then(|table| table.downcast_ref::<StoredTable>());
            scan.filters.is_empty() && stored.is_some_and(StoredTable::is_read_here)
        }
        LogicalPlan::Projection(projection) => {
            let is_column = |expr: &Expr| matches!(expr.clone().unalias(), Expr::Column(_));
            projection.expr.iter().all(is_column) && only_reads(&projection.input)
        }
        LogicalPlan::Limit(limit) => only_reads(&limit.input),
        LogicalPlan::SubqueryAlias(alias) => only_reads(&alias.input),
        _ => false,
    }
}
