//! `sheaf job resume`: a write that was begun as a job goes on, by the program that began it.

use std::process::Command;

use clap::Args;
use sheaf_connectors::stores::{StorageOptions, Stores};
use sheaf_core::env::Threads;
use sheaf_core::{Error, ErrorKind, Result};
use sheaf_dataset::jobs::{Program, began_by};

use super::super::exit::Stop;

#[derive(Debug, Args)]
#[command(
    after_help = "The program that wrote with job=\"NAME\" runs again, in its folder and with its arguments. What \
                        the job has recorded is not computed again; a job that is done stays as it is. The exit code is \
                        the program's."
)]
pub(in crate::cli) struct ResumeArguments {
    /// The folder that the job writes, or its URL.
    #[arg(value_name = "TARGET")]
    target: String,
    /// The name of the job.
    #[arg(value_name = "NAME")]
    name: String,
    /// An option of the target's store, as in `region=eu-central-1`.
    #[arg(long = "storage-option", value_name = "KEY=VALUE", value_parser = option)]
    storage_options: Vec<(String, String)>,
    /// Print the command and do not run it.
    #[arg(long)]
    dry_run: bool,
}

fn option(text: &str) -> std::result::Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("write it as key=value")?;
    Ok((pair.0.to_string(), pair.1.to_string()))
}

pub(super) fn resume(arguments: &ResumeArguments) -> Result<(), Stop> {
    let options: StorageOptions = arguments.storage_options.iter().cloned().collect();
    let threads = Threads::start(1)?;
    let stores = Stores::new();
    let program = threads.block_on(began_by(&stores, &arguments.target, &options, &arguments.name))?;
    if arguments.dry_run {
        return super::job::say(&format!("cd {} && {}\n", program.folder, super::job::line_of(&program.command)));
    }
    run(&program)
}

fn run(program: &Program) -> Result<(), Stop> {
    let Some((command, arguments)) = program.command.split_first() else {
        return Err(Error::internal("a job without a program").into());
    };
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::NotFound, format!("cannot run {command} in {} again: {error}", program.folder))
            .with_hint("run the program that began the job yourself: it goes on where it was")
    };
    let status = Command::new(command).args(arguments).current_dir(&program.folder).status().map_err(failed)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Error::new(ErrorKind::UserFunction, format!("{command} ended with exit code {code}")).into()),
        None => Err(Error::new(ErrorKind::UserFunction, format!("{command} ended by a signal: {status}")).into()),
    }
}
