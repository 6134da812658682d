"""Datasets over objects of the runtime: ``from_*_refs``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sheaf import _formats, _objects
from sheaf._formats import Schema
from sheaf.errors import InvalidInputError

if TYPE_CHECKING:
    from sheaf import _sheaf
    from sheaf._runtime.api import ObjectRef
    from sheaf.dataset import Dataset


class References:
    """The methods of a ``Session`` whose datasets are read from the runtime's objects."""

    if TYPE_CHECKING:

        @property
        def _inner(self) -> _sheaf.Session: ...
        def _dataset(self, inner: _sheaf.Dataset, *, in_memory: bool = False) -> Dataset: ...

    def from_arrow_refs(self, refs: Sequence[ObjectRef], *, schema: Schema | None = None) -> Dataset:
        """A dataset over objects that hold tables: of ``to_arrow_refs``, of ``put``, or what tasks return.

        The objects are read when the dataset is, each when its turn comes, without a copy of what is on this node.
        Their order is that of the rows.

        Args:
            refs: References to what ``from_arrow`` takes, all with the same columns.
            schema: The columns. Without it the first object is waited for now, to see.

        >>> import sheaf as sf
        >>> sf.from_arrow_refs(sf.range(3).to_arrow_refs()).to_pydict()
        {'id': [0, 1, 2]}
        """
        return self._from_refs(refs, _same, schema)

    def from_pandas_refs(self, refs: Sequence[ObjectRef], *, schema: Schema | None = None) -> Dataset:
        """A dataset over objects that hold a ``pandas.DataFrame`` each; see ``from_arrow_refs``.

        >>> import pandas as pd, sheaf as sf
        >>> sf.from_pandas_refs([sf.put(pd.DataFrame({"a": [n]})) for n in (1, 2)]).to_pydict()
        {'a': [1, 2]}
        """
        return self._from_refs(refs, _formats.from_pandas, schema)

    def from_numpy_refs(self, refs: Sequence[ObjectRef], *, schema: Schema | None = None) -> Dataset:
        """A dataset over objects that hold a dict of NumPy arrays each, or one array: the column ``data``.

        The objects are read as those of ``from_arrow_refs``. The rows of a matrix become lists.

        >>> import numpy as np, sheaf as sf
        >>> sf.from_numpy_refs([sf.put(np.array([n, n])) for n in (1, 2)]).to_pydict()
        {'data': [1, 1, 2, 2]}
        """
        return self._from_refs(refs, _of_arrays, schema)

    def _from_refs(self, refs: Sequence[ObjectRef], take: Callable[[Any], Any], schema: Schema | None) -> Dataset:
        parts = [partial(_load, ref, take) for ref in refs]
        columns = _formats.to_schema(schema)
        if columns is None:
            if not parts:
                error = InvalidInputError("there is no reference, and so nothing to take the columns from")
                error.hint = "pass schema="
                raise error
            columns = _schema_of(parts[0]())
        return self._dataset(self._inner.from_parts(columns, parts))


def _load(ref: ObjectRef, take: Callable[[Any], Any]) -> Any:
    from sheaf._runtime.api import get

    return take(get(ref))


def _schema_of(data: Any) -> pa.Schema:
    if isinstance(data, pa.Table | pa.RecordBatch):
        return data.schema
    return pa.table(data).schema


def _same(table: Any) -> Any:
    return _objects.trusted(table) if isinstance(table, pa.Table | pa.RecordBatch) else table


def _of_arrays(value: Any) -> Any:
    return _formats.take(value if isinstance(value, dict) else {"data": value})
