//! What plans are written down with: the parts of a plan one after another, each with the numbers of those before it
//! that it stands on.
//!
//! DataFusion's own messages nest, and readers of nested messages give up at a depth that long pipelines reach. Here
//! nothing nests: a plan is as deep as it likes, a table or function that occurs twice is written once, and whoever
//! reads needs no recursion.
//!
//! A node of ours brings its own [`Encoded`], beside the node; `codec` knows them all, and walks the plan.

mod columns;
mod decoder;
mod encoder;
mod sheet;

use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sheaf_core::{Error, ErrorKind, Result};

pub(crate) use columns::{Name, Qualified, Table, columns, names};
pub(crate) use decoder::{Decoder, Made, json as read_json, rows as read_rows, scalar as read_scalar};
pub(crate) use encoder::{Encoder, json, scalar};
pub(crate) use sheet::{Part, Sheet};

/// A logical node that can be written down: its inputs and its expressions are, and it says what else there is.
pub(crate) trait Encoded: UserDefinedLogicalNodeCore {
    /// Its name in what is written.
    const KIND: &'static str;

    /// What there is besides inputs and expressions.
    type Detail: Serialize + DeserializeOwned;

    /// That.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for something that only this process has.
    fn encode(&self, to: &mut Encoder) -> Result<Self::Detail>;

    /// The node of these.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`] where they do not fit together.
    fn decode(detail: Self::Detail, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>, from: &mut Decoder<'_>)
    -> Result<Self>;
}

/// The one input of a node that is read.
pub(crate) fn one_input(inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    let [input] = <[LogicalPlan; 1]>::try_from(inputs).map_err(|_| damaged("a node has one input"))?;
    Ok(input)
}

/// The error of bytes that are not what they say.
pub(crate) fn damaged(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Parse, format!("these bytes are no dataset of Sheaf's: {what}"))
        .with_hint("they are damaged or cut off, or something else made them: pickle the dataset again")
}

/// The error of something that cannot leave its process.
pub(crate) fn stays(what: impl std::fmt::Display, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the dataset cannot be pickled: {what}")).with_hint(hint)
}

/// The error of a function that has no bytes.
pub(crate) fn no_bytes(function: &str) -> Error {
    stays(
        format!("the function {function:?} is of this process alone"),
        "let it have to_bytes, and a FunctionDecoder make it again where the dataset goes",
    )
}
