//! A cluster from the command line: `sheaf head` and `sheaf node` are its processes, `sheaf up` is one in one process, `sheaf status` and the like look
//! at it, and `sheaf job` lets it run programs.

mod asked;
mod daemon;
mod demand;
mod drain;
mod job;
mod list;
mod logs;
mod memory;
mod node_types;
mod resume;
mod rows;
mod show;
mod up;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use sheaf_core::{Error, ErrorKind, Result};
use sheaf_dataset::engines::{Cluster, ClusterOptions};
use sheaf_flight::cluster::Access;

pub(super) use daemon::{HeadArguments, NodeArguments, head, node};
pub(super) use demand::demand;
pub(super) use drain::{DrainArguments, drain};
pub(super) use job::{JobCommand, job};
pub(super) use list::{ListArguments, actors, tasks};
pub(super) use logs::{LogsArguments, logs};
pub(super) use memory::{MemoryArguments, memory};
pub(super) use show::{ShowArguments, What, show};
pub(super) use up::{UpArguments, up};

/// Where the head listens, unless it is told otherwise.
const PORT: u16 = 7070;

/// What keeps strangers out.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct AccessFlags {
    /// A file whose first line is the secret that all nodes and drivers of the cluster share.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The certificate that is shown to others, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key", requires = "tls_ca")]
    tls_cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The authority whose certificates others have to show.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
}

/// The cluster that queries run on.
#[derive(Debug, Args)]
pub(in crate::cli) struct ClusterFlags {
    /// Run queries on the cluster whose head is there, such as sheaf://host:7070, through the node of it that runs on
    /// this machine.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    #[command(flatten)]
    access: AccessFlags,
}

impl ClusterFlags {
    /// The cluster, if one is named.
    pub(in crate::cli) fn cluster(&self) -> Result<Option<Arc<Cluster>>> {
        self.address
            .as_deref()
            .map(|address| {
                Cluster::connect(address, ClusterOptions { access: self.access.access()?, ..ClusterOptions::default() })
            })
            .transpose()
    }
}

impl AccessFlags {
    fn access(&self) -> Result<Access> {
        let access = match &self.token_file {
            Some(file) => Access::with_token_file(file)?,
            None => Access::default(),
        };
        match (&self.tls_cert, &self.tls_key, &self.tls_ca) {
            (Some(certificate), Some(key), Some(authority)) => access.with_certificates(certificate, key, authority),
            _ => Ok(access),
        }
    }

    /// The same for another process of this machine.
    fn flags(&self) -> Result<Vec<String>> {
        let given = [
            ("--token-file", &self.token_file),
            ("--tls-cert", &self.tls_cert),
            ("--tls-key", &self.tls_key),
            ("--tls-ca", &self.tls_ca),
        ];
        let given = given.into_iter().filter_map(|(flag, file)| Some((flag, file.as_ref()?)));
        let flags = given.map(|(flag, file)| Ok([flag.to_string(), absolute(file)?.to_string_lossy().into_owned()]));
        Ok(flags.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// What a node says that anybody on its machine may use.
    fn warning(&self) -> &'static str {
        match self.token_file.is_some() || self.tls_cert.is_some() {
            true => "",
            false => {
                "\n  without a token (--token-file) or certificates (--tls-cert) it is reached from this machine alone, by \
                 everybody who has an account here"
            }
        }
    }

    /// Where workers get packages from, and the files that let them in, as JSON.
    fn for_workers(&self, head: &str) -> Result<String> {
        let place = head.rsplit("://").next().unwrap_or_default();
        let absolute = |path: &PathBuf| absolute(path);
        let token_file = self.token_file.as_ref().map(absolute).transpose()?;
        let tls = match (&self.tls_cert, &self.tls_key, &self.tls_ca) {
            (Some(certificate), Some(key), Some(authority)) => {
                Some([absolute(certificate)?, absolute(key)?, absolute(authority)?])
            }
            _ => None,
        };
        Ok(serde_json::json!({ "head": place, "token_file": token_file, "tls": tls }).to_string())
    }
}

/// The path of a file, from wherever a process is.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::new(ErrorKind::Io, format!("{} has no absolute path: {error}", path.display())))
}
