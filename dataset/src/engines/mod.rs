//! How plans run on many nodes: what DataFusion plans for one process, cut into stages.
//!
//! `plan` asks datafusion-distributed where a plan is cut and into how many tasks, `spread` says which operators may be
//! among many tasks, `leaves` cuts their leaves, `stages` is the outcome as plain data, and `exchange` the operator by
//! which a task reads what the tasks of other stages make. `determinism` says what another run would make. `pools` gives
//! functions with few processes stages of their own, and `reducers` has stages drop what others leave out.
//!
//! `shipped` is a plan on its way to other nodes, where `runner` runs its parts, and `told` are errors on their way
//! back. A session on a [`Cluster`] (`cluster`) plans by `remote`, and its queries (`exec`) run by the durable exchange
//! (`durable`: `output` writes what `input` reads) or the streaming one (`streaming`); `metrics` is what their tasks did
//! besides. Rows stay there for other queries by `persist`, tables in memory go there by `uploads`, and the driver reads
//! through `here`.

pub mod cluster;
pub mod determinism;
mod durable;
pub mod exchange;
mod exec;
mod here;
pub mod input;
mod leaves;
pub(crate) mod metrics;
pub mod output;
mod persist;
pub mod plan;
mod pools;
mod reducers;
pub mod remote;
pub mod runner;
pub mod shipped;
pub mod spread;
pub mod stages;
mod streaming;
mod told;
mod uploads;

pub use cluster::{Cluster, ClusterOptions};
pub use runner::FragmentRunner;
