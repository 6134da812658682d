//! Datasets as bytes, for other processes: `to_bytes` here, [`Session::dataset_from_bytes`] there.
//!
//! What travels is the plan, not its rows, unless these are in memory alone. Sources take along how they are read;
//! functions of the user's become bytes in their own language. `encoding` has the layout; here are the things that are
//! written: DataFusion's nodes and expressions, our nodes (each in its own file, listed in [`nodes`]), tables,
//! functions.
//!
//! What is written is read back at once, and is only given out when it is the same plan: whatever DataFusion or we
//! leave out of a message is an error here and not a wrong answer elsewhere.

mod exprs;
mod functions;
mod nodes;
mod plans;
mod portable;
mod series;
mod tables;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use datafusion::execution::{SessionStateBuilder, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use sheaf_connectors::stores::Stores;
use sheaf_core::Result;

use crate::aggregates;
use crate::dataset::Dataset;
use crate::encoding::{Decoder, Encoder, Made, Part, Sheet, damaged, json, read_json, stays};
use crate::expr;
use crate::session::Session;
use crate::verbs::groupby::GroupedDataset;

pub use functions::{FunctionDecoder, NoFunctions, NoteReferences, References};
pub use portable::PortableTable;

/// The last part of a grouped dataset's bytes.
const GROUPED: &str = "grouped";

/// Everything that this engine has by its name, for expressions that are of no session.
static ENGINE: LazyLock<Arc<TaskContext>> = LazyLock::new(|| {
    let state = expr::install(aggregates::install(SessionStateBuilder::new().with_default_features())).build();
    SessionContext::new_with_state(state).task_ctx()
});

impl Dataset {
    /// The dataset as bytes, for [`Session::dataset_from_bytes`] in this or another process with this Sheaf.
    ///
    /// Files and folders are named, by absolute paths and URLs, with the options of their stores, secrets among them.
    /// Rows go along where they are in memory alone.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Unsupported`] for a plan with something that only this process has, or with many rows
    /// in memory; whatever the language of a user's function says of it.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.written(Encoder::default()).map(|(bytes, _)| bytes)
    }

    /// The bytes, and whether there is anything in them that only a [`FunctionDecoder`] makes again.
    pub(crate) fn written(&self, mut to: Encoder) -> Result<(Vec<u8>, bool)> {
        self.encode(&mut to)?;
        let has_functions = to.has_functions();
        let context = self.session().state().task_ctx();
        let bytes =
            checked(to, &context, |read| matches!(read, Some(Made::Plan(plan)) if plan == *self.logical_plan()));
        Ok((bytes?, has_functions))
    }

    fn encode(&self, to: &mut Encoder) -> Result<u32> {
        let planning = if to.is_for_cluster() { self.session().planning() } else { BTreeMap::new() };
        self.session().meaning().into_iter().chain(planning).for_each(|(key, value)| to.set(&key, value));
        plans::encode(self.logical_plan(), to)
    }
}

impl GroupedDataset {
    /// The grouped dataset as bytes, for [`Session::grouped_from_bytes`]; see [`Dataset::to_bytes`].
    ///
    /// # Errors
    /// As [`Dataset::to_bytes`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut to = Encoder::default();
        let plan = self.dataset().encode(&mut to)?;
        let exprs = exprs::encode_all(self.exprs(), &mut to)?;
        let detail = json(&(self.shape(), &self.hidden))?;
        to.part(Part { kind: GROUPED.into(), detail, inputs: vec![plan], exprs, ..Part::default() });
        let context = self.dataset().session().state().task_ctx();
        checked(to, &context, |_| true)
    }
}

/// An expression as bytes, for [`expr_from_bytes`] in this or another process with this Sheaf.
///
/// # Errors
/// As [`Dataset::to_bytes`].
///
/// ```
/// use sheaf_dataset::codec::{NoFunctions, expr_from_bytes, expr_to_bytes};
/// use sheaf_dataset::expr::{add, col, lit};
///
/// let expr = add(col("a"), lit(1));
/// assert_eq!(expr_from_bytes(&expr_to_bytes(&expr)?, &NoFunctions)?, expr);
/// # Ok::<(), sheaf_core::Error>(())
/// ```
pub fn expr_to_bytes(expr: &Expr) -> Result<Vec<u8>> {
    let mut to = Encoder::default();
    exprs::encode(expr, &mut to)?;
    checked(to, &ENGINE, |read| matches!(read, Some(Made::Expr(read)) if read == *expr))
}

/// The expression that [`expr_to_bytes`] made these bytes of. `functions` makes the user's functions.
///
/// # Errors
/// As [`Session::dataset_from_bytes`].
pub fn expr_from_bytes(bytes: &[u8], functions: &dyn FunctionDecoder) -> Result<Expr> {
    let sheet = Sheet::from_bytes(bytes)?;
    let remake = |kind: &str, bytes: &[u8]| functions::remade(functions, kind, bytes);
    let mut from = Decoder::new(&sheet, &remake, Arc::clone(&ENGINE), Stores::new());
    read(&sheet, &mut from)?;
    match from.last() {
        Some(Made::Expr(expr)) => Ok(expr),
        _ => Err(damaged("they are no expression")),
    }
}

impl Session {
    /// The dataset that [`Dataset::to_bytes`] made these bytes of, with this session's threads and memory. `functions`
    /// makes the user's functions.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Parse`] for bytes that are damaged or something else,
    /// [`sheaf_core::ErrorKind::Unsupported`] for those of a newer Sheaf, and whatever `functions` says.
    pub fn dataset_from_bytes(&self, bytes: &[u8], functions: &dyn FunctionDecoder) -> Result<Dataset> {
        let sheet = Sheet::from_bytes(bytes)?;
        let session = self.meaning_as(&sheet.settings)?;
        let remake = |kind: &str, bytes: &[u8]| functions::remade(functions, kind, bytes);
        let mut from = Decoder::new(&sheet, &remake, session.state().task_ctx(), Arc::clone(session.stores()));
        read(&sheet, &mut from)?;
        match from.last() {
            Some(Made::Plan(plan)) => Ok(Dataset::new(session, plan)),
            _ => Err(damaged("they are no dataset")),
        }
    }

    /// The grouped dataset that [`GroupedDataset::to_bytes`] made these bytes of.
    ///
    /// # Errors
    /// As [`Session::dataset_from_bytes`].
    pub fn grouped_from_bytes(&self, bytes: &[u8], functions: &dyn FunctionDecoder) -> Result<GroupedDataset> {
        let sheet = Sheet::from_bytes(bytes)?;
        let session = self.meaning_as(&sheet.settings)?;
        let remake = |kind: &str, bytes: &[u8]| functions::remade(functions, kind, bytes);
        let mut from = Decoder::new(&sheet, &remake, session.state().task_ctx(), Arc::clone(session.stores()));
        read(&sheet, &mut from)?;
        let last = sheet.parts.last().filter(|part| part.kind == GROUPED);
        let (Some(last), [plan]) = (last, last.map(|last| &last.inputs[..]).unwrap_or_default()) else {
            return Err(damaged("they are no grouped dataset"));
        };
        let (shape, hidden): (_, Vec<String>) = read_json(&last.detail)?;
        let dataset = Dataset::new(session, from.plan(*plan)?);
        GroupedDataset::of_parts(dataset, shape, from.exprs(&last.exprs)?, hidden)
            .ok_or_else(|| damaged("groups lack a key"))
    }
}

/// Reads all parts, the last of which is what is asked for. Readers of Arrow's and DataFusion's messages panic at some
/// that are damaged: that ends here.
fn read(sheet: &Sheet, from: &mut Decoder<'_>) -> Result<()> {
    let parts = AssertUnwindSafe(|| {
        for part in sheet.parts.iter().take_while(|part| part.kind != GROUPED) {
            let made = if exprs::is(part) { exprs::decode(part, from)? } else { plans::decode(part, from)? };
            from.push(made);
        }
        Ok(())
    });
    catch_unwind(parts).unwrap_or_else(|_| Err(damaged("reading them failed")))
}

/// The bytes, if reading them gives what they were made of. Functions and tables are not made anew for that.
fn checked(to: Encoder, context: &Arc<TaskContext>, same: impl FnOnce(Option<Made>) -> bool) -> Result<Vec<u8>> {
    let (sheet, kept) = to.done();
    let remake = |_: &str, _: &[u8]| Err(damaged("a function was written that nobody gave"));
    let mut from = Decoder::new(&sheet, &remake, Arc::clone(context), Stores::new()).knowing(kept);
    let hint = "materialize or checkpoint the part of the plan that has it, and tell the makers of Sheaf";
    match read(&sheet, &mut from) {
        Ok(()) if same(from.last()) => Ok(sheet.to_bytes()),
        Ok(()) => Err(stays("what is written down of it is another plan", hint)),
        Err(error) => Err(stays(format!("what is written down of it cannot be read: {}", error.message()), hint)),
    }
}
