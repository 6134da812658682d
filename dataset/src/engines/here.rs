//! Rows of objects of a cluster, read by the driver itself.
//!
//! A part that cannot be read is looked for again where it may be by then: what was on a node that died is made again. The
//! rows that have gone out of it by then are left out, where the task makes the same rows in the same order each time.

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::Result as EngineResult;
use futures::stream::{self, BoxStream, StreamExt};
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_core::fragment::{PartInput, Unread};
use sheaf_core::ids::ObjectId;
use sheaf_core::{Error, ErrorKind};

use super::cluster::{Absent, Cluster};
use super::input::{Reading, Unreadable};
use super::told::{Failed, error_of, is_lost};
use crate::operators::stored::StoredReader;

/// Parts that are on their way at once: the next one while one is used.
const AHEAD: usize = 2;
/// How long is waited, after each failure, for a part to be somewhere else. A node that is gone is known after ten
/// seconds at the latest.
const PATIENCE: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(6),
];

/// The driver as a reader.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) cluster: Arc<Cluster>,
    /// Whether a part that is made again has the same rows in the same order.
    pub(super) is_determined: bool,
}

impl StoredReader for Here {
    fn stored(&self, parts: Vec<(ObjectId, u32)>) -> BoxStream<'static, EngineResult<RecordBatch>> {
        self.read(parts).map(|batch| batch.map_err(|failed| to_datafusion(failed.into_error()))).boxed()
    }
}

impl Here {
    /// The rows of these parts, one part after the other.
    pub(super) fn read(&self, parts: Vec<(ObjectId, u32)>) -> BoxStream<'static, Result<RecordBatch, Failed>> {
        let here = self.clone();
        let begun = move |(object, part)| {
            let mut reading = PartReading::new(here.clone(), object, part);
            // It goes on while another part is used.
            SpawnedTask::spawn(async move { reading.next().await.map(|first| (first, reading)) })
        };
        let rows = stream::iter(parts).map(begun).buffered(AHEAD).flat_map(|begun| match begun {
            Err(error) => {
                let why = Error::internal(format!("reading a result ended: {error}"));
                stream::iter([Err(Failed::Error(why))]).boxed()
            }
            Ok(None) => stream::empty().boxed(),
            Ok(Some((first, reading))) => {
                let rest = stream::unfold(reading, |mut reading| async move { Some((reading.next().await?, reading)) });
                stream::iter([first]).chain(rest).boxed()
            }
        });
        rows.flat_map(|batches| match batches {
            Ok(batches) => stream::iter(batches.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(failed) => stream::iter(vec![Err(failed)]),
        })
        .boxed()
    }
}

/// A part on its way.
struct PartReading {
    here: Here,
    object: ObjectId,
    part: u32,
    reading: Option<Reading>,
    /// Rows that have gone out, and those of them that are still to come once more.
    given: usize,
    again: usize,
    failures: usize,
    is_over: bool,
}

impl PartReading {
    fn new(here: Here, object: ObjectId, part: u32) -> Self {
        Self { here, object, part, reading: None, given: 0, again: 0, failures: 0, is_over: false }
    }

    /// The next rows; nothing comes after an error.
    async fn next(&mut self) -> Option<Result<Vec<RecordBatch>, Failed>> {
        while !self.is_over {
            match self.step().await {
                Ok(None) => self.is_over = true,
                Ok(Some(batches)) if batches.is_empty() => {}
                Ok(Some(batches)) => return Some(Ok(batches)),
                Err(failed) => {
                    self.is_over = true;
                    return Some(Err(failed));
                }
            }
        }
        None
    }

    async fn step(&mut self) -> Result<Option<Vec<RecordBatch>>, Failed> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.begin().await?,
        };
        let unread = match reading.next().await {
            None => return Ok(None),
            Some(Ok(batches)) => {
                self.reading = Some(reading);
                return Ok(Some(batches.iter().filter_map(|batch| self.new_rows(batch)).collect()));
            }
            Some(Err(Unreadable::Undecoded(error))) => return Err(Failed::Error(from_datafusion(error))),
            Some(Err(Unreadable::Unread(unread))) => unread,
        };
        let is_whole = self.given == 0 || self.here.is_determined;
        let patience = PATIENCE.get(self.failures).filter(|_| is_whole);
        self.failures += 1;
        tokio::time::sleep(*patience.ok_or_else(|| self.lost(&unread))?).await;
        Ok(Some(Vec::new()))
    }

    async fn begin(&mut self) -> Result<Reading, Failed> {
        let cluster = &self.here.cluster;
        let place = cluster.place_of(self.object).await.map_err(|absent| match absent {
            Absent::Error(error) => Failed::Error(error),
            Absent::Unmade(reason) => {
                let lost = is_lost(&reason);
                let error = error_of(reason, cluster.functions(), false);
                if lost { Failed::Lost(error) } else { Failed::Error(error) }
            }
        })?;
        // It may be on a node that was not there before.
        if self.failures > 0 {
            cluster.speak(|cluster| cluster.look()).await.map_err(Failed::Error)?;
        }
        self.again = self.given;
        // Each time by itself: what has gone out of it is left out, or it is not read again.
        let chunks = cluster.read(self.object, &place, self.part..self.part + 1);
        Ok(Reading::new(self.object, chunks, Arc::default()))
    }

    /// What of a batch has not gone out yet.
    fn new_rows(&mut self, batch: &RecordBatch) -> Option<RecordBatch> {
        let old = self.again.min(batch.num_rows());
        let new = batch.num_rows() - old;
        self.again -= old;
        self.given += new;
        (new > 0).then(|| batch.slice(old, new))
    }

    fn lost(&self, Unread { from, why }: &Unread) -> Failed {
        let why = format!("{}, a result of a query, is gone with {from}: {why}", self.object);
        Failed::Lost(Error::new(ErrorKind::Io, why).with_hint("run the query again; persisted rows, persist again"))
    }
}
