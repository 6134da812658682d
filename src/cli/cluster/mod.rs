//! A cluster from the command line: `sheaf head` and `sheaf node` are its processes, `sheaf status` and the like look
//! at it.

mod daemon;
mod show;

use std::path::PathBuf;

use clap::Args;
use sheaf_core::Result;
use sheaf_flight::cluster::Access;

pub(super) use daemon::{HeadArguments, NodeArguments, head, node};
pub(super) use show::{ShowArguments, What, show};

/// Where the head listens, unless it is told otherwise.
const PORT: u16 = 7070;

/// What keeps strangers out.
#[derive(Debug, Args)]
pub(in crate::cli) struct AccessFlags {
    /// A file whose first line is the secret that all nodes and drivers of the cluster share.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl AccessFlags {
    fn access(&self) -> Result<Access> {
        match &self.token_file {
            Some(file) => Access::with_token_file(file),
            None => Ok(Access::default()),
        }
    }
}
