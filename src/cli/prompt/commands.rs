//! Commands of the prompt: what begins with a backslash or a dot is no SQL.

use clap::ValueEnum;
use sheaf_core::{Error, Result};

use crate::cli::output::Format;

/// What `\help` prints.
pub(super) const HELP: &str = "\
\\d               list tables
\\d NAME          describe a table
\\format NAME     print results as table, csv or json
\\timing          say how long each statement took, or no longer
\\help            this text
\\q               leave (or Ctrl-D)
A dot does as well as a backslash. Files are tables: SELECT * FROM 'data/*.parquet';
Ctrl-C stops a statement or drops a line. Tab completes keywords, tables, columns, functions and files.
";

/// The names of the commands, for completion.
pub(super) const NAMES: [&str; 5] = ["d", "format", "help", "q", "timing"];

const TABLES: &str = "SELECT table_name AS name, table_type AS kind FROM information_schema.tables \
                      WHERE table_schema <> 'information_schema' ORDER BY table_name";

/// A command of the prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Leave,
    Help,
    Timing,
    Format(Format),
    /// A command that stands for SQL.
    Statement(String),
}

impl Command {
    /// Reads a command; `None` for anything that is SQL.
    pub(super) fn parse(text: &str) -> Option<Result<Self>> {
        let text = text.trim().trim_end_matches(';').trim_end();
        if matches!(text, "quit" | "exit") {
            return Some(Ok(Self::Leave));
        }
        let rest = text.strip_prefix(['\\', '.'])?;
        let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        Some(match (name, argument.trim()) {
            ("q" | "quit" | "exit", _) => Ok(Self::Leave),
            ("help" | "h" | "?", _) => Ok(Self::Help),
            ("timing" | "timer", _) => Ok(Self::Timing),
            ("d" | "dt" | "tables", "") => Ok(Self::Statement(TABLES.into())),
            ("d" | "schema", table) if !table.is_empty() => Ok(Self::Statement(format!("DESCRIBE {table}"))),
            ("format" | "mode", format) => parse_format(format).map(Self::Format),
            _ => Err(Error::invalid(format!("there is no command {text:?}")).with_hint("\\help lists the commands")),
        })
    }
}

fn parse_format(name: &str) -> Result<Format> {
    Format::from_str(name, true).ok().filter(|format| *format != Format::Parquet).ok_or_else(|| {
        Error::invalid(format!("results are not printed as {name:?}")).with_hint("choose table, csv or json")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Command {
        Command::parse(text).unwrap().unwrap()
    }

    #[test]
    fn backslashes_and_dots_are_alike() {
        for text in ["\\q", ".quit", " \\q ; ", "exit", "quit;"] {
            assert_eq!(parse(text), Command::Leave, "{text}");
        }
        assert_eq!(parse("\\d \"My Table\""), Command::Statement("DESCRIBE \"My Table\"".into()));
        assert_eq!(parse(".tables"), parse("\\d"));
        assert_eq!(parse("\\format CSV"), Command::Format(Format::Csv));
    }

    #[test]
    fn sql_is_no_command_and_a_wrong_command_says_so() {
        assert!(Command::parse("SELECT 1;").is_none());
        for text in ["\\nope", "\\format parquet", "\\format", ".schema"] {
            assert!(Command::parse(text).unwrap().unwrap_err().hint().is_some(), "{text}");
        }
    }

    #[test]
    fn help_lists_every_name() {
        assert!(NAMES.iter().all(|name| HELP.contains(&format!("\\{name}"))));
    }
}
