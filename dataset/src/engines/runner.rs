//! `FragmentRunner`: runs the parts of plans that a node is given, over one session that all of them share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use datafusion::execution::memory_pool::MemoryConsumer;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::client::parts_of;
use sheaf_core::fragment::{Ended, Executor, Fragment, Kept, PartStore, Unread};
use sheaf_core::ids::{Attempt, ObjectId};
use sheaf_core::schedule::{Failure, Raised};
use sheaf_core::{Error, Options, Result};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use twox_hash::XxHash64;

use super::input::{PartSource, SharedSource};
use super::metrics::{Before, TaskDone};
use super::output::write_parts;
use super::shipped::{may_be_kept, unship};
use super::stages::{Stage, StageGraph};
use super::told;
use crate::codec::FunctionDecoder;
use crate::session::{Session, spill_name};
use crate::spill::{SpillFolder, sweep};

/// Plans that are kept for the next task of the same query.
const PLANS: usize = 16;
/// Bytes of a task's output that stay in memory while it is written, if the session has them.
const OUTPUT_BYTES: usize = 32 << 20;
/// The same where it has not.
const FEW_BYTES: usize = 1 << 20;
/// The part of a session's memory that they may be: joins and sorts of the same task need the rest.
const OUTPUT_SHARE: u64 = 16;

/// Which part of a plan a fragment is: its payload.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct TaskPart {
    pub(super) stage: usize,
    pub(super) task: usize,
}

/// Runs fragments; each of them plans nothing that another one of the same query has planned here.
pub struct FragmentRunner(Arc<Shared>);

/// What fragments and the tasks of workers share.
pub(super) struct Shared {
    /// What the session is started with, and the session once there was something to run.
    options: Options,
    session: OnceLock<Session>,
    /// Of the workers, once there was one.
    folder: Mutex<Option<SpillFolder>>,
    /// The node, for people.
    name: String,
    functions: Arc<dyn FunctionDecoder + Send + Sync>,
    plans: Mutex<VecDeque<(u64, OncePlan)>>,
    /// Each with its task, once that is there.
    running: Mutex<BTreeMap<Attempt, Option<AbortHandle>>>,
    /// Tasks of workers that run now.
    streaming: AtomicUsize,
    begun: AtomicU64,
}

/// The stages of a query and the session they run in.
struct Plan {
    graph: StageGraph,
    session: Session,
    /// Stages of which a task runs: two at once would count in the same metrics.
    busy: Mutex<BTreeSet<usize>>,
}

/// A plan, once one task has made it.
type OncePlan = Arc<OnceCell<Arc<Plan>>>;

/// A stage of a plan, for one task.
pub(super) struct Claim {
    plan: Arc<Plan>,
    stage: usize,
}

impl Claim {
    /// `None` while another task has it.
    fn of(plan: &Arc<Plan>, stage: usize) -> Option<Self> {
        plan.busy.lock().insert(stage).then(|| Self { plan: Arc::clone(plan), stage })
    }

    /// Its number.
    pub(super) fn number(&self) -> usize {
        self.stage
    }

    pub(super) fn stage(&self) -> Result<&Stage> {
        let unknown = || Error::internal(format!("a plan has no stage {}", self.stage));
        self.plan.graph.stages.get(self.stage).ok_or_else(unknown)
    }

    /// The session of its query.
    pub(super) fn session(&self) -> &Session {
        &self.plan.session
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.plan.busy.lock().remove(&self.stage);
    }
}

/// Why a fragment made nothing.
enum Unmade {
    Unread(ObjectId, Unread),
    Error(Error),
}

impl From<Error> for Unmade {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl FragmentRunner {
    /// Runs them in this session, on the node of that name. `functions` makes the user's functions.
    #[must_use]
    pub fn new(session: Session, name: &str, functions: Arc<dyn FunctionDecoder + Send + Sync>) -> Self {
        Self::with(Options::default(), session.into(), name, functions)
    }

    /// The same in a session of its own, which starts with the first of them: a node that runs no queries has neither
    /// its threads nor its folder.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for options that cannot be.
    pub fn lazy(options: Options, name: &str, functions: Arc<dyn FunctionDecoder + Send + Sync>) -> Result<Self> {
        // What a node before this one has left there goes, also when this one never spills.
        sweep(&options.clone().validate()?.spill_dir);
        Ok(Self::with(options, OnceLock::new(), name, functions))
    }

    fn with(
        options: Options,
        session: OnceLock<Session>,
        name: &str,
        functions: Arc<dyn FunctionDecoder + Send + Sync>,
    ) -> Self {
        Self(Arc::new(Shared {
            options,
            session,
            folder: Mutex::default(),
            name: name.to_string(),
            functions,
            plans: Mutex::default(),
            running: Mutex::default(),
            streaming: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
        }))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// How many attempts and tasks of workers it has begun.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// How many attempts and tasks of workers run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.lock().len() + self.0.streaming.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for FragmentRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FragmentRunner").field("name", &self.0.name).field("running", &self.running()).finish()
    }
}

impl Executor for FragmentRunner {
    fn start(&self, fragment: Fragment) {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        let (attempt, shared) = (fragment.attempt, Arc::clone(&self.0));
        let session = match self.0.session() {
            Ok(session) => session,
            Err(error) => {
                return fragment.end(Ended::Raised(told::write(&self.0.named(error), self.0.functions.as_ref())));
            }
        };
        // It goes with the task, also with one that is stopped before it has begun.
        let entry = Entry(Arc::clone(&shared), attempt);
        self.0.running.lock().insert(attempt, None);
        let task = session.threads().handle().spawn(async move {
            let _entry = entry;
            let ended = shared.ended(&fragment).await;
            fragment.end(ended);
        });
        // One that is over by now is not there any more.
        if let Some(handle) = self.0.running.lock().get_mut(&attempt) {
            *handle = Some(task.abort_handle());
        }
    }

    fn guests(&self) -> usize {
        self.0.streaming.load(Ordering::Relaxed)
    }

    fn folder(&self) -> Option<PathBuf> {
        let mut folder = self.0.folder.lock();
        if folder.is_none() {
            let parent = self.0.options.clone().validate().map(|settings| settings.spill_dir);
            let made = parent.and_then(|parent| SpillFolder::create(&parent, &spill_name()));
            // Where none can be made, what wants to write there will say so.
            *folder = made.inspect_err(|error| log::warn!("no folder for workers: {error}")).ok();
        }
        folder.as_ref().map(|folder| folder.path().to_path_buf())
    }

    fn stop(&self, attempt: Attempt) {
        let task = self.0.running.lock().get(&attempt).cloned().flatten();
        if let Some(task) = task {
            task.abort();
        }
    }
}

/// A task of a worker among those that run.
pub(super) struct Counted(Arc<Shared>);

impl Counted {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        shared.begun.fetch_add(1, Ordering::Relaxed);
        shared.streaming.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.streaming.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An attempt among those that run, however it ends.
struct Entry(Arc<Shared>, Attempt);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.running.lock().remove(&self.1);
    }
}

impl Shared {
    async fn ended(&self, fragment: &Fragment) -> Ended {
        match self.make(fragment).await {
            Ok(kept) => Ended::Made(vec![kept]),
            Err(Unmade::Unread(object, Unread { from, why })) => {
                Ended::Failed(Failure::Unread(object, from, why.into()))
            }
            Err(Unmade::Error(error)) if error.kind().is_retryable() => {
                Ended::Raised(told::write(&error, self.functions.as_ref()))
            }
            Err(Unmade::Error(error)) => Ended::Failed(Failure::Error(Raised {
                error: told::write(&error, self.functions.as_ref()),
                contains: Vec::new(),
            })),
        }
    }

    async fn make(&self, fragment: &Fragment) -> std::result::Result<Kept, Unmade> {
        let part: TaskPart =
            serde_json::from_slice(&fragment.payload).map_err(|_| Error::internal("what came is no part of a plan"))?;
        let claim = self.claim(fragment.needs.first(), part.stage).await.map_err(|error| self.named(error))?;
        let (stage, session) = (claim.stage()?, claim.session());
        let store = Arc::clone(&fragment.store);
        let source = PartSource::of(stage, part.task, Arc::clone(&store) as _, fragment.reads.clone());
        let source = source.map_err(from_datafusion)?;
        match self.write(stage, part, session, &source, store.as_ref()).await {
            Ok(kept) => Ok(kept),
            Err(error) => match source.unread() {
                Some((object, unread)) => Err(Unmade::Unread(object, unread)),
                None => {
                    let whole = format!("stage {}, task {} of {}", part.stage, part.task, stage.tasks);
                    Err(Unmade::Error(self.named(error.with_context(whole))))
                }
            },
        }
    }

    async fn write(
        &self,
        stage: &Stage,
        part: TaskPart,
        session: &Session,
        source: &Arc<PartSource>,
        store: &dyn PartStore,
    ) -> Result<Kept> {
        let context = SharedSource(Arc::clone(source)).context(&session.context().task_ctx());
        let held = MemoryConsumer::new(format!("output of stage {}", part.stage)).register(context.memory_pool());
        let most =
            usize::try_from(session.memory().limit / OUTPUT_SHARE).map_or(OUTPUT_BYTES, |most| most.min(OUTPUT_BYTES));
        let limit = if held.try_grow(most).is_ok() { most } else { FEW_BYTES };
        let plan = stage.plan_of(part.task)?;
        let before = Before::of(&plan);
        let tell = async |parts| {
            let mut done = TaskDone::of(part.stage, &plan, &before, parts);
            // What cannot be read is left out: the rows were there.
            source.done().await.into_iter().flatten().for_each(|before| done.stages.add(before.stages));
            done.to_bytes()
        };
        let parts = write_parts(Arc::clone(&plan), context, store.folder(), limit as u64, tell).await?;
        let kept = store.keep(parts).await.map_err(|_| crate::run::cancelled())?;
        drop(held);
        kept
    }

    /// A stage of the query that this is the plan of.
    async fn claim(&self, packed: Option<&Bytes>, stage: usize) -> Result<Claim> {
        let broken = || Error::internal("a part of a plan came without the plan");
        let packed = packed.ok_or_else(broken)?;
        let places = parts_of(packed).ok_or_else(broken)?;
        self.claimed(places.first().and_then(|place| packed.get(place.clone())).ok_or_else(broken)?, stage).await
    }

    /// A stage of the query whose plan has these bytes.
    pub(super) async fn claimed(&self, bytes: &[u8], stage: usize) -> Result<Claim> {
        let plan = if may_be_kept(bytes) { self.kept(XxHash64::oneshot(0, bytes)) } else { OncePlan::default() };
        let session = self.session()?;
        let make = async || {
            let (graph, session) = unship(&session, bytes, self.functions.as_ref()).await?;
            Ok::<_, Error>(Arc::new(Plan { graph, session, busy: Mutex::default() }))
        };
        if let Some(claim) = Claim::of(plan.get_or_try_init(make).await?, stage) {
            return Ok(claim);
        }
        let busy = || Error::internal("a new plan is in use");
        Claim::of(&make().await?, stage).ok_or_else(busy)
    }

    pub(super) fn session(&self) -> Result<Session> {
        if let Some(session) = self.session.get() {
            return Ok(session.clone());
        }
        let started = Session::new(self.options.clone())?;
        Ok(self.session.get_or_init(|| started).clone())
    }

    /// The place of a plan among those that are kept, the one that was used last first.
    fn kept(&self, key: u64) -> OncePlan {
        let mut plans = self.plans.lock();
        let place = plans.iter().position(|(other, _)| *other == key);
        let plan = place.and_then(|place| plans.remove(place)).map(|(_, plan)| plan).unwrap_or_default();
        plans.truncate(PLANS - 1);
        plans.push_front((key, Arc::clone(&plan)));
        plan
    }

    /// An error that says where it happened.
    pub(super) fn named(&self, error: Error) -> Error {
        error.with_context(format!("on {}", self.name))
    }

    pub(super) fn functions(&self) -> &dyn FunctionDecoder {
        self.functions.as_ref()
    }
}
