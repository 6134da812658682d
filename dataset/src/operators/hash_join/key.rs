//! `MergeKey`: a join key as bytes that sort and compare as the key does.
//!
//! DataFusion's sort-merge join compares only some types, and takes floats apart that a hash join takes together
//! (-0.0 and 0.0), or panics over them (NaN). Keys of all other types are compared as rows in Arrow's row format.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, BinaryArray};
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::common::plan_err;
use datafusion::common::utils::normalize_float_zero;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::{PhysicalExpr, PhysicalExprRef};

/// `key` itself when a merge compares its type well, otherwise as bytes.
pub(super) fn merge_key(key: &PhysicalExprRef, schema: &Schema) -> Result<PhysicalExprRef> {
    let compares = match key.data_type(schema)? {
        DataType::Timestamp(_, zone) => zone.is_none(),
        DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::Date32
        | DataType::Date64
        | DataType::Decimal128(_, _) => true,
        other => other.is_integer(),
    };
    Ok(if compares { Arc::clone(key) } else { Arc::new(MergeKey { key: Arc::clone(key) }) })
}

#[derive(Debug, Eq)]
struct MergeKey {
    key: PhysicalExprRef,
}

// By hand, for a derived one would move out of the reference.
impl PartialEq for MergeKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.eq(&other.key)
    }
}

impl Hash for MergeKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for MergeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "merge_key({})", self.key)
    }
}

impl PhysicalExpr for MergeKey {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.key.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let key = normalize_float_zero(&self.key.evaluate(batch)?.into_array(batch.num_rows())?);
        let nulls = key.logical_nulls();
        let converter = RowConverter::new(vec![SortField::new(key.data_type().clone())])?;
        let (offsets, bytes, _) = converter.convert_columns(&[key])?.try_into_binary()?.into_parts();
        Ok(ColumnarValue::Array(Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)))
    }

    fn children(&self) -> Vec<&PhysicalExprRef> {
        vec![&self.key]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<PhysicalExprRef>) -> Result<PhysicalExprRef> {
        match (children.pop(), children.is_empty()) {
            (Some(key), true) => Ok(Arc::new(Self { key })),
            _ => plan_err!("merge_key has one argument"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("merge_key(")?;
        self.key.fmt_sql(f)?;
        f.write_str(")")
    }
}
