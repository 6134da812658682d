//! Rows are counted over a literal of one bit, and rightly.

use sheaf::{Options, Session, SessionSql};

#[test]
fn a_count_of_rows_counts_one_bit_for_each() {
    let session = Session::new(Options { threads: Some(2), ..Options::default() }).unwrap();
    let sql = |text: &str| session.threads().block_on(session.sql(text)).unwrap();
    let shown = |text: &str| session.threads().block_on(sql(text).preview(100)).unwrap();
    sql("CREATE TABLE t AS SELECT value AS n, NULLIF(value % 3, 0) AS m FROM range(30000)");
    for (query, expected) in [
        ("SELECT count(*) AS n FROM t WHERE n > 99", "| 29900 |"),
        ("SELECT count(*) AS n FROM t WHERE n < 0", "| 0 |"),
        (
            "SELECT count(1) AS a, count(m) AS b, count(DISTINCT 1) AS c, count(NULL) AS d FROM t",
            "| 30000 | 20000 | 1 | 0 |",
        ),
        ("SELECT m, count(*) AS n, sum(n) AS s FROM t GROUP BY m ORDER BY m", "| 1 | 10000 |"),
        ("SELECT count(*) FILTER (WHERE m = 2) AS a, count(*) AS n FROM t WHERE n > 2", "| 9999 | 29997 |"),
    ] {
        let table = shown(query);
        let squeezed: Vec<_> = table.split_whitespace().collect();
        assert!(squeezed.join(" ").contains(expected), "{query}:\n{table}");
    }
}
