//! The order of rows: which ones a limit and an offset give. Each case runs many times, because a race that is lost
//! once in a hundred runs is lost.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use sheaf::expr::{col, lit};
use sheaf::{Dataset, Options, Session};

const REPEATS: usize = 200;
const ROWS: i64 = 100_000;

fn ids(dataset: &Dataset) -> Vec<i64> {
    let batches = dataset.session().threads().block_on(dataset.collect()).unwrap();
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn numbers(threads: usize) -> Dataset {
    let session = Session::new(Options { threads: Some(threads), ..Options::default() }).unwrap();
    session.range(0, ROWS).unwrap()
}

#[test]
fn limits_and_offsets_count_from_the_first_partition() {
    for threads in [1, 2, 4] {
        let numbers = numbers(threads);
        let tail = numbers.filter(col("id").gt_eq(lit(ROWS - 10))).unwrap();
        for _ in 0..REPEATS {
            assert_eq!(ids(&numbers.limit(0, Some(3)).unwrap()), [0, 1, 2], "{threads} threads");
            assert_eq!(ids(&numbers.limit(60_000, Some(2)).unwrap()), [60_000, 60_001], "{threads} threads");
            assert_eq!(ids(&tail.limit(1, Some(2)).unwrap()), [ROWS - 9, ROWS - 8], "{threads} threads");
            assert_eq!(
                ids(&numbers.limit(ROWS as usize - 2, None).unwrap()),
                [ROWS - 2, ROWS - 1],
                "{threads} threads"
            );
            assert_eq!(ids(&numbers.limit(0, Some(0)).unwrap()), [0_i64; 0], "{threads} threads");
        }
    }
}
