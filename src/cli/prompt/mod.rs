//! The prompt of `sheaf sql`: lines with history and completion, statements over several lines, commands. Ctrl-C ends
//! the line or the statement, never the session; Ctrl-D leaves.

mod commands;
mod complete;
mod names;
mod scan;

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use sheaf_core::env::{Clock, SystemClock};
use sheaf_core::settings::state_folder;
use sheaf_core::{Error, ErrorKind, Result};

use self::commands::Command;
use self::complete::Completion;
use self::names::Names;
use super::args::SqlArguments;
use super::console::Console;
use super::exit::{Stop, report};
use super::output::{Format, TableOptions};
use super::script::{self, Target};

/// Lines that the history keeps.
const HISTORY_LINES: usize = 10_000;

/// Reads statements and commands until the user leaves.
pub(super) fn run(console: &Console, arguments: &SqlArguments) -> Result<(), Stop> {
    let mut prompt = Prompt {
        console,
        editor: editor()?,
        history: history(),
        format: arguments.format.unwrap_or_default(),
        max_rows: arguments.max_rows,
        timing: false,
    };
    say(&format!(
        "Sheaf {}. Statements end with `;`, \\help lists commands, Ctrl-D leaves.\n",
        env!("CARGO_PKG_VERSION")
    ))?;
    prompt.run()
}

struct Prompt<'c> {
    console: &'c Console,
    editor: Editor<Completion, FileHistory>,
    /// The file that keeps the history, where there is a place for it.
    history: Option<PathBuf>,
    format: Format,
    max_rows: Option<usize>,
    timing: bool,
}

/// Whether the prompt goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Line,
    Leave,
}

impl Prompt<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        if let Some(file) = &self.history {
            // A first run has no history, and one that cannot be read is no reason to refuse work.
            let _ = self.editor.load_history(file);
        }
        loop {
            let names = Names::of(self.console);
            if let Some(helper) = self.editor.helper_mut() {
                helper.learn(names);
            }
            match self.editor.readline("sheaf> ") {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    self.remember(&text);
                    if self.act(&text)? == Next::Leave {
                        return Ok(());
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(unreadable(&error).into()),
            }
        }
    }

    /// Each entry is saved at once, so that a session that is killed loses none.
    fn remember(&mut self, text: &str) {
        let added = self.editor.add_history_entry(text).unwrap_or(false);
        if let Some(file) = self.history.as_ref().filter(|_| added) {
            let _ = self.editor.append_history(file);
        }
    }

    fn act(&mut self, text: &str) -> Result<Next, Stop> {
        let started = SystemClock.now();
        let done = match Command::parse(text) {
            Some(Ok(command)) => return self.command(command),
            Some(Err(error)) => Err(error.into()),
            None => self.statements(text),
        };
        match done {
            Err(Stop::Closed) => return Err(Stop::Closed),
            Err(Stop::Failed(error)) => drop(report(&error)),
            Ok(()) if self.timing => say(&format!("{}\n", taken(started)))?,
            Ok(()) => {}
        }
        Ok(Next::Line)
    }

    fn statements(&self, text: &str) -> Result<(), Stop> {
        script::run(self.console, text, &Target::Print(self.format, TableOptions::of_terminal(self.max_rows)))
    }

    fn command(&mut self, command: Command) -> Result<Next, Stop> {
        match command {
            Command::Leave => return Ok(Next::Leave),
            Command::Help => say(commands::HELP)?,
            Command::Timing => {
                self.timing = !self.timing;
                say(if self.timing { "timing is on\n" } else { "timing is off\n" })?;
            }
            Command::Format(format) => self.format = format,
            Command::Statement(text) => return self.act(&text),
        }
        Ok(Next::Line)
    }
}

fn editor() -> Result<Editor<Completion, FileHistory>> {
    let config = Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY_LINES);
    let mut editor = config
        .and_then(|config| config.history_ignore_dups(true))
        .map(|config| config.history_ignore_space(true).build())
        .and_then(Editor::with_config)
        .map_err(|error| unreadable(&error))?;
    editor.set_helper(Some(Completion::default()));
    Ok(editor)
}

/// The file of the history, its folder made.
fn history() -> Option<PathBuf> {
    let folder = state_folder()?;
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

fn unreadable(error: &ReadlineError) -> Error {
    Error::new(ErrorKind::Io, format!("the terminal cannot be read: {error}"))
}

fn taken(started: Instant) -> String {
    format!("{:.3} s", started.elapsed().as_secs_f64())
}

fn say(text: &str) -> Result<(), Stop> {
    let mut to = stdout().lock();
    to.write_all(text.as_bytes()).and_then(|()| to.flush()).map_err(Stop::output)
}
