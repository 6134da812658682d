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

/// What runs them in this process, for each share of its node that it was given: there are few.
static RUNNERS: Mutex<Vec<(Share, Arc<FragmentRunner>)>> = Mutex::new(Vec::new());

/// What runs parts of plans with that share of the node.
pub(super) fn executor(share: &Share) -> Result<Arc<dyn Executor>> {
    Python::attach(|py| {
        let process = py.import(intern!(py, "sheaf._runtime.process"))?;
        process.call_method1(intern!(py, "run_queries"), (&share.env,)).map(drop)
    })
    .map_err(|error| Error::internal(format!("a worker cannot run queries: {error}")))?;
    let known = RUNNERS.lock().iter().find(|(known, _)| known == share).map(|(_, runner)| Arc::clone(runner));
    if let Some(runner) = known {
        return Ok(runner);
    }
    let options = Options {
        threads: Some(share.cpus as usize),
        memory_limit: Some(share.memory),
        spill_dir: Some(PathBuf::from(&share.folder)),
        ..Options::default()
    };
    let started = Arc::new(FragmentRunner::lazy(options, &share.node, Arc::new(Unpickled))?);
    RUNNERS.lock().push((share.clone(), Arc::clone(&started)));
    Ok(started)
}
