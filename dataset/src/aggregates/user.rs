//! Aggregates of the user's: states that a function of another language keeps, one for each group.
//!
//! DataFusion aggregates partially before it exchanges, merges after, and writes states down when memory is short: so
//! states become bytes, and can be read again. A function is called once for the rows of all groups that came together,
//! not for each row.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::{prep_null_mask_filter, take_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use sheaf_connectors::error::to_datafusion;

use super::all_values;
use crate::encoding::no_bytes;

/// The column that says which group a row is of: the last one of the batches that states are given.
const GROUP: &str = "__group";

/// An aggregate function of the user's.
pub trait UserAggregate: Send + Sync + 'static {
    /// The name that plans and errors print.
    fn name(&self) -> &str;

    /// States for groups, none yet; their results are of this type.
    ///
    /// # Errors
    /// Whatever the function meets.
    fn start(&self, result: &DataType) -> sheaf_core::Result<Box<dyn GroupStates>>;

    /// Nobody waits any more for the calls that run now; a function that can be interrupted may be.
    fn abandoned(&self) {}

    /// The function as bytes for another process, of which a `FunctionDecoder` makes it again.
    ///
    /// # Errors
    /// For a function that cannot leave its process, as those of Rust unless they say otherwise.
    fn to_bytes(&self) -> sheaf_core::Result<Vec<u8>> {
        Err(no_bytes(self.name()))
    }
}

/// The states of groups, which are numbered from 0. A group without rows has no state.
pub trait GroupStates: Send + Sync + 'static {
    /// Rows, those of a group together: the aggregate's columns, then the keys, and last the number of the group.
    /// Returns the bytes that the states take now.
    ///
    /// # Errors
    /// Whatever the function meets.
    fn update(&mut self, rows: RecordBatch) -> sheaf_core::Result<usize>;

    /// States as [`GroupStates::states`] gave them, and last the number of the group. Returns the bytes that the states
    /// take now.
    ///
    /// # Errors
    /// Whatever the function meets.
    fn merge(&mut self, states: RecordBatch) -> sheaf_core::Result<usize>;

    /// The states of the first groups as bytes, null for none.
    ///
    /// # Errors
    /// Whatever the function meets.
    fn states(&mut self, groups: usize) -> sheaf_core::Result<ArrayRef>;

    /// The results of the first groups.
    ///
    /// # Errors
    /// Whatever the function meets.
    fn results(&mut self, groups: usize) -> sheaf_core::Result<ArrayRef>;

    /// Drops the first groups; those after them are numbered from 0 again. Returns the bytes that their states take.
    ///
    /// # Errors
    /// Whatever the function meets.
    fn forget(&mut self, groups: usize) -> sheaf_core::Result<usize>;
}

/// The aggregate of these columns, in groups of these keys, with results of this type.
pub(crate) fn call(
    function: &Arc<dyn UserAggregate>,
    columns: Vec<Expr>,
    keys: Vec<Expr>,
    names: Vec<String>,
    result: DataType,
) -> Expr {
    self::function(function, names, result).call(columns.into_iter().chain(keys).collect())
}

/// The engine's function that calls the user's with arguments of these names.
pub(crate) fn function(function: &Arc<dyn UserAggregate>, names: Vec<String>, result: DataType) -> AggregateUDF {
    let signature = match names.len() {
        0 => Signature::nullary(Volatility::Volatile),
        given => Signature::any(given, Volatility::Volatile),
    };
    AggregateUDF::new_from_impl(UserCall { function: Arc::clone(function), names, result, signature })
}

/// The user's function that one of the engine's calls, if it does, with what [`function`] made it of.
pub(crate) fn of(function: &AggregateUDF) -> Option<(&Arc<dyn UserAggregate>, &[String], &DataType)> {
    let call = function.inner().downcast_ref::<UserCall>()?;
    Some((&call.function, &call.names, &call.result))
}

/// What the function makes of these rows of one group.
pub(crate) fn of_one_group(
    function: &Arc<dyn UserAggregate>,
    rows: &RecordBatch,
    names: &[String],
) -> sheaf_core::Result<ArrayRef> {
    let columns = rows.columns().to_vec();
    let schema = schema(names, rows.schema_ref().fields());
    let groups = vec![0; rows.num_rows()];
    let mut states = function.start(&DataType::Null)?;
    if rows.num_rows() > 0 {
        let batch = in_groups(&schema, columns, &groups, None).map_err(sheaf_connectors::error::from_datafusion)?;
        states.update(batch)?;
    }
    states.results(1)
}

/// Whether a function is the user's.
pub(crate) fn is_call(function: &AggregateUDF) -> bool {
    function.inner().downcast_ref::<UserCall>().is_some()
}

/// The aggregate with other keys, if it is the user's.
pub(crate) fn with_keys(mut aggregate: AggregateFunction, keys: &[Expr]) -> Transformed<Expr> {
    let is_users = is_call(&aggregate.func);
    if is_users {
        let columns = aggregate.params.args.len().saturating_sub(keys.len());
        aggregate.params.args.truncate(columns);
        aggregate.params.args.extend_from_slice(keys);
    }
    Transformed::new_transformed(Expr::AggregateFunction(aggregate), is_users)
}

/// Tells an aggregate, if it is the user's, that nobody waits for the calls which run now.
pub(crate) fn abandon(aggregate: &AggregateFunctionExpr) {
    if let Some(call) = aggregate.fun().inner().downcast_ref::<UserCall>() {
        call.function.abandoned();
    }
}

struct UserCall {
    function: Arc<dyn UserAggregate>,
    names: Vec<String>,
    result: DataType,
    signature: Signature,
}

impl fmt::Debug for UserCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCall").field("function", &self.function.name()).finish_non_exhaustive()
    }
}

// Two calls are the same when they call the same function object.
impl PartialEq for UserCall {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function) && self.names == other.names && self.result == other.result
    }
}

impl Eq for UserCall {}

impl Hash for UserCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.function).cast::<()>().hash(state);
        self.names.hash(state);
    }
}

impl AggregateUDFImpl for UserCall {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "state"), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Whole(self.groups(&args)?)))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Sliding { whole: Whole(self.groups(&args)?), frame: VecDeque::new() }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups(&args)?))
    }
}

impl UserCall {
    fn groups(&self, args: &AccumulatorArgs<'_>) -> Result<Groups> {
        all_values(self.name(), args)?;
        let states = self.function.start(&self.result).map_err(to_datafusion)?;
        Ok(Groups {
            function: Arc::clone(&self.function),
            result: self.result.clone(),
            rows: schema(&self.names, args.expr_fields),
            states,
            groups: 0,
            bytes: 0,
        })
    }
}

/// The columns of [`GroupStates::update`].
fn schema(names: &[String], fields: &[FieldRef]) -> SchemaRef {
    let named = names.iter().zip(fields);
    let mut fields: Vec<Field> = named.map(|(name, field)| Field::new(name, field.data_type().clone(), true)).collect();
    fields.push(Field::new(GROUP, DataType::UInt64, false));
    Arc::new(Schema::new(fields))
}

/// Rows with the number of their group, those of one together, without those that a filter leaves out.
fn in_groups(
    schema: &SchemaRef,
    mut columns: Vec<ArrayRef>,
    groups: &[usize],
    filter: Option<&BooleanArray>,
) -> Result<RecordBatch> {
    if let Some(filter) = filter {
        let kept = if filter.null_count() > 0 { prep_null_mask_filter(filter) } else { filter.clone() };
        columns = columns.iter().map(|column| arrow::compute::filter(column, &kept)).collect::<Result<_, _>>()?;
        let groups: Vec<usize> = kept.values().set_indices().filter_map(|row| groups.get(row).copied()).collect();
        return in_groups(schema, columns, &groups, None);
    }
    columns.push(Arc::new(groups.iter().map(|group| *group as u64).collect::<UInt64Array>()));
    let rows = RecordBatchOptions::new().with_row_count(Some(groups.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)?;
    let batch = if groups.is_sorted() {
        batch
    } else {
        let mut order: Vec<u64> = (0..groups.len() as u64).collect();
        order.sort_by_key(|row| usize::try_from(*row).ok().and_then(|row| groups.get(row)));
        take_record_batch(&batch, &UInt64Array::from(order))?
    };
    Ok(batch)
}

fn states_in_groups(states: &[ArrayRef], groups: &[usize]) -> Result<RecordBatch> {
    let [states] = states else { return internal_err!("a user's aggregate has one state, not {}", states.len()) };
    let schema = schema(&["state".to_string()], &[Arc::new(Field::new("state", DataType::Binary, true))]);
    in_groups(&schema, vec![Arc::clone(states)], groups, None)
}

struct Groups {
    function: Arc<dyn UserAggregate>,
    result: DataType,
    rows: SchemaRef,
    states: Box<dyn GroupStates>,
    groups: usize,
    bytes: usize,
}

impl Groups {
    /// What is told of the groups that are emitted, which are gone then.
    fn emitted(
        &mut self,
        emit: EmitTo,
        told: impl FnOnce(&mut dyn GroupStates, usize) -> sheaf_core::Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        let groups = match emit {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups,
        };
        let array = told(self.states.as_mut(), groups).map_err(to_datafusion)?;
        self.bytes = self.states.forget(groups).map_err(to_datafusion)?;
        self.groups -= groups;
        Ok(array)
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.groups = groups;
        let rows = in_groups(&self.rows, values.to_vec(), group_indices, filter)?;
        if rows.num_rows() > 0 {
            self.bytes = self.states.update(rows).map_err(to_datafusion)?;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.emitted(emit, |states, groups| states.results(groups))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emitted(emit, |states, groups| states.states(groups))?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.groups = groups;
        self.bytes = self.states.merge(states_in_groups(states, group_indices)?).map_err(to_datafusion)?;
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let Some(first) = values.first() else { return internal_err!("a user's aggregate has no columns") };
        let groups: Vec<usize> = (0..first.len()).collect();
        let mut states = self.function.start(&self.result).map_err(to_datafusion)?;
        let rows = in_groups(&self.rows, values.to_vec(), &groups, filter)?;
        if rows.num_rows() > 0 {
            states.update(rows).map_err(to_datafusion)?;
        }
        Ok(vec![states.states(groups.len()).map_err(to_datafusion)?])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}

/// One group: the whole dataset, or the frame of a window.
struct Whole(Groups);

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Whole").field(&self.0.function.name()).finish()
    }
}

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, Array::len);
        self.0.update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.0.states.results(1).map_err(to_datafusion)?;
        ScalarValue::try_from_array(&result, 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.0.states.states(1).map_err(to_datafusion)?;
        Ok(vec![ScalarValue::try_from_array(&state, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, Array::len);
        self.0.merge_batch(states, &vec![0; rows], 1)
    }
}

/// The frame of a window whose start moves: no function can forget rows, so that it is called again with those that are
/// left.
#[derive(Debug)]
struct Sliding {
    whole: Whole,
    /// The rows of the frame, in the pieces in which they came.
    frame: VecDeque<Vec<ArrayRef>>,
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.frame.push_back(values.to_vec());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut gone = values.first().map_or(0, Array::len);
        while gone > 0
            && let Some(piece) = self.frame.pop_front()
        {
            let rows = piece.first().map_or(0, Array::len);
            if rows > gone {
                self.frame.push_front(piece.iter().map(|column| column.slice(gone, rows - gone)).collect());
            }
            gone -= rows.min(gone);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        for piece in &self.frame {
            self.whole.update_batch(piece)?;
        }
        let groups = &mut self.whole.0;
        let result = groups.emitted(EmitTo::All, |states, _| states.results(1))?;
        ScalarValue::try_from_array(&result, 0)
    }

    fn size(&self) -> usize {
        let columns = self.frame.iter().flatten();
        self.whole.size() + columns.map(|column| column.get_array_memory_size()).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("a frame of a window is not merged")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        internal_err!("a frame of a window is not merged")
    }
}
