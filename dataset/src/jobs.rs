//! Jobs: writes that go on where they were when their process is killed and run again.
//!
//! `jobs/cut` puts a [`crate::operators::recorded`] node wherever rows change their partition, so that each stage of
//! the plan and each written file is recorded in the job's folder as it is done. `jobs/folder` is that folder; what the
//! job is, by which a later attempt is known to be the same one, is in `jobs/identity`.

mod cut;
mod folder;
mod identity;

use sheaf_connectors::error::from_datafusion;
use sheaf_connectors::write::{Attempt, WriteOptions};
use sheaf_core::{Error, Result, ResultExt};

use crate::dataset::Dataset;
use crate::operators::determined;
use crate::operators::own_files;
use crate::operators::write::WriteReport;
use crate::run::Run;
use folder::{Begun, JobFolder};

pub use folder::{Program, began_by};

/// Writes `dataset` to `target` as the job of this name, from where an earlier attempt left it.
pub(crate) async fn write(dataset: &Dataset, target: &str, options: WriteOptions, name: &str) -> Result<WriteReport> {
    let folder = JobFolder::at(dataset.session(), target, &options.storage_options, name)?;
    let attempt = Attempt::new(None);
    let begun = folder.begun().await?;
    if begun.is_none() {
        dataset.check_append(target, &options).await?;
    }
    let partitions = begun.as_ref().map(|begun| begun.partitions);
    let session = planning(dataset, partitions);
    let write_id = begun.as_ref().map_or_else(|| attempt.id.clone(), |begun| begun.write_id.clone());
    let attempt = Attempt { write_id, id: attempt.id };
    let options = WriteOptions { attempt: Some(attempt.clone()), job: None, ..options };
    let written = dataset.write_plan(target, options)?;
    let plan = session.state.create_physical_plan(written.logical_plan()).await;
    let plan = plan.and_then(own_files::everywhere).map_err(from_datafusion)?;
    let identity = identity::of(&plan)?;
    let begun = match begun {
        Some(begun) => begun,
        None => folder.begin(Begun::new(&attempt.write_id, session.partitions, &identity)).await?,
    };
    begun.check(&identity, &folder)?;
    if let Some(report) = folder.done().await? {
        folder.clear().await;
        return Ok(report);
    }
    if begun.write_id != attempt.write_id {
        return Err(Error::new(
            sheaf_core::ErrorKind::Conflict,
            format!("{folder} was begun by another process at the same moment"),
        )
        .with_hint("run the program again: it goes on with what that one has recorded"));
    }
    folder.note_attempt(&attempt.id).await?;
    let plan = cut::cut(plan, &folder.records(&attempt.id)).map_err(from_datafusion)?;
    let mut run = Run::start_with(dataset.session(), plan, session.state.task_ctx());
    let batches = run.collect().await.with_context(|| format!("writing {target} as {folder}"))?;
    dataset.keep_stats(&run);
    let report = batches.iter().find_map(WriteReport::read);
    let report = report.ok_or_else(|| Error::internal("a write reported nothing"))?;
    folder.finish(&report).await?;
    Ok(report)
}

/// The state that a job is planned with.
struct Planning {
    state: datafusion::execution::SessionState,
    partitions: usize,
}

/// What makes tasks depend on each other while they run is off: a task alone must do what it does among all. So are
/// exchanges that only spread rows over threads: they would put on disk what nobody has computed yet.
fn planning(dataset: &Dataset, partitions: Option<usize>) -> Planning {
    let mut state = dataset.session().state();
    let config = state.config_mut();
    let partitions = partitions.unwrap_or_else(|| config.target_partitions());
    determined::settle(config);
    let options = config.options_mut();
    options.execution.target_partitions = partitions;
    options.optimizer.enable_round_robin_repartition = false;
    options.optimizer.prefer_existing_sort = false;
    Planning { state, partitions }
}
