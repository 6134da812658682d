//! Filters over ranks: which rows their sorts are spared, and that the others are what ranks over all rows give.

use std::sync::Arc;

use arrow::array::{AsArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use sheaf::{Dataset, Options, Session, SessionSql};
use sheaf_core::env::Random;

const NODE: &str = "LeadingRowsExec";

fn session(threads: usize) -> Session {
    Session::new(Options { threads: Some(threads), ..Options::default() }).unwrap()
}

fn sql(session: &Session, text: &str) -> Dataset {
    session.threads().block_on(session.sql(text)).unwrap()
}

fn plan(dataset: &Dataset) -> String {
    let text = dataset.session().threads().block_on(dataset.explain()).unwrap();
    text.split("== Physical ==").nth(1).unwrap().to_string()
}

fn ids(dataset: &Dataset) -> Vec<i64> {
    let batches = dataset.session().threads().block_on(dataset.collect()).unwrap();
    let column = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
    let mut ids: Vec<i64> = batches.iter().flat_map(column).collect();
    ids.sort_unstable();
    ids
}

/// Rows of a few groups, whose keys are null, equal, or alike in their first bytes.
struct Rows {
    group: Vec<Option<i64>>,
    key: Vec<Option<String>>,
    number: Vec<Option<f64>>,
}

impl Rows {
    fn drawn(random: &mut Random, rows: usize, groups: u64) -> Self {
        let mut below = |most: u64| random.draw() % most;
        let mut made = Self { group: Vec::new(), key: Vec::new(), number: Vec::new() };
        for _ in 0..rows {
            made.group.push((below(9) > 0).then(|| below(groups) as i64));
            let long = if below(2) == 0 { "the same long beginning " } else { "" };
            made.key.push((below(7) > 0).then(|| format!("{long}{}", below(40))));
            let number = [f64::NAN, -0.0, 0.0, f64::INFINITY, below(30) as f64 - 15.0][below(5) as usize];
            made.number.push((below(7) > 0).then_some(number));
        }
        made
    }

    fn batches(&self, parts: usize) -> Vec<RecordBatch> {
        let ids = Int64Array::from_iter_values(0..self.group.len() as i64);
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(ids) as _, false),
            ("g", Arc::new(Int64Array::from(self.group.clone())) as _, true),
            ("t", Arc::new(StringArray::from(self.key.clone())) as _, true),
            ("f", Arc::new(Float64Array::from(self.number.clone())) as _, true),
        ]);
        let (batch, size) = (batch.unwrap(), self.group.len().div_ceil(parts));
        (0..parts).map(|part| batch.slice(part * size, size.min(batch.num_rows() - part * size))).collect()
    }

    /// The rows with fewer than `most` before them in their group.
    fn first(&self, most: usize, before: impl Fn(usize, usize) -> bool) -> Vec<i64> {
        let rows = 0..self.group.len();
        let is_ahead = |other: usize, row: usize| self.group[other] == self.group[row] && before(other, row);
        let ahead = |row: usize| rows.clone().filter(|other| is_ahead(*other, row)).take(most).count();
        rows.clone().filter(|row| ahead(*row) < most).map(|row| row as i64).collect()
    }
}

#[test]
fn rows_that_cannot_be_among_the_first_are_not_sorted() {
    let session = session(3);
    let rows = Rows::drawn(&mut Random::new(1), 1_000, 5).batches(3);
    session.register("t", &session.from_batches(rows[0].schema(), rows).unwrap()).unwrap();
    let asked = |call: &str, filter: &str| {
        plan(&sql(&session, &format!("SELECT id FROM (SELECT *, {call} AS r FROM t) WHERE {filter}")))
    };
    let found = asked("rank() OVER (PARTITION BY g ORDER BY t DESC)", "r <= 2");
    assert!(found.contains("LeadingRowsExec: most=2, group=[g@1], order=[t@2 DESC"), "{found}");
    let (sort, exchange) = (found.find("SortExec").unwrap(), found.find("RepartitionExec: partitioning=Hash").unwrap());
    assert!(sort < exchange && exchange < found.find(NODE).unwrap(), "{found}");
    for (filter, most) in [("r < 4", 3), ("r = 1 AND f > 0", 1), ("7 >= r", 7)] {
        let found = asked("row_number() OVER (PARTITION BY g ORDER BY t)", filter);
        assert!(found.contains(&format!("{NODE}: most={most},")), "{filter}: {found}");
    }
    for (call, filter) in [
        ("rank() OVER (PARTITION BY g ORDER BY t)", "r >= 2"),
        ("rank() OVER (PARTITION BY g ORDER BY t)", "r <= 101"),
        ("rank() OVER (PARTITION BY g ORDER BY t)", "r <= 2 OR f > 0"),
        ("rank() OVER (PARTITION BY f ORDER BY t)", "r <= 2"),
        ("rank() OVER (ORDER BY t)", "r <= 2"),
        ("dense_rank() OVER (PARTITION BY g ORDER BY t)", "r <= 2"),
        ("ntile(3) OVER (PARTITION BY g ORDER BY t)", "r <= 2"),
        ("count(*) OVER (PARTITION BY g ORDER BY t)", "r <= 2"),
        ("lead(id) OVER (PARTITION BY g ORDER BY t) AS l, rank() OVER (PARTITION BY g ORDER BY t)", "r <= 2 AND l > 0"),
    ] {
        let found = asked(call, filter);
        assert!(!found.contains(NODE), "{call}, {filter}: {found}");
    }
}

#[test]
fn filters_over_ranks_keep_what_ranks_over_all_rows_say() {
    for seed in 0..40 {
        let random = &mut Random::new(seed);
        let (rows, groups, most) = (300 + random.draw() % 900, 1 + random.draw() % 60, 1 + random.draw() as usize % 5);
        let rows = Rows::drawn(random, rows as usize, groups);
        let session = session(1 + seed as usize % 4);
        let batches = rows.batches(1 + random.draw() as usize % 4);
        session.register("t", &session.from_batches(batches[0].schema(), batches).unwrap()).unwrap();
        let text = |row: usize| (rows.key[row].is_none(), rows.key[row].clone());
        // Nulls are the last of texts, and the first of numbers in a falling order.
        let number = |row: usize| rows.number[row].map_or((0, 0), |number| (1, !rising(number)));
        for (order, expected) in [
            ("t NULLS LAST", rows.first(most, |one, other| text(one) < text(other))),
            ("f DESC", rows.first(most, |one, other| number(one) < number(other))),
            (
                "f DESC, t NULLS LAST",
                rows.first(most, |one, other| (number(one), text(one)) < (number(other), text(other))),
            ),
        ] {
            let ranked =
                format!("SELECT id FROM (SELECT *, rank() OVER (PARTITION BY g ORDER BY {order}) AS r FROM t)");
            let found = sql(&session, &format!("{ranked} WHERE r <= {most}"));
            assert_eq!(ids(&found), expected, "seed {seed}, {order}");
        }
        let numbered = "SELECT id FROM (SELECT *, row_number() OVER (PARTITION BY g ORDER BY f DESC, id) AS r FROM t)";
        let expected = rows.first(most, |one, other| (number(one), one) < (number(other), other));
        assert_eq!(ids(&sql(&session, &format!("{numbered} WHERE r < {}", most + 1))), expected, "seed {seed}");
    }
}

/// A number as one that is larger for larger ones, `-0.0` before `0.0` and NaN behind all.
fn rising(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[test]
fn groups_of_one_row_pass_whole_and_so_does_what_finds_no_memory() {
    for memory in [None, Some(20_000_000)] {
        let session = Session::new(Options { threads: Some(2), memory_limit: memory, ..Options::default() }).unwrap();
        session.register("t", &session.range(0, 1_500_000).unwrap()).unwrap();
        let ranked = "SELECT count(*) AS n, sum(id) AS s FROM (SELECT id, rank() OVER (PARTITION BY id ORDER BY id) AS r FROM t)";
        let found = sql(&session, &format!("{ranked} WHERE r <= 1"));
        assert!(plan(&found).contains(NODE), "{}", plan(&found));
        let preview = session.threads().block_on(found.preview(1)).unwrap();
        assert!(preview.contains("| 1500000 | 1124999250000 |"), "{preview}");
    }
}
