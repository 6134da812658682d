//! How a command ends: exit codes by kind of error, and the line that says what went wrong.

use std::io::{self, Write};

use sheaf_core::{Error, ErrorKind};

/// The exit code for a command line that cannot be right; clap's own.
pub(super) const USAGE: u8 = 2;

/// The exit code for what this build or this machine cannot do.
pub const UNSUPPORTED: u8 = 9;

/// The exit codes, as `sheaf --help` prints them.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a defect in Sheaf
  2    a command line or query that cannot be right: arguments, unknown column, types
  3    a file, folder, bucket or table that does not exist
  4    the target exists already, or another writer changed it
  5    text or data that cannot be read: SQL syntax, rows of a CSV file, corrupt files
  6    credentials missing or refused
  7    a store or file that cannot be read or written now
  8    memory limit or disk full
  9    not supported
  10   a function of the user's failed
  130  stopped by Ctrl-C";

/// Why a command stops before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something went wrong.
    Failed(Error),
    /// Nobody reads the output any more (`| head`): no error, there is only nothing left to do.
    Closed,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Stop {
    /// What an error of writing to standard output means.
    pub(super) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        Self::Failed(Error::from(error).with_context("writing the output"))
    }
}

/// Prints an error on standard error and gives its exit code.
#[must_use]
pub(super) fn report(error: &Error) -> u8 {
    // When standard error is closed too, the exit code still says it.
    let _ = writeln!(io::stderr().lock(), "error: {error}");
    code(error.kind())
}

fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::UnknownColumn | ErrorKind::TypeMismatch | ErrorKind::InvalidInput => USAGE,
        ErrorKind::NotFound => 3,
        ErrorKind::AlreadyExists | ErrorKind::Conflict => 4,
        ErrorKind::CorruptFile | ErrorKind::Parse => 5,
        ErrorKind::PermissionDenied => 6,
        ErrorKind::Io => 7,
        ErrorKind::MemoryLimit | ErrorKind::DiskFull => 8,
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::UserFunction => 10,
        ErrorKind::Cancelled => 130,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_that_help_lists() {
        for kind in ErrorKind::ALL {
            let code = code(kind);
            assert!(
                EXIT_CODES.lines().any(|line| line.split_whitespace().next() == Some(&code.to_string())),
                "{kind}: {code}"
            );
            assert_eq!(code == 1, kind == ErrorKind::Internal, "only a defect ends with 1: {kind}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        assert!(matches!(Stop::output(io::ErrorKind::BrokenPipe.into()), Stop::Closed));
        assert!(matches!(Stop::output(io::ErrorKind::StorageFull.into()), Stop::Failed(error)
            if error.kind() == ErrorKind::DiskFull));
    }
}
