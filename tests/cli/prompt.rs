//! The prompt, on a terminal.

use crate::support::{FLIGHTS, Place};
use crate::terminal::Terminal;

const PROMPT: &str = "sheaf> ";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";

fn start(place: &Place) -> Terminal {
    let mut terminal = Terminal::start(place.sheaf(&["sql"]), 100);
    terminal.expect(PROMPT);
    terminal
}

fn leave(mut terminal: Terminal) {
    terminal.send(CTRL_D);
    let (rest, status) = terminal.end();
    assert_eq!(status.code(), Some(0), "{rest}");
}

#[test]
fn history_and_completion() {
    let place = Place::with(&[("flights.csv", FLIGHTS)]);
    let mut terminal = start(&place);
    terminal.send("CREATE VIEW flights AS SELECT * FROM 'flig\t;\r");
    terminal.expect(PROMPT);
    terminal.send("sel\tmax(dela\t) as worst from flig\t;\r");
    terminal.expect("|     5 |");
    terminal.expect(PROMPT);
    leave(terminal);

    let history = std::fs::read_to_string(place.history()).unwrap();
    assert!(history.contains("select max(delay) as worst from flights;"), "{history}");
    let mut again = start(&place);
    again.send(&format!("{UP}{UP}\r"));
    again.expect(PROMPT);
    again.send(&format!("{UP}{UP}\r"));
    again.expect("|     5 |");
    again.expect(PROMPT);
    leave(again);
    place.assert_no_spill();
}

#[test]
fn a_statement_may_have_many_lines() {
    let place = Place::new();
    let mut terminal = start(&place);
    terminal.send("SELECT ';' AS mark,\r");
    terminal.send("40 + 2 AS answer\r");
    terminal.send(";\r");
    terminal.expect("| ;    |     42 |");
    terminal.expect("1 row\r\n");
    terminal.expect(PROMPT);
    leave(terminal);
}

#[test]
fn commands_begin_with_a_backslash_or_a_dot() {
    let place = Place::new();
    let mut terminal = start(&place);
    terminal.send("CREATE VIEW planes AS SELECT 1 AS seats;\r");
    terminal.expect(PROMPT);
    terminal.send("\\d\r");
    terminal.expect("| planes | VIEW |");
    terminal.expect(PROMPT);
    terminal.send(".schema planes\r");
    terminal.expect("| seats");
    terminal.expect(PROMPT);
    terminal.send("\\format csv\r");
    terminal.expect(PROMPT);
    terminal.send("\\timing\r");
    terminal.expect("timing is on");
    terminal.expect(PROMPT);
    terminal.send("SELECT 6 * 7 AS answer;\r");
    terminal.expect("answer\r\n42\r\n");
    terminal.expect(" s\r\n");
    terminal.expect(PROMPT);
    terminal.send("\\nope\r");
    terminal.expect("there is no command");
    terminal.expect(PROMPT);
    terminal.send("\\help\r");
    terminal.expect("list tables");
    terminal.expect(PROMPT);
    terminal.send("\\q\r");
    assert_eq!(terminal.end().1.code(), Some(0));
}

#[test]
fn ctrl_c_ends_the_line_or_the_statement_and_never_the_session() {
    let place = Place::new();
    let mut terminal = start(&place);
    terminal.send("SELECT 'a line that is given up");
    terminal.expect("given up");
    terminal.send(CTRL_C);
    terminal.expect(PROMPT);
    terminal.send("SELECT sum(value % 7) AS s FROM generate_series(1, 1000000000000000);\r");
    terminal.expect("rows/s");
    terminal.send(CTRL_C);
    terminal.expect("error: stopped by Ctrl-C");
    terminal.expect(PROMPT);
    terminal.send("SELECT nothing;\r");
    terminal.expect("error: ");
    terminal.expect(PROMPT);
    terminal.send("SELECT 40 + 2 AS answer;\r");
    terminal.expect("|     42 |");
    terminal.expect(PROMPT);
    leave(terminal);
    place.assert_no_spill();
}

#[test]
fn tables_are_cut_to_the_terminal() {
    let place = Place::new();
    let query = "SELECT value, repeat('long ', 100) AS text, 1 AS a, 2 AS b FROM generate_series(1, 500)";
    let terminal = Terminal::start(place.sheaf(&["sql", "-c", query]), 40);
    let (text, status) = terminal.end();
    assert_eq!(status.code(), Some(0));
    assert!(text.lines().all(|line| line.chars().count() <= 40 || line.contains("rows shown")), "{text}");
    assert!(text.contains("long…") || text.contains("long …"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with('|')).count(), 101, "a header and a hundred rows");
    assert!(text.contains("100 rows shown, there are more"), "{text}");
}
