//! `Sides`: two sorted inputs, merged with the rows of one key kept of the side that has fewer of them.
//!
//! DataFusion's sort-merge join keeps all rows of one key of one side, and reads them back into memory when it had
//! spilled them, without asking for it. Its type decides which side: the right one, but of a right join the left one.
//! An outer join that should keep the other one runs as a full join of the sides swapped, from which the rows that it
//! should not have are dropped: those without the mark that every row of the preserved side has.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinSide, JoinType, NullEquality, ScalarValue};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::{Column, IsNotNullExpr, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::projection::ProjectionExec;

/// What is merged.
pub(super) struct Sides {
    pub(super) left: Arc<dyn ExecutionPlan>,
    pub(super) right: Arc<dyn ExecutionPlan>,
    /// The keys that both are sorted by.
    pub(super) on: Vec<(PhysicalExprRef, PhysicalExprRef)>,
    pub(super) filter: Option<JoinFilter>,
    pub(super) nulls: NullEquality,
}

impl Sides {
    /// A join of type `how`; its type decides which side is kept.
    pub(super) fn merge(self, how: JoinType) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = self.filter.as_ref().map(merge_filter).transpose()?;
        let order = vec![SortOptions::default(); self.on.len()];
        Ok(Arc::new(SortMergeJoinExec::try_new(self.left, self.right, self.on, filter, how, order, self.nulls)?))
    }

    /// An inner or outer join that keeps rows of the right side.
    pub(super) fn merge_keeping_right(self, how: JoinType) -> Result<Arc<dyn ExecutionPlan>> {
        if how != JoinType::Right {
            return self.merge(how);
        }
        let (left, right) = self.widths();
        let right_side = marked(&self.right)?;
        let merge = Self { right: right_side, ..self }.merge(JoinType::Full)?;
        having(left + right, merge)
    }

    /// An inner or outer join that keeps rows of the left side: the one that keeps the right side, of the sides
    /// swapped.
    pub(super) fn merge_keeping_left(self, how: JoinType) -> Result<Arc<dyn ExecutionPlan>> {
        let (left, right) = self.widths();
        let back: Vec<usize> = (right..right + left).chain(0..right).collect();
        let merge = self.swap().merge_keeping_right(how.swap())?;
        Ok(Arc::new(ProjectionExec::try_new(columns(&merge, &back), merge)?))
    }

    fn widths(&self) -> (usize, usize) {
        (self.left.schema().fields().len(), self.right.schema().fields().len())
    }

    fn swap(self) -> Self {
        Self {
            left: self.right,
            right: self.left,
            on: self.on.into_iter().map(|(left, right)| (right, left)).collect(),
            filter: self.filter.map(|filter| filter.swap()),
            nulls: self.nulls,
        }
    }
}

/// `plan` with one column more, which is never null.
fn marked(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut all = columns(plan, &(0..plan.schema().fields().len()).collect::<Vec<_>>());
    all.push((Arc::new(Literal::new(ScalarValue::Boolean(Some(true)))), "mark".into()));
    Ok(Arc::new(ProjectionExec::try_new(all, Arc::clone(plan))?))
}

/// The rows of `merge` that have the mark, with the columns before it.
fn having(mark: usize, merge: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let has_mark = Arc::new(IsNotNullExpr::new(Arc::new(Column::new("mark", mark))));
    let rows: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(has_mark, merge)?);
    Ok(Arc::new(ProjectionExec::try_new(columns(&rows, &(0..mark).collect::<Vec<_>>()), rows)?))
}

/// The filter as a merge evaluates it: on the left side's columns and then the right side's, whatever the order in
/// which it names them, and on the rows without a match too, which have nulls in the other side's columns.
fn merge_filter(filter: &JoinFilter) -> Result<JoinFilter> {
    let sides = filter.column_indices();
    let mut order: Vec<usize> = (0..sides.len()).collect();
    order.sort_by_key(|&index| sides[index].side != JoinSide::Left);
    let schema = filter.schema();
    let fields: Vec<_> = order.iter().map(|&index| schema.field(index).clone().with_nullable(true)).collect();
    let expression = Arc::clone(filter.expression()).transform_up(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let place = order.iter().position(|&index| index == column.index()).unwrap_or(column.index());
        Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as PhysicalExprRef))
    })?;
    let sides = order.iter().map(|&index| sides[index].clone()).collect();
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    Ok(JoinFilter::new(expression.data, sides, Arc::new(schema)))
}

/// The columns of `plan` at these places.
pub(super) fn columns(plan: &Arc<dyn ExecutionPlan>, projection: &[usize]) -> Vec<(PhysicalExprRef, String)> {
    let schema = plan.schema();
    let column = |index: &usize| {
        let name = schema.field(*index).name();
        (Arc::new(Column::new(name, *index)) as PhysicalExprRef, name.clone())
    };
    projection.iter().map(column).collect()
}
