//! Data of four times the memory limit: each query in a process of its own, whose peak of resident memory is measured.
//!
//! The process is this test binary again, running the ignored test `child`, with the allocator that the `sheaf`
//! binary has. That the rows are right is compared with DuckDB in `python-bindings/tests/test_memory.py`, for the
//! same queries.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sheaf::{Dataset, ErrorKind, Options, Session, SessionSql};
use tempfile::TempDir;

const LIMIT: u64 = 384 << 20;
/// Rows of each of the two tables: about 110 bytes each in memory, so that both together are four limits.
const ROWS: u64 = 7_200_000;
/// A dimension that is too large for a build side.
const DIMENSION_ROWS: u64 = 2_400_000;

fn session(memory_limit: Option<u64>, spill_dir: Option<&Path>) -> Session {
    let spill_dir = spill_dir.map(Path::to_path_buf);
    Session::new(Options { memory_limit, threads: Some(2), spill_dir, ..Options::default() }).unwrap()
}

fn sql(session: &Session, text: &str) -> Dataset {
    session.threads().block_on(session.sql(text)).unwrap()
}

/// The tables, written once for the tests that run at a time, and removed with the last of them. The ids of both are
/// shuffled, and half of them meet.
fn tables() -> Arc<TempDir> {
    static TABLES: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tables) = tables.upgrade() {
        return tables;
    }
    let folder = Arc::new(TempDir::new().unwrap());
    write_tables(folder.path());
    *tables = Arc::downgrade(&folder);
    folder
}

fn write_tables(folder: &Path) {
    let session = session(None, None);
    let rest = ROWS - DIMENSION_ROWS;
    let tables = [
        ("l", format!("SELECT value * 7919 % {ROWS} AS id, value % 1000 AS v, {TEXT} AS text FROM range({ROWS})")),
        (
            "r",
            format!(
                "SELECT value * 7907 % {ROWS} + {ROWS} / 2 AS id, value % 9 AS w, {TEXT} AS note FROM range({ROWS})"
            ),
        ),
        // Nine of ten rows have one key; with the dimension it is four limits.
        (
            "skewed",
            format!(
                "SELECT CASE WHEN value % 10 = 0 THEN value % {rest} ELSE 7 END AS id, value AS v, repeat({TEXT}, 3) AS text FROM range({ROWS})"
            ),
        ),
        ("dimension", format!("SELECT value AS id, {TEXT} AS note FROM range({DIMENSION_ROWS})")),
    ];
    for (name, query) in tables {
        let path = folder.join(format!("{name}.parquet"));
        let report = sql(&session, &format!("COPY ({query}) TO '{}'", path.display()));
        session.threads().block_on(report.collect()).unwrap();
    }
}

/// 64 characters, not two alike in a row.
const TEXT: &str = "lpad(CAST(value * 2654435761 % 1000000007 AS VARCHAR), 64, '0')";

/// What a child says of its run.
struct Told {
    rows: u64,
    peak: u64,
    spilled: u64,
    error: String,
}

/// Runs a query in a process of its own. One at a time: two would be slower than their limits on a small machine.
fn run(query: &str) -> Told {
    static ONE: Mutex<()> = Mutex::new(());
    let tables = tables();
    let _one = ONE.lock();
    let spill = TempDir::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["memory::child", "--exact", "--ignored", "--nocapture"])
        .env("SHEAF_TEST_QUERY", query)
        .env("SHEAF_TEST_TABLES", tables.path())
        .env("SHEAF_TEST_SPILL", spill.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = || panic!("the child said: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("told {name}=")));
        line.map_or_else(failed, str::to_string)
    };
    let left: Vec<_> = std::fs::read_dir(spill.path()).unwrap().collect();
    assert!(left.is_empty(), "left in the spill folder: {left:?}");
    let number = |name: &str| field(name).parse().unwrap();
    Told { rows: number("rows"), peak: number("peak"), spilled: number("spilled"), error: field("error") }
}

#[test]
#[ignore = "a process that other tests start"]
#[expect(clippy::disallowed_methods, reason = "the parent tells its child what to do, past the test harness")]
fn child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    sheaf::allocator::install();
    let session = session(Some(LIMIT), Some(Path::new(&variable("SHEAF_TEST_SPILL"))));
    for table in ["l", "r", "skewed", "dimension"] {
        let path = Path::new(&variable("SHEAF_TEST_TABLES")).join(format!("{table}.parquet"));
        sql(&session, &format!("CREATE VIEW {table} AS SELECT * FROM '{}'", path.display()));
    }
    let query = sql(&session, &variable("SHEAF_TEST_QUERY"));
    let (mut rows, mut spilled, mut kind) = (0, 0, None);
    session.threads().block_on(async {
        let mut run = query.start().await.unwrap();
        loop {
            match run.next().await {
                Ok(Some(batch)) => rows += batch.num_rows(),
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.message().contains('\n'), "one line: {error}");
                    kind = Some(error.kind());
                    break;
                }
            }
        }
        spilled = run.progress().spilled_bytes;
    });
    println!(
        "\ntold rows={rows}\ntold spilled={spilled}\ntold error={}",
        kind.map_or_else(String::new, |k| format!("{k:?}"))
    );
    println!("told peak={}", peak_resident_bytes());
    drop(query);
    drop(session);
}

/// The most that was resident so far, but for pages of files: those of a program built for development are many, and
/// the system takes them back when it wants to.
fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    (kilobytes("VmHWM:") - kilobytes("RssFile:")) * 1024
}

/// What a process may hold at the most: the limit, and a little for what the allocator has not given back yet.
const MOST_RESIDENT: u64 = LIMIT / 16 * 17;

/// The query ends within its memory, by spilling.
fn spills(query: &str, rows: u64) {
    let told = run(query);
    assert_eq!(told.error, "", "{query}");
    assert_eq!(told.rows, rows, "{query}");
    assert!(told.spilled > LIMIT / 4, "{query} spilled {} bytes", told.spilled);
    assert!(told.peak <= MOST_RESIDENT, "{query} held {} MiB of {} MiB", told.peak >> 20, LIMIT >> 20);
}

const BOTH: &str = "(SELECT id, v, text FROM l UNION ALL SELECT id + 10000000 AS id, w AS v, note AS text FROM r)";

#[test]
fn sort_over_the_limit() {
    spills(&format!("SELECT * FROM {BOTH} ORDER BY text, id"), 2 * ROWS);
}

#[test]
fn group_by_over_the_limit() {
    spills(&format!("SELECT id, count(*), sum(v), max(text) FROM {BOTH} GROUP BY id"), 2 * ROWS);
}

#[test]
fn inner_join_over_the_limit() {
    spills("SELECT l.*, w, note FROM l JOIN r ON l.id = r.id", ROWS / 2);
}

#[test]
fn left_join_over_the_limit() {
    spills("SELECT l.*, w, note FROM l LEFT JOIN r ON l.id = r.id", ROWS);
}

#[test]
fn full_join_over_the_limit() {
    spills("SELECT l.*, r.id AS other, w, note FROM l FULL JOIN r ON l.id = r.id", ROWS / 2 * 3);
}

#[test]
fn semi_join_over_the_limit() {
    spills("SELECT * FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.id = l.id AND r.note <> l.text || 'x')", ROWS / 2);
}

#[test]
fn anti_join_over_the_limit() {
    spills(
        "SELECT * FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.id = l.id AND r.note <> l.text || 'x')",
        ROWS / 2,
    );
}

/// The keys of `skewed`: every tenth up to where they come again, and the one that most rows have.
const SKEWED_KEYS: u64 = (ROWS - DIMENSION_ROWS) / 10 + 1;

#[test]
fn skewed_probe_side_over_the_limit() {
    // The rows whose key is in the dimension: half of those without the common one come twice.
    let met = ROWS / 10 * 9 + DIMENSION_ROWS / 10 * 2;
    spills("SELECT s.*, note FROM skewed s JOIN dimension d ON s.id = d.id", met);
    spills(
        "SELECT d.id, s.v, s.text, note FROM dimension d LEFT JOIN skewed s ON s.id = d.id",
        met + DIMENSION_ROWS - DIMENSION_ROWS / 10 - 1,
    );
}

#[test]
fn skewed_build_side_over_the_limit() {
    let narrow = "(SELECT id, v, substr(text, 1, 32) AS text FROM skewed)";
    spills(&format!("SELECT s.v, s.text, l.text AS note FROM {narrow} s LEFT JOIN l ON s.id = l.id"), ROWS);
    spills(
        &format!("SELECT s.v, s.text, l.text AS note FROM l LEFT JOIN {narrow} s ON s.id = l.id"),
        ROWS + ROWS - SKEWED_KEYS,
    );
}

#[test]
fn both_sides_skewed_over_the_limit_is_a_memory_error() {
    let told = run("SELECT a.text, b.text FROM skewed a LEFT JOIN skewed b ON a.id = b.id");
    assert_eq!(told.error, format!("{:?}", ErrorKind::MemoryLimit));
    assert!(told.peak <= MOST_RESIDENT, "held {} MiB of {} MiB", told.peak >> 20, LIMIT >> 20);
}

#[test]
fn not_in_over_the_limit_is_a_memory_error() {
    let told = run("SELECT count(*) FROM l WHERE text NOT IN (SELECT note || 'x' FROM r)");
    assert_eq!(told.error, format!("{:?}", ErrorKind::MemoryLimit));
}

#[test]
fn windows_of_all_rows_over_the_limit() {
    // One partition of all rows, in the order in which they come.
    spills(&format!("SELECT *, sum(v) OVER (), count(*) OVER () FROM {BOTH}"), 2 * ROWS);
}

#[test]
fn windows_of_a_large_partition_over_the_limit() {
    // Nine of ten rows are of one partition.
    let window = "PARTITION BY id ORDER BY v";
    let rest = format!("count(*) OVER ({window} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)");
    let windows = format!("sum(v) OVER ({window}), ntile(4) OVER ({window}), {rest}");
    spills(&format!("SELECT *, {windows} FROM skewed"), ROWS);
}

#[test]
fn cross_join_over_the_limit_is_a_memory_error() {
    let told = run("SELECT count(*) FROM l, r WHERE l.text || 'x' < r.note");
    assert_eq!(told.error, format!("{:?}", ErrorKind::MemoryLimit));
    let told = run("SELECT l.text || r.note FROM l CROSS JOIN r");
    assert_eq!(told.error, format!("{:?}", ErrorKind::MemoryLimit));
}

#[test]
fn a_run_that_is_dropped_leaves_nothing_on_disk() {
    let spill = TempDir::new().unwrap();
    let tables = tables();
    let path = tables.path().join("l.parquet");
    let session = session(Some(LIMIT / 4), Some(spill.path()));
    let sorted = sql(&session, &format!("SELECT * FROM '{}' ORDER BY text, id", path.display()));
    let mut run = session.threads().block_on(sorted.start()).unwrap();
    session.threads().block_on(run.next()).unwrap().unwrap();
    assert!(session.memory().on_disk > 0);
    drop(run);
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while session.memory().on_disk > 0 || session.memory().reserved > 0 {
        assert!(std::time::Instant::now() < patience, "left: {:?}", session.memory());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let files =
        || std::fs::read_dir(session.spill_folder()).unwrap().flatten().filter(|file| file.file_name() != "lock");
    assert_eq!(files().flat_map(|entry| std::fs::read_dir(entry.path()).unwrap()).count(), 0);
}
