//! What is known of partitions, over the columns that a function returns.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr, RangePartitioning};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::Error;

/// `known` over the columns of `schema`, which have the names of the function's input.
pub(super) fn kept_partitioning(known: &Partitioning, schema: &Schema, function: &str) -> Result<Partitioning> {
    let moved = |key: &Arc<dyn PhysicalExpr>| moved(key, schema, function);
    Ok(match known {
        Partitioning::Hash(keys, partitions) => {
            Partitioning::Hash(keys.iter().map(moved).collect::<Result<_>>()?, *partitions)
        }
        Partitioning::Range(range) => {
            let keys = range.ordering().iter().map(|key| Ok(PhysicalSortExpr::new(moved(&key.expr)?, key.options)));
            match LexOrdering::new(keys.collect::<Result<Vec<_>>>()?) {
                Some(keys) => Partitioning::Range(RangePartitioning::new(keys, range.split_points().to_vec())),
                None => Partitioning::UnknownPartitioning(range.partition_count()),
            }
        }
        other => Partitioning::UnknownPartitioning(other.partition_count()),
    })
}

/// The key with its columns where the function puts them.
fn moved(key: &Arc<dyn PhysicalExpr>, schema: &Schema, function: &str) -> Result<Arc<dyn PhysicalExpr>> {
    let moved = Arc::clone(key).transform(|part| {
        let Some(column) = part.downcast_ref::<Column>() else { return Ok(Transformed::no(part)) };
        match schema.index_of(column.name()) {
            Ok(index) => Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as _)),
            Err(_) => Err(to_datafusion(
                Error::invalid(format!(
                    "the function {function:?} is said to keep the partitioning by {:?}, and returns no such column",
                    column.name()
                ))
                .with_hint("return the key as it came, or leave out keeps_partitioning"),
            )),
        }
    });
    moved.data()
}
