//! Waiting for the engine from a thread of Python: the GIL is free meanwhile, signals are heard, progress is shown.

use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use sheaf::core::settings::Progress;
use sheaf::dataset::{RunProgress, Watch};
use sheaf::{Error, Result, Session};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::errors::IntoPyResult;
use crate::interrupt::{self, Stalls};

/// How long a wait may be deaf: short against the second within which Ctrl-C must return, long against the cost
/// of taking the GIL.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// How long a given-up task may take to let go of what it holds before the caller goes on without it.
const LETTING_GO: Duration = Duration::from_millis(200);

/// Runs a future on the session's threads and waits for it.
///
/// Ctrl-C ends the wait: the future is dropped, and with it its executions.
pub(crate) fn wait<T, F>(py: Python<'_>, session: &Session, future: F) -> PyResult<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let threads = session.threads();
    let watch = Watch::default();
    let watched = watch.clone();
    let mut task = threads.handle().spawn(async move { watched.over(future).await });
    let mut bar = Bar::new(session.settings().progress);
    let mut stalls = Stalls::default();
    loop {
        let joined = py.detach(|| threads.block_on(async { timeout(SLICE, &mut task).await }));
        if let Ok(joined) = joined {
            bar.close(py, watch.progress())?;
            let lost = |error| Err(Error::internal(format!("a task of the engine failed: {error}")));
            return joined.unwrap_or_else(lost).py(py);
        }
        // Signals are heard wherever Python runs: in the drawing of the bar, too.
        let heard = py.check_signals().and_then(|()| stalls.look(py)).and_then(|()| match watch.progress() {
            Some(progress) => bar.update(py, &progress),
            None => Ok(()),
        });
        if let Err(stop) = heard {
            // What stopped the wait is what the caller hears of, whatever else goes wrong.
            let _ = bar.close(py, None);
            give_up(py, session, task, &watch);
            return Err(stop);
        }
    }
}

/// Ends a task, waits a little until it has let go, and ends the user functions that it left running.
fn give_up<T: Send + 'static>(py: Python<'_>, session: &Session, mut task: JoinHandle<Result<T>>, watch: &Watch) {
    task.abort();
    let threads = session.threads();
    // The outcome is the interruption, whatever the task says now.
    let _ = py.detach(|| threads.block_on(async { timeout(LETTING_GO, &mut task).await }));
    watch.abandon();
    interrupt::abandoned_calls(py);
}

/// The progress bar of one wait: `sheaf._progress` decides whether and how it is drawn.
struct Bar {
    mode: &'static str,
    drawn: Option<Option<Py<PyAny>>>,
}

impl Bar {
    fn new(mode: Progress) -> Self {
        let mode = match mode {
            Progress::Auto => "auto",
            Progress::On => "on",
            Progress::Off => "off",
        };
        Self { mode, drawn: None }
    }

    fn update(&mut self, py: Python<'_>, progress: &RunProgress) -> PyResult<()> {
        if self.drawn.is_none() {
            let bar = py.import(intern!(py, "sheaf._progress"))?.call_method1(intern!(py, "bar"), (self.mode,))?;
            self.drawn = Some((!bar.is_none()).then(|| bar.unbind()));
        }
        let Some(Some(bar)) = &self.drawn else { return Ok(()) };
        let told = (
            &progress.stage,
            progress.rows_read,
            progress.bytes_read,
            progress.rows_out,
            progress.spilled_bytes,
            progress.rows_failed,
            progress.elapsed.as_secs_f64(),
        );
        bar.call_method1(py, intern!(py, "update"), told)?;
        Ok(())
    }

    fn close(&mut self, py: Python<'_>, last: Option<RunProgress>) -> PyResult<()> {
        // Work that was over within the first slice shows a bar only where it is asked for.
        if let Some(last) = last.filter(|_| self.drawn.is_some() || self.mode == "on") {
            self.update(py, &last)?;
        }
        if let Some(Some(bar)) = self.drawn.take() {
            bar.call_method0(py, intern!(py, "close"))?;
        }
        Ok(())
    }
}
