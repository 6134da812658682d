//! Parts of queries that have functions of Python in them: a worker runs them with an engine of its own, in which the
//! functions are what they are.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use sheaf::core::fragment::Executor;
use sheaf::core::wire::Share;
use sheaf::dataset::engines::FragmentRunner;
use sheaf::{Error, Options, Result};

use crate::codec::Unpickled;

/// What runs them in this process, and for which share of its node.
static RUNNER: Mutex<Option<(Share, Arc<FragmentRunner>)>> = Mutex::new(None);

/// What runs parts of plans with that share of the node.
pub(super) fn executor(share: &Share) -> Result<Arc<dyn Executor>> {
    let mut runner = RUNNER.lock();
    if let Some((_, runner)) = runner.as_ref().filter(|(known, _)| known == share) {
        return Ok(Arc::<FragmentRunner>::clone(runner));
    }
    let options = Options {
        threads: Some(share.cpus as usize),
        memory_limit: Some(share.memory),
        spill_dir: Some(PathBuf::from(&share.folder)),
        ..Options::default()
    };
    Python::attach(|py| {
        let process = py.import(intern!(py, "sheaf._runtime.process"))?;
        process.call_method1(intern!(py, "run_queries"), (&share.env,)).map(drop)
    })
    .map_err(|error| Error::internal(format!("a worker cannot run queries: {error}")))?;
    let started = Arc::new(FragmentRunner::lazy(options, &share.node, Arc::new(Unpickled))?);
    *runner = Some((share.clone(), Arc::clone(&started)));
    Ok(started)
}
