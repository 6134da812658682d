//! Work that is stopped before its end: by Ctrl-C, or because nobody reads the output any more.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Place, finish};

/// A query that runs for days.
const ENDLESS: &str = "SELECT sum(value % 7) FROM generate_series(1, 1000000000000000)";
/// One whose sort never has all of its input. It is stopped long before it reaches its limit: what a sort does there
/// is the engine's to test.
const ENDLESS_SORT: &str = "SELECT * FROM (SELECT value, md5(CAST(value AS VARCHAR)) AS h \
     FROM generate_series(1, 1000000000000000)) ORDER BY h";

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[expect(unsafe_code, reason = "a signal is sent by a system call")]
fn interrupt(child: &Child) {
    // SAFETY: a signal to a child that has not been waited for, so that the id is still its own.
    assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), libc::SIGINT) }, 0);
}

#[test]
fn ctrl_c_ends_a_long_query() {
    for query in [ENDLESS, ENDLESS_SORT] {
        let place = Place::new();
        let mut child = spawn(place.sheaf(&["sql", "-c", query, "--progress", "on", "--memory-limit", "1GiB"]));
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut progress = String::new();
        stderr.read_line(&mut progress).unwrap();
        assert!(progress.contains("rows/s"), "work has begun: {progress}");
        let sent = Instant::now();
        interrupt(&child);
        assert_eq!(finish(&mut child).code(), Some(130), "{query}");
        assert!(sent.elapsed() < Duration::from_secs(20), "{:?}", sent.elapsed());
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("error: stopped by Ctrl-C\n"), "{rest}");
        place.assert_no_spill();
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_work_quietly() {
    for format in ["csv", "json", "table"] {
        let place = Place::new();
        let query = "SELECT value FROM generate_series(1, 1000000000000000)";
        let mut child = spawn(place.sheaf(&["sql", "-c", query, "--format", format]));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "results stream");
        drop(stdout);
        assert_eq!(finish(&mut child).code(), Some(0), "{format}");
        let mut complaints = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        assert_eq!(complaints, "", "{format}");
    }
}
