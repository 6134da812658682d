//! How drivers and workers reach the workers of nodes.

use std::future::ready;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::prelude::SessionConfig;
use datafusion_distributed::grpc::{BoxCloneSyncChannel, create_worker_client};
use datafusion_distributed::{
    ChannelResolver, CoordinatorToWorkerMsg, DistributedConfig, DistributedExt, DistributedTaskContext,
    ExecuteTaskRequest, GetWorkerInfoRequest, GetWorkerInfoResponse, LocalWorkerContext, SetPlanRequest, WorkerChannel,
    WorkerToCoordinatorMsg,
};
use futures::FutureExt;
use futures::stream::{BoxStream, Peekable, StreamExt};
use parking_lot::Mutex;
use sheaf_flight::cluster::PartClient;
use tonic::codegen::http::HeaderMap;
use url::Url;

use super::super::metrics::StagesDone;
use super::super::told;
use super::task::{TaskCodec, done_in};
use super::worker::Tasks;

/// What all tasks of a query have told that they did.
pub(in super::super) type Told = Arc<Mutex<(usize, StagesDone)>>;

/// Reaches workers by the addresses of their nodes.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) client: PartClient,
    /// Where it is noted what tasks did, by who asks them to run.
    pub(super) told: Option<Told>,
}

#[async_trait]
impl ChannelResolver for Links {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        let calls = self.client.calls_to(&address_of(url)).await;
        let calls = calls.map_err(|error| told::lost_to_engine(&error))?;
        let inner = create_worker_client(BoxCloneSyncChannel::new(calls));
        Ok(Box::new(Link { inner, told: self.told.clone() }))
    }
}

/// A worker elsewhere.
///
/// Each partition of a task is asked for on its own: datafusion-distributed 4.0 reads all of those that a task wants
/// over one call with one budget of bytes, so that one which nobody reads yet keeps back one that is waited for. And all
/// are asked for at once: a worker forgets a task that is not begun within ten minutes.
struct Link {
    inner: Box<dyn WorkerChannel>,
    told: Option<Told>,
}

#[async_trait]
impl WorkerChannel for Link {
    async fn coordinator_channel(
        &mut self,
        headers: HeaderMap,
        request: SetPlanRequest,
        messages: BoxStream<'static, CoordinatorToWorkerMsg>,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<WorkerToCoordinatorMsg>>> {
        let answers = self.inner.coordinator_channel(headers, request, messages, metrics, context).await?;
        // A node that is lost before its last word is missed where its rows are.
        let answers = answers.take_while(|answer| ready(answer.is_ok()));
        let told = self.told.clone();
        let noted = answers.inspect(move |answer| {
            let (Ok(WorkerToCoordinatorMsg::TaskMetrics(metrics)), Some(told)) = (answer, &told) else { return };
            let (tasks, all) = &mut *told.lock();
            *tasks += 1;
            metrics.pre_order_plan_metrics.iter().filter_map(done_in).for_each(|done| all.add(done.stages));
        });
        Ok(noted.boxed())
    }

    async fn execute_task(
        &mut self,
        headers: HeaderMap,
        request: ExecuteTaskRequest,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<BoxStream<'static, Result<RecordBatch>>>> {
        let mut partitions = Vec::new();
        for partition in request.target_partition_start..request.target_partition_end {
            let one = ExecuteTaskRequest {
                task_key: request.task_key,
                target_partition_start: partition,
                target_partition_end: partition + 1,
                producer_head: request.producer_head.clone(),
            };
            let rows = self.inner.execute_task(headers.clone(), one, metrics.clone(), context).await?;
            partitions.extend(rows.into_iter().map(begun));
        }
        Ok(partitions)
    }

    async fn get_worker_info(&mut self, request: GetWorkerInfoRequest) -> Result<GetWorkerInfoResponse> {
        self.inner.get_worker_info(request).await
    }
}

/// Rows that are asked for now, and not when the first of them is wanted.
fn begun(rows: BoxStream<'static, Result<RecordBatch>>) -> BoxStream<'static, Result<RecordBatch>> {
    let mut rows = Box::pin(rows.peekable());
    // Whoever reads them looks again.
    let _ = Peekable::peek(rows.as_mut()).now_or_never();
    rows.boxed()
}

/// Settings under which tasks reach one another: those that datafusion-distributed has put into `from`, and ours.
pub(super) fn equipped(
    config: SessionConfig,
    from: &SessionConfig,
    links: Links,
    tasks: Option<Arc<Tasks>>,
) -> Result<SessionConfig> {
    let mut config = config.with_distributed_channel_resolver(links).with_distributed_user_codec(TaskCodec(tasks));
    if let Ok(own) = DistributedConfig::from_config_options(from.options()) {
        config.set_distributed_option_extension(own.clone());
    }
    if let Some(task) = from.get_extension::<DistributedTaskContext>() {
        config.set_extension(task);
    }
    if let Some(worker) = from.get_extension::<LocalWorkerContext>() {
        config.set_extension(worker);
    }
    Ok(config)
}

/// The address of a node, with its port also where that is the usual one.
fn address_of(url: &Url) -> String {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    format!("{}://{host}:{port}", url.scheme())
}

/// What the address of a node is to datafusion-distributed.
pub(super) fn url_of(address: &str) -> Result<Url> {
    Url::parse(address).map_err(|error| DataFusionError::Internal(format!("{address:?} is no address: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_ports() {
        for address in ["http://127.0.0.1:7070", "https://node:443", "http://[::1]:80"] {
            assert_eq!(address_of(&url_of(address).unwrap()), address);
        }
    }
}
