//! Reading: what is made of each part waits for the one part that needs it.

use std::any::Any;
use std::io::Cursor;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion_proto::protobuf;
use prost::Message;
use serde::de::DeserializeOwned;
use sheaf_connectors::stores::Stores;
use sheaf_core::Result;

use super::encoder::Kept;
use super::{Part, Sheet, damaged};

/// What a part became.
pub(crate) enum Made {
    Expr(Expr),
    Plan(LogicalPlan),
}

/// Makes a function of this kind, which its language wrote down as these bytes: an `Arc` of the kind's trait.
pub(crate) type Remake<'a> = &'a dyn Fn(&str, &[u8]) -> Result<Box<dyn Any + Send + Sync>>;

/// What is being read, and what its parts need of the session that they come to.
pub(crate) struct Decoder<'a> {
    sheet: &'a Sheet,
    made: Vec<Option<Made>>,
    functions: Vec<Option<Box<dyn Any + Send + Sync>>>,
    tables: Vec<Option<Arc<dyn TableProvider>>>,
    remake: Remake<'a>,
    context: Arc<TaskContext>,
    stores: Arc<Stores>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(sheet: &'a Sheet, remake: Remake<'a>, context: Arc<TaskContext>, stores: Arc<Stores>) -> Self {
        let functions = sheet.functions.iter().map(|_| None).collect();
        let tables = sheet.tables.iter().map(|_| None).collect();
        Self { sheet, made: Vec::new(), functions, tables, remake, context, stores }
    }

    /// The same, with functions and tables that are there already.
    pub(crate) fn knowing(mut self, Kept { functions, tables }: Kept) -> Self {
        self.functions = functions.into_iter().map(Some).collect();
        self.tables = tables.into_iter().map(Some).collect();
        self
    }

    /// The session that things come to: its functions, and its memory.
    pub(crate) fn context(&self) -> &Arc<TaskContext> {
        &self.context
    }

    pub(crate) fn stores(&self) -> &Arc<Stores> {
        &self.stores
    }

    /// Notes what the next part became.
    pub(crate) fn push(&mut self, made: Made) {
        self.made.push(Some(made));
    }

    /// What the last part became.
    pub(crate) fn last(&mut self) -> Option<Made> {
        self.made.pop().flatten()
    }

    /// The expression that this part is. Each part is asked for once, so that damaged bytes make no plan larger than
    /// themselves.
    pub(crate) fn expr(&mut self, number: u32) -> Result<Expr> {
        match self.take(number) {
            Some(Made::Expr(expr)) => Ok(expr),
            _ => Err(damaged(format!("part {number} is no expression that is free"))),
        }
    }

    pub(crate) fn exprs(&mut self, numbers: &[u32]) -> Result<Vec<Expr>> {
        numbers.iter().map(|number| self.expr(*number)).collect()
    }

    pub(crate) fn plan(&mut self, number: u32) -> Result<LogicalPlan> {
        match self.take(number) {
            Some(Made::Plan(plan)) => Ok(plan),
            _ => Err(damaged(format!("part {number} is no node that is free"))),
        }
    }

    pub(crate) fn plans(&mut self, numbers: &[u32]) -> Result<Vec<LogicalPlan>> {
        numbers.iter().map(|number| self.plan(*number)).collect()
    }

    fn take(&mut self, number: u32) -> Option<Made> {
        self.made.get_mut(number as usize)?.take()
    }

    pub(crate) fn schema(&self, number: u32) -> Result<SchemaRef> {
        let bytes = self.sheet.schemas.get(number as usize).ok_or_else(|| damaged(format!("no schema {number}")))?;
        let written = protobuf::Schema::decode(&bytes[..]).map_err(|error| damaged(&error))?;
        Schema::try_from(&written).map(Arc::new).map_err(|error| damaged(&error))
    }

    /// The function of this number, made of its bytes unless it is there already.
    pub(crate) fn function<T: ?Sized>(&mut self, number: u32) -> Result<Arc<T>>
    where
        Arc<T>: Any + Send + Sync,
    {
        let missing = || damaged(format!("no function {number}"));
        let place = self.functions.get_mut(number as usize).ok_or_else(missing)?;
        if place.is_none() {
            let part = self.sheet.functions.get(number as usize).ok_or_else(missing)?;
            *place = Some((self.remake)(&part.kind, &part.detail)?);
        }
        let known = place.as_ref().and_then(|function| function.downcast_ref::<Arc<T>>());
        known.cloned().ok_or_else(|| damaged(format!("function {number} is of another kind")))
    }

    /// The table of this number, if it is there already, and else what it is to be made of.
    pub(crate) fn table(&self, number: u32) -> Result<std::result::Result<Arc<dyn TableProvider>, &'a Part>> {
        let place = self.tables.get(number as usize).and_then(Option::as_ref);
        match (place, self.sheet.tables.get(number as usize)) {
            (Some(known), _) => Ok(Ok(Arc::clone(known))),
            (None, Some(part)) => Ok(Err(part)),
            (None, None) => Err(damaged(format!("no table {number}"))),
        }
    }

    /// Notes what a table became.
    pub(crate) fn keep_table(&mut self, number: u32, table: &Arc<dyn TableProvider>) {
        if let Some(place) = self.tables.get_mut(number as usize) {
            *place = Some(Arc::clone(table));
        }
    }
}

/// Rows that were written as a stream of Arrow IPC.
pub(crate) fn rows(schema: &SchemaRef, bytes: &[u8]) -> Result<Vec<RecordBatch>> {
    let wrong = |error: arrow::error::ArrowError| damaged(&error);
    let batches = StreamReader::try_new(Cursor::new(bytes), None).map_err(wrong)?;
    let batches = batches.map(|batch| batch?.with_schema(Arc::clone(schema)));
    batches.collect::<std::result::Result<_, _>>().map_err(wrong)
}

/// The value that [`super::encoder::scalar`] wrote.
pub(crate) fn scalar(bytes: &[u8]) -> Result<ScalarValue> {
    let written = protobuf::ScalarValue::decode(bytes).map_err(|error| damaged(&error))?;
    ScalarValue::try_from(&written).map_err(|error| damaged(&error))
}

/// What a part says of itself.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| damaged(&error))
}
