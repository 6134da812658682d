//! User functions of `map_batches` as the engine calls them: many results of one call, calls that run elsewhere, what a
//! run has of its own, and rows that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use sheaf::dataset::operators::map_batches::{BatchPosition, RunStart};
use sheaf::dataset::{BatchFunction, FailureOptions, MapBatchesOptions, OnError, Outputs};
use sheaf::{Dataset, Error, ErrorKind, Options, Result, Session};

fn session(threads: usize) -> Session {
    Session::new(Options { threads: Some(threads), ..Options::default() }).unwrap()
}

fn batch(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let values = Int64Array::from_iter_values(values);
    RecordBatch::try_from_iter_with_nullable([("id", Arc::new(values) as ArrayRef, true)]).unwrap()
}

fn ids(batch: &RecordBatch) -> Vec<Option<i64>> {
    batch.column(0).as_primitive::<Int64Type>().iter().collect()
}

fn mapped(numbers: &Dataset, function: impl BatchFunction, options: MapBatchesOptions) -> Dataset {
    let schema = Some(batch([]).schema());
    numbers.session().threads().block_on(numbers.map_batches(Arc::new(function), options, schema)).unwrap()
}

fn collect(dataset: &Dataset) -> Result<Vec<Option<i64>>> {
    let batches = dataset.session().threads().block_on(dataset.collect())?;
    Ok(batches.iter().flat_map(ids).collect())
}

fn of_rows(rows: usize) -> MapBatchesOptions {
    MapBatchesOptions { batch_size: Some(rows), ..MapBatchesOptions::default() }
}

/// Yields a batch for each row, and none for odd ones.
struct Yields(Arc<AtomicUsize>);

impl BatchFunction for Yields {
    fn name(&self) -> &str {
        "yields"
    }

    fn call(&self, batch: RecordBatch, _at: BatchPosition) -> Outputs {
        let made = Arc::clone(&self.0);
        let even = ids(&batch).into_iter().flatten().filter(|id| id % 2 == 0);
        Outputs::Here(Box::new(even.map(move |id| {
            made.fetch_add(1, Ordering::Relaxed);
            Ok(self::batch([id]))
        })))
    }
}

#[test]
fn a_call_has_any_number_of_results_and_makes_no_more_than_are_read() {
    let made = Arc::new(AtomicUsize::new(0));
    let numbers = session(1).range(0, 10_000).unwrap();
    let every = mapped(&numbers, Yields(Arc::clone(&made)), of_rows(1_000));
    assert_eq!(collect(&every).unwrap(), (0..10_000).step_by(2).map(Some).collect::<Vec<_>>());
    made.store(0, Ordering::Relaxed);
    let few = mapped(&numbers, Yields(Arc::clone(&made)), of_rows(10_000)).limit(0, Some(3)).unwrap();
    assert_eq!(collect(&few).unwrap(), [Some(0), Some(2), Some(4)]);
    assert!(made.load(Ordering::Relaxed) < 1_000, "{made:?}");
}

/// Answers from the engine's timer, later batches sooner. Each run has one of its own, and counts what is there.
#[derive(Default)]
struct Elsewhere {
    runs: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    is_run: bool,
}

const AT_ONCE: usize = 4;

impl BatchFunction for Elsewhere {
    fn name(&self) -> &str {
        "elsewhere"
    }

    fn elsewhere(&self) -> Option<usize> {
        Some(AT_ONCE)
    }

    fn begin(&self, run: RunStart) -> Result<Option<Arc<dyn BatchFunction>>> {
        assert!(run.partitions >= 1);
        self.runs.fetch_add(1, Ordering::SeqCst);
        let (runs, running, most) = (Arc::clone(&self.runs), Arc::clone(&self.running), Arc::clone(&self.most));
        Ok(Some(Arc::new(Self { runs, running, most, is_run: true })))
    }

    fn call(&self, batch: RecordBatch, at: BatchPosition) -> Outputs {
        assert!(self.is_run);
        let (running, most) = (Arc::clone(&self.running), Arc::clone(&self.most));
        let answer = async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let millis = if at.batch.is_multiple_of(2) { 5 } else { 1 };
            tokio::time::sleep(Duration::from_millis(millis)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            match ids(&batch).contains(&Some(777)) {
                true => Err(Error::new(ErrorKind::UserFunction, format!("777 at {at}"))),
                false => Ok(batch),
            }
        };
        Outputs::Elsewhere(stream::once(answer.boxed()).boxed())
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if self.is_run {
            self.runs.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// What a run had is gone, a moment after it: its tasks end on the engine's threads.
fn is_over(runs: &AtomicUsize, after: &str) {
    for _ in 0..1_000 {
        if runs.load(Ordering::SeqCst) == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("a run is left after {after}");
}

#[test]
fn calls_elsewhere_are_bounded_and_in_order_and_a_run_leaves_nothing() {
    for threads in [1, 2] {
        let session = session(threads);
        let function = Elsewhere::default();
        let (runs, most) = (Arc::clone(&function.runs), Arc::clone(&function.most));
        let function = mapped(&session.range(0, 700).unwrap(), function, of_rows(10));
        assert_eq!(collect(&function).unwrap(), (0..700).map(Some).collect::<Vec<_>>());
        assert!((2..=AT_ONCE * threads).contains(&most.load(Ordering::SeqCst)), "{most:?}");
        is_over(&runs, "the end");
        assert_eq!(collect(&function.limit(0, Some(5)).unwrap()).unwrap().len(), 5);
        is_over(&runs, "enough rows");

        let failing = Elsewhere::default();
        let runs = Arc::clone(&failing.runs);
        let failing = mapped(&session.range(0, 2_000).unwrap(), failing, of_rows(10));
        assert!(collect(&failing).unwrap_err().to_string().contains("777 at partition"));
        is_over(&runs, "an error");
    }
}

#[test]
fn rows_that_fail_are_left_out_or_null_here_and_elsewhere() {
    let lossy = |on_error| MapBatchesOptions {
        failures: FailureOptions { on_error, ..FailureOptions::default() },
        ..of_rows(100)
    };
    let numbers = session(2).range(0, 2_000).unwrap();
    let skipped = collect(&mapped(&numbers, Elsewhere::default(), lossy(OnError::Skip))).unwrap();
    assert_eq!(skipped, (0..2_000).filter(|id| *id != 777).map(Some).collect::<Vec<_>>());
    let nulls = collect(&mapped(&numbers, Elsewhere::default(), lossy(OnError::Null))).unwrap();
    assert_eq!(nulls, (0..2_000).map(|id| (id != 777).then_some(id)).collect::<Vec<_>>());
    let here = collect(&mapped(&numbers, Panics, lossy(OnError::Skip))).unwrap();
    assert_eq!(here, (0..2_000).filter(|id| id % 500 != 1).map(Some).collect::<Vec<_>>());
}

/// Panics at some rows: that is an error of the function like any other.
struct Panics;

impl BatchFunction for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn call(&self, batch: RecordBatch, _at: BatchPosition) -> Outputs {
        assert!(ids(&batch).into_iter().flatten().all(|id| id % 500 != 1), "a row that is none");
        Outputs::one(Ok(batch))
    }
}
