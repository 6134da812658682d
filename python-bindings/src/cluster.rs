//! Sessions on a cluster, and what workers print for them.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use pyo3::prelude::*;
use sheaf::Session;
use sheaf::dataset::codec::{NoteReferences, References};
use sheaf::dataset::engines::{Cluster, ClusterOptions};

use crate::codec::Unpickled;
use crate::errors::IntoPyResult;
use crate::runtime::{PATIENCE, Printed, RuntimeClient, access, printed, start_recording, stop_recording};
use crate::session::{PySession, options_of};

/// What is shown to a cluster: a file with its secret; a certificate, its key, and the authority of the cluster's.
type Shown = (Option<PathBuf>, Option<(PathBuf, PathBuf, PathBuf)>);

fn options((token_file, tls): &Shown, env: String) -> sheaf::Result<ClusterOptions> {
    let (access, functions) = (access(token_file.as_deref(), tls.as_ref())?, Arc::new(Unpickled));
    Ok(ClusterOptions { access, env, functions, notes: Arc::new(Recorded), ..ClusterOptions::default() })
}

/// Notes the references that are pickled.
struct Recorded;

impl NoteReferences for Recorded {
    fn begin(&self) {
        start_recording();
    }

    fn end(&self) -> References {
        let kept = stop_recording();
        References { objects: kept.iter().map(|reference| reference.get().id()).collect(), kept: Some(Box::new(kept)) }
    }
}

#[pymethods]
impl PySession {
    /// One whose queries run on the cluster at an address, and what is printed there. `env` is the environment of the
    /// workers that run functions of Python.
    #[staticmethod]
    fn on_cluster(
        py: Python<'_>,
        settings: Vec<(String, String)>,
        address: &str,
        shown: Shown,
        env: String,
    ) -> PyResult<(Self, ClusterOutput)> {
        let made = py.detach(|| {
            let session = Session::new(options_of(&settings)?)?;
            let cluster = Cluster::connect(address, options(&shown, env)?)?;
            Ok((session.on(&cluster), Arc::downgrade(&cluster)))
        });
        let (session, cluster) = made.py(py)?;
        Ok((Self::of(session), ClusterOutput(cluster)))
    }

    /// This session with its queries on the cluster that the process has joined. What cannot leave the process stays.
    fn on_joined(&self, py: Python<'_>, client: &RuntimeClient, shown: Shown, env: String) -> PyResult<Self> {
        let session = self.open(py)?;
        let made = py.detach(|| {
            let options = ClusterOptions { falls_back: true, ..options(&shown, env)? };
            Ok(session.on(&Cluster::over(client.connection(), options)?))
        });
        Ok(Self::of(made.py(py)?))
    }
}

/// What workers print for a session on a cluster, for as long as that is there.
#[pyclass(frozen, module = "sheaf._sheaf")]
pub(crate) struct ClusterOutput(Weak<Cluster>);

#[pymethods]
impl ClusterOutput {
    /// Lines that were printed, waiting a moment for the first one; `None` when there will be no more.
    fn next_output(&self, py: Python<'_>) -> Option<Vec<Printed>> {
        py.detach(|| self.0.upgrade()?.output(PATIENCE)).map(printed)
    }
}
