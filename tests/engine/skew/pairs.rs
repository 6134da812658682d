//! Joins of tables drawn at random, with keys that most rows have, against comparing every pair of rows.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use sheaf::dataset::{JoinOptions, JoinType};
use sheaf::expr::{left, lit, right};
use sheaf::{Dataset, Options, Session};

use super::OF_PROBE_ROWS;

/// Chance that is the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        (mixed ^ (mixed >> 33)) % bound
    }

    fn key(&mut self, keys: u64) -> Option<i64> {
        (self.below(12) > 0).then(|| self.below(keys) as i64)
    }
}

/// Two keys, and the number of the row.
type Row = (Option<i64>, Option<i64>, i64);

/// Rows of which `heavy` in a hundred have one pair of keys, which may be of nulls.
fn rows(random: &mut Random, count: u64, keys: u64, heavy: u64) -> Vec<Row> {
    let (first, second) = (random.key(keys), random.key(2));
    let row = |number| match random.below(100) < heavy {
        true => (first, second, number as i64),
        false => (random.key(keys), random.key(2), number as i64),
    };
    (0..count).map(row).collect()
}

fn dataset(session: &Session, rows: &[Row], number: &str, random: &mut Random) -> Dataset {
    let batch = |rows: &[Row]| {
        let k = Int64Array::from_iter(rows.iter().map(|row| row.0));
        let j = Int64Array::from_iter(rows.iter().map(|row| row.1));
        let numbers = Int64Array::from_iter(rows.iter().map(|row| Some(row.2)));
        let columns =
            [("k", Arc::new(k) as _, true), ("j", Arc::new(j) as _, true), (number, Arc::new(numbers) as _, true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let (mut batches, mut rest) = (Vec::new(), rows);
    while !rest.is_empty() {
        let (first, others) = rest.split_at((1 + random.below(200) as usize).min(rest.len()));
        batches.push(batch(first));
        rest = others;
    }
    session.from_batches(batch(&[]).schema(), batches).unwrap()
}

struct Case {
    keys: usize,
    nulls_match: bool,
    has_predicate: bool,
}

impl Case {
    fn matches(&self, build: &Row, probe: &Row) -> bool {
        let equal = |one: Option<i64>, other: Option<i64>| one == other && (self.nulls_match || one.is_some());
        equal(build.0, probe.0)
            && (self.keys == 1 || equal(build.1, probe.1))
            && (!self.has_predicate || (build.2 + probe.2) % 3 > 0)
    }

    /// The numbers of the rows that meet; of a join of one side, its own.
    fn pairs(&self, build: &[Row], probe: &[Row], how: JoinType) -> Vec<(Option<i64>, i64)> {
        let mut pairs = Vec::new();
        for row in probe {
            let met: Vec<_> = build.iter().filter(|other| self.matches(other, row)).collect();
            match how {
                JoinType::RightSemi => pairs.extend((!met.is_empty()).then_some((None, row.2))),
                JoinType::RightAnti => pairs.extend(met.is_empty().then_some((None, row.2))),
                _ => {
                    pairs.extend(met.iter().map(|other| (Some(other.2), row.2)));
                    pairs.extend((how == JoinType::Right && met.is_empty()).then_some((None, row.2)));
                }
            }
        }
        pairs.sort_unstable();
        pairs
    }

    fn join(&self, build: &Dataset, probe: &Dataset, how: JoinType) -> Dataset {
        let sum = (left("b") + right("p")) % lit(3_i64);
        let options = JoinOptions {
            null_equals: self.nulls_match,
            predicate: self.has_predicate.then(|| sum.gt(lit(0_i64))),
            ..JoinOptions::on(&["k", "j"][..self.keys], how)
        };
        build.join(probe, &options).unwrap()
    }
}

/// The numbers of the rows, and how many keys were found to be heavy.
fn run(joined: &Dataset) -> (Vec<(Option<i64>, i64)>, usize) {
    joined.session().threads().block_on(async {
        let mut run = joined.start().await.unwrap();
        let mut pairs = Vec::new();
        while let Some(batch) = run.next().await.unwrap() {
            let probe = batch.column_by_name("p").unwrap().as_primitive::<Int64Type>();
            let build = batch.column_by_name("b").map(|build| build.as_primitive::<Int64Type>().iter().collect());
            let build: Vec<_> = build.unwrap_or_else(|| vec![None; batch.num_rows()]);
            pairs.extend(build.into_iter().zip(probe.values().iter().copied()));
        }
        pairs.sort_unstable();
        (pairs, super::metric(run.plan(), "heavy_keys"))
    })
}

#[test]
fn joins_of_heavy_keys_are_those_of_comparing_every_pair() {
    let mut dealt = 0;
    for seed in 0..60 {
        let mut random = Random(seed);
        let threads = 3 + random.below(6) as usize;
        let batch_size = Some(8 + random.below(100) as usize);
        let session = super::session_of(threads, Options { batch_size, ..Options::default() });
        let case = Case {
            keys: 1 + random.below(2) as usize,
            nulls_match: random.below(2) == 0,
            has_predicate: random.below(2) == 0,
        };
        let keys = 1 + random.below(60);
        let sizes = [0, 1, 40, 120];
        let (built, probed) = (sizes[random.below(4) as usize], [0, 30, 500, 1_500][random.below(4) as usize]);
        let (light, heavy) = (random.below(40), 90 * random.below(2));
        let (build, probe) = (rows(&mut random, built, keys, light), rows(&mut random, probed, keys, heavy));
        let build_side = dataset(&session, &build, "b", &mut random);
        let probe_side = dataset(&session, &probe, "p", &mut random);
        for how in OF_PROBE_ROWS {
            let (pairs, heavy) = run(&case.join(&build_side, &probe_side, how));
            assert_eq!(pairs, case.pairs(&build, &probe, how), "seed {seed}, {how}, {threads} partitions");
            dealt += usize::from(heavy > 0);
        }
    }
    assert!(dealt > 30, "heavy keys were found in {dealt} joins alone");
}
