"""What one expression asks."""

import numpy as np
import pandas as pd
import pyarrow as pa

from .calls import CASES, ordered, table

CASES |= {
    "aggregate_one": lambda data: data.range(4).aggregate(data.aggregate.Sum("id")),
    "groupby_quantile": lambda data: ordered(
        table(data).groupby("k").aggregate(data.aggregate.Quantile("x", q=0.25)), "k"
    ),
    "with_column": lambda data: data.range(3).with_column("next", data.expressions.col("id") + 1).take_all(),
    "with_columns": lambda data: (
        data.range(2).with_columns({"next": data.expressions.col("id") + 1, "one": data.expressions.lit(1)}).take_all()
    ),
    "filter_expression": lambda data: data.range(6).filter(expr=data.expressions.col("id") >= 4).take_all(),
    "filter_text_with_nulls": lambda data: table(data).filter(expr="y > 1").take_all(),
    "filter_text_not_with_nulls": lambda data: table(data).filter(expr="not y > 1").take_all(),
    "batches_of_pyarrow": lambda data: [
        type(each).__name__ for each in data.range(3).iter_batches(batch_format="pyarrow")
    ],
    "map_to_several_columns_of_some_rows": lambda data: (
        data.range(2).map(lambda row: {"a": 1} if row["id"] else {"a": 0, "b": 2}).take_all()
    ),
    "take_more_than_there_is": lambda data: data.range(2).take(10),
    "limit_of_nothing": lambda data: data.range(2).limit(0).take_all(),
    "numbers_of_numpy": lambda data: data.from_items([{"a": np.int32(3), "b": np.float64(0.5)}]).take_all(),
    "split_more_than_there_is": lambda data: [piece.count() for piece in data.range(2).split(3, equal=True)],
    "split_behind_the_end": lambda data: [piece.count() for piece in data.range(2).split_at_indices([5])],
    "split_proportions_of_little": lambda data: [
        piece.count() for piece in data.range(10).split_proportionately([0.01, 0.5])
    ],
    "test_rows_by_number": lambda data: [part.count() for part in data.range(10).train_test_split(test_size=3)],
    "test_rows_stratified": lambda data: [
        ordered(part.groupby("k").count(), "k")
        for part in data.from_items([{"k": n % 2, "n": n} for n in range(20)]).train_test_split(0.2, stratify="k")
    ],
    "range_take_all": lambda data: data.range(4).take_all(),
    "range_tensor": lambda data: data.range_tensor(3, shape=(2, 2)).take_all(),
    "range_tensor_batch": lambda data: data.range_tensor(3, shape=(2,)).take_batch(3),
    "from_items_values": lambda data: data.from_items([5, 6, 7]).take_all(),
    "from_items_dicts": lambda data: table(data).take_all(),
    "from_pandas": lambda data: data.from_pandas(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})).take_all(),
    "from_arrow": lambda data: data.from_arrow(pa.table({"a": [1, None], "b": [[1, 2], [3]]})).take_all(),
    "from_arrow_several": lambda data: ordered(data.from_arrow([pa.table({"a": [1]}), pa.table({"a": [2]})]), "a"),
    "from_numpy": lambda data: data.from_numpy(np.arange(3)).take_all(),
    "from_numpy_matrix": lambda data: data.from_numpy(np.arange(4).reshape(2, 2)).take_all(),
    "from_blocks": lambda data: ordered(data.from_blocks([pa.table({"a": [1]}), pa.table({"a": [2]})]), "a"),
    "columns": lambda data: table(data).columns(),
    "count": lambda data: data.range(10).count(),
    "materialized_count": lambda data: data.range(10).materialize().count(),
    "num_blocks_of_lazy": lambda data: data.range(4).map(lambda row: row).num_blocks(),
    "num_blocks_of_materialized": lambda data: data.range(4, override_num_blocks=2).materialize().num_blocks(),
    "input_files_of_memory": lambda data: data.range(4).input_files(),
    "map_rows": lambda data: data.range(3).map(lambda row: {"id": row["id"], "twice": row["id"] * 2}).take_all(),
    "map_to_arrays": lambda data: data.range(2).map(lambda row: {"v": np.array([row["id"], 1])}).take_all(),
    "map_to_matrices": lambda data: data.range(2).map(lambda row: {"v": np.full((2, 2), row["id"])}).take_batch(2),
    "map_to_lists": lambda data: data.range(2).map(lambda row: {"v": [row["id"]] * row["id"]}).take_all(),
    "flat_map": lambda data: data.range(3).flat_map(lambda row: [row, row]).take_all(),
    "filter_function": lambda data: data.range(6).filter(lambda row: row["id"] % 2 == 0).take_all(),
    "filter_text": lambda data: data.range(10).filter(expr="id > 3 and id <= 6").take_all(),
    "filter_text_in": lambda data: table(data).filter(expr="k in ['a', 'c'] or x == 0").take_all(),
    "add_column_pandas": lambda data: data.range(3).add_column("twice", lambda frame: frame["id"] * 2).take_all(),
    "drop_columns": lambda data: table(data).drop_columns(["k", "y"]).take_all(),
    "select_columns": lambda data: table(data).select_columns(["x", "k"]).take(2),
    "select_one_column": lambda data: table(data).select_columns("x").take(2),
    "rename_by_dict": lambda data: table(data).rename_columns({"x": "z"}).take(1),
    "rename_by_list": lambda data: table(data).rename_columns(["a", "b", "c"]).take(1),
    "rename_twice_the_same": lambda data: table(data).rename_columns(["a", "b", "b"]).take(1),
    "limit": lambda data: data.range(10).limit(3).take_all(),
    "take_default": lambda data: len(data.range(100).take()),
    "take_batch_pandas": lambda data: type(data.range(3).take_batch(2, batch_format="pandas")).__name__,
    "take_batch_pyarrow": lambda data: type(data.range(3).take_batch(2, batch_format="pyarrow")).__name__,
    "take_batch_of_nothing": lambda data: data.range(0).take_batch(),
    "take_all_limit": lambda data: data.range(10).take_all(limit=3),
    "sort": lambda data: table(data).sort("x").take_all(),
    "sort_descending": lambda data: table(data).sort("x", descending=True).take_all(),
    "sort_with_nulls": lambda data: [row["y"] for row in table(data).sort("y", descending=True).take_all()],
    "sort_several": lambda data: table(data).sort(["k", "x"], descending=[False, True]).take_all(),
    "union": lambda data: ordered(data.range(2).union(data.range(1), data.range(1)), "id"),
    "random_shuffle_same_rows": lambda data: ordered(data.range(20).random_shuffle(seed=1), "id"),
    "randomize_block_order_same_rows": lambda data: ordered(data.range(20).randomize_block_order(seed=1), "id"),
    "random_sample_bounds": lambda data: [data.range(10).random_sample(share).count() for share in (0.0, 1.0)],
    "random_sample_too_much": lambda data: data.range(10).random_sample(1.5).count(),
    "repartition_rows": lambda data: ordered(data.range(10).repartition(3), "id"),
    "repartition_number": lambda data: data.range(10).repartition(3).materialize().num_blocks(),
    "mix_longest": lambda data: ordered(data.range(3).mix(data.range(5)), "id"),
    "zip_datasets": lambda data: data.range(3).zip(data.range(3)).take_all(),
    "groupby_count": lambda data: ordered(table(data).groupby("k").count(), "k"),
    "groupby_sum_of_several": lambda data: ordered(table(data).groupby("k").sum(["x", "y"]), "k"),
    "groupby_std_of_single_rows": lambda data: ordered(table(data).groupby("k").std("x"), "k"),
    "groupby_std_of_all": lambda data: ordered(table(data).groupby("k").std("x", ddof=0), "k"),
    "groupby_nulls_not_ignored": lambda data: ordered(table(data).groupby("k").sum("y", ignore_nulls=False), "k"),
    "groupby_several_keys": lambda data: ordered(table(data).groupby(["k", "x"]).count(), "k", "x"),
    "groupby_null_key": lambda data: ordered(table(data).groupby("y").count(), "y"),
    "sum_of_one": lambda data: table(data).sum("x"),
    "sum_of_several": lambda data: table(data).sum(["x", "y"]),
    "sum_of_all": lambda data: data.range(4).sum(),
    "sum_nulls_not_ignored": lambda data: table(data).sum("y", ignore_nulls=False),
    "statistics_of_a_column": lambda data: [getattr(table(data), of)("y") for of in ("min", "max", "mean", "std")],
    "std_of_one_row": lambda data: data.range(1).std("id"),
    "std_of_all": lambda data: table(data).std("x", ddof=0),
    "unique": lambda data: sorted(table(data).unique("k")),
    "unique_with_null": lambda data: sorted(table(data).unique("y"), key=lambda value: (value is None, value)),
    "unique_ignoring_nulls": lambda data: sorted(table(data).unique("y", ignore_nulls=True)),
    "iter_rows": lambda data: list(data.range(3).iter_rows()),
    "iterator_batches": lambda data: [batch["id"] for batch in data.range(5).iterator().iter_batches(batch_size=3)],
    "iterator_materialize": lambda data: data.range(5).iterator().materialize().count(),
    "iterator_schema": lambda data: data.range(5).iterator().schema().names,
    "to_pandas": lambda data: table(data).to_pandas().to_dict("list"),
    "to_pandas_limit": lambda data: len(data.range(10).to_pandas(limit=3)),
    "split": lambda data: sum(part.count() for part in data.range(10).split(3)),
    "split_equal": lambda data: [part.count() for part in data.range(10).split(3, equal=True)],
    "split_proportionately": lambda data: [part.count() for part in data.range(10).split_proportionately([0.2, 0.5])],
}
