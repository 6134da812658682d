//! Functions of the user's over columns: in expressions, and under a name in SQL.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::{Error, ErrorKind};

use crate::encoding::no_bytes;

/// A function of the user's from columns to a column. It is called on the engine's threads, and may block.
pub trait ArrayFunction: Send + Sync + 'static {
    /// The column for these columns, each with what is said of it, with as many rows.
    ///
    /// # Errors
    /// Whatever the function meets; it ends the run.
    fn call(&self, arguments: Vec<ArrayRef>, fields: &[FieldRef], rows: usize) -> sheaf_core::Result<ArrayRef>;

    /// The function as bytes for another process, of which a `FunctionDecoder` makes it again. `name` is what it is
    /// called here.
    ///
    /// # Errors
    /// For a function that cannot leave its process, as those of Rust unless they say otherwise.
    fn to_bytes(&self, name: &str) -> sheaf_core::Result<Vec<u8>> {
        Err(no_bytes(name))
    }
}

/// A function as expressions call it.
#[derive(Clone)]
pub struct UserFunction {
    function: Arc<dyn ArrayFunction>,
    returns: FieldRef,
    volatility: Volatility,
}

impl UserFunction {
    /// A function that returns what this field says, whatever its name. One that is `deterministic` may be called once
    /// for calls that are alike, and not for rows whose value nobody needs.
    #[must_use]
    pub fn new(function: Arc<dyn ArrayFunction>, returns: FieldRef, deterministic: bool) -> Self {
        let volatility = if deterministic { Volatility::Immutable } else { Volatility::Volatile };
        Self { function, returns, volatility }
    }

    /// Its call under this name, which plans and results print.
    #[must_use]
    pub fn call(&self, name: &str, arguments: Vec<Expr>) -> Expr {
        self.named(name).call(arguments)
    }

    /// The same under a name, for SQL.
    pub(crate) fn named(&self, name: &str) -> ScalarUDF {
        let signature = Signature::one_of(vec![TypeSignature::VariadicAny, TypeSignature::Nullary], self.volatility);
        ScalarUDF::new_from_impl(Named { name: name.to_string(), function: self.clone(), signature })
    }

    /// The user's function that a function of the engine's is, if it is one.
    pub(crate) fn of(function: &ScalarUDF) -> Option<&Self> {
        function.inner().downcast_ref::<Named>().map(|named| &named.function)
    }

    /// What it calls, what that returns, and whether it is deterministic.
    pub(crate) fn parts(&self) -> (&Arc<dyn ArrayFunction>, &FieldRef, bool) {
        (&self.function, &self.returns, self.volatility == Volatility::Immutable)
    }
}

impl fmt::Debug for UserFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserFunction").field("returns", &self.returns).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Named {
    name: String,
    function: UserFunction,
    signature: Signature,
}

// Two calls are the same when they call the same function object.
impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function.function, &other.function.function)
            && self.function.returns == other.function.returns
            && self.name == other.name
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.function.function).cast::<()>().hash(state);
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Named {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.function.returns.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(self.function.returns.as_ref().clone().with_name(&self.name).with_nullable(true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arguments = args.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let made = self.function.function.call(arguments, &args.arg_fields, rows).map_err(to_datafusion)?;
        let returns = self.function.returns.data_type();
        if made.len() != rows || made.data_type() != returns {
            let message = format!(
                "the function {:?} returned {} values of type {} for {rows} rows, and says that it returns {}",
                self.name,
                made.len(),
                made.data_type(),
                returns
            );
            return Err(to_datafusion(Error::new(ErrorKind::TypeMismatch, message)));
        }
        Ok(ColumnarValue::Array(made))
    }
}
