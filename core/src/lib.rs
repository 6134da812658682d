//! What every Sheaf crate stands on: the error, the settings, the host's limits, and the one door to
//! time, randomness and threads.
//!
//! `core` knows nothing of SQL, file formats, transports or Python.

pub mod env;
pub mod error;
pub mod host;
pub mod memory;
pub mod settings;

pub use error::{Error, ErrorKind, Result, ResultExt};
pub use settings::{Options, Settings};
