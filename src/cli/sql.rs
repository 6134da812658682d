//! `sheaf sql`: statements from an argument, a file, a pipe, or a prompt.

use std::fs;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;

use sheaf_connectors::write::WriteFormat;
use sheaf_core::{Error, Result, ResultExt};

use super::args::SqlArguments;
use super::console::Console;
use super::exit::Stop;
use super::output::{Format, TableOptions};
use super::script::{self, Target};
use super::{convert, prompt};

pub(super) fn run(console: &Console, arguments: &SqlArguments) -> Result<(), Stop> {
    let target = target(arguments)?;
    let script = match (&arguments.command, &arguments.file) {
        (Some(query), _) => query.clone(),
        (None, Some(file)) => read(file)?,
        (None, None) if stdin().is_terminal() => return prompt::run(console, arguments),
        (None, None) => read(Path::new("-"))?,
    };
    script::run(console, &script, &target)
}

/// The text of a file; `-` is standard input.
fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        stdin().lock().read_to_string(&mut text).context("reading statements from standard input")?;
        return Ok(text);
    }
    fs::read_to_string(file).with_context(|| format!("reading statements from {}", file.display()))
}

/// Where the rows go, checked before anything runs.
fn target(arguments: &SqlArguments) -> Result<Target> {
    let Some(path) = &arguments.output else {
        return match arguments.format.unwrap_or_default() {
            Format::Parquet => Err(Error::invalid("Parquet is not printed: it needs a file")
                .with_hint("add --output FILE.parquet, or choose --format csv or json")),
            format => Ok(Target::Print(format, TableOptions::of_terminal(arguments.max_rows))),
        };
    };
    if arguments.command.is_none() && arguments.file.is_none() && stdin().is_terminal() {
        return Err(Error::invalid("--output takes the rows of a script, not of a prompt")
            .with_hint("add -c or -f, or use COPY (query) TO 'file'"));
    }
    let format = match arguments.format {
        None => WriteFormat::from_path(path).ok_or_else(|| convert::unknown_format(path))?,
        Some(Format::Csv) => WriteFormat::Csv(Default::default()),
        Some(Format::Json) => WriteFormat::Json(Default::default()),
        Some(Format::Parquet) => WriteFormat::Parquet(Default::default()),
        Some(Format::Table) => {
            return Err(Error::invalid("a table is for the screen, --output writes data")
                .with_hint("choose --format csv, json or parquet, or send standard output to a file"));
        }
    };
    Ok(Target::File(path.clone(), format))
}
