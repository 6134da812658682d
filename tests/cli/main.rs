//! The command line as a user meets it: the real binary, its output, its exit codes, its prompt on a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod errors;
mod files;
mod prompt;
mod sql;
mod stop;
mod support;
mod terminal;
