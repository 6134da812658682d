"""Datasets over what is in memory: ``from_*``, ``range`` and ``range_tensor``."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sheaf import _formats, dataset
from sheaf.data.dataset import Dataset, MaterializedDataset
from sheaf.data.row_calls import column_of
from sheaf.session import default

if TYPE_CHECKING:
    import pandas as pd

    from sheaf._runtime.api import ObjectRef


def range(n: int, *, parallelism: int = -1, concurrency: Any = None, override_num_blocks: int | None = None) -> Dataset:
    """One column ``id``: the integers from 0 to before ``n``, in ``override_num_blocks`` partitions.

    >>> import sheaf as sf
    >>> sf.data.range(3).take_all()
    [{'id': 0}, {'id': 1}, {'id': 2}]
    """
    return Dataset(_in_blocks(default.range(n), n, _blocks(parallelism, override_num_blocks)))


def range_tensor(
    n: int,
    *,
    shape: tuple[int, ...] = (1,),
    parallelism: int = -1,
    concurrency: Any = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """One column ``data``: for each number from 0 to before ``n`` an array of this shape that is full of it.

    >>> import sheaf as sf
    >>> sf.data.range_tensor(2, shape=(2,)).take_batch()
    {'data': array([[0, 0], [1, 1]])}
    """
    kind: pa.DataType = pa.int64()
    for size in reversed(shape):
        kind = pa.list_(kind, size)

    def filled(batch: Any) -> Any:
        numbers = batch["id"]
        return {"data": np.broadcast_to(numbers.reshape(-1, *(1 for _ in shape)), (len(numbers), *shape))}

    ids = _in_blocks(default.range(n), n, _blocks(parallelism, override_num_blocks))
    return Dataset(ids.map_batches(filled, batch_format="numpy", schema=pa.schema([("data", kind)])))


def from_items(
    items: Iterable[Any], *, parallelism: int = -1, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """One row for each item: dicts name their columns, other values are in the column ``item``.

    >>> import sheaf as sf
    >>> sf.data.from_items([1, 2]).take_all()
    [{'item': 1}, {'item': 2}]
    """
    rows = list(items)
    if not all(isinstance(row, Mapping) for row in rows):
        rows = [{"item": item} for item in rows]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: column_of([row.get(name) for row in rows], None, name) for name in names}
    made = default.from_pydict(columns)
    return MaterializedDataset(_in_blocks(made, len(rows), _blocks(parallelism, override_num_blocks)))


def from_arrow(tables: Any, *, override_num_blocks: int | None = None) -> MaterializedDataset:
    """The rows of a ``pyarrow.Table``, or of several one after another; bytes are Arrow IPC streams.

    >>> import pyarrow as pa, sheaf as sf
    >>> sf.data.from_arrow([pa.table({"a": [1]}), pa.table({"a": [2]})]).take_all()
    [{'a': 1}, {'a': 2}]
    """
    parts = [default.from_arrow(_opened(table)) for table in _several(tables)]
    made = dataset.concat(parts, by_name=True) if len(parts) > 1 else parts[0]
    return MaterializedDataset(_counted_blocks(made, override_num_blocks))


def from_blocks(blocks: Sequence[Any]) -> MaterializedDataset:
    """The rows of tables of PyArrow and of DataFrames of pandas, one after another.

    >>> import pandas as pd, sheaf as sf
    >>> sf.data.from_blocks([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})]).take_all()
    [{'a': 1}, {'a': 2}]
    """
    return from_arrow(
        [block if isinstance(block, pa.Table | bytes) else _formats.from_pandas(block) for block in blocks]
    )


def from_pandas(dfs: Any, override_num_blocks: int | None = None) -> MaterializedDataset:
    """The rows of a ``pandas.DataFrame``, or of several one after another; the index is left out.

    >>> import pandas as pd, sheaf as sf
    >>> sf.data.from_pandas(pd.DataFrame({"a": [1, 2]})).take_all()
    [{'a': 1}, {'a': 2}]
    """
    frames: list[pd.DataFrame] = _several(dfs)
    return from_arrow([_formats.from_pandas(frame) for frame in frames], override_num_blocks=override_num_blocks)


def from_numpy(ndarrays: np.ndarray[Any, Any] | Sequence[np.ndarray[Any, Any]]) -> MaterializedDataset:
    """One column ``data`` of an array, or of several one after another: the first axis is the rows.

    >>> import numpy as np, sheaf as sf
    >>> sf.data.from_numpy(np.array([1, 2])).take_all()
    [{'data': 1}, {'data': 2}]
    """
    batches = [_formats.take({"data": array}) for array in _several(ndarrays)]
    return from_arrow([pa.Table.from_batches([batch]) for batch in batches])


def from_arrow_refs(tables: ObjectRef | Sequence[ObjectRef]) -> MaterializedDataset:
    """The rows of objects of the runtime that hold tables of PyArrow.

    >>> import pyarrow as pa, sheaf as sf
    >>> sf.data.from_arrow_refs(sf.put(pa.table({"a": [1]}))).take_all()
    [{'a': 1}]
    """
    return MaterializedDataset(default.from_arrow_refs(_several(tables)))


def from_pandas_refs(dfs: ObjectRef | Sequence[ObjectRef]) -> MaterializedDataset:
    """The rows of objects of the runtime that hold DataFrames of pandas.

    >>> import pandas as pd, sheaf as sf
    >>> sf.data.from_pandas_refs(sf.put(pd.DataFrame({"a": [1]}))).take_all()
    [{'a': 1}]
    """
    return MaterializedDataset(default.from_pandas_refs(_several(dfs)))


def from_numpy_refs(ndarrays: ObjectRef | Sequence[ObjectRef]) -> MaterializedDataset:
    """One column ``data`` of objects of the runtime that hold arrays of NumPy.

    >>> import numpy as np, sheaf as sf
    >>> sf.data.from_numpy_refs(sf.put(np.array([1, 2]))).take_all()
    [{'data': 1}, {'data': 2}]
    """
    return MaterializedDataset(default.from_numpy_refs(_several(ndarrays)))


def from_torch(dataset: Any, local_read: bool = False) -> Dataset:
    """The items of a dataset of PyTorch in the column ``item``; it is read to its end now, ``local_read`` or not.

    >>> import sheaf as sf
    >>> class Squares:
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, at):
    ...         return at * at
    >>> sf.data.from_torch(Squares()).take_all()
    [{'item': 0}, {'item': 1}, {'item': 4}]
    """
    is_map = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    items = (dataset[at] for at in builtins.range(len(dataset))) if is_map else iter(dataset)
    return from_items([{"item": item} for item in items])


def from_tf(dataset: Any) -> MaterializedDataset:
    """The elements of a ``tf.data.Dataset``, which is read to its end now: dicts, or values in the column ``item``.

    >>> import sheaf as sf
    >>> sf.data.from_tf(tf.data.Dataset.range(2)).take_all()  # doctest: +SKIP
    [{'item': 0}, {'item': 1}]
    """
    return from_items(list(dataset.as_numpy_iterator()))


def from_huggingface(
    dataset: Any, parallelism: int = -1, concurrency: Any = None, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """The rows of a dataset of Hugging Face, whose Arrow data is shared; an ``IterableDataset`` is read to its end.

    >>> import sheaf as sf
    >>> sf.data.from_huggingface(datasets.Dataset.from_dict({"a": [1]})).take_all()  # doctest: +SKIP
    [{'a': 1}]
    """
    if isinstance(dataset, dict):
        raise TypeError(f"this is several datasets: from_huggingface(dataset[{next(iter(dataset), 'train')!r}])")
    if not hasattr(dataset, "with_format") or not hasattr(dataset, "__len__"):
        return from_items(list(dataset), override_num_blocks=override_num_blocks)
    table = dataset.with_format("arrow")[:].replace_schema_metadata(None)
    return from_arrow(table, override_num_blocks=override_num_blocks)


def from_daft(df: Any) -> Dataset:
    """The rows of a DataFrame of Daft, which runs now.

    >>> import sheaf as sf
    >>> sf.data.from_daft(daft.from_pydict({"a": [1]})).take_all()  # doctest: +SKIP
    [{'a': 1}]
    """
    return from_arrow(df.to_arrow())


def from_dask(df: Any) -> MaterializedDataset:
    """The rows of a dataframe of Dask, which runs now.

    >>> import sheaf as sf
    >>> sf.data.from_dask(dask.dataframe.from_dict({"a": [1]}, npartitions=1)).take_all()  # doctest: +SKIP
    [{'a': 1}]
    """
    return from_pandas(df.compute())


def from_sheaf(of: dataset.Dataset) -> Dataset:
    """A ``sheaf.Dataset`` under Ray's names.

    >>> import sheaf as sf
    >>> sf.data.from_sheaf(sf.range(3)).sum("id")
    3
    """
    return Dataset(of)


def _several(given: Any) -> list[Any]:
    listed = list(given) if isinstance(given, list | tuple) else [given]
    if not listed:
        raise ValueError("there is nothing to make a dataset of")
    return listed


def _opened(table: Any) -> Any:
    return pa.ipc.open_stream(table).read_all() if isinstance(table, bytes) else table


def _blocks(parallelism: int, override_num_blocks: int | None) -> int | None:
    """How many partitions; ``parallelism`` is the old name of the argument."""
    return override_num_blocks or (parallelism if parallelism > 0 else None)


def _in_blocks(made: dataset.Dataset, rows: int, blocks: int | None) -> dataset.Dataset:
    return made if blocks is None or rows == 0 else made.repartition(rows=-(-rows // blocks))


def _counted_blocks(made: dataset.Dataset, blocks: int | None) -> dataset.Dataset:
    return made if blocks is None else _in_blocks(made, made.count(), blocks)
