//! `Dataset`: a lazy, immutable plan. Verbs give new datasets; only actions run anything.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, Int64Array};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::displayable;
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_connectors::read::FilesTable;
use sheaf_core::{Error, Result};

use crate::operators::determined;
use crate::operators::elsewhere::AsTheyCome;
use crate::operators::gather::OrderedGatherExec;
use crate::operators::map_batches::MapBatches;
use crate::operators::node::{LogicalOperator, OperatorNode};
use crate::operators::plan_of;
use crate::rules::object_columns;
use crate::run::{Run, stats_of};
use crate::session::Session;

/// A lazy plan over Arrow partitions.
///
/// Cloning is cheap. Verbs return a new dataset and run nothing; actions (`collect`, `count`, `show`, `start`,
/// `write`) run the plan on the session's threads.
///
/// ```
/// use sheaf_core::Options;
/// use sheaf_dataset::Session;
/// use sheaf_dataset::expr::{col, lit};
///
/// let session = Session::new(Options::default())?;
/// let even = session.range(0, 10)?.filter((col("id") % lit(2)).eq(lit(0)))?;
/// assert_eq!(session.threads().block_on(even.count())?, 5);
/// # Ok::<(), sheaf_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Dataset {
    session: Session,
    plan: LogicalPlan,
    // What the last execution of this dataset did; shared by its clones.
    stats: Arc<Mutex<Option<String>>>,
}

impl Dataset {
    /// A dataset of this plan. Plans come from verbs, SQL, and providers.
    #[must_use]
    pub fn new(session: Session, plan: LogicalPlan) -> Self {
        Self { session, plan, stats: Arc::default() }
    }

    /// The session this belongs to.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The plan as the user wrote it, not yet optimized.
    #[must_use]
    pub fn logical_plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let schema = self.plan.schema();
        Arc::new(Schema::new_with_metadata(schema.fields().clone(), schema.metadata().clone()))
    }

    /// The names of the columns, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.plan.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The plan after the optimizers, ready to run.
    ///
    /// # Errors
    /// Everything that is wrong with the plan and could be known before it runs.
    pub async fn physical_plan(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let state = self.session.state();
        state.create_physical_plan(&self.plan).await.map_err(from_datafusion)
    }

    /// Starts an execution.
    ///
    /// # Errors
    /// As [`Dataset::physical_plan`]; what goes wrong later comes out of the run.
    pub async fn start(&self) -> Result<Run> {
        Ok(Run::start(&self.session, self.planned().await?))
    }

    /// The plan, ready to run, made on the session's threads.
    pub(crate) async fn planned(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let dataset = self.clone();
        self.session.run(async move { dataset.physical_plan().await }).await
    }

    /// The plan for as many partitions, in which chance decides nothing: made and run again, from the same rows, it
    /// gives the same rows in the same order. Where operators run out of memory this holds only for the rows.
    pub(crate) async fn determined_plan(&self, partitions: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        let (mut state, plan) = (self.session.state(), self.plan.clone());
        let options = state.config_mut().options_mut();
        options.execution.target_partitions = partitions.unwrap_or(options.execution.target_partitions);
        determined::settle(state.config_mut());
        let planned = async move {
            let planned = state.create_physical_plan(&plan).await;
            planned.and_then(determined::determined).map_err(from_datafusion)
        };
        self.session.run(planned).await
    }

    /// Starts an execution that gives its rows in their order, for whoever reads them as they come: partition after
    /// partition, the later ones a few batches ahead.
    ///
    /// # Errors
    /// As [`Dataset::start`].
    pub async fn start_in_order(&self) -> Result<Run> {
        Ok(Run::start(&self.session, OrderedGatherExec::over(self.planned_as_they_come(false).await?)))
    }

    /// The plan for whoever reads its rows as they come; where they would not come so, an error may be what is wanted.
    pub(crate) async fn planned_as_they_come(&self, or_none: bool) -> Result<Arc<dyn ExecutionPlan>> {
        self.planned_for(AsTheyCome { or_none }).await
    }

    /// The plan, made on the session's threads for a purpose that the settings say.
    pub(crate) async fn planned_for(&self, purpose: impl Send + Sync + 'static) -> Result<Arc<dyn ExecutionPlan>> {
        let (mut state, plan) = (self.session.state(), self.plan.clone());
        state.config_mut().set_extension(Arc::new(purpose));
        let planned = async move { state.create_physical_plan(&plan).await.map_err(from_datafusion) };
        self.session.run(planned).await
    }

    /// Runs the plan and gathers all rows in memory.
    ///
    /// # Errors
    /// Whatever goes wrong in the plan or in its execution.
    pub async fn collect(&self) -> Result<Vec<RecordBatch>> {
        let mut run = self.start().await?;
        let batches = run.collect().await?;
        self.keep_stats(&run);
        Ok(batches)
    }

    /// Keeps what a finished execution did, for [`Dataset::stats`].
    pub fn keep_stats(&self, run: &Run) {
        self.keep_stats_of(run.plan());
    }

    /// The same of a plan that has run.
    pub(crate) fn keep_stats_of(&self, plan: &Arc<dyn ExecutionPlan>) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = Some(stats_of(plan.as_ref()));
    }

    /// The operators of the last execution with their rows, times and spilled bytes; `None` before the first.
    #[must_use]
    pub fn stats(&self) -> Option<String> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The files that readers under `ignore_errors` have left out so far, when they were opened and in all runs.
    #[must_use]
    pub fn skipped_files(&self) -> Vec<String> {
        let mut skipped = Vec::new();
        let _ = self.plan.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(provider) = source_as_provider(&scan.source)
                && let Some(files) = provider.downcast_ref::<FilesTable>()
            {
                skipped.extend(files.skipped_file_names());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        skipped
    }

    /// Counts a run that is about to start, and names the user functions that run for the second time by it: what
    /// they did is not kept, unless by [`Dataset::persist`] and its like.
    #[must_use]
    pub fn repeated_functions(&self) -> Vec<String> {
        let mut repeated = Vec::new();
        let _ = self.plan.apply_with_subqueries(|node| {
            if let LogicalPlan::Extension(extension) = node
                && let Some((map, _)) = OperatorNode::<MapBatches, 1>::parts(extension.node.as_ref())
                && map.runs_again()
            {
                repeated.push(map.function().name().to_string());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        repeated
    }

    /// The files that the plan reads, as they are now, each once.
    ///
    /// # Errors
    /// What goes wrong while they are listed.
    pub async fn input_files(&self) -> Result<Vec<String>> {
        let mut sources = Vec::new();
        let _ = self.plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(provider) = source_as_provider(&scan.source)
                && provider.downcast_ref::<FilesTable>().is_some()
            {
                sources.push(provider);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        self.session
            .run(async move {
                let mut files = std::collections::BTreeSet::new();
                for table in sources.iter().filter_map(|source| source.downcast_ref::<FilesTable>()) {
                    files.extend(table.file_names().await?);
                }
                Ok(files.into_iter().collect())
            })
            .await
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// Whatever goes wrong in the plan or in its execution.
    pub async fn count(&self) -> Result<u64> {
        use datafusion::functions_aggregate::expr_fn::count;
        let counted = self
            .with(|frame| frame.aggregate(vec![], vec![count(datafusion::logical_expr::lit(1_i64)).alias("rows")]))?
            .on_behalf_of(self);
        let batches = counted.collect().await?;
        let rows = batches.iter().find_map(|batch| {
            batch.column(0).as_any().downcast_ref::<Int64Array>().filter(|a| !a.is_empty()).map(|a| a.value(0))
        });
        rows.and_then(|rows| u64::try_from(rows).ok()).ok_or_else(|| Error::internal("count returned no row"))
    }

    /// The first `rows` rows, gathered in memory. Which rows come first is decided by `sort`, else by the sources.
    ///
    /// # Errors
    /// Whatever goes wrong in the plan or in its execution.
    pub async fn head(&self, rows: usize) -> Result<Vec<RecordBatch>> {
        self.limit(0, Some(rows))?.on_behalf_of(self).collect().await
    }

    /// The first `rows` rows as a table of text.
    ///
    /// # Errors
    /// Whatever goes wrong in the plan or in its execution.
    pub async fn preview(&self, rows: usize) -> Result<String> {
        let batches = self.head(rows).await?;
        let table = if batches.is_empty() {
            pretty_format_batches(&[RecordBatch::new_empty(self.schema())])
        } else {
            pretty_format_batches(&batches)
        };
        table.map(|table| table.to_string()).map_err(|error| from_datafusion(error.into()))
    }

    /// The plan as text: logical as written, logical as optimized, physical.
    ///
    /// # Errors
    /// Everything that is wrong with the plan and could be known before it runs.
    pub async fn explain(&self) -> Result<String> {
        let optimized = self.session.state().optimize(&self.plan).map_err(from_datafusion)?;
        let physical = self.physical_plan().await?;
        Ok(format!(
            "== Logical ==\n{}\n\n== Optimized ==\n{}\n\n== Physical ==\n{}",
            self.plan.display_indent(),
            optimized.display_indent(),
            displayable(physical.as_ref()).indent(false).to_string().trim_end(),
        ))
    }

    /// Runs the plan, throws its rows away, and returns the operators with their metrics.
    ///
    /// # Errors
    /// Whatever goes wrong in the plan or in its execution.
    pub async fn explain_analyze(&self) -> Result<String> {
        let mut run = self.start().await?;
        while run.next().await?.is_some() {}
        self.keep_stats(&run);
        Ok(run.stats())
    }

    /// This dataset, whose runs are told as those of `asked`: an action runs a plan of its own.
    pub(crate) fn on_behalf_of(mut self, asked: &Self) -> Self {
        self.stats = Arc::clone(&asked.stats);
        self
    }

    /// A dataset that DataFusion's own verbs make of this one.
    pub(crate) fn with(&self, verb: impl FnOnce(DataFrame) -> datafusion::error::Result<DataFrame>) -> Result<Self> {
        let frame = DataFrame::new(self.session.state(), self.plan.clone());
        let frame = verb(frame).map_err(from_datafusion)?;
        self.next(frame.into_unoptimized_plan())
    }

    /// A dataset of a plan that goes on from this one's.
    pub(crate) fn then(
        &self,
        step: impl FnOnce(LogicalPlanBuilder) -> datafusion::error::Result<LogicalPlanBuilder>,
    ) -> Result<Self> {
        let plan = step(LogicalPlanBuilder::from(self.plan.clone()))
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_datafusion)?;
        self.next(plan)
    }

    /// A dataset of one of our nodes, which goes on from this one's plan.
    pub(crate) fn of_node(&self, node: impl UserDefinedLogicalNode + 'static) -> Self {
        Self::new(self.session.clone(), plan_of(node))
    }

    /// What one of our operators makes of the rows.
    pub(crate) fn through(&self, operator: impl LogicalOperator<1>) -> Result<Self> {
        let node = OperatorNode::try_new(operator, [self.plan.clone()]).map_err(from_datafusion)?;
        Ok(self.of_node(node))
    }

    /// What a verb made of this one. Where there are Python objects, what it does with them is looked at now; plans
    /// that are made in other ways are looked at when they run.
    fn next(&self, plan: LogicalPlan) -> Result<Self> {
        if object_columns::has_objects(self.plan.schema()) {
            let looked = plan.apply(|node| {
                object_columns::check_node(node).map_err(to_datafusion)?;
                Ok(TreeNodeRecursion::Continue)
            });
            looked.map_err(from_datafusion)?;
        }
        Ok(Self::new(self.session.clone(), plan))
    }

    /// These expressions with the parameters of their lambdas told their types, which only the plan knows.
    pub(crate) fn resolve(&self, exprs: impl IntoIterator<Item = Expr>) -> Result<Vec<Expr>> {
        let schema = self.plan.schema();
        let resolved = exprs.into_iter().map(|expr| expr.resolve_lambda_variables(schema).map(|done| done.data));
        let resolved: Vec<Expr> = resolved.collect::<datafusion::error::Result<_>>().map_err(from_datafusion)?;
        object_columns::check_values(&resolved, schema)?;
        Ok(resolved)
    }

    /// Fails with the nearest name when a column is not there.
    pub(crate) fn check_columns<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let schema = self.plan.schema();
        for name in names {
            if schema.fields().iter().all(|field| field.name() != name) {
                let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                return Err(sheaf_connectors::error::unknown_column_error(name, &columns));
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dataset\n{}", self.plan.display_indent())
    }
}
