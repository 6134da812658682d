//! Functions: the engine's by their names, ours by what they are, the user's as bytes of their own language.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{TableReference, not_impl_err};
use datafusion::error::Result as EngineResult;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{
    AggregateUDF, Expr, Extension, HigherOrderUDF, LogicalPlan, ScalarUDF, WindowFunctionDefinition, WindowUDF,
};
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use datafusion_proto::protobuf::logical_expr_node::ExprType;
use datafusion_proto::protobuf::window_expr_node::WindowFunction;
use datafusion_proto::protobuf::{LogicalExprNode, WindowExprNode};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::to_datafusion;
use sheaf_connectors::read::FileFilter;
use sheaf_core::ids::ObjectId;
use sheaf_core::{Error, ErrorKind, Result};

use crate::aggregates::{UserAggregate, user};
use crate::encoding::{Decoder, Encoder, damaged, json, read_json};
use crate::expr::{self, ArrayFunction, UserFunction};
use crate::operators::map_batches::{BATCHES, BatchFunction};

/// What functions over columns, aggregates and filters of files are called in what is written.
const ARRAY: &str = "array";
const AGGREGATE: &str = "aggregate";
pub(super) const FILES: &str = "files";
pub(super) const TABLE: &str = "table";

/// Makes the user's functions of the bytes that their `to_bytes` gave, in the language that they are of.
///
/// A program in Rust gives its functions names: `to_bytes` of a function is its name, and this finds it by that.
pub trait FunctionDecoder {
    /// A function over batches.
    ///
    /// # Errors
    /// For bytes that are no such function.
    fn batches(&self, bytes: &[u8]) -> Result<Arc<dyn BatchFunction>>;

    /// A function over columns.
    ///
    /// # Errors
    /// For bytes that are no such function.
    fn array(&self, bytes: &[u8]) -> Result<Arc<dyn ArrayFunction>>;

    /// An aggregate.
    ///
    /// # Errors
    /// For bytes that are no such function.
    fn aggregate(&self, bytes: &[u8]) -> Result<Arc<dyn UserAggregate>>;

    /// A filter that chooses files.
    ///
    /// # Errors
    /// For bytes that are no such function.
    fn files(&self, bytes: &[u8]) -> Result<Arc<dyn FileFilter>>;

    /// A [`PortableTable`](super::PortableTable).
    ///
    /// # Errors
    /// For bytes that are no such table.
    fn table(&self, bytes: &[u8]) -> Result<Arc<dyn TableProvider>>;

    /// What lies under an error of a function, such as an exception of its language, for [`FunctionDecoder::with_cause`]
    /// in another process; `None` where there is nothing to be told.
    fn cause_of(&self, _error: &Error) -> Option<Vec<u8>> {
        None
    }

    /// The error with that under it.
    fn with_cause(&self, error: Error, _cause: &[u8]) -> Error {
        error
    }
}

/// Objects of the runtime to which functions and tables of the user's refer.
#[derive(Default)]
pub struct References {
    /// Which ones.
    pub objects: Vec<ObjectId>,
    /// What keeps them as long as this is there.
    pub kept: Option<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("References").field(&self.objects).finish()
    }
}

/// Notes to which objects of the runtime those functions and tables of the user's refer that a thread writes down.
pub trait NoteReferences: Send + Sync {
    /// From now on.
    fn begin(&self);

    /// Those since then; called once after each `begin`, on the same thread.
    fn end(&self) -> References;
}

impl NoteReferences for NoFunctions {
    fn begin(&self) {}

    fn end(&self) -> References {
        References::default()
    }
}

/// For datasets without functions of the user's.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFunctions;

impl NoFunctions {
    fn none<T>() -> Result<T> {
        let message = "the dataset has a function or a table of the user's, and nothing here makes one of its bytes";
        Err(Error::new(ErrorKind::Unsupported, message).with_hint("read it with a FunctionDecoder of its language"))
    }
}

impl FunctionDecoder for NoFunctions {
    fn batches(&self, _bytes: &[u8]) -> Result<Arc<dyn BatchFunction>> {
        Self::none()
    }

    fn array(&self, _bytes: &[u8]) -> Result<Arc<dyn ArrayFunction>> {
        Self::none()
    }

    fn aggregate(&self, _bytes: &[u8]) -> Result<Arc<dyn UserAggregate>> {
        Self::none()
    }

    fn files(&self, _bytes: &[u8]) -> Result<Arc<dyn FileFilter>> {
        Self::none()
    }

    fn table(&self, _bytes: &[u8]) -> Result<Arc<dyn TableProvider>> {
        Self::none()
    }
}

/// The function of this kind.
pub(super) fn remade(functions: &dyn FunctionDecoder, kind: &str, bytes: &[u8]) -> Result<Box<dyn Any + Send + Sync>> {
    Ok(match kind {
        BATCHES => Box::new(functions.batches(bytes)?),
        ARRAY => Box::new(functions.array(bytes)?),
        AGGREGATE => Box::new(functions.aggregate(bytes)?),
        FILES => Box::new(functions.files(bytes)?),
        TABLE => Box::new(functions.table(bytes)?),
        other => return Err(damaged(format!("there is no kind of function {other:?}"))),
    })
}

/// A function that the engine does not find by its name.
#[derive(Serialize, Deserialize)]
enum Written {
    Arithmetic,
    Sliding,
    RunningProduct,
    User { function: u32, returns: u32, deterministic: bool },
    Aggregate { function: u32, columns: Vec<String>, returns: u32 },
}

/// The one function that a node calls, for DataFusion's messages to ask for. That they ask nothing else of their codec
/// is why it cannot go wrong in there, where errors would be left out.
#[derive(Debug, Default)]
pub(super) struct Function {
    written: Vec<u8>,
    scalar: Option<Arc<ScalarUDF>>,
    aggregate: Option<Arc<AggregateUDF>>,
}

impl Function {
    /// That of a node that is to be written.
    pub(super) fn in_expr(node: &Expr, to: &mut Encoder) -> Result<Self> {
        let written = match node {
            Expr::ScalarFunction(ScalarFunction { func, .. }) => scalar(func, to)?,
            Expr::AggregateFunction(AggregateFunction { func, .. }) => aggregate(func, to)?,
            Expr::WindowFunction(call) => match &call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => aggregate(function, to)?,
                WindowFunctionDefinition::WindowUDF(_) => None,
            },
            _ => None,
        };
        let written = written.map(|written| json(&written)).transpose()?.unwrap_or_default();
        Ok(Self { written, ..Self::default() })
    }

    /// That of a message that is read.
    pub(super) fn in_message(message: &LogicalExprNode, from: &mut Decoder<'_>) -> Result<Self> {
        let mut function = Self::default();
        match &message.expr_type {
            Some(ExprType::ScalarUdfExpr(call)) => {
                if let Some(written) = &call.fun_definition {
                    function.scalar = Some(read_scalar(&call.fun_name, &read_json(written)?, from)?);
                }
            }
            Some(ExprType::AggregateUdfExpr(call)) => {
                if let Some(written) = &call.fun_definition {
                    function.aggregate = Some(read_aggregate(&call.fun_name, read_json(written)?, from)?);
                }
            }
            Some(ExprType::WindowExpr(call)) => {
                let WindowExprNode { window_function, fun_definition, .. } = call.as_ref();
                if let (Some(WindowFunction::Udaf(name)), Some(written)) = (window_function, fun_definition) {
                    function.aggregate = Some(read_aggregate(name, read_json(written)?, from)?);
                }
            }
            _ => {}
        }
        Ok(function)
    }
}

fn scalar(function: &ScalarUDF, to: &mut Encoder) -> Result<Option<Written>> {
    if expr::arithmetic_named(function.name()).is_some_and(|ours| ours.as_ref() == function) {
        return Ok(Some(Written::Arithmetic));
    }
    let Some(user) = UserFunction::of(function) else { return Ok(None) };
    let (array, returns, deterministic) = user.parts();
    let returns = to.schema(&Schema::new(vec![Arc::clone(returns)]))?;
    let function = to.function(ARRAY, array, |array| array.to_bytes(function.name()))?;
    Ok(Some(Written::User { function, returns, deterministic }))
}

fn read_scalar(name: &str, written: &Written, from: &mut Decoder<'_>) -> Result<Arc<ScalarUDF>> {
    match written {
        Written::Arithmetic => expr::arithmetic_named(name).ok_or_else(|| unknown(name)),
        Written::User { function, returns, deterministic } => {
            let returns = field_of(&from.schema(*returns)?)?;
            let function = UserFunction::new(from.function::<dyn ArrayFunction>(*function)?, returns, *deterministic);
            Ok(Arc::new(function.named(name)))
        }
        _ => Err(unknown(name)),
    }
}

fn aggregate(function: &AggregateUDF, to: &mut Encoder) -> Result<Option<Written>> {
    if expr::sliding_named(function.name()).is_some_and(|ours| ours.as_ref() == function) {
        return Ok(Some(Written::Sliding));
    }
    if expr::running_product().as_ref() == function {
        return Ok(Some(Written::RunningProduct));
    }
    let Some((user, columns, returns)) = user::of(function) else { return Ok(None) };
    let (columns, returns) = (columns.to_vec(), typed(returns, to)?);
    let function = to.function(AGGREGATE, user, UserAggregate::to_bytes)?;
    Ok(Some(Written::Aggregate { function, columns, returns }))
}

fn read_aggregate(name: &str, written: Written, from: &mut Decoder<'_>) -> Result<Arc<AggregateUDF>> {
    match written {
        Written::Sliding => expr::sliding_named(name).ok_or_else(|| unknown(name)),
        Written::RunningProduct => Ok(expr::running_product()),
        Written::Aggregate { function, columns, returns } => {
            let returns = type_of(&from.schema(returns)?)?;
            Ok(Arc::new(user::function(&from.function::<dyn UserAggregate>(function)?, columns, returns)))
        }
        _ => Err(unknown(name)),
    }
}

fn typed(dtype: &DataType, to: &mut Encoder) -> Result<u32> {
    to.schema(&Schema::new(vec![Field::new("", dtype.clone(), true)]))
}

fn type_of(schema: &SchemaRef) -> Result<DataType> {
    Ok(field_of(schema)?.data_type().clone())
}

fn field_of(schema: &SchemaRef) -> Result<FieldRef> {
    schema.fields().first().cloned().ok_or_else(|| damaged("a function has no type"))
}

fn unknown(name: &str) -> Error {
    damaged(format!("there is no function {name:?} of ours"))
}

/// The error of a name that this session has no function for.
fn missing<T>(name: &str) -> EngineResult<T> {
    let message = format!("the dataset calls the function {name:?}, which this session does not know");
    Err(to_datafusion(
        Error::new(ErrorKind::NotFound, message).with_hint("register it with the session that the dataset comes to"),
    ))
}

impl LogicalExtensionCodec for Function {
    fn try_decode(&self, _: &[u8], _: &[LogicalPlan], _: &TaskContext) -> EngineResult<Extension> {
        not_impl_err!("an expression has no nodes")
    }

    fn try_encode(&self, _: &Extension, _: &mut Vec<u8>) -> EngineResult<()> {
        not_impl_err!("an expression has no nodes")
    }

    fn try_decode_table_provider(
        &self,
        _: &[u8],
        _: &TableReference,
        _: SchemaRef,
        _: &TaskContext,
    ) -> EngineResult<Arc<dyn TableProvider>> {
        not_impl_err!("an expression has no tables")
    }

    fn try_encode_table_provider(
        &self,
        _: &TableReference,
        _: Arc<dyn TableProvider>,
        _: &mut Vec<u8>,
    ) -> EngineResult<()> {
        not_impl_err!("an expression has no tables")
    }

    fn try_encode_udf(&self, _: &ScalarUDF, buffer: &mut Vec<u8>) -> EngineResult<()> {
        buffer.extend_from_slice(&self.written);
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, _: &[u8]) -> EngineResult<Arc<ScalarUDF>> {
        self.scalar.clone().map_or_else(|| missing(name), Ok)
    }

    fn try_encode_udaf(&self, _: &AggregateUDF, buffer: &mut Vec<u8>) -> EngineResult<()> {
        buffer.extend_from_slice(&self.written);
        Ok(())
    }

    fn try_decode_udaf(&self, name: &str, _: &[u8]) -> EngineResult<Arc<AggregateUDF>> {
        self.aggregate.clone().map_or_else(|| missing(name), Ok)
    }

    fn try_decode_udwf(&self, name: &str, _: &[u8]) -> EngineResult<Arc<WindowUDF>> {
        missing(name)
    }

    fn try_decode_higher_order_function(&self, name: &str, _: &[u8]) -> EngineResult<Arc<HigherOrderUDF>> {
        missing(name)
    }
}
