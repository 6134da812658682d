//! Aggregates of the user's over several sets of keys: each row once for each set, with null for the keys that are not
//! in it.
//!
//! DataFusion's own grouping sets tell aggregates nothing of the set, and a function of the user's is given the keys of
//! its group.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, ScalarValue};
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, lit, when};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use crate::aggregates::user;
use crate::dataset::Dataset;

/// The most sets of one dataset, each of which reads every row again. DataFusion allows as many.
const MOST_SETS: usize = 65_535;

/// The keys of each set, by their places among all keys.
pub(super) type KeySets = Vec<Vec<usize>>;

/// All keys, all but the last one, and so on.
pub(super) fn rollup(keys: usize) -> KeySets {
    (0..=keys).rev().map(|keys| (0..keys).collect()).collect()
}

/// Every subset.
pub(super) fn cube(keys: usize) -> Result<KeySets> {
    let sets = u32::try_from(keys).ok().and_then(|keys| 1_usize.checked_shl(keys)).filter(|sets| *sets <= MOST_SETS);
    let Some(sets) = sets else {
        return Err(Error::invalid(format!("a cube of {keys} keys has more than {MOST_SETS} sets of them")));
    };
    Ok((0..sets).map(|set| (0..keys).filter(|key| set >> key & 1 == 0).collect()).collect())
}

/// One row of `aggregates` for each group of each set, after all keys.
pub(super) fn aggregate(dataset: &Dataset, keys: &[Expr], sets: &KeySets, aggregates: &[Expr]) -> Result<Dataset> {
    let sets = Sets { dataset, keys, sets };
    sets.aggregate(aggregates).map_err(from_datafusion)
}

struct Sets<'a> {
    dataset: &'a Dataset,
    keys: &'a [Expr],
    sets: &'a KeySets,
}

impl Sets<'_> {
    fn aggregate(&self, aggregates: &[Expr]) -> datafusion::error::Result<Dataset> {
        let input = self.dataset.logical_plan();
        let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let count = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        let numbers: Vec<ScalarValue> = (0..count).map(|set| ScalarValue::UInt32(Some(set))).collect();
        let all = ScalarValue::List(ScalarValue::new_list(&numbers, &DataType::UInt32, false));
        let named = self.keys.iter().enumerate().map(|(at, key)| key.clone().alias(self.name("key", at)));
        let each = columns.iter().cloned().chain(named).chain([lit(all).alias(self.name("set", 0))]);
        let rows = LogicalPlanBuilder::from(input.clone()).project(each)?;
        let rows = rows.unnest_column(Column::new_unqualified(self.name("set", 0)))?;
        let group = |at| Ok(self.group(at)?.alias(self.name("group", at)));
        let groups = (0..self.keys.len()).map(group).collect::<datafusion::error::Result<Vec<_>>>()?;
        let rows = rows.project(columns.into_iter().chain([self.column("set", 0)]).chain(groups))?;
        let keys: Vec<Expr> = (0..self.keys.len()).map(|at| self.column("group", at)).collect();
        let told = aggregates.iter().map(|aggregate| self.told(aggregate, &keys));
        let told = told.collect::<datafusion::error::Result<Vec<_>>>()?;
        let result: Vec<Expr> =
            told.iter().map(|expr| Expr::Column(Column::new_unqualified(expr.schema_name().to_string()))).collect();
        let rows = rows.aggregate(std::iter::once(self.column("set", 0)).chain(keys.clone()), told)?;
        let keys = keys.into_iter().zip(self.keys).map(|(group, key)| {
            let (relation, name) = key.qualified_name();
            group.alias_qualified(relation, name)
        });
        let plan = rows.project(keys.chain(result))?.build()?;
        Ok(Dataset::new(self.dataset.session().clone(), plan))
    }

    /// The name of a column that the input does not have.
    fn name(&self, what: &str, at: usize) -> String {
        let mut name = format!("__{what}_{at}");
        while self.dataset.columns().contains(&name) {
            name.insert(0, '_');
        }
        name
    }

    fn column(&self, what: &str, at: usize) -> Expr {
        Expr::Column(Column::new_unqualified(self.name(what, at)))
    }

    /// Whether a row stands for a set that has this key.
    fn is_in(&self, key: usize) -> Expr {
        let with = self.sets.iter().zip(0_u32..).filter(|(set, _)| set.contains(&key));
        self.column("set", 0).in_list(with.map(|(_, number)| lit(number)).collect(), false)
    }

    /// The key of a row in the set that it stands for.
    fn group(&self, key: usize) -> datafusion::error::Result<Expr> {
        let null = ScalarValue::try_new_null(&self.keys[key].get_type(self.dataset.logical_plan().schema())?)?;
        when(self.is_in(key), self.column("key", key)).otherwise(lit(null))
    }

    /// The aggregate with what it asks of keys, answered by those of the set.
    fn told(&self, aggregate: &Expr, groups: &[Expr]) -> datafusion::error::Result<Expr> {
        let (relation, name) = aggregate.qualified_name();
        let told = aggregate.clone().transform_down(|node| match node {
            Expr::AggregateFunction(call) if call.func.name() == "grouping" => {
                self.grouping(&call).map(Transformed::yes)
            }
            Expr::AggregateFunction(call) => Ok(user::with_keys(call, groups)),
            node => Ok(Transformed::no(node)),
        });
        Ok(told.data()?.unalias().alias_qualified(relation, name))
    }

    /// A bit for each of the keys, the last one lowest: whether the group is of all their values.
    fn grouping(&self, call: &AggregateFunction) -> datafusion::error::Result<Expr> {
        let mut bits = lit(0_i32);
        for asked in &call.params.args {
            let Some(key) = self.keys.iter().position(|key| key == asked) else {
                return datafusion::common::plan_err!("grouping is of keys, and {asked} is none");
            };
            let bit = when(self.is_in(key), lit(0_i32)).otherwise(lit(1_i32))?;
            bits = bits * lit(2_i32) + bit;
        }
        Ok(max(bits))
    }
}

/// Whether any of these asks a function of the user's.
pub(super) fn asks_user(aggregates: &[Expr]) -> Result<bool> {
    let is_users = |expr: &Expr| matches!(expr, Expr::AggregateFunction(call) if user::is_call(&call.func));
    for aggregate in aggregates {
        if aggregate.exists(|expr| Ok(is_users(expr))).map_err(from_datafusion)? {
            return Ok(true);
        }
    }
    Ok(false)
}
