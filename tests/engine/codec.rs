//! Datasets as bytes: every verb's plan comes back as it was, in another session, and gives the same rows there.

mod named;

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray, TimestampSecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::ScalarValue;
use datafusion::prelude::SessionContext;
use sheaf::connectors::format::{CsvOptions, Format};
use sheaf::connectors::read::ReadOptions;
use sheaf::connectors::write::WriteOptions;
use sheaf::dataset::codec::{expr_from_bytes, expr_to_bytes};
use sheaf::dataset::{
    AsofOptions, AsofStrategy, BatchFunction, BatchPosition, Closed, ExplodeOptions, FunctionDecoder, GroupCalls,
    JoinOptions, JoinType, MapBatchesOptions, MixStop, NoFunctions, NullFill, Outputs, OverlapOptions, PartitionSize,
    Reach, RepartitionOptions, RollingOptions, SampleOptions, SampleSize, SetIndexOptions, Side, Tolerance,
    ValueCounts,
};
use sheaf::expr::functions_aggregate::expr_fn as f;
use sheaf::expr::{
    Expr, ExprFunctionExt, Running, Span, UserFunction, Window, add, col, floor_divide, lit, modulo, subtract,
    true_divide, when,
};
use sheaf::{Dataset, ErrorKind, Options, Result, Session, SessionSql};

use named::{Counts, Doubles, Named, Next, Rows, WithA};

fn session() -> Session {
    Session::new(Options { threads: Some(2), ..Options::default() }).unwrap()
}

fn wait<T>(session: &Session, future: impl Future<Output = Result<T>>) -> T {
    session.threads().block_on(future).unwrap()
}

/// The rows as lines, sorted.
fn rows(dataset: &Dataset) -> Vec<String> {
    let batches = wait(dataset.session(), dataset.collect());
    let mut rows: Vec<String> =
        pretty_format_batches(&batches).unwrap().to_string().lines().map(ToString::to_string).collect();
    rows.sort();
    rows
}

fn drawn(strata: &[&str]) -> SampleOptions {
    SampleOptions { seed: 7, replace: false, stratify_by: strata.iter().map(ToString::to_string).collect() }
}

fn plan(dataset: &Dataset) -> String {
    dataset.logical_plan().display_indent_schema().to_string()
}

/// The dataset as another session has it.
fn sent(dataset: &Dataset) -> Dataset {
    session().dataset_from_bytes(&dataset.to_bytes().unwrap(), &Named).unwrap()
}

#[track_caller]
fn comes_back(name: &str, dataset: &Dataset) {
    let bytes = dataset.to_bytes().unwrap_or_else(|error| panic!("{name}: {error}"));
    let back = session().dataset_from_bytes(&bytes, &Named).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(plan(&back), plan(dataset), "{name}");
    assert_eq!(back.schema(), dataset.schema(), "{name}");
    assert_eq!(rows(&back), rows(dataset), "{name}");
    // And from there once more: what is read is what can be written.
    assert_eq!(plan(&sent(&back)), plan(dataset), "{name}");
}

fn table(session: &Session) -> Dataset {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![]),
        Some(vec![Some(3), None]),
        Some(vec![Some(9)]),
        None,
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(StringArray::from(vec![Some("a"), Some("b"), Some("a"), None, Some("B"), Some("b")]))),
        ("x", Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4), Some(5), Some(-6)]))),
        ("v.w", Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN), None, Some(-0.0), Some(2.5), Some(1e9)]))),
        ("t", Arc::new(TimestampSecondArray::from(vec![10, 20, 30, 40, 50, 60]))),
        ("l", Arc::new(list)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    session.from_batches(batch.schema(), vec![batch.slice(0, 4), batch.slice(4, 2)]).unwrap()
}

fn named(name: &str, expr: Expr) -> (String, Expr) {
    (name.to_string(), expr)
}

fn window() -> Window {
    Window::new().partition_by([col("k")]).order_by([col("t").sort(true, false)])
}

#[test]
fn columns_and_rows_come_back() {
    let session = session();
    let t = table(&session);
    let next = UserFunction::new(Arc::new(Next), Arc::new(Field::new("next", DataType::Int64, true)), true);
    let cases = [
        ("select", t.select([col("x"), col("v.w").alias("a.b"), add(col("k"), lit("!"))]).unwrap()),
        ("arithmetic", {
            let x = || col("x");
            let all = [true_divide(x(), lit(2)), floor_divide(x(), lit(4)), modulo(x(), lit(4)), subtract(x(), lit(1))];
            t.select(all).unwrap()
        }),
        ("rename", t.rename(&[("v.w".to_string(), "V.W".to_string())].into()).unwrap()),
        ("cast", t.cast(&[("x".to_string(), DataType::Decimal128(20, 3))].into(), true).unwrap()),
        (
            "case",
            t.with_columns([named("c", when(col("x").gt(lit(2)), lit("big")).otherwise(lit("small")).unwrap())])
                .unwrap(),
        ),
        ("filter", t.filter(col("x").gt(lit(1)).and(col("k").is_not_null())).unwrap()),
        ("in", t.filter(col("k").in_list(vec![lit("a"), lit("B")], false)).unwrap()),
        ("like", t.filter(col("k").like(lit("%b%"))).unwrap()),
        ("sort and limit", t.sort([col("x").sort(false, false)]).unwrap().limit(1, Some(3)).unwrap()),
        ("offset", t.sort([col("x").sort(true, true)]).unwrap().limit(4, None).unwrap()),
        ("distinct", t.select([col("k")]).unwrap().distinct(&[]).unwrap()),
        ("distinct on", t.select([col("k")]).unwrap().distinct(&["k"]).unwrap()),
        ("sample", session.range(0, 1000).unwrap().sample(SampleSize::Fraction(0.3), &drawn(&[])).unwrap()),
        ("sample of rows", session.range(0, 1000).unwrap().sample(SampleSize::Rows(30), &drawn(&[])).unwrap()),
        ("sample by stratum", t.sample(SampleSize::Fraction(0.5), &drawn(&["k"])).unwrap()),
        ("explode", t.explode(&["l"], &ExplodeOptions { outer: true, index: Some("i".into()) }).unwrap()),
        ("drop null", t.drop_null(&["x"]).unwrap()),
        ("fill null", t.fill_null(&NullFill::Value(ScalarValue::Int64(Some(0))), &["x"]).unwrap()),
        ("union", t.union(&t.filter(col("x").gt(lit(3))).unwrap(), true).unwrap()),
        ("union by name", t.union(&t.select([col("k").alias("other"), col("x")]).unwrap(), true).unwrap()),
        ("concat", Dataset::concat(&[t.clone(), t.clone(), t.clone()], false).unwrap()),
        ("intersect", t.select([col("k")]).unwrap().intersect(&t.select([col("k")]).unwrap(), false).unwrap()),
        (
            "except",
            t.select([col("x")])
                .unwrap()
                .except_(&session.range(0, 3).unwrap().select([col("id").alias("x")]).unwrap(), true)
                .unwrap(),
        ),
        (
            "unpivot",
            t.select([col("k"), col("x"), col("x").alias("y")])
                .unwrap()
                .unpivot(&["x", "y"], &["k"], "name", "value")
                .unwrap(),
        ),
        (
            "mix",
            session
                .range(0, 50)
                .unwrap()
                .mix(&[session.range(100, 140).unwrap()], &[0.1, 0.7], MixStop::Longest, 5)
                .unwrap(),
        ),
        ("a function in an expression", t.select([next.call("after", vec![col("x")])]).unwrap()),
        (
            "value counts",
            t.value_counts(&["k"], &ValueCounts { sort: true, normalize: true, dropna: false, name: "n".into() })
                .unwrap(),
        ),
        ("describe", t.select([col("x"), col("v.w")]).unwrap().describe(&[0.5]).unwrap()),
    ];
    for (name, dataset) in &cases {
        comes_back(name, dataset);
    }
}

#[test]
fn joins_groups_and_windows_come_back() {
    let session = session();
    let t = table(&session);
    let other = t.select([col("k"), col("x"), col("t")]).unwrap();
    let on = |how| JoinOptions::on(&["k"], how);
    let equal_nulls = JoinOptions { null_equals: true, ..on(JoinType::Full) };
    let asof = AsofOptions {
        left_on: col("t"),
        right_on: col("t"),
        left_by: vec![col("k")],
        right_by: vec![col("k")],
        strategy: AsofStrategy::Nearest,
        tolerance: Some(Tolerance::Span(Span::Time(15_000_000_000))),
        allow_exact_matches: false,
        suffix: "_right".into(),
    };
    let grouped = t.groupby([col("k")]);
    let rows = wait(&session, grouped.user_aggregate(Arc::new(Rows), None, Some(DataType::Int64)));
    let sum = || f::sum(col("x"));
    let filtered = f::count(col("x")).filter(col("x").gt(lit(1))).build().unwrap();
    let mut cases = vec![
        ("inner", t.join(&other, &on(JoinType::Inner)).unwrap()),
        ("full, equal nulls", t.join(&other, &equal_nulls).unwrap()),
        ("anti", t.join(&other, &on(JoinType::LeftAnti)).unwrap()),
        ("broadcast", t.join(&other, &JoinOptions { broadcast: Some(Side::Right), ..on(JoinType::Inner) }).unwrap()),
        ("cross", t.cross_join(&other, &JoinOptions::on(&[], JoinType::Inner)).unwrap()),
        ("asof", t.join_asof(&other, &asof).unwrap()),
        ("agg", grouped.agg([sum().alias("s"), f::avg(col("v.w")), filtered, f::count(lit(1))]).unwrap()),
        ("user aggregate", grouped.agg([rows]).unwrap()),
        ("rollup", t.rollup([col("k"), col("x")]).agg([sum()]).unwrap()),
        ("cube", t.cube([col("k"), col("x")]).agg([f::max(col("t"))]).unwrap()),
        ("grouping sets", t.grouping_sets(vec![vec![col("k")], vec![]]).agg([sum()]).unwrap()),
        ("shift", t.shift(&["x"], 1, Some(&lit(0_i64)), &window()).unwrap()),
        ("pct change", t.pct_change(&["v.w"], 1, &window()).unwrap()),
        ("ranks", {
            let rank = sheaf::expr::functions_window::expr_fn::dense_rank();
            t.with_columns([named("r", window().over(rank).unwrap())]).unwrap()
        }),
        ("whole partitions", {
            let total = Window::new().partition_by([col("k")]).over(sum()).unwrap();
            t.with_columns([named("total", total)]).unwrap()
        }),
        ("rolling", {
            let options = RollingOptions {
                on: "t".into(),
                window: Reach::Rows(2),
                by: vec![col("k")],
                min_periods: 1,
                closed: Closed::Right,
                center: false,
            };
            t.rolling(options).agg([f::avg(col("v.w")).alias("m"), f::stddev(col("v.w")).alias("s")]).unwrap()
        }),
    ];
    for total in [Running::Sum, Running::Product, Running::Max, Running::Min, Running::Count] {
        cases.push(("running", t.running(&["x"], total, &window()).unwrap()));
    }
    for (name, dataset) in &cases {
        comes_back(name, dataset);
    }
}

#[test]
fn functions_and_partitions_come_back() {
    let session = session();
    let t = table(&session);
    let numbers = session.range(0, 10_000).unwrap().select([col("id").alias("x")]).unwrap();
    let options = MapBatchesOptions { batch_size: Some(100), ..MapBatchesOptions::default() };
    let schema = Arc::new(Schema::new(vec![Field::new("rows", DataType::Int64, false)]));
    let overlap =
        OverlapOptions { on: Some("x".into()), before: Reach::Rows(1), after: Reach::Rows(0), batch_size: Some(64) };
    let doubled = wait(&session, numbers.map_batches(Arc::new(Doubles), options, None));
    let mut cases = vec![
        ("map batches", doubled.clone()),
        ("map groups", {
            let groups = t.groupby([col("k")]);
            wait(&session, groups.map_groups(Arc::new(Counts), GroupCalls::Rows(1), Some(Arc::clone(&schema))))
        }),
        ("map overlap", wait(&session, numbers.map_overlap(Arc::new(Doubles), overlap, None))),
        ("shuffle", numbers.random_shuffle(3)),
        ("block order", numbers.randomize_block_order(3)),
        ("row index", numbers.with_row_index("i", 5).unwrap()),
        ("ids", numbers.monotonically_increasing_id("i").unwrap()),
        ("zip", numbers.zip(&numbers, "_too").unwrap()),
        ("coalesce", numbers.coalesce(1).unwrap()),
        ("set index", {
            let divisions = Some(vec![ScalarValue::Int64(Some(100)), ScalarValue::Int64(Some(5_000))]);
            let options = SetIndexOptions { divisions, partitions: None, sorted: false };
            wait(&session, numbers.set_index("x", options))
        }),
    ];
    for (size, by) in [
        (PartitionSize::Count(3), vec![]),
        (PartitionSize::Count(3), vec![col("x")]),
        (PartitionSize::Rows(4_000), vec![]),
    ] {
        let sort = !by.is_empty();
        cases.push((
            "repartition",
            wait(&session, numbers.repartition(RepartitionOptions { size: Some(size), by, sort })),
        ));
    }
    for (name, dataset) in &cases {
        comes_back(name, dataset);
    }
    // A function that is called twice is one function, here and there.
    let twice = doubled.union(&doubled, false).unwrap();
    let single = doubled.to_bytes().unwrap().windows(7).filter(|part| part == b"doubles").count();
    assert_eq!(twice.to_bytes().unwrap().windows(7).filter(|part| part == b"doubles").count(), single);
}

#[test]
fn sources_come_back() {
    let session = session();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let numbers = session.range(0, 100).unwrap().with_columns([named("k", modulo(col("id"), lit(3)))]).unwrap();
    let options = WriteOptions { partition_by: vec!["k".into()], ..WriteOptions::default() };
    wait(&session, numbers.write(&at("parts"), options));
    std::fs::write(at("a.csv"), "n;text\n1;x\n;y\n").unwrap();
    std::fs::write(at("b.csv"), "n;text\n7;z\n").unwrap();
    std::fs::write(at("lines.txt"), "one\ntwo\n").unwrap();
    let read = |path: &str, options: ReadOptions| wait(&session, session.read(&[at(path)], &options));
    let csv =
        CsvOptions { delimiter: b';', dtypes: [("n".to_string(), DataType::Float32)].into(), ..CsvOptions::default() };
    let csv = ReadOptions { format: Some(Format::Csv(csv)), ..ReadOptions::default() };
    let paths = ReadOptions { include_file_paths: Some("file".into()), ..csv.clone() };
    let filtered = ReadOptions { partition_filter: Some(Arc::new(WithA)), ..csv.clone() };
    let persisted = wait(&session, numbers.persist());
    let kept = wait(
        &session,
        numbers.repartition(RepartitionOptions { size: Some(PartitionSize::Count(3)), by: vec![], sort: false }),
    );
    let kept = wait(&session, kept.materialize());
    let cases = [
        ("range", session.range(-5, 5).unwrap()),
        ("a table of somebody's", session.from_provider(Named.table(&[7]).unwrap()).unwrap()),
        ("hive parquet", read("parts", ReadOptions::default()).filter(col("k").eq(lit(1))).unwrap()),
        ("csv", read("a.csv", csv)),
        ("paths", read("*.csv", paths)),
        ("a filter of files", read("*.csv", filtered)),
        ("text", read("lines.txt", ReadOptions::default())),
        ("binary", read("*.txt", ReadOptions { format: Some(Format::Binary), ..ReadOptions::default() })),
        ("materialized", wait(&session, numbers.materialize())),
        ("kept", kept.clone()),
        ("persisted", persisted),
    ];
    for (name, dataset) in &cases {
        comes_back(name, dataset);
    }
    assert_eq!(wait(&session, sent(&kept).num_partitions()), 3, "chosen partitions stay");
    assert_eq!(
        rows(&read("*.csv", ReadOptions { partition_filter: Some(Arc::new(WithA)), ..ReadOptions::default() })).len(),
        6
    );
}

#[test]
fn nothing_is_looked_at_before_a_run() {
    let session = session();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv").to_str().unwrap().to_string();
    std::fs::write(&path, "n\n1\n").unwrap();
    let bytes = wait(&session, session.read(std::slice::from_ref(&path), &ReadOptions::default())).to_bytes().unwrap();
    std::fs::remove_file(&path).unwrap();
    let other = self::session();
    let read = other.dataset_from_bytes(&bytes, &NoFunctions).unwrap();
    assert_eq!(read.columns(), ["n"]);
    assert_eq!(other.threads().block_on(read.collect()).unwrap_err().kind(), ErrorKind::NotFound);
    std::fs::write(&path, "n\n5\n6\n").unwrap();
    assert_eq!(wait(&other, read.count()), 2);
}

#[test]
fn sql_comes_back() {
    let session = session();
    session.register("T", &table(&session)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.b.csv").to_str().unwrap().to_string();
    std::fs::write(&path, "id,name\n1,x\n4,y\n").unwrap();
    let queries = [
        "SELECT \"T\".x FROM \"T\" WHERE x IN (SELECT max(x) FROM \"T\")".to_string(),
        "SELECT x FROM \"T\" a WHERE EXISTS (SELECT 1 FROM \"T\" b WHERE b.x > a.x AND b.k = a.k)".into(),
        "SELECT k, (SELECT count(*) FROM \"T\" b WHERE b.x = a.x) FROM \"T\" a".into(),
        "SELECT x FROM \"T\" WHERE x NOT IN (SELECT x FROM \"T\" WHERE x > 2)".into(),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n".into(),
        "SELECT * FROM (VALUES (1, 'a'), (NULL, 'b'), (2.5, NULL)) AS v(n, s)".into(),
        "SELECT k, sum(x) FILTER (WHERE x > 0) OVER (PARTITION BY k ORDER BY t RANGE BETWEEN INTERVAL '15' SECOND PRECEDING AND CURRENT ROW) FROM \"T\"".into(),
        "SELECT k, count(DISTINCT x), string_agg(k, ',' ORDER BY x DESC) FROM \"T\" GROUP BY GROUPING SETS ((k), ())".into(),
        format!("SELECT \"{path}\".name FROM '{path}' WHERE id > 1"),
        "SELECT x, unnest(l) FROM \"T\"".into(),
        "SELECT DISTINCT ON (k) k, x FROM \"T\" ORDER BY k, x".into(),
        "SELECT a.k FROM \"T\" a JOIN \"T\" b USING (k) WHERE a.x <> b.x".into(),
        "SELECT x || 1, x ~ '[0-9]', CAST(x AS VARCHAR) ILIKE '%1' FROM (SELECT CAST(x AS VARCHAR) AS x FROM \"T\")".into(),
        "SELECT to_timestamp('2024-01-01T00:00:00'), now() IS NULL, struct(1 AS a, 'b' AS c)".into(),
        "SELECT 1 LIMIT 1 + 1".into(),
        "SELECT * FROM generate_series(1, 9, 2)".into(),
        "SELECT * FROM range(3), generate_series(NULL, 2)".into(),
        "SELECT * FROM generate_series(TIMESTAMP '2024-01-01', TIMESTAMP '2024-03-01', INTERVAL '1' MONTH)".into(),
        "SELECT * FROM range(DATE '2024-01-01', DATE '2024-01-04', INTERVAL '1' DAY)".into(),
        "SELECT x FROM \"T\" WHERE x > ALL (SELECT -100)".into(),
    ];
    for query in &queries {
        match session.threads().block_on(session.sql(query)) {
            Ok(dataset) => comes_back(query, &dataset),
            Err(error) => panic!("{query}: {error}"),
        }
    }
}

#[test]
fn deep_plans_and_expressions_come_back() {
    let session = session();
    let mut deep = session.range(0, 3).unwrap();
    for step in 0..150 {
        deep = deep.with_columns([named("id", add(col("id"), lit(i64::from(step % 3))))]).unwrap();
    }
    assert_eq!(plan(&sent(&deep)), plan(&deep));
    let sum = (0..150).fold(col("id"), |sum, _| add(sum, col("id")));
    let wide = session.range(0, 3).unwrap().select([sum.alias("sum")]).unwrap();
    comes_back("a sum of 150", &wide);
}

#[test]
fn expressions_and_groups_come_back() {
    let next = UserFunction::new(Arc::new(Next), Arc::new(Field::new("next", DataType::Int64, true)), false);
    let exprs = [
        add(col("a.b"), lit(1)).alias("c"),
        col("\u{1}7"),
        Expr::Column(datafusion::common::Column::new(Some("my.table"), "x")),
        window().over(f::sum(col("x"))).unwrap(),
        next.call("next", vec![col("x")]),
        lit(ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(ScalarValue::from("a")))),
        lit(ScalarValue::Utf8View(Some("view".into()))),
        lit(f64::NAN),
        sheaf::expr::stable_hash(col("x"), 3),
    ];
    for expr in &exprs {
        let back = expr_from_bytes(&expr_to_bytes(expr).unwrap(), &Named).unwrap();
        assert_eq!(back.to_string(), expr.to_string());
    }
    let session = session();
    let sets = table(&session).grouping_sets(vec![vec![col("k")], vec![col("k"), col("x")], vec![]]);
    let back = self::session().grouped_from_bytes(&sets.to_bytes().unwrap(), &Named).unwrap();
    let counted = |groups: &sheaf::dataset::GroupedDataset| groups.agg([f::count(lit(1))]).unwrap();
    assert_eq!(rows(&counted(&back)), rows(&counted(&sets)));
    let bytes = table(&session).to_bytes().unwrap();
    assert!(session.grouped_from_bytes(&bytes, &Named).unwrap_err().to_string().contains("no grouped dataset"));
    assert!(expr_from_bytes(&bytes, &Named).unwrap_err().to_string().contains("no expression"));
    let bytes = expr_to_bytes(&col("x")).unwrap();
    assert!(session.dataset_from_bytes(&bytes, &Named).unwrap_err().to_string().contains("no dataset"));
}

#[test]
fn settings_that_change_the_meaning_travel() {
    let session = session();
    wait(&session, session.sql("SET TIME ZONE = '+08:00'"));
    let query = "SELECT CAST(TIMESTAMP '2024-01-01 00:00:00' AS TIMESTAMP WITH TIME ZONE)::VARCHAR AS t";
    let zoned = wait(&session, session.sql(query));
    assert!(rows(&zoned).concat().contains("+08:00"), "{:?}", rows(&zoned));
    let other = self::session();
    let back = other.dataset_from_bytes(&zoned.to_bytes().unwrap(), &NoFunctions).unwrap();
    assert_eq!(rows(&back), rows(&zoned));
    assert_ne!(rows(&wait(&other, other.sql(query))), rows(&zoned), "the other session keeps its own");
    // They share threads, so that they can be joined and run together.
    assert!(Arc::ptr_eq(back.session().threads(), other.threads()));
}

#[test]
fn what_cannot_travel_says_so() {
    struct Here;
    impl BatchFunction for Here {
        fn name(&self) -> &'static str {
            "here"
        }

        fn call(&self, batch: RecordBatch, _at: BatchPosition) -> Outputs {
            Outputs::one(Ok(batch))
        }
    }
    let session = session();
    let mapped = wait(&session, table(&session).map_batches(Arc::new(Here), MapBatchesOptions::default(), None));
    let error = mapped.to_bytes().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("the function \"here\" is of this process alone"), "{error}");

    let told = wait(&session, session.sql("SELECT * FROM information_schema.tables")).to_bytes().unwrap_err();
    assert!(told.to_string().contains("its table information_schema.tables"), "{told}");
    assert!(told.hint().unwrap().contains("materialize()"));

    let large = Arc::new(UInt64Array::from_iter_values(0..(40 << 20))) as ArrayRef;
    let large = RecordBatch::try_from_iter([("x", large)]).unwrap();
    let error = session.from_batches(large.schema(), vec![large]).unwrap().to_bytes().unwrap_err();
    assert!(error.to_string().contains("more than 256 MiB of rows in memory"), "{error}");
    assert!(error.hint().unwrap().contains("checkpoint"));

    let named = wait(&session, table(&session).map_batches(Arc::new(Doubles), MapBatchesOptions::default(), None));
    let error = session.dataset_from_bytes(&named.to_bytes().unwrap(), &NoFunctions).unwrap_err();
    assert!(error.to_string().contains("nothing here makes one of its bytes"), "{error}");
}

#[test]
fn a_function_that_is_not_there_is_named() {
    use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
    let session = session();
    let same = |args: &[ColumnarValue]| Ok(args[0].clone());
    let mine = create_udf("mine", vec![DataType::Int64], DataType::Int64, Volatility::Immutable, Arc::new(same));
    session.context().register_udf(mine);
    let bytes = wait(&session, session.sql("SELECT mine(1)")).to_bytes().unwrap();
    assert!(session.dataset_from_bytes(&bytes, &NoFunctions).is_ok());
    let error = self::session().dataset_from_bytes(&bytes, &NoFunctions).unwrap_err();
    assert!(error.to_string().contains("\"mine\""), "{error}");
}

#[test]
fn tables_of_others_stay() {
    let session = session();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "n\n1\n").unwrap();
    let context = SessionContext::new();
    let path = folder.path().to_str().unwrap().to_string();
    let frame = session.threads().block_on(context.read_csv(path, Default::default())).unwrap();
    let dataset = Dataset::new(session, frame.into_unoptimized_plan());
    let error = dataset.to_bytes().unwrap_err().to_string();
    assert!(error.contains("(ListingTable)"), "{error}");
}

/// A message whose checksum is right and whose content is not.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&bytes[10..]).to_le_bytes();
    bytes[6..10].copy_from_slice(&sum);
    bytes
}

#[test]
fn damaged_bytes_are_errors() {
    let session = session();
    let t = table(&session);
    let joined = t.join(&t, &JoinOptions::on(&["k"], JoinType::Left)).unwrap();
    let whole = joined.with_columns([named("n", window().over(f::sum(col("x"))).unwrap())]).unwrap();
    let whole = whole.groupby([col("k")]).agg([f::count(col("n"))]).unwrap();
    let bytes = whole.to_bytes().unwrap();
    let read = |bytes: &[u8]| session.dataset_from_bytes(bytes, &Named);

    for text in ["", "SHEAF", "SHEAF\u{1}", "SHEAF\u{1}1234", "pickle"] {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parse, "{text}: {error}");
    }
    let mut newer = bytes.clone();
    newer[5] = 9;
    let error = read(&newer).unwrap_err();
    assert!(error.to_string().contains("pickled in layout 9, and this Sheaf reads up to 1"), "{error}");
    for length in (0..bytes.len()).step_by(bytes.len() / 50) {
        assert_eq!(read(&bytes[..length]).unwrap_err().kind(), ErrorKind::Parse);
    }

    // Below the checksum too: whatever is damaged is an error or another plan, and never a panic.
    let mut state = 0x5EED_u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut refused = 0;
    for _ in 0..1_500 {
        let mut mutated = bytes.clone();
        for _ in 0..=next(3) {
            let at = 10 + next(mutated.len() - 10);
            match next(3) {
                0 => mutated[at] ^= 1 << next(8),
                1 => mutated[at] = u8::try_from(next(256)).unwrap(),
                _ => mutated.truncate(at.max(11)),
            }
        }
        if let Err(error) = read(&resealed(mutated)) {
            refused += 1;
            assert!(!error.to_string().is_empty());
        }
    }
    assert!(refused > 300, "{refused}");
}
