//! The arguments as clap reads them. Flags of settings come from the one table of settings.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use sheaf_core::Result;
use sheaf_core::settings::{KEYS, Options};

use super::cluster::{
    ClusterFlags, DrainArguments, HeadArguments, JobCommand, ListArguments, LogsArguments, MemoryArguments,
    NodeArguments, ShowArguments, UpArguments,
};
use super::exit::EXIT_CODES;
use super::output::Format;

/// Dataframes and datasets: SQL, files and formats from the command line.
#[derive(Debug, Parser)]
#[command(name = "sheaf", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) settings: SettingFlags,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run SQL: from -c, -f, standard input, or at a prompt.
    Sql(SqlArguments),
    /// Print the columns and types of files.
    Schema(SchemaArguments),
    /// Convert files from one format to another.
    Convert(ConvertArguments),
    /// Run the head of a cluster, which is a node too.
    Head(HeadArguments),
    /// Run a node of a cluster.
    Node(NodeArguments),
    /// Run a whole cluster on this machine, in one process.
    Up(UpArguments),
    /// Print what a cluster has, and what of it is free.
    Status(ShowArguments),
    /// List what waits for nodes, and which types of node that can come could hold it.
    Demand(ShowArguments),
    /// List the nodes of a cluster.
    Nodes(ShowArguments),
    /// Take a node out of a cluster, when what it runs has ended.
    Drain(DrainArguments),
    /// List the worker processes of a cluster, and what they run.
    Workers(ShowArguments),
    /// List the tasks of a cluster, with what those that wait wait for.
    Tasks(ListArguments),
    /// List the actors of a cluster.
    Actors(ListArguments),
    /// List the objects in the stores of a cluster.
    Objects(ShowArguments),
    /// Run programs on a cluster, and look after them.
    #[command(subcommand)]
    Job(JobCommand),
    /// List the largest objects of a cluster, with what made them and who holds them.
    Memory(MemoryArguments),
    /// List the files with what workers printed, or print one.
    Logs(LogsArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "Files are tables: SELECT * FROM 'data/*.parquet'\n\
                  Without -c and -f, statements are read from standard input; on a terminal, from a prompt (\\help).")]
pub(super) struct SqlArguments {
    /// Statements to run, separated by `;`.
    #[arg(short, long, value_name = "QUERY", conflicts_with = "file", allow_hyphen_values = true)]
    pub(super) command: Option<String>,
    /// A file of statements, separated by `;`.
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// How results are printed; `json` is one object per line.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// Write the rows of the last statement to this file or URL; the format is that of its extension. A file that is
    /// there is replaced.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<String>,
    /// Rows of a table to print, 0 for all [default: 100 on a terminal, else all].
    #[arg(long, value_name = "ROWS")]
    pub(super) max_rows: Option<usize>,
    #[command(flatten)]
    pub(super) cluster: ClusterFlags,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    /// Paths, globs or URLs; each one is a dataset of its own.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<String>,
    /// How the columns are printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Formats go by extension: .parquet .csv .tsv .jsonl .arrow .txt (read only), text also with \
                        .gz .zst .bz2 .xz.\nAn output that ends in `/` is a folder of Parquet files, or of --to.")]
pub(super) struct ConvertArguments {
    /// Paths, globs or URLs to read, then the file or folder to write.
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"])]
    pub(super) paths: Vec<String>,
    /// The format to write, where the extension does not say: parquet, csv, tsv, json, ipc.
    #[arg(long, value_name = "FORMAT")]
    pub(super) to: Option<String>,
    /// Columns that become folders `column=value`.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(super) partition_by: Vec<String>,
    /// What to do about data at the target: error, append, overwrite or ignore.
    #[arg(long, value_name = "MODE", default_value = "error")]
    pub(super) mode: String,
    /// The compression of the output: none, snappy, gzip, lz4, brotli, zstd, zstd(LEVEL), bzip2 or xz, as far as the
    /// format has it.
    #[arg(long, value_name = "NAME")]
    pub(super) compression: Option<String>,
}

/// One flag for each setting, with dashes for underscores.
#[derive(Debug)]
pub(super) struct SettingFlags {
    given: Vec<(&'static str, String)>,
}

/// The flags' names, in the order of the settings.
static FLAGS: LazyLock<Vec<String>> = LazyLock::new(|| KEYS.iter().map(|key| key.name.replace('_', "-")).collect());

impl SettingFlags {
    /// The settings that were given.
    pub(super) fn options(&self) -> Result<Options> {
        let mut options = Options::default();
        for (key, value) in &self.given {
            options.set(key, value)?;
        }
        Ok(options)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |key: &'static str| Some((key, matches.get_one::<String>(key)?.clone()));
        Ok(Self { given: KEYS.iter().filter_map(|key| given(key.name)).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        KEYS.iter().zip(FLAGS.iter()).fold(command, |command, (key, flag)| {
            command.arg(
                Arg::new(key.name)
                    .long(flag.as_str())
                    .value_name("VALUE")
                    .help(format!("{} [default: {}]", key.doc, key.default))
                    .help_heading("Settings")
                    .global(true),
            )
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_setting_is_a_flag_after_any_command() {
        for flag in FLAGS.iter() {
            let arguments = Arguments::try_parse_from(["sheaf", "sql", &format!("--{flag}"), "1"]).unwrap();
            assert_eq!(arguments.settings.given.len(), 1, "{flag}");
        }
        // These have a flag of that name too.
        for command in [&["head"][..], &["node", "--head", "127.0.0.1:1"]] {
            assert!(Arguments::try_parse_from([&["sheaf"], command, &["--spill-dir", "/x"]].concat()).is_ok());
        }
        let arguments = Arguments::try_parse_from(["sheaf", "--memory-limit", "64MiB", "sql"]).unwrap();
        assert_eq!(arguments.settings.options().unwrap().memory_limit, Some(64 << 20));
        let arguments = Arguments::try_parse_from(["sheaf", "sql", "--threads", "many"]).unwrap();
        assert!(arguments.settings.options().unwrap_err().to_string().contains("threads"));
    }
}
