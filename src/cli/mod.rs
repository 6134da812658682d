//! The command line: `sheaf sql`, `sheaf schema`, `sheaf convert`, and those of a cluster. The binary and the Python
//! console script both call [`run`]. Nothing here knows how a query is run; it reads arguments, asks the session and
//! prints.

mod args;
mod cluster;
mod console;
mod convert;
mod exit;
mod output;
mod progress;
mod prompt;
mod schema;
mod script;
mod sql;

use std::ffi::OsString;

use clap::Parser;

use self::args::{Arguments, Command};
use self::cluster::What;
use self::console::Console;
use self::exit::{Stop, report};

pub use self::exit::UNSUPPORTED;

/// Runs the command line (the first argument is the program's name) and gives the exit code.
///
/// Errors are printed on standard error: one line that says what happened, and one that says what to do where that
/// is known. `sheaf --help` lists the exit codes.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(told) => {
            // `--help` and `--version` come this way too; a reader that went away is no error.
            let _ = told.print();
            return u8::try_from(told.exit_code()).unwrap_or(exit::USAGE);
        }
    };
    match execute(arguments) {
        Ok(()) | Err(Stop::Closed) => 0,
        Err(Stop::Failed(error)) => report(&error),
    }
}

fn execute(arguments: Arguments) -> Result<(), Stop> {
    let options = arguments.settings.options()?;
    match arguments.command {
        Command::Sql(sql) => sql::run(&Console::start(options)?.on(sql.cluster.cluster()?), &sql),
        Command::Schema(schema) => schema::run(&Console::start(options)?, &schema),
        Command::Convert(convert) => convert::run(&Console::start(options)?, &convert),
        Command::Head(head) => cluster::head(&head, &options),
        Command::Node(node) => cluster::node(&node, &options),
        Command::Up(up) => cluster::up(&up, &options),
        Command::Drain(drain) => cluster::drain(&drain),
        Command::Demand(show) => cluster::demand(&show),
        Command::Status(show) => cluster::show(What::Status, &show),
        Command::Nodes(show) => cluster::show(What::Nodes, &show),
        Command::Workers(show) => cluster::show(What::Workers, &show),
        Command::Objects(show) => cluster::show(What::Objects, &show),
        Command::Job(job) => cluster::job(&job),
        Command::Tasks(list) => cluster::tasks(&list),
        Command::Actors(list) => cluster::actors(&list),
        Command::Memory(memory) => cluster::memory(&memory),
        Command::Logs(logs) => cluster::logs(&logs),
    }
}
