//! Verbs over rows by their places: numbers for them, rows of two datasets side by side, the first and the last of
//! several alike.

use std::collections::HashSet;

use datafusion::functions_window::expr_fn::{lead, row_number};
use datafusion::logical_expr::{Expr, ExprFunctionExt, SortExpr};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::expr::{col, lit};
use crate::operators::node::OperatorNode;
use crate::operators::row_index::{Numbering, RowIndex};
use crate::operators::zip::Zip;
use crate::verbs::kinds;
use crate::verbs::nulls::unused;
use crate::verbs::sets::one_zero;

/// Which of the rows that are alike [`Dataset::drop_duplicates`] keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Any one of them: no order is looked at.
    #[default]
    Any,
    /// The first one.
    First,
    /// The last one.
    Last,
    /// Only rows that no other is like.
    None,
}

impl Dataset {
    /// Numbers the rows from `offset` on, in their order, in a first column of 64-bit integers. Keeps that order.
    ///
    /// The rows become one partition and stream by: none is held.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a name that is taken, and a negative offset.
    pub fn with_row_index(&self, name: &str, offset: i64) -> Result<Self> {
        if offset < 0 {
            return Err(Error::invalid(format!("rows cannot be numbered from {offset} on"))
                .with_hint("give an offset of zero or more"));
        }
        self.numbered(name, Numbering::From(offset))
    }

    /// Gives each row a number of its own that grows with the rows, in a first column of 64-bit integers: that of its
    /// partition times 2³³, and its place there. Partitions and order stay as they are, and need not wait for one
    /// another.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a name that is taken.
    pub fn monotonically_increasing_id(&self, name: &str) -> Result<Self> {
        self.numbered(name, Numbering::ByPartition)
    }

    fn numbered(&self, name: &str, numbering: Numbering) -> Result<Self> {
        if self.columns().iter().any(|column| column == name) {
            return Err(Error::invalid(format!("there is a column {name:?} already"))
                .with_hint("give another name for the numbers of the rows"));
        }
        self.through(RowIndex { name: name.to_string(), numbering })
    }

    /// The rows of both side by side, the first with the first, in their order; a column of the other whose name is
    /// taken gets the suffix.
    ///
    /// Both stream. That one side has more rows than the other is found at the end of the shorter one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when names are taken also with the suffix.
    pub fn zip(&self, other: &Self, suffix: &str) -> Result<Self> {
        let own = self.columns();
        let mut taken: HashSet<String> = own.iter().cloned().collect();
        let mut renamed = Vec::new();
        for name in other.columns() {
            let new = if own.contains(&name) { format!("{name}{suffix}") } else { name.clone() };
            if !taken.insert(new.clone()) {
                return Err(Error::invalid(format!("the zip would have two columns {new:?}"))
                    .with_hint("choose another suffix, or rename or drop one of them before"));
            }
            renamed.push(col(name).alias(new));
        }
        // Of no table from here on: both sides may be of the same.
        let left = self.select(own.iter().map(|name| col(name).alias(name)))?;
        let right = other.select(renamed)?;
        let sides = [left.logical_plan().clone(), right.logical_plan().clone()];
        let node = OperatorNode::try_new(Zip, sides).map_err(from_datafusion)?;
        Ok(self.of_node(node))
    }

    /// One of the rows that are alike in these columns, in all for none. Nulls are alike, and so are NaNs. Rows come in
    /// no order.
    ///
    /// The first and the last are by `order_by`, and where that does not tell by the order of rows.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownColumn`]; [`ErrorKind::InvalidInput`] for an order with a `keep` that does not look at it.
    pub fn drop_duplicates(&self, subset: &[&str], keep: Keep, order_by: Vec<SortExpr>) -> Result<Self> {
        self.check_columns(subset.iter().copied())?;
        if !order_by.is_empty() && !matches!(keep, Keep::First | Keep::Last) {
            return Err(Error::invalid("drop_duplicates looks at no order unless it keeps the first or the last")
                .with_hint("give keep=\"first\" or keep=\"last\", or leave order_by out"));
        }
        let columns = self.columns();
        let alike = match subset {
            [] => self.alike(columns.iter().map(String::as_str))?,
            subset => self.alike(subset.iter().copied())?,
        };
        let number = unused("row_index", &columns);
        let (place, next) = (unused("place", &columns), unused("next", &columns));
        let counted = || row_number().partition_by(alike.clone());
        let chosen = match keep {
            Keep::Any => return self.distinct(subset),
            Keep::None => {
                // A row with none before it and none after: unlike a count, this holds no rows.
                // They are in this order for the partitions' sake already.
                let order = alike.iter().map(|key| key.clone().sort(true, false)).collect();
                let following = lead(lit(true), Some(1), None).partition_by(alike.clone()).order_by(order).build();
                let following = following.map_err(from_datafusion)?;
                let places = [(place.clone(), counted().build().map_err(from_datafusion)?), (next.clone(), following)];
                self.with_columns(places)?.filter(col(&place).eq(lit(1_u64)).and(col(&next).is_null()))?
            }
            Keep::First | Keep::Last => {
                let rows = SortExpr::new(col(&number), true, false);
                let order = order_by.into_iter().chain([rows]);
                let order = order.map(|key| if keep == Keep::Last { reversed(key) } else { key }).collect();
                let first = counted().order_by(order).build().map_err(from_datafusion)?;
                let numbered = self.with_row_index(&number, 0)?;
                numbered.with_columns([(place.clone(), first)])?.filter(col(&place).eq(lit(1_u64)))?
            }
        };
        chosen.select(columns.iter().map(col))
    }

    /// The columns as they are compared.
    fn alike<'a>(&self, columns: impl Iterator<Item = &'a str>) -> Result<Vec<Expr>> {
        let schema = self.schema();
        let compared = columns.map(|name| match schema.field_with_name(name) {
            Ok(field) if kinds::is_float(field.data_type()) => one_zero(col(name)),
            _ => Ok(col(name)),
        });
        compared.collect()
    }
}

fn reversed(key: SortExpr) -> SortExpr {
    SortExpr::new(key.expr, !key.asc, !key.nulls_first)
}

impl std::str::FromStr for Keep {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "any" => Ok(Self::Any),
            "first" => Ok(Self::First),
            "last" => Ok(Self::Last),
            "none" => Ok(Self::None),
            _ => Err(Error::new(ErrorKind::InvalidInput, format!("drop_duplicates cannot keep {name:?}"))
                .with_hint("it keeps any, first, last or none")),
        }
    }
}
