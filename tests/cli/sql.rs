//! `sheaf sql`: where statements come from and how results look.

use crate::support::{FLIGHTS, Place, text};

const QUERY: &str = "SELECT carrier, delay FROM 'flights.csv' ORDER BY carrier";

#[test]
fn output_formats() {
    let place = Place::with(&[("flights.csv", FLIGHTS)]);
    let table = "\
+---------+-------+
| carrier | delay |
+---------+-------+
| AA      |  NULL |
| B6      |    -3 |
| UA      |     5 |
+---------+-------+
3 rows
";
    assert_eq!(place.stdout(&["sql", "-c", QUERY]), table);
    assert_eq!(place.stdout(&["sql", "--format", "csv", "-c", QUERY]), "carrier,delay\nAA,\nB6,-3\nUA,5\n");
    let json =
        "{\"carrier\":\"AA\",\"delay\":null}\n{\"carrier\":\"B6\",\"delay\":-3}\n{\"carrier\":\"UA\",\"delay\":5}\n";
    assert_eq!(place.stdout(&["sql", "--format", "json", "-c", QUERY]), json);

    assert_eq!(place.stdout(&["sql", "-c", QUERY, "-o", "out.parquet"]), "", "rows go to the file only");
    let back = place.stdout(&["sql", "--format", "csv", "-c", "SELECT sum(delay) AS sum FROM 'out.parquet'"]);
    assert_eq!(back, "sum\n2\n");
    for (file, format) in [("out.csv", None), ("out.data", Some("csv"))] {
        let mut args = vec!["sql", "-c", QUERY, "-o", file];
        args.extend(format.iter().flat_map(|format| ["--format", format]));
        place.stdout(&args);
        assert_eq!(place.read(file), "carrier,delay\nAA,\nB6,-3\nUA,5\n");
    }
    place.stdout(&["sql", "-c", "SELECT 1 AS one", "-o", "out.jsonl"]);
    place.stdout(&["sql", "-c", "SELECT 2 AS two", "-o", "out.jsonl"]);
    assert_eq!(place.read("out.jsonl"), "{\"two\":2}\n", "a file that is there is replaced");
}

#[test]
fn a_result_without_rows_has_a_header() {
    let place = Place::new();
    let none = "SELECT 1 AS a, 'x' AS b WHERE false";
    assert_eq!(place.stdout(&["sql", "--format", "csv", "-c", none]), "a,b\n");
    assert_eq!(place.stdout(&["sql", "--format", "json", "-c", none]), "");
    assert!(place.stdout(&["sql", "-c", none]).ends_with("| a | b |\n+---+---+\n+---+---+\n0 rows\n"));
}

#[test]
fn statements_come_from_an_argument_a_file_or_a_pipe() {
    let place = Place::with(&[("script.sql", "-- two; statements\nSELECT ';' AS a; SELECT 2 AS b;\n")]);
    let expected = "a\n;\nb\n2\n";
    assert_eq!(place.stdout(&["sql", "--format=csv", "-f", "script.sql"]), expected);
    assert_eq!(place.stdout(&["sql", "--format=csv", "-c", &place.read("script.sql")]), expected);
    let piped = place.piped(&["sql", "--format=csv"], &place.read("script.sql"));
    assert_eq!((text(&piped.stdout).as_str(), piped.status.code()), (expected, Some(0)));
    let dash = place.piped(&["sql", "--format=csv", "-f", "-"], "SELECT 1 AS one");
    assert_eq!(text(&dash.stdout), "one\n1\n", "the last `;` may be left out");
    assert_eq!(text(&place.piped(&["sql"], "").stdout), "", "no statement is no error");
}

#[test]
fn statements_share_one_session() {
    let place = Place::with(&[("flights.csv", FLIGHTS)]);
    let script = "CREATE VIEW late AS SELECT * FROM 'flights.csv' WHERE delay > 0;
        CREATE TABLE days AS SELECT day FROM late;
        SELECT count(*) AS n, min(day) AS day FROM days";
    assert_eq!(place.stdout(&["sql", "--format=csv", "-c", script]), "n,day\n1,2013-01-01\n");
    place.stdout(&["sql", "-c", &format!("{script}; COPY days TO 'days.csv'"), "--format=csv"]);
    assert_eq!(place.read("days.csv"), "day\n2013-01-01\n");
}

#[test]
fn a_file_takes_the_rows_of_the_last_statement() {
    let place = Place::new();
    let script = "SELECT 'not written' AS x; SELECT 1 AS one";
    assert_eq!(place.stdout(&["sql", "-c", script, "-o", "out.csv"]), "");
    assert_eq!(place.read("out.csv"), "one\n1\n");
}

#[test]
fn tables_print_as_many_rows_as_are_asked_for() {
    let place = Place::new();
    let many = "SELECT value FROM generate_series(1, 250)";
    assert!(place.stdout(&["sql", "-c", many]).ends_with("\n250 rows\n"), "a pipe gets all");
    let ten = place.stdout(&["sql", "-c", many, "--max-rows", "10"]);
    assert_eq!(ten.lines().filter(|line| line.starts_with('|')).count(), 11);
    assert!(ten.ends_with("10 rows shown, there are more (--max-rows 0 prints all)\n"), "{ten}");
}

#[test]
fn plans_are_printed_as_text() {
    let place = Place::with(&[("flights.csv", FLIGHTS)]);
    let plan = place.stdout(&["sql", "-c", &format!("EXPLAIN {QUERY}")]);
    assert!(plan.contains("\n== physical_plan ==\n") || plan.starts_with("== "), "{plan}");
    assert!(plan.contains("Sort") && !plan.contains("+---"), "{plan}");
}

#[test]
fn settings_are_flags() {
    let place = Place::new();
    let help = text(&place.run(&["sql", "--help"]).stdout);
    for key in sheaf::core::settings::KEYS {
        assert!(help.contains(&format!("--{}", key.name.replace('_', "-"))), "{}", key.name);
    }
    let grouped = "EXPLAIN SELECT value, count(*) FROM generate_series(1, 100000) GROUP BY value";
    for threads in ["2", "3"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sheaf"));
        let output = command.args(["sql", "--threads", threads, "-c", grouped]).env("HOME", place.path("")).output();
        let plan = text(&output.unwrap().stdout);
        assert!(plan.contains(&format!("partitioning=RoundRobinBatch({threads})")), "{plan}");
    }
}
