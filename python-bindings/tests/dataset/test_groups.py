"""Groups: aggregates against pandas, SciPy and NumPy, with nulls, over several partitions; rollup, cube, keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.stats

import sheaf as sf

X = sf.col("x")
ROWS = 40_000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Rows of seven groups, one of them of nulls, with nulls among the values."""
    rng = np.random.default_rng(7)
    keys = rng.integers(0, 7, ROWS)
    x = np.where(rng.random(ROWS) < 0.05, np.nan, rng.gamma(2.0, 3.0, ROWS) + 1e6)
    return pd.DataFrame({"k": pd.array(np.where(keys == 3, pd.NA, keys), dtype="Int64"), "x": x, "n": keys * 3 % 5})


@pytest.fixture(scope="module")
def dataset(frame: pd.DataFrame) -> sf.Dataset:
    """The same rows, in several partitions."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return sf.from_arrow(pa.Table.from_batches(table.to_batches(max_chunksize=3_000)))


def by_key(dataset: sf.Dataset, **aggregates: sf.Expr) -> pd.DataFrame:
    """One row for each group, in the order of the keys, nulls last."""
    return dataset.groupby("k").agg(**aggregates).sort("k").to_pandas()


def test_moments_are_pandas_and_scipys(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    given = by_key(
        dataset, skew=X.skew(), kurtosis=X.kurtosis(), skew_pop=X.skew(bias=True), kurtosis_pop=X.kurtosis(bias=True)
    )
    groups = [group.x.dropna() for _, group in frame.groupby("k", dropna=False)]
    assert len(given) == len(groups) == 7
    np.testing.assert_allclose(given["skew"], [group.skew() for group in groups], rtol=1e-7)
    np.testing.assert_allclose(given["kurtosis"], [group.kurt() for group in groups], rtol=1e-7)
    np.testing.assert_allclose(given["skew_pop"], [scipy.stats.skew(group) for group in groups], rtol=1e-7)
    np.testing.assert_allclose(given["kurtosis_pop"], [scipy.stats.kurtosis(group) for group in groups], rtol=1e-7)
    whole = dataset.aggregate(s=X.skew(), k=X.kurtosis()).to_pydict()
    np.testing.assert_allclose([whole["s"][0], whole["k"][0]], [frame.x.skew(), frame.x.kurt()], rtol=1e-7)


def test_few_and_equal_values() -> None:
    few = sf.from_pydict({"x": [1.0, 2.0, None]}).aggregate(s=X.skew(), k=X.kurtosis(), p=X.product(), m=X.mode())
    assert few.to_pydict() == {"s": [None], "k": [None], "p": [2.0], "m": [1.0]}
    none = sf.from_arrow(pa.table({"x": pa.array([None], pa.float64())}))
    told = none.aggregate(
        s=X.skew(True), p=X.product(), m=X.mode(), t=X.top_k(2), h=X.histogram([0, 1]), n=X.null_count()
    )
    assert told.to_pydict() == {
        "s": [None],
        "p": [None],
        "m": [None],
        "t": [[]],
        "h": [[{"start": 0.0, "end": 1.0, "count": 0}]],
        "n": [1],
    }
    equal = sf.from_pydict({"x": [0.1] * 5}).aggregate(s=X.skew(), b=X.skew(bias=True)).to_pydict()
    assert equal["s"] == [0.0]
    assert math.isnan(equal["b"][0])


def test_frequent_values_are_pandas(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    n = sf.col("n")
    given = by_key(dataset, mode=n.mode(), top=n.top_k(2), about=n.approx_top_k(2))
    for (_, group), mode, top, about in zip(
        frame.groupby("k", dropna=False), given["mode"], given["top"], given["about"], strict=True
    ):
        assert mode == group.n.mode()[0]
        counts = sorted(group.n.value_counts().items(), key=lambda entry: (-entry[1], entry[0]))[:2]
        assert [(entry["value"], entry["count"]) for entry in top] == counts
        assert [(entry["value"], entry["count"]) for entry in about] == counts


def test_one_zero_and_one_nan_are_counted() -> None:
    values = [0.0, -0.0, math.nan, -math.nan, math.nan, None, 2.0]
    told = sf.from_pydict({"x": values}).aggregate(t=X.top_k(5)).to_pydict()["t"][0]
    assert [(str(entry["value"]), entry["count"]) for entry in told] == [("nan", 3), ("0.0", 2), ("2.0", 1)]


def test_text_booleans_and_dictionaries_have_a_mode() -> None:
    table = pa.table(
        {
            "s": pa.array(["b", "a", "b", None]),
            "t": pa.array([True, False, True, True]),
            "d": pa.array(["x", "x", None, "y"]).dictionary_encode(),
            "l": pa.array([[1], [1], [2], None]),
        }
    )
    told = sf.from_arrow(table).aggregate(dict.fromkeys(table.schema.names, "mode")).to_pydict()
    assert told == {"mode(s)": ["b"], "mode(t)": [True], "mode(d)": ["x"], "mode(l)": [[1]]}


def test_approximate_counts_keep_their_bound() -> None:
    # 60,000 different values hide three that are frequent, over several partitions.
    rows = 300_000
    values = sf.range(rows).select(
        v=sf.when(sf.col("id") % 5 == 0).then(sf.col("id") % 3).otherwise(sf.col("id") * 7919 % 60_000 + 10)
    )
    exact = values.aggregate(t=sf.col("v").top_k(3)).to_pydict()["t"][0]
    about = values.aggregate(t=sf.col("v").approx_top_k(3)).to_pydict()["t"][0]
    assert {entry["value"] for entry in about} == {entry["value"] for entry in exact} == {0, 1, 2}
    counts = {entry["value"]: entry["count"] for entry in exact}
    for entry in about:
        assert counts[entry["value"]] <= entry["count"] <= counts[entry["value"]] + rows / 1000


def test_histograms_are_numpys(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    values = frame.x.dropna().to_numpy()
    for bins in (1, 7, 100):
        told = dataset.aggregate(h=X.histogram(bins)).to_pydict()["h"][0]
        counts, edges = np.histogram(values, bins=bins)
        assert [entry["count"] for entry in told] == counts.tolist()
        np.testing.assert_allclose([*(entry["start"] for entry in told), told[-1]["end"]], edges)
    edges = [1e6, 1e6 + 2, 1e6 + 4, 1e6 + 20]
    told = dataset.groupby("k").agg(h=X.histogram(edges)).sort("k").to_pydict()["h"]
    for (_, group), bins in zip(frame.groupby("k", dropna=False), told, strict=True):
        assert [entry["count"] for entry in bins] == np.histogram(group.x.dropna(), bins=edges)[0].tolist()
    one = sf.from_pydict({"x": [2, 2]}).aggregate(h=X.histogram(2)).to_pydict()["h"][0]
    assert one == [{"start": 1.5, "end": 2.0, "count": 0}, {"start": 2.0, "end": 2.5, "count": 2}]


def test_products_are_exact_or_fail() -> None:
    assert sf.from_pydict({"x": [3, -5, 7]}).aggregate(p=X.product()).to_pydict() == {"p": [-105]}
    assert sf.from_pydict({"x": [0.5, 8.0]}).aggregate(p=X.product()).to_pydict() == {"p": [4.0]}
    with pytest.raises(sf.SheafError, match="product: the 64-bit whole number overflows; cast the values to a float"):
        sf.from_pydict({"x": [2**62, 4]}).aggregate(p=X.product()).to_pydict()


def test_pairs_and_sets(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    n = sf.col("n")
    given = by_key(
        dataset, corr=X.corr(n), cov=X.cov(n), cov_pop=X.cov(n, ddof=0), values=n.agg_set(), nulls=X.null_count()
    )
    for (_, group), row in zip(frame.groupby("k", dropna=False), given.itertuples(), strict=True):
        assert sorted(row.values) == sorted(group.n.unique())
        assert row.nulls == group.x.isna().sum()
        full = group.dropna(subset=["x"])
        assert row.cov == pytest.approx(full.x.cov(full.n), abs=1e-9)
        assert row.cov_pop == pytest.approx(full.x.cov(full.n, ddof=0), abs=1e-9)


def test_quantiles(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    shares = [0.1, 0.5, 0.9]
    told = dataset.aggregate(q=X.quantile(shares), a=X.approx_quantile(shares), one=X.quantile(0.5)).to_pydict()
    expected = frame.x.quantile(shares).to_numpy()
    np.testing.assert_allclose(told["q"][0], expected)
    np.testing.assert_allclose(np.array(told["a"][0]) - 1e6, expected - 1e6, rtol=0.05)
    assert told["one"] == [expected[1]]
    with pytest.raises(ValueError, match=r"a quantile is a share from 0 to 1, not 1\.5"):
        X.quantile([0.5, 1.5])


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (sf.col("s").skew(), "skew is of numbers, not of Utf8"),
        (sf.col("s").histogram(3), "histogram is of numbers, not of Utf8"),
        (X.histogram(0), "bins of histogram are from 1 to"),
        (X.histogram([2, 1]), "the edges of histogram are at least two numbers that ascend"),
        (X.top_k(0), "k of top_k is a whole number above 0, not 0"),
        (X.product().distinct(), r"product\(DISTINCT"),
    ],
)
def test_what_makes_no_sense_is_refused(expr: sf.Expr, text: str) -> None:
    data = sf.from_pydict({"x": [1.0], "s": ["a"], "k": [1]})
    with pytest.raises(sf.SheafError, match=text):
        data.groupby("k").agg(expr, X.sum().distinct()).to_pydict()


def test_sql_and_functions_have_them(dataset: sf.Dataset) -> None:
    text = "SELECT k, skew(x) AS s, mode(n) AS m, top_k(n, 2) AS t, histogram(x, 3) AS h FROM dataset GROUP BY k"
    told = sf.sql(text, dataset=dataset).sort("k").to_pydict()
    f = sf.functions
    n = sf.col("n")
    same = (
        dataset.groupby("k").agg(s=f.skew(X), m=f.mode(n), t=f.top_k(n, 2), h=f.histogram(X, 3)).sort("k").to_pydict()
    )
    # The sums of partial moments depend on how the rows were dealt out.
    np.testing.assert_allclose(told.pop("s"), same.pop("s"), rtol=1e-9)
    assert told == same


def test_aggregates_over_windows() -> None:
    told = sf.from_pydict({"k": [1, 1, 2], "x": [4, 4, 5]}).select("k", m=X.mode().over("k")).sort("k").to_pydict()
    assert told == {"k": [1, 1, 2], "m": [4, 4, 5]}


SALES = {"k": ["a", "a", "b", None], "y": [1, 2, 1, 1], "x": [10, 20, 30, 40]}


def rows(dataset: sf.Dataset) -> list[tuple[Any, ...]]:
    """The rows, in an order of their own."""
    return sorted(zip(*dataset.to_pydict().values(), strict=True), key=repr)


def test_rollup_tells_totals_from_nulls() -> None:
    f = sf.functions
    sales = sf.from_pydict(SALES)
    told = sales.rollup("k", "y").agg(X.sum().alias("x"), g=f.grouping(sf.col("k")), h=f.grouping(sf.col("y")))
    expected = [
        ("a", 1, 10, 0, 0),
        ("a", 2, 20, 0, 0),
        ("a", None, 30, 0, 1),
        ("b", 1, 30, 0, 0),
        ("b", None, 30, 0, 1),
        (None, 1, 40, 0, 0),
        (None, None, 40, 0, 1),
        (None, None, 100, 1, 1),
    ]
    assert rows(told) == sorted(expected, key=repr)
    assert rows(sales.cube("k", "y").agg(X.sum())) == sorted(
        [row[:3] for row in expected] + [(None, 1, 80), (None, 2, 20)], key=repr
    )
    sets = sales.grouping_sets([["k"], [sf.col("y") > 1], []]).agg(X.sum())
    assert sets.columns[0] == "k"
    assert rows(sets) == sorted(
        [("a", None, 30), ("b", None, 30), (None, None, 40), (None, False, 80), (None, True, 20), (None, None, 100)],
        key=repr,
    )


def test_rollup_is_refused_where_it_makes_no_groups() -> None:
    sales = sf.from_pydict(SALES)
    with pytest.raises(sf.InvalidInputError, match="rollup, cube and grouping_sets need a key"):
        sales.rollup().agg(X.sum())
    with pytest.raises(sf.InvalidInputError, match="a function is of the groups of groupby, not of rollup"):
        sales.rollup("k").map_groups(lambda group: group)


def test_shortcuts_are_pandas(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    grouped, expected = dataset.groupby("k"), frame.groupby("k", dropna=False)
    for how in ("sum", "mean", "min", "max", "median", "std", "var"):
        told = getattr(grouped, how)("x", "n").sort("k").to_pandas()
        assert list(told.columns) == ["k", f"{how}(x)", f"{how}(n)"]
        np.testing.assert_allclose(told[f"{how}(x)"], getattr(expected.x, how)(), rtol=1e-6)
        np.testing.assert_allclose(told[f"{how}(n)"], getattr(expected.n, how)(), rtol=1e-6)
    assert grouped.count().sort("k").to_pandas()["count()"].tolist() == expected.size().tolist()
    assert grouped.size().sort("k").to_pandas()["size"].tolist() == expected.size().tolist()
    assert grouped.count("x").sort("k").to_pandas()["count(x)"].tolist() == expected.x.count().tolist()
    assert grouped.n_unique("n").sort("k").to_pandas()["n_unique(n)"].tolist() == expected.n.nunique().tolist()
    quantiles = grouped.quantile("x", q=0.25).sort("k").to_pandas()["quantile(x)"]
    np.testing.assert_allclose(quantiles, expected.x.quantile(0.25))


def test_shortcuts_choose_columns() -> None:
    data = sf.from_pydict({"k": ["a", "a"], "s": ["x", "y"], "n": [2, 3]})
    assert data.groupby("k").sum().to_pydict() == {"k": ["a"], "sum(n)": [5]}
    assert data.groupby("k").max().to_pydict() == {"k": ["a"], "max(s)": ["y"], "max(n)": [3]}
    assert data.groupby("k").sum(sf.col("n") * 2).to_pydict() == {"k": ["a"], "sum(n * 2)": [10]}
    assert data.groupby("k").first("s", order_by=sf.col("n").desc()).to_pydict() == {"k": ["a"], "first(s)": ["y"]}
    assert data.groupby("k").last("s", order_by="n").to_pydict() == {"k": ["a"], "last(s)": ["y"]}


def test_agg_takes_a_dict(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    told = dataset.groupby("k").agg({"x": ["sum", "mean"], "n": "nunique"}, most=X.max()).sort("k").to_pandas()
    assert list(told.columns) == ["k", "sum(x)", "mean(x)", "nunique(n)", "most"]
    expected = frame.groupby("k", dropna=False).agg({"x": ["sum", "mean"], "n": "nunique"})
    np.testing.assert_allclose(told[["sum(x)", "mean(x)", "nunique(n)"]].to_numpy(), expected.to_numpy())
    with pytest.raises(sf.InvalidInputError, match="there is no aggregate 'avrage'"):
        dataset.aggregate({"x": "avrage"})


def test_none_is_the_whole_dataset(dataset: sf.Dataset) -> None:
    assert dataset.groupby(None).count().to_pydict() == {"count()": [ROWS]}
    assert dataset.groupby().count().to_pydict() == {"count()": [ROWS]}


def test_keys_may_be_functions(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    def decade(row: dict[str, Any]) -> int:
        return int(row["n"]) // 2

    told = dataset.groupby(decade).agg(c=sf.functions.count()).sort("decade").to_pydict()
    expected = (frame.n // 2).value_counts().sort_index()
    assert told == {"decade": expected.index.tolist(), "c": expected.tolist()}
    batches = dataset.groupby(lambda batch: batch["n"] // 2, "k", batch_format="pandas").size().to_pandas()
    assert batches["size"].sum() == ROWS
    assert list(batches.columns) == ["key", "k", "size"]
    with pytest.raises(sf.UserFunctionError, match="key returned 1 keys for 3000 rows"):
        dataset.groupby(lambda batch: [1], batch_format="pandas")
