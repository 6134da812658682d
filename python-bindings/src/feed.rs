//! Feeds for training as Python holds them: an epoch that is read, who gets which rows, and batches cut to a size.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::error::ArrowError;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatch;
use sheaf::dataset::feed::{self, Cut, Deal, Feed, FeedOptions, FeedStopper, LocalShuffle, RowSet};
use tokio::time::timeout;

use crate::convert::{batch_to_pyarrow, with_schema};
use crate::dataset::PyDataset;
use crate::errors::{IntoPyResult, to_py};
use crate::interrupt;
use crate::wait::{SLICE, wait};

/// Ranges of rows as Python tells them: the first row, and that behind the last.
type Ranges = Vec<(u64, u64)>;

fn row_set(ranges: Ranges) -> RowSet {
    ranges.into_iter().map(|(start, end)| start..end).collect()
}

fn told(ranges: &[Range<u64>]) -> Ranges {
    ranges.iter().map(|range| (range.start, range.end)).collect()
}

fn unfit(error: ArrowError) -> sheaf::Error {
    sheaf::Error::internal(format!("cannot cut a batch: {error}"))
}

/// One epoch of a dataset, as batches of one size.
#[pyclass(name = "Feed", frozen, module = "sheaf._sheaf")]
pub(crate) struct PyFeed {
    feed: Mutex<Feed>,
    stopper: FeedStopper,
    stopped: AtomicBool,
}

#[pymethods]
impl PyFeed {
    /// `shuffle` is the seed, the epoch and the rows of a window; `once` says that nobody will go on in it.
    #[new]
    #[expect(clippy::too_many_arguments, reason = "each is an option of its own, by keyword")]
    #[pyo3(signature = (dataset, *, shuffle, done, partitions, batch_size, prefetch, drop_last, once=false))]
    fn new(
        py: Python<'_>,
        dataset: &PyDataset,
        shuffle: Option<(u64, u64, usize)>,
        done: Ranges,
        partitions: Option<usize>,
        batch_size: Option<usize>,
        prefetch: usize,
        drop_last: bool,
        once: bool,
    ) -> PyResult<Self> {
        let shuffle = shuffle.map(|(seed, epoch, rows)| LocalShuffle::new(seed, epoch, rows));
        let options = FeedOptions { shuffle, done: row_set(done), partitions, batch_size, prefetch, drop_last, once };
        let dataset = dataset.inner.clone();
        let session = dataset.session().clone();
        let feed = wait(py, &session, async move { Feed::open(&dataset, options).await })?;
        let stopper = feed.stopper();
        Ok(Self { feed: Mutex::new(feed), stopper, stopped: AtomicBool::new(false) })
    }

    /// The next batch; none at the end, and once the feed is stopped.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            if self.stopped.load(Ordering::Acquire) {
                return Ok(None);
            }
            let waited = py.detach(|| {
                let mut feed = self.feed.lock();
                let threads = Arc::clone(feed.session().threads());
                let next = threads.block_on(async { timeout(SLICE, feed.next()).await });
                next.map(|next| next.map(|batch| (batch, feed.schema())))
            });
            match waited {
                Ok(Ok((Some(batch), schema))) => {
                    let batch = with_schema(batch, &schema).map_err(unfit).py(py)?;
                    return batch_to_pyarrow(py, batch).map(Some);
                }
                Ok(Ok((None, _))) => {
                    self.stopped.store(true, Ordering::Release);
                    return Ok(None);
                }
                Ok(Err(_)) if self.stopped.load(Ordering::Acquire) => return Ok(None),
                Ok(Err(error)) => return Err(to_py(py, &error)),
                Err(_) => {
                    if let Err(stop) = py.check_signals() {
                        self.stop();
                        interrupt::abandoned_calls(py);
                        return Err(stop);
                    }
                }
            }
        }
    }

    /// Ends the epoch, whoever reads it.
    fn stop(&self) {
        if !self.stopped.swap(true, Ordering::AcqRel) {
            self.stopper.stop();
        }
    }

    /// Seconds that the reader has waited for batches, and the engine for room.
    fn times(&self, py: Python<'_>) -> (f64, f64) {
        let times = py.detach(|| self.feed.lock().times());
        (times.waited.as_secs_f64(), times.full.as_secs_f64())
    }
}

/// Which rows go to which trainer.
#[pyclass(name = "Deal", frozen, module = "sheaf._sheaf")]
pub(crate) struct PyDeal(Deal);

#[pymethods]
impl PyDeal {
    #[new]
    fn new(py: Python<'_>, trainers: usize, block: usize, equal: bool) -> PyResult<Self> {
        Deal::new(trainers, block, equal).map(Self).py(py)
    }

    /// Rows of a whole round.
    fn round(&self) -> u64 {
        self.0.round()
    }

    /// Each trainer's rows of a round that has `rows` rows.
    fn shares(&self, rows: u64) -> Ranges {
        told(&self.0.shares(rows))
    }

    /// Rounds that all trainers have taken whole.
    fn rounds(&self, taken: Vec<u64>) -> u64 {
        self.0.rounds(&taken)
    }

    /// The rows that are done when these were before, and each trainer has taken so many of the others.
    #[pyo3(signature = (before, taken, total))]
    fn done(&self, before: Ranges, taken: Vec<u64>, total: Option<u64>) -> Ranges {
        let before = row_set(before);
        let dealt = before.place(&self.0.done(&taken, total));
        told(before.union(&dealt).ranges())
    }
}

/// Batches cut or joined to a number of rows.
#[pyclass(name = "Cut", frozen, module = "sheaf._sheaf")]
pub(crate) struct PyCut(Mutex<Cut>);

#[pymethods]
impl PyCut {
    #[new]
    #[pyo3(signature = (rows))]
    fn new(rows: Option<usize>) -> Self {
        Self(Mutex::new(Cut::new(rows)))
    }

    fn push(&self, batch: PyRecordBatch) {
        self.0.lock().push(batch.into_inner());
    }

    /// The next whole batch, if there are rows enough.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let next = self.0.lock().next().map_err(unfit).py(py)?;
        next.map(|batch| batch_to_pyarrow(py, batch)).transpose()
    }

    /// The rows that are left when nothing more comes.
    fn rest<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let rest = self.0.lock().rest().map_err(unfit).py(py)?;
        rest.map(|batch| batch_to_pyarrow(py, batch)).transpose()
    }
}

/// The batch without the buffers that its rows do not need: what goes to another process.
#[pyfunction]
pub(crate) fn compact(py: Python<'_>, batch: PyRecordBatch) -> PyResult<Bound<'_, PyAny>> {
    let batch = batch.into_inner();
    let small = py.detach(|| sheaf::flight::compact::compact_sparse(&batch)).py(py)?;
    batch_to_pyarrow(py, small)
}

/// What tells whether a position that was saved belongs to this plan.
#[pyfunction]
pub(crate) fn fingerprint(dataset: &PyDataset) -> String {
    feed::fingerprint(&dataset.inner)
}

/// How many partitions the plan of a dataset is made for, unless another number is asked for.
#[pyfunction]
pub(crate) fn planned_partitions(dataset: &PyDataset) -> usize {
    dataset.inner.session().settings().threads
}
