//! Runs statements and sends their rows where they belong: printed, to a file, or nowhere.

use std::io::stdout;

use sheaf_connectors::write::{WriteFormat, WriteMode, WriteOptions};
use sheaf_core::{Error, Result};
use sheaf_dataset::{Dataset, Run};
use sheaf_sql::SessionSql;

use super::console::Console;
use super::exit::Stop;
use super::output::{self, Format, More, Sink, TableOptions};
use super::progress::Progress;

/// Where the rows of a statement go.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// To standard output.
    Print(Format, TableOptions),
    /// To a file or URL, replacing what is there.
    File(String, WriteFormat),
    /// Nowhere: the statement runs for what it does.
    Nowhere,
}

/// Runs the statements of a script in turn, up to the first that fails. A file takes the rows of the last one only.
pub(super) fn run(console: &Console, script: &str, target: &Target) -> Result<(), Stop> {
    let statements = sheaf_sql::split(script)?;
    let count = statements.len();
    if matches!(target, Target::File(..)) && count == 0 {
        return Err(Error::invalid("there is no statement whose rows could be written").into());
    }
    // One wait for the whole script: a Ctrl-C between two statements is a Ctrl-C too.
    console.wait(async {
        for (index, text) in statements.iter().enumerate() {
            let last = index + 1 == count;
            let target = if last || matches!(target, Target::Print(..)) { target } else { &Target::Nowhere };
            statement(console, text, target).await.map_err(|stop| match stop {
                Stop::Failed(error) if count > 1 => {
                    Stop::Failed(error.with_context(format!("statement {} of {count}", index + 1)))
                }
                stop => stop,
            })?;
        }
        Ok(())
    })
}

/// Runs one statement.
pub(super) async fn statement(console: &Console, text: &str, target: &Target) -> Result<(), Stop> {
    let progress = console.progress();
    let dataset = progress.during(console.session().sql(text)).await?;
    let silent = dataset.schema().fields().is_empty();
    match target {
        Target::Print(format, table) if !silent => print(&dataset, *format, *table, &progress).await,
        Target::File(..) if silent => Err(Error::invalid("the last statement returns no rows to write")
            .with_hint("end with a query, or leave --output out")
            .into()),
        Target::File(path, format) => {
            let options = WriteOptions {
                format: format.clone(),
                mode: WriteMode::Overwrite,
                // One file whatever its extension, when the format was named; only `folder/` is a folder.
                single_file: Some(!path.ends_with('/')),
                ..WriteOptions::default()
            };
            drain(&dataset.write_plan(path, options)?, &progress).await.map(drop)
        }
        Target::Print(..) | Target::Nowhere => drain(&dataset, &progress).await.map(drop),
    }
}

/// Runs a dataset to its end and gives its last batch, which is all there is of a write's report.
pub(super) async fn drain(
    dataset: &Dataset,
    progress: &Progress,
) -> Result<Option<arrow::record_batch::RecordBatch>, Stop> {
    let mut run = dataset.start().await?;
    let mut last = None;
    while let Some(batch) = next(&mut run, progress).await? {
        last = Some(batch);
    }
    Ok(last)
}

async fn print(dataset: &Dataset, format: Format, table: TableOptions, progress: &Progress) -> Result<(), Stop> {
    let mut run = progress.during(dataset.start()).await?;
    let mut to = stdout().lock();
    let mut sink = output::sink(format, &run.schema(), table, &mut to)?;
    feed(&mut run, sink.as_mut(), progress).await?;
    progress.suspend(|| sink.finish())
}

async fn feed(run: &mut Run, sink: &mut dyn Sink, progress: &Progress) -> Result<(), Stop> {
    while let Some(batch) = next(run, progress).await? {
        if progress.suspend(|| sink.write(&batch))? == More::No {
            break;
        }
    }
    Ok(())
}

/// The next batch; the progress line moves while it is waited for.
async fn next(run: &mut Run, progress: &Progress) -> Result<Option<arrow::record_batch::RecordBatch>> {
    let mut ticks = Progress::ticks();
    loop {
        tokio::select! {
            biased;
            batch = run.next() => return batch,
            _ = ticks.tick() => progress.show(&run.progress()),
        }
    }
}
