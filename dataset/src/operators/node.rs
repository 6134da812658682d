//! The logical node of our operators. What sets them apart is a [`LogicalOperator`]; that it stands in plans over its
//! inputs, is planned and is written down goes the same way for all, and is here.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sheaf_connectors::error::from_datafusion;

use crate::encoding::{Decoder, Encoded, Encoder, damaged};

/// What a logical node does with the rows of its `N` inputs. Nodes of equal operators over equal inputs are the same.
pub(crate) trait LogicalOperator<const N: usize>:
    Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static
{
    /// The name of its nodes.
    const NAME: &'static str;

    /// The columns that it makes of inputs with these.
    fn schema(&self, inputs: [&DFSchemaRef; N]) -> Result<DFSchemaRef>;

    /// Which columns of each input are needed for these of its own: all, unless it says otherwise.
    fn needed(&self, _columns: &[usize], inputs: [&DFSchemaRef; N]) -> [Vec<usize>; N] {
        inputs.map(|input| (0..input.fields().len()).collect())
    }

    /// Whether a filter may stand below as well as above: not where rows are counted, drawn or seen beside one another,
    /// nor where a function of the user's may change any column.
    fn commutes_with_filters(&self) -> bool {
        false
    }

    /// Its expressions over the inputs, which the optimizer may rewrite.
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// The same with these expressions.
    fn with_expressions(self, _exprs: Vec<Expr>) -> Result<Self> {
        Ok(self)
    }

    /// Its line in plans for people.
    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// The methods of a [`LogicalOperator`] whose columns are those of its one input, each for itself. The optimizer adds
/// those that its expressions need.
macro_rules! keeps_columns {
    () => {
        fn schema(
            &self,
            [input]: [&datafusion::common::DFSchemaRef; 1],
        ) -> datafusion::error::Result<datafusion::common::DFSchemaRef> {
            Ok(std::sync::Arc::clone(input))
        }

        fn needed(&self, columns: &[usize], _inputs: [&datafusion::common::DFSchemaRef; 1]) -> [Vec<usize>; 1] {
            [columns.to_vec()]
        }
    };
}
pub(crate) use keeps_columns;

/// The logical node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OperatorNode<O, const N: usize> {
    operator: O,
    inputs: [LogicalPlan; N],
    schema: DFSchemaRef,
}

impl<O: LogicalOperator<N>, const N: usize> OperatorNode<O, N> {
    pub(crate) fn try_new(operator: O, inputs: [LogicalPlan; N]) -> Result<Self> {
        let schema = operator.schema(inputs.each_ref().map(LogicalPlan::schema))?;
        Ok(Self { operator, inputs, schema })
    }

    /// The operator and the inputs of a node, where it is one of this operator.
    pub(crate) fn parts(node: &dyn UserDefinedLogicalNode) -> Option<(&O, &[LogicalPlan; N])> {
        node.as_any().downcast_ref::<Self>().map(|node| (&node.operator, &node.inputs))
    }
}

impl<O: LogicalOperator<1>> OperatorNode<O, 1> {
    /// A node of an operator that [keeps the columns](keeps_columns).
    pub(crate) fn keeping_columns(operator: O, input: LogicalPlan) -> Self {
        let schema = Arc::clone(input.schema());
        Self { operator, inputs: [input], schema }
    }
}

impl<O: LogicalOperator<N>, const N: usize> PartialOrd for OperatorNode<O, N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl<O: LogicalOperator<N>, const N: usize> UserDefinedLogicalNodeCore for OperatorNode<O, N> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.operator.expressions()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        match self.operator.commutes_with_filters() {
            true => HashSet::new(),
            false => self.schema.fields().iter().map(|field| field.name().clone()).collect(),
        }
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operator.explain(f)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[LogicalPlan; N]>::try_from(inputs) {
            Ok(inputs) => Self::try_new(self.operator.clone().with_expressions(exprs)?, inputs),
            Err(inputs) => plan_err!("{} has {N} inputs, not {}", O::NAME, inputs.len()),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let inputs = self.inputs.each_ref().map(LogicalPlan::schema);
        Some(Vec::from(self.operator.needed(output_columns, inputs)))
    }
}

/// What there is to plan a node with.
pub(crate) struct Planning<'a, const N: usize> {
    pub(crate) inputs: [Arc<dyn ExecutionPlan>; N],
    /// The columns of the inputs, as the expressions of the node name them.
    pub(crate) columns: [&'a DFSchemaRef; N],
    /// The columns that are to come out.
    pub(crate) schema: SchemaRef,
    pub(crate) session: &'a dyn Session,
    pub(crate) context: &'a PhysicalPlanningContext,
}

/// A [`LogicalOperator`] that can run.
#[async_trait]
pub(crate) trait PlannedOperator<const N: usize>: LogicalOperator<N> {
    /// What runs.
    async fn plan(&self, with: Planning<'_, N>) -> Result<Arc<dyn ExecutionPlan>>;
}

/// The planner of the nodes of this operator.
pub(crate) fn planner<O: PlannedOperator<N>, const N: usize>() -> Arc<dyn ExtensionPlanner + Send + Sync> {
    Arc::new(Planner::<O, N>(PhantomData))
}

struct Planner<O, const N: usize>(PhantomData<fn() -> O>);

#[async_trait]
impl<O: PlannedOperator<N>, const N: usize> ExtensionPlanner for Planner<O, N> {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(OperatorNode { operator, inputs, schema }) = node.as_any().downcast_ref::<OperatorNode<O, N>>() else {
            return Ok(None);
        };
        let Ok(planned) = <[_; N]>::try_from(physical_inputs.to_vec()) else {
            return plan_err!("{} has {N} inputs, not {}", O::NAME, physical_inputs.len());
        };
        let (columns, schema) = (inputs.each_ref().map(LogicalPlan::schema), Arc::clone(schema.inner()));
        operator.plan(Planning { inputs: planned, columns, schema, session, context }).await.map(Some)
    }
}

/// A [`LogicalOperator`] that can be written down: see [`Encoded`].
pub(crate) trait EncodedOperator<const N: usize>: LogicalOperator<N> {
    /// Its name in what is written.
    const KIND: &'static str;

    /// What there is besides inputs and expressions.
    type Detail: Serialize + DeserializeOwned;

    /// That.
    ///
    /// # Errors
    /// As [`Encoded::encode`].
    fn encode(&self, to: &mut Encoder) -> sheaf_core::Result<Self::Detail>;

    /// The operator of that, still without expressions, for inputs with these columns.
    ///
    /// # Errors
    /// As [`Encoded::decode`].
    fn decode(detail: Self::Detail, inputs: [&DFSchemaRef; N], from: &mut Decoder<'_>) -> sheaf_core::Result<Self>;
}

impl<O: EncodedOperator<N>, const N: usize> Encoded for OperatorNode<O, N> {
    const KIND: &'static str = O::KIND;

    type Detail = O::Detail;

    fn encode(&self, to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        self.operator.encode(to)
    }

    fn decode(
        detail: Self::Detail,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
        from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        let inputs = <[LogicalPlan; N]>::try_from(inputs);
        let inputs = inputs.map_err(|_| damaged(format!("{} has {N} inputs", O::NAME)))?;
        let operator = O::decode(detail, inputs.each_ref().map(LogicalPlan::schema), from)?;
        let node = operator.with_expressions(exprs).and_then(|operator| Self::try_new(operator, inputs));
        node.map_err(from_datafusion)
    }
}
