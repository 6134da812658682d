//! How plans run on many nodes: what DataFusion plans for one process, cut into stages.
//!
//! `plan` asks datafusion-distributed where a plan is cut and into how many tasks, `stages` is the outcome as plain
//! data, and `exchange` the operator by which a task reads what the tasks of other stages wrote: `output` writes it,
//! `input` reads it.

pub mod exchange;
pub mod input;
pub mod output;
pub mod plan;
pub mod stages;
