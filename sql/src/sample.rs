//! `TABLESAMPLE`, which DataFusion 55 reads and leaves out: rows drawn at random, as the verb `sample` draws them.

use std::hash::{BuildHasher, RandomState};

use datafusion::error::Result;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::{
    Expr, TableFactor, TableSample, TableSampleKind, TableSampleMethod, TableSampleUnit, Value,
};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::{Error, ErrorKind};
use sheaf_dataset::{Dataset, SampleOptions, SampleSize, Session};

/// Plans tables that have a sample clause.
pub(crate) struct Samples {
    pub(crate) session: Session,
}

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Samples")
    }
}

impl RelationPlanner for Samples {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let sample = match &mut relation {
            TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } => sample.take(),
            _ => None,
        };
        let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let (size, seed) = drawn(&sample).map_err(to_datafusion)?;
        let table = Dataset::new(self.session.clone(), context.plan(relation)?);
        let options = SampleOptions { seed, ..SampleOptions::default() };
        let drawn = table.sample(size, &options).map_err(to_datafusion)?;
        // The table has its alias below.
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(drawn.logical_plan().clone(), None))))
    }
}

/// How much a clause draws, and by which seed.
fn drawn(sample: &TableSample) -> sheaf_core::Result<(SampleSize, u64)> {
    let unsupported = |what: &str| {
        Error::new(ErrorKind::Unsupported, format!("{what} in {sample}")).with_hint(
            "write TABLESAMPLE BERNOULLI (10) for ten percent of the rows, or TABLESAMPLE (10 ROWS) for ten of them",
        )
    };
    if let Some(TableSampleMethod::System | TableSampleMethod::Block) = sample.name {
        return Err(unsupported("samples of blocks"));
    }
    if sample.bucket.is_some() || sample.offset.is_some() {
        return Err(unsupported("buckets and offsets"));
    }
    let quantity = sample.quantity.as_ref().ok_or_else(|| unsupported("no quantity"))?;
    let amount = match &quantity.value {
        Expr::Value(value) => number(&value.value),
        _ => None,
    };
    let amount = amount.ok_or_else(|| unsupported("a quantity that is no number"))?;
    let size = match quantity.unit {
        Some(TableSampleUnit::Rows) => {
            let rows = amount.parse().map_err(|_| Error::invalid(format!("{amount} is no number of rows")))?;
            SampleSize::Rows(rows)
        }
        // Without a unit it is a percentage, as the standard says.
        Some(TableSampleUnit::Percent) | None => {
            let percent = amount.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
            let percent = percent.ok_or_else(|| Error::invalid(format!("{amount} percent in {sample}")));
            SampleSize::Fraction(percent.map_err(|error| error.with_hint("a sample is 0 to 100 percent"))? / 100.0)
        }
    };
    let seed = match &sample.seed {
        Some(seed) => {
            let seed = number(&seed.value.value).and_then(|seed| seed.parse().ok());
            seed.ok_or_else(|| Error::invalid(format!("the seed in {sample} is a whole number from 0 on")))?
        }
        // The standard library seeds its hash tables from the system's random numbers.
        None => RandomState::new().hash_one(0_u64),
    };
    Ok((size, seed))
}

fn number(value: &Value) -> Option<&str> {
    match value {
        Value::Number(number, _) => Some(number),
        _ => None,
    }
}
