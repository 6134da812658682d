//! What a user reads when something is wrong.

use crate::support::{Place, text};

/// Arguments, the exit code, and what the message says.
const WRONG: &[(&[&str], i32, &str)] = &[
    (&["sql", "-c", "SELECT carier FROM 'flights.csv'"], 2, "did you mean \"carrier\"?"),
    (&["sql", "-c", "SELEC 1"], 5, "SELEC"),
    (&["sql", "-c", "SELECT * FROM nothing"], 3, "nothing"),
    (&["sql", "-c", "SELECT * FROM 'missing.parquet'"], 3, "missing.parquet"),
    (&["sql", "-c", "SELECT * FROM 'broken.parquet'"], 5, "broken.parquet"),
    (&["sql", "-f", "missing.sql"], 3, "reading statements from missing.sql"),
    (&["sql", "-c", "SELECT 1", "--format", "parquet"], 2, "--output"),
    (&["sql", "-c", "SELECT 1", "-o", "out.xls"], 2, "out.xls"),
    (&["sql", "-c", "SELECT 1", "-o", "out.csv", "--format", "table"], 2, "screen"),
    (&["sql", "-c", "SELECT 1", "--memory-limit", "1"], 2, "memory_limit must be at least"),
    (&["sql", "-c", "SELECT 1", "--memory-limit", "lots"], 2, "\"lots\" is not a size"),
    (&["sql", "-c", "SELECT 1; SELECT x FROM 'flights.csv'"], 2, "statement 2 of 2: "),
    (&["schema", "missing.csv"], 3, "missing.csv"),
    (&["schema", "flights.csv", "--format", "parquet"], 2, "table, csv or json"),
    (&["convert", "flights.csv", "flights.csv"], 4, "flights.csv"),
    (&["convert", "flights.csv", "out.xls"], 2, "out.xls"),
    (&["convert", "flights.csv", "out.csv", "--mode", "replace"], 2, "overwrite"),
    (&["convert", "flights.csv", "out.csv", "--compression", "snappy"], 2, "snappy"),
    (&["convert", "flights.csv", "out/", "--partition-by", "carier"], 2, "carier"),
];

#[test]
fn one_line_and_an_exit_code() {
    let place = Place::with(&[("flights.csv", "carrier,delay\nUA,1\n"), ("broken.parquet", "PAR1 is not all")]);
    for (args, code, says) in WRONG {
        let output = place.run(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(says), "{args:?}: {stderr}");
        let lines: Vec<_> = stderr.lines().collect();
        assert!(lines.len() == 1 || (lines.len() == 2 && lines[1].starts_with("  help: ")), "{args:?}: {stderr}");
    }
    assert_eq!(place.read("flights.csv"), "carrier,delay\nUA,1\n", "no input was touched");
    assert!(!place.path("out.csv").exists() && !place.path("out").exists());
    place.assert_no_spill();
}

#[test]
fn a_command_line_that_cannot_be_right_ends_with_two() {
    let place = Place::new();
    for args in [&["sqll"][..], &["sql", "--format", "xml"], &["convert", "one"], &["sql", "-c", "x", "-f", "y"], &[]] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn statements_before_the_wrong_one_have_run() {
    let place = Place::new();
    let output = place.run(&["sql", "--format=csv", "-c", "SELECT 1 AS one; SELECT no; SELECT 3"]);
    assert_eq!(text(&output.stdout), "one\n1\n");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn help_and_version_are_no_errors() {
    let place = Place::new();
    let version = std::process::Command::new(env!("CARGO_BIN_EXE_sheaf")).arg("--version").output().unwrap();
    assert_eq!(text(&version.stdout), format!("sheaf {}\n", env!("CARGO_PKG_VERSION")));
    let help = place.run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help.stdout);
    assert!(help.contains("Exit codes:") && help.contains("convert"), "{help}");
}
