//! What every Sheaf crate stands on: the error, the settings, the host's limits, the one door to
//! time, randomness and threads, and the runtime that tasks and objects live in.
//!
//! `core` knows nothing of SQL, file formats, transports or Python.

pub(crate) mod as_bytes;
pub mod autoscale;
mod child;
pub mod client;
pub mod env;
pub mod error;
mod flaw;
pub mod fragment;
pub mod host;
pub mod ids;
pub mod jobs;
pub mod link;
pub mod local;
pub mod memory;
pub mod metrics;
pub mod native;
pub mod network;
pub mod parts;
pub mod placement;
pub mod resources;
pub mod schedule;
pub mod settings;
pub mod state;
pub mod store;
pub mod wire;

pub use error::{Error, ErrorKind, Result, ResultExt};
pub use settings::{Options, Settings};
