//! The worker of a node: datafusion-distributed's service, over the session that runs all parts of queries there.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::{DistributedTaskContext, Worker, WorkerQueryContext};
use futures::future::BoxFuture;
use sheaf_flight::cluster::{PartClient, Port};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tower::Service;

use super::super::exchange::{ExchangeSource, TaskInputs, context_with};
use super::super::metrics::{Before, TaskDone};
use super::super::runner::{Claim, Counted, FragmentRunner, Shared};
use super::super::told;
use super::links::{Links, equipped};
use crate::operators::map_batches::TaskOf;
use sheaf_connectors::error::to_datafusion;
use sheaf_core::{Error, ErrorKind};

/// A task that runs.
pub(super) struct Running {
    claim: Claim,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    before: Before,
    _counted: Counted,
}

impl Running {
    pub(super) fn execute(&self, partition: usize) -> Result<SendableRecordBatchStream> {
        self.plan.execute(partition, Arc::clone(&self.context))
    }

    /// What it has done.
    pub(super) fn done(&self) -> TaskDone {
        let done = TaskDone::of(self.claim.number(), &self.plan, &self.before, Vec::new());
        if self.claim.stage().is_ok_and(|stage| stage.deals) { done.dealt_out() } else { done }
    }
}

/// What the tasks of a node share, for as long as it runs: a worker keeps tasks for a while after their query, and these
/// must not keep the session.
#[derive(Clone)]
struct Node(Weak<Shared>);

impl Node {
    fn shared(&self) -> sheaf_core::Result<Arc<Shared>> {
        self.0.upgrade().ok_or_else(|| Error::new(ErrorKind::Cancelled, "the node of this task ends"))
    }
}

/// Makes and runs tasks on a node.
pub(super) struct Tasks {
    node: Node,
    links: Links,
}

impl Tasks {
    /// A task of a stage, which one says the context, with what it reads.
    pub(super) async fn begin(
        &self,
        stage: usize,
        shipped: &Bytes,
        reads: Arc<dyn ExchangeSource>,
        context: &Arc<TaskContext>,
    ) -> Result<Running> {
        let shared = self.node.shared().map_err(to_datafusion)?;
        let claim = shared.claimed(shipped, stage).await.map_err(to_datafusion)?;
        let DistributedTaskContext { task_index, task_count } = *DistributedTaskContext::from_ctx(context);
        let plan = claim.stage().and_then(|stage| stage.body_of(task_index)).map_err(to_datafusion)?;
        let own = claim.session().context().task_ctx();
        let config = equipped(own.session_config().clone(), context.session_config(), self.links.clone(), None)?;
        let config = config.with_extension(Arc::new(TaskInputs(reads)));
        let config = config.with_extension(Arc::new(TaskOf { number: task_index, tasks: task_count }));
        let before = Before::of(&plan);
        let (context, counted) = (context_with(&own, config), Counted::of(&shared));
        Ok(Running { claim, plan, context, before, _counted: counted })
    }

    /// An error of a task for the driver: where it happened.
    pub(super) fn told(&self, error: DataFusionError, stage: usize, task: usize, of: usize) -> DataFusionError {
        let shared = match self.node.shared() {
            Ok(shared) => shared,
            Err(ended) => return told::lost_to_engine(&ended),
        };
        let named = |error: Error| shared.named(error.with_context(format!("stage {stage}, task {task} of {of}")));
        told::to_engine(error, named, shared.functions())
    }
}

impl FragmentRunner {
    /// Has this node's port offer what runs tasks of the streaming exchange here.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::Io`] when the system refuses a thread.
    pub fn serve_at(&self, port: Port) -> sheaf_core::Result<Port> {
        let links = Links { client: PartClient::start(port.access().clone())?, told: None };
        let node = Node(Arc::downgrade(self.shared()));
        let tasks = Arc::new(Tasks { node: node.clone(), links: links.clone() });
        let of_queries = node.clone();
        let worker = Worker::from_session_builder(move |query: WorkerQueryContext| {
            let state = state_for(&of_queries, query, links.clone(), Arc::clone(&tasks));
            async move { state }
        });
        let service = worker.with_version(env!("CARGO_PKG_VERSION")).into_worker_server();
        Ok(port.with_service(OnThreads { service, node }))
    }
}

/// The session in which a worker runs what stands above a task.
fn state_for(
    node: &Node,
    WorkerQueryContext { mut builder, .. }: WorkerQueryContext,
    links: Links,
    tasks: Arc<Tasks>,
) -> Result<SessionState> {
    let state = node.shared().and_then(|shared| shared.session()).map_err(to_datafusion)?.state();
    let from = builder.config().take().unwrap_or_default();
    let mut config = equipped(state.config().clone(), &from, links, Some(tasks))?;
    // The catalog is shared with the session: a new one would take its place.
    config.options_mut().catalog.create_default_catalog_and_schema = false;
    Ok(SessionStateBuilder::new_from_existing(state).with_config(config).build())
}

/// A service whose calls run on the threads of the node's session: those that carry bytes are kept free of work.
#[derive(Clone)]
struct OnThreads<S> {
    service: S,
    node: Node,
}

impl<S> fmt::Debug for OnThreads<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnThreads").finish_non_exhaustive()
    }
}

impl<S: NamedService> NamedService for OnThreads<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for OnThreads<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, std::result::Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut service, session) = (self.service.clone(), self.node.shared().and_then(|shared| shared.session()));
        Box::pin(async move {
            let session = match session {
                Ok(session) => session,
                Err(error) => return Ok(Status::unavailable(error.to_string()).into_http()),
            };
            let answered = session.run(async move { Ok(service.call(request).await) }).await;
            Ok(answered.map_or_else(|error| Status::internal(error.to_string()).into_http(), |Ok(answer)| answer))
        })
    }
}
