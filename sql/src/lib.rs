//! SQL text to `Dataset`: `.sql()` on a session, files as tables, and the statements that write and define.

mod catalog;
mod mend;
mod options;
mod sample;
mod script;
mod statement;

pub use script::split;
pub use statement::{Bindings, SessionSql};
