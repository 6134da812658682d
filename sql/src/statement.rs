//! One statement: queries become lazy datasets; statements that define or write run at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ParamValues;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{CreateExternalTable, CreateMemoryTable, DdlStatement, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::{CopyToSource, CopyToStatement, ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::Value;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result, ResultExt};
use sheaf_dataset::tables::unplanned;
use sheaf_dataset::{Dataset, Session};

use crate::catalog::state_for;
use crate::{options, script};

/// What a query is given beside its text.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// Values for `$1`, `$2`, … or `$name`.
    pub params: Option<ParamValues>,
    /// Datasets that the query may name as tables; they are seen by this query only.
    pub datasets: BTreeMap<String, Dataset>,
}

/// `.sql()` on a session.
pub trait SessionSql {
    /// A dataset of one SQL statement.
    ///
    /// A query is lazy, as any dataset. `CREATE`, `DROP`, `SET`, `INSERT`, `COPY … TO` and `EXPLAIN` run at once, and
    /// the dataset holds what they report. `FROM 'path'` reads a file, a glob or a folder.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`] for text that is not SQL; otherwise as the verbs that the statement stands for.
    ///
    /// ```
    /// use sheaf_core::Options;
    /// use sheaf_dataset::Session;
    /// use sheaf_sql::SessionSql;
    ///
    /// let session = Session::new(Options::default())?;
    /// let table = session.threads().block_on(async {
    ///     session.sql("SELECT 1 + 1 AS two").await?.preview(10).await
    /// })?;
    /// assert!(table.contains("| 2   |"));
    /// # Ok::<(), sheaf_core::Error>(())
    /// ```
    fn sql(&self, text: &str) -> impl Future<Output = Result<Dataset>> + Send;

    /// As [`SessionSql::sql`], with values for its parameters and datasets for its table names.
    ///
    /// # Errors
    /// As [`SessionSql::sql`]; [`ErrorKind::InvalidInput`] for a parameter without a value.
    fn sql_with(&self, text: &str, bindings: Bindings) -> impl Future<Output = Result<Dataset>> + Send;
}

impl SessionSql for Session {
    async fn sql(&self, text: &str) -> Result<Dataset> {
        self.sql_with(text, Bindings::default()).await
    }

    async fn sql_with(&self, text: &str, bindings: Bindings) -> Result<Dataset> {
        let statement = script::parse_one(text)?;
        let session = self.clone();
        // Boxed: a planner is large, and so is the future of whoever holds this one.
        self.run(Box::pin(async move { Planner::try_new(session, bindings)?.dataset(statement).await })).await
    }
}

struct Planner {
    session: Session,
    state: SessionState,
    params: Option<ParamValues>,
}

impl Planner {
    fn try_new(session: Session, bindings: Bindings) -> Result<Self> {
        let state = state_for(&session, &bindings.datasets).map_err(from_datafusion)?;
        Ok(Self { session, state, params: bindings.params })
    }

    async fn dataset(&self, statement: Statement) -> Result<Dataset> {
        match statement {
            Statement::CopyTo(copy) => {
                let written = self.copy(copy).await?;
                self.finished(&written).await
            }
            Statement::Explain(explain) if matches!(*explain.statement, Statement::CopyTo(_)) => {
                self.explain_copy(explain).await
            }
            statement => {
                let plan = self.plan(statement).await?;
                self.execute(plan).await
            }
        }
    }

    /// The logical plan of a statement, its parameters filled in.
    async fn plan(&self, statement: Statement) -> Result<LogicalPlan> {
        let plan = self.state.statement_to_plan(statement).await.map_err(|error| unplanned(&self.state, error))?;
        let plan = match &self.params {
            Some(params) => plan.with_param_values(params.clone()).map_err(from_datafusion)?,
            None => plan,
        };
        let missing = plan.get_parameter_names().map_err(from_datafusion)?;
        if let Some(name) = missing.iter().min()
            && !matches!(plan, LogicalPlan::Statement(_))
        {
            return Err(Error::invalid(format!("the parameter {name} has no value"))
                .with_hint("give params: a list for $1, $2, …, a map for $name"));
        }
        Ok(plan)
    }

    /// Queries stay lazy, everything else is done now.
    async fn execute(&self, plan: LogicalPlan) -> Result<Dataset> {
        match plan {
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(create)) => self.create_external(*create).await,
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => self.create_table(create).await,
            // An explanation is the root of its plan, so that no verb could go on from it lazily.
            LogicalPlan::Dml(_) | LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => {
                self.finished(&Dataset::new(self.session.clone(), plan)).await
            }
            LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) => {
                let frame = self.session.context().execute_logical_plan(plan).await.map_err(from_datafusion)?;
                Ok(Dataset::new(self.session.clone(), frame.into_unoptimized_plan()))
            }
            query => Ok(Dataset::new(self.session.clone(), query)),
        }
    }

    /// Runs a dataset and keeps its result: what a statement reports.
    async fn finished(&self, dataset: &Dataset) -> Result<Dataset> {
        let batches = dataset.collect().await?;
        self.session.from_batches(dataset.schema(), batches)
    }

    async fn create_external(&self, create: CreateExternalTable) -> Result<Dataset> {
        let context = self.session.context();
        let name = create.name.clone();
        let exists = context.table_exist(name.clone()).map_err(from_datafusion)?;
        match (exists, create.if_not_exists, create.or_replace) {
            (true, true, _) => return self.nothing(),
            (true, false, false) => {
                return Err(Error::new(ErrorKind::AlreadyExists, format!("there is a table {name} already"))
                    .with_hint("drop it, or use CREATE OR REPLACE or IF NOT EXISTS"));
            }
            _ => {}
        }
        let path = create.locations.first().map_or("", String::as_str);
        let text = options::normalize(create.options.clone());
        let mut read = options::read_options(&create.file_type, path, text)?;
        if !create.schema.fields().is_empty() {
            read.schema = Some(Arc::clone(create.schema.inner()));
        }
        if !create.table_partition_cols.is_empty() {
            read.hive_partitioning = Some(true);
        }
        let table = self
            .session
            .open(&create.locations, &read)
            .await
            .with_context(|| format!("CREATE EXTERNAL TABLE {name}"))?;
        if exists {
            context.deregister_table(name.clone()).map_err(from_datafusion)?;
        }
        context.register_table(name, table).map_err(from_datafusion)?;
        self.nothing()
    }

    /// `CREATE TABLE … AS`: rows in memory, counted against the session's limit.
    async fn create_table(&self, create: CreateMemoryTable) -> Result<Dataset> {
        let context = self.session.context();
        let exists = context.table_exist(create.name.clone()).map_err(from_datafusion)?;
        let input = Dataset::new(self.session.clone(), Arc::unwrap_or_clone(create.input));
        match (exists, create.if_not_exists, create.or_replace) {
            (true, true, _) => return self.nothing(),
            (true, false, false) => {
                return Err(Error::new(ErrorKind::AlreadyExists, format!("there is a table {} already", create.name))
                    .with_hint("drop it, or use CREATE OR REPLACE or IF NOT EXISTS"));
            }
            _ => {}
        }
        let table = input.materialize_table().await.with_context(|| format!("CREATE TABLE {}", create.name))?;
        if exists {
            context.deregister_table(create.name.clone()).map_err(from_datafusion)?;
        }
        context.register_table(create.name, table).map_err(from_datafusion)?;
        self.nothing()
    }

    /// `COPY … TO` as the write that it is.
    async fn copy(&self, copy: CopyToStatement) -> Result<Dataset> {
        let input = match copy.source {
            CopyToSource::Relation(name) => script::parse_one(&format!("SELECT * FROM {name}"))?,
            CopyToSource::Query(query) => {
                Statement::Statement(Box::new(datafusion::sql::sqlparser::ast::Statement::Query(query)))
            }
        };
        let input = Dataset::new(self.session.clone(), self.plan(input).await?);
        let text = copy.options.into_iter().map(|(key, value)| (key, text_of(value)));
        let options = options::write_options(
            &copy.target,
            copy.stored_as.as_deref(),
            copy.partitioned_by,
            options::normalize(text),
        )?;
        input.check_append(&copy.target, &options).await?;
        input.write_plan(&copy.target, options)
    }

    async fn explain_copy(&self, explain: ExplainStatement) -> Result<Dataset> {
        let Statement::CopyTo(copy) = *explain.statement else {
            return Err(Error::internal("EXPLAIN of a COPY that is none"));
        };
        let written = self.copy(copy).await?;
        let plan = LogicalPlanBuilder::from(written.logical_plan().clone())
            .explain(explain.options.verbose, explain.options.analyze)
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_datafusion)?;
        self.finished(&Dataset::new(self.session.clone(), plan)).await
    }

    fn nothing(&self) -> Result<Dataset> {
        self.session.from_batches(Arc::new(arrow::datatypes::Schema::empty()), Vec::new())
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) | Value::Number(text, _) => text,
        other => other.to_string(),
    }
}
