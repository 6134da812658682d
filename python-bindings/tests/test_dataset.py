"""The verbs and actions of Dataset."""

import re

import pyarrow as pa
import pytest

import sheaf as sf

FLIGHTS = {"carrier": ["AA", "UA", None, "AA"], "delay": [5, 20, 7, None], "tags": [["x", "y"], [], None, ["z"]]}


@pytest.fixture
def flights() -> sf.Dataset:
    return sf.from_pydict(FLIGHTS)


def rows(dataset: sf.Dataset) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in dataset.to_arrow().to_pylist()]


def test_verbs_are_lazy_and_leave_their_input(flights: sf.Dataset) -> None:
    called = []

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        called.append(batch.num_rows)
        return batch

    mapped = flights.map_batches(note, schema=flights.schema)
    mapped.filter(sf.col("delay") > 5).select("carrier")
    assert called == []
    assert mapped.count() == 4
    assert sum(called) == 4
    assert flights.columns == ["carrier", "delay", "tags"]


def test_select(flights: sf.Dataset) -> None:
    chosen = flights.select("carrier", sf.col("delay") * 2, late=sf.col("delay") > 6)
    assert chosen.columns[0] == "carrier"
    assert chosen.columns[2] == "late"
    assert rows(chosen) == [("AA", 10, False), ("UA", 40, True), (None, 14, True), ("AA", None, None)]
    assert flights.select(["carrier", "delay"]).columns == ["carrier", "delay"]


def test_with_columns(flights: sf.Dataset) -> None:
    wide = flights.drop("tags").with_columns({"delay": sf.col("delay") + 1}, copy="delay", one=1, none=None)
    assert wide.columns == ["carrier", "delay", "copy", "one", "none"]
    assert rows(wide.limit(1)) == [("AA", 6, 5, 1, None)]
    assert flights.with_column("d", sf.col("delay")).columns[-1] == "d"


def test_rename_and_drop(flights: sf.Dataset) -> None:
    assert flights.rename({"delay": "late"}).columns == ["carrier", "late", "tags"]
    assert flights.drop("tags", "delay").columns == ["carrier"]
    assert flights.drop(["tags", "delay"]).columns == ["carrier"]


def test_filter_keeps_true_only(flights: sf.Dataset) -> None:
    assert rows(flights.filter(sf.col("delay") > 6).select("delay")) == [(20,), (7,)]


@pytest.mark.parametrize(
    ("descending", "nulls_first", "expected"),
    [
        (False, None, [5, 7, 20, None]),
        (True, None, [20, 7, 5, None]),
        (True, True, [None, 20, 7, 5]),
        ([False], [True], [None, 5, 7, 20]),
    ],
)
def test_sort(flights: sf.Dataset, descending: bool, nulls_first: bool | None, expected: list[int | None]) -> None:
    ordered = flights.sort("delay", descending=descending, nulls_first=nulls_first)
    assert ordered.to_pydict()["delay"] == expected


def test_sort_by_keys_of_their_own_order(flights: sf.Dataset) -> None:
    ordered = flights.sort(sf.col("carrier").desc(), "delay").select("carrier", "delay")
    assert rows(ordered)[1:] == [("UA", 20), ("AA", 5), ("AA", None)] or rows(ordered)[:1] == [("UA", 20)]
    with pytest.raises(ValueError, match="2 values for 1 keys"):
        flights.sort("delay", descending=[True, False])


def test_limit_offset_head_take(flights: sf.Dataset) -> None:
    numbers = sf.range(10)
    assert rows(numbers.offset(3).limit(2)) == [(3,), (4,)]
    assert numbers.head(2).num_rows == 2
    assert numbers.take(2) == [{"id": 0}, {"id": 1}]
    assert flights.limit(0).count() == 0


def test_distinct(flights: sf.Dataset) -> None:
    assert flights.select("carrier").distinct().count() == 3
    assert flights.distinct("carrier").columns == flights.columns
    assert flights.distinct("carrier").count() == 3


JOINS = {
    "inner": [(1, "a", "x")],
    "left": [(1, "a", "x"), (2, "b", None)],
    "right": [(1, "a", "x"), (3, None, "y")],
    "outer": [(1, "a", "x"), (2, "b", None), (3, None, "y")],
    "full": [(1, "a", "x"), (2, "b", None), (3, None, "y")],
    "semi": [(1, "a")],
    "left_semi": [(1, "a")],
    "anti": [(2, "b")],
    "left_anti": [(2, "b")],
    "right_semi": [(1, "x")],
    "right_anti": [(3, "y")],
}


@pytest.mark.parametrize("how", JOINS)
def test_joins(how: str) -> None:
    left = sf.from_pydict({"k": [1, 2], "a": ["a", "b"]})
    right = sf.from_pydict({"k": [1, 3], "b": ["x", "y"]})
    assert rows(left.join(right, on="k", how=how).sort("k")) == JOINS[how]


def test_join_of_other_names_and_cross() -> None:
    left = sf.from_pydict({"k": [1, 2], "v": [10, 20]})
    right = sf.from_pydict({"id": [2, 3], "v": [200, 300]})
    joined = left.join(right, left_on="k", right_on="id", suffix="_r")
    assert joined.to_arrow().to_pylist() == [{"k": 2, "v": 20, "id": 2, "v_r": 200}]
    assert left.join(right, how="cross").count() == 4
    with pytest.raises(sf.InvalidInputError, match="there is no join"):
        left.join(right, on="k", how="sideways")


def test_datasets_of_two_sessions_do_not_mix() -> None:
    with sf.Session(threads=1) as other:
        foreign = other.range(3)
        with pytest.raises(sf.InvalidInputError, match="different sessions"):
            sf.range(3).union(foreign)
        with pytest.raises(sf.InvalidInputError, match="another session"):
            sf.sql("select * from t", t=foreign)
        assert sf.range(3).union(sf.from_arrow(foreign)).count() == 6


def test_groupby(flights: sf.Dataset) -> None:
    grouped = flights.groupby("carrier").agg(sf.col("delay").sum().alias("total"), n=sf.functions.count(sf.lit(1)))
    assert rows(grouped.sort("carrier")) == [("AA", 5, 2), ("UA", 20, 1), (None, 7, 1)]
    by_expression = flights.groupby(sf.col("delay") > 6).agg(n=sf.functions.count(sf.lit(1)))
    assert sorted(row["n"] for row in by_expression.to_arrow().to_pylist()) == [1, 1, 2]


def test_collect_gives_a_pyarrow_table(flights: sf.Dataset) -> None:
    collected = flights.collect()
    assert type(collected) is pa.Table
    assert collected.schema == flights.schema
    assert collected.to_pydict() == FLIGHTS
    nothing = flights.filter(sf.col("delay") > 100).collect()
    assert type(nothing) is pa.Table
    assert (nothing.schema, nothing.num_rows) == (flights.schema, 0)


def test_aggregate(flights: sf.Dataset) -> None:
    assert flights.aggregate(sf.col("delay").max().alias("worst"), least=sf.col("delay").min()).to_pydict() == {
        "worst": [20],
        "least": [5],
    }


def test_union() -> None:
    left, right = sf.from_pydict({"a": [1], "b": ["x"]}), sf.from_pydict({"b": ["y"], "a": [2]})
    assert sorted(rows(left.union(right, by_name=True))) == [(1, "x"), (2, "y")]
    with pytest.raises(sf.TypeMismatchError, match="union of 2 columns"):
        left.union(right.drop("a"))


def test_sample_is_repeatable() -> None:
    numbers = sf.range(10_000)
    first = numbers.sample(0.3, seed=7).to_pydict()
    assert first == numbers.sample(0.3, seed=7).to_pydict()
    assert 2_500 < len(first["id"]) < 3_500
    assert first != numbers.sample(0.3, seed=8).to_pydict()


def test_explode(flights: sf.Dataset) -> None:
    exploded = flights.explode("tags").select("carrier", "tags")
    assert rows(exploded) == [("AA", "x"), ("AA", "y"), ("UA", None), (None, None), ("AA", "z")]


def test_describe(flights: sf.Dataset) -> None:
    described = {row["describe"]: row for row in flights.select("delay").describe().to_arrow().to_pylist()}
    assert described["count"]["delay"] == 3
    assert described["max"]["delay"] == 20
    assert described["null_count"]["delay"] == 1


def test_materialize_runs_once() -> None:
    calls = []

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        calls.append(batch.num_rows)
        return batch

    numbers = sf.range(100)
    kept = numbers.map_batches(note, schema=numbers.schema).materialize()
    ran = len(calls)
    assert kept.count() == 100
    assert kept.filter(sf.col("id") > 50).count() == 49
    assert len(calls) == ran


def test_show_and_texts(flights: sf.Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    flights.select("carrier").show(2)
    assert "| UA      |" in capsys.readouterr().out
    assert repr(flights) == "Dataset(carrier: string, delay: int64, tags: list<item: string>)" or re.match(
        r"Dataset\(carrier: string, delay: int64, tags: list<", repr(flights)
    )
    assert "== Physical ==" in flights.explain()
    assert "output_rows=3" in flights.filter(sf.col("delay") > 0).explain(analyze=True)


def test_stats_come_with_the_run(flights: sf.Dataset) -> None:
    assert flights.stats() is None
    by_delay = flights.sort("delay")
    by_delay.to_arrow()
    assert "output_rows=4" in (by_delay.stats() or "")


def test_html_escapes_and_never_runs_a_plan() -> None:
    data = sf.from_pydict({"<b>": ["<script>", "x" * 500]})
    shown = data._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "&lt;b&gt;" in shown
    assert "x" * 200 not in shown

    def fail(_: pa.RecordBatch) -> pa.RecordBatch:
        raise AssertionError

    lazy = data.map_batches(fail, schema=data.schema)
    assert "not run yet" in lazy._repr_html_()


def test_iter_batches_has_the_asked_size_and_format() -> None:
    numbers = sf.range(1_000)
    assert [len(batch) for batch in numbers.iter_batches(300)] == [300, 300, 300, 100]
    assert sum(len(frame) for frame in numbers.iter_batches(batch_format="pandas")) == 1_000
    assert sum(len(frame) for frame in numbers.iter_batches(batch_format="polars")) == 1_000
    assert sum(batch["id"].sum() for batch in numbers.iter_batches(7, batch_format="numpy")) == 499_500
    with pytest.raises(sf.InvalidInputError, match="there is no batch format"):
        numbers.iter_batches(batch_format="csv")


def test_iteration_streams() -> None:
    seen = []

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.append(batch.num_rows)
        return batch

    with sf.Session(threads=1, batch_size=1_000) as session:
        numbers = session.range(10_000_000)
        mapped = numbers.map_batches(note, batch_size=1_000, schema=numbers.schema)
        iterator = iter(mapped.iter_batches())
        assert next(iterator).num_rows > 0
        # The engine runs a few batches ahead of its reader and then waits.
        assert sum(seen) < 1_000_000
        del iterator
