//! A plan's stages on another node: its bytes, and the stages that are made of them there.
//!
//! What travels is the optimized logical plan, in the layout of [`crate::codec`]: files by name, with the schemas that
//! were found, constants for what is known when a query begins. Every node cuts it in the same way, for the same number
//! of nodes and partitions. That this came out alike is not taken on trust: marks of all that each task reads and does
//! go along, and a node on which they are others refuses to run a part, as when a file has changed since.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion_distributed::DistributedLeafExec;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};
use twox_hash::XxHash64;

use super::plan::{ClusterShape, plan_optimized};
use super::stages::{Stage, StageGraph, leaves_of};
use crate::codec::{FunctionDecoder, NoteReferences, References};
use crate::dataset::Dataset;
use crate::encoding::Encoder;
use crate::session::Session;

/// What goes before the bytes of the logical plan.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    shape: ClusterShape,
    /// Whether the user's functions refer to objects of the runtime, which are held as long as a function is there.
    has_references: bool,
    /// Of each stage.
    marks: Vec<u64>,
}

/// A plan that runs in stages.
#[derive(Debug)]
pub struct Shipped {
    /// Its stages, as they are cut.
    pub graph: StageGraph,
    /// Of these they are made on another node.
    pub bytes: Vec<u8>,
    /// Whether it has functions or tables of the user's, which are made in worker processes alone.
    pub has_functions: bool,
    /// What these refer to.
    pub references: References,
}

impl Shipped {
    /// Cuts an optimized logical plan for a cluster. `session` runs nothing on a cluster itself; `notes` knows to what the
    /// user's functions refer.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a plan with something that only this process has; those of planning.
    pub async fn of(
        session: &Session,
        optimized: &LogicalPlan,
        shape: ClusterShape,
        notes: &dyn NoteReferences,
    ) -> Result<Self> {
        let dataset = Dataset::new(session.clone(), optimized.clone());
        notes.begin();
        let written = dataset.written(Encoder::for_cluster());
        let references = notes.end();
        let (plan, has_functions) = written.map_err(|error| {
            let why = error.message().replacen("the dataset cannot be pickled", "it cannot leave this process", 1);
            let why = Error::new(error.kind(), format!("the query cannot run on the cluster: {why}"));
            error.hint().map(str::to_string).into_iter().fold(why, Error::with_hint)
        })?;
        let graph = plan_optimized(optimized, &session.state(), shape).await?;
        let marks = graph.stages.iter().map(mark).collect::<Result<_>>()?;
        let header = serde_json::to_vec(&Header { shape, has_references: !references.objects.is_empty(), marks });
        let header = header.map_err(|error| Error::internal(format!("the header of a plan: {error}")))?;
        let mut bytes = (header.len() as u32).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(plan);
        Ok(Self { graph, bytes, has_functions, references })
    }
}

/// Makes the stages of the bytes of [`Shipped`], and the session under whose settings they run.
///
/// # Errors
/// [`ErrorKind::Conflict`] when they come out otherwise than where they were made; those of reading and planning.
pub async fn unship(
    session: &Session,
    bytes: &[u8],
    functions: &(dyn FunctionDecoder + Send + Sync),
) -> Result<(StageGraph, Session)> {
    let (header, plan) = taken_apart(bytes)?;
    let dataset = session.dataset_from_bytes(plan, functions)?;
    let Header { shape, marks, .. } = header;
    let graph = plan_optimized(dataset.logical_plan(), &dataset.session().state(), shape).await?;
    let made = graph.stages.iter().map(mark).collect::<Result<Vec<_>>>()?;
    if made != marks {
        return Err(Error::new(
            ErrorKind::Conflict,
            "the plan of this query comes out otherwise here than where it was made: a file that it reads has changed \
             since, or this node sees another one by the same name",
        )
        .with_hint("run the query again; local paths have to lead to the same files on all nodes"));
    }
    Ok((graph, dataset.session().clone()))
}

fn taken_apart(bytes: &[u8]) -> Result<(Header, &[u8])> {
    let broken = || Error::internal("what came is no plan of stages");
    let (length, rest) = bytes.split_first_chunk().ok_or_else(broken)?;
    let (header, plan) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(broken)?;
    Ok((serde_json::from_slice(header).map_err(|_| broken())?, plan))
}

/// Whether a plan may be kept for the next task of its query: its functions hold nothing.
pub(super) fn may_be_kept(bytes: &[u8]) -> bool {
    taken_apart(bytes).is_ok_and(|(header, _)| !header.has_references)
}

/// What tells one stage from another: its operators, and the files of each of its tasks.
fn mark(stage: &Stage) -> Result<u64> {
    let mut mark = XxHash64::default();
    (stage.tasks, stage.parts(), stage.inputs.len()).hash(&mut mark);
    mark_plan(&stage.plan, stage.tasks, &mut mark).map_err(from_datafusion)?;
    Ok(mark.finish())
}

fn mark_plan(plan: &Arc<dyn ExecutionPlan>, tasks: usize, mark: &mut XxHash64) -> datafusion::error::Result<()> {
    plan.apply(|node| {
        if let Some(leaf) = node.downcast_ref::<DistributedLeafExec>() {
            leaves_of(leaf, tasks)?.iter().try_for_each(|own| mark_plan(own, tasks, mark))?;
            return Ok(TreeNodeRecursion::Jump);
        }
        displayable(node.as_ref()).one_line().to_string().hash(mark);
        node.schema().hash(mark);
        let source = node.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
        if let Some(scan) = source.and_then(|source| source.downcast_ref::<FileScanConfig>()) {
            for file in scan.file_groups.iter().flat_map(|group| group.files()) {
                let meta = &file.object_meta;
                (meta.location.as_ref(), meta.size, &meta.e_tag, &meta.version).hash(mark);
                file.range.as_ref().map(|range| (range.start, range.end)).hash(mark);
            }
            scan.file_groups.iter().map(|group| group.len()).for_each(|files| files.hash(mark));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
