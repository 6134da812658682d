"""``Dataset``: a lazy plan. Verbs give new datasets; what runs a plan says so."""

from __future__ import annotations

from sheaf import _html
from sheaf.dataset.columns import Columns
from sheaf.dataset.functions import Functions
from sheaf.dataset.groups import GroupedDataset, Groups
from sheaf.dataset.joins import How, Joins
from sheaf.dataset.partitions import Partitions
from sheaf.dataset.results import Results
from sheaf.dataset.rows import Rows
from sheaf.dataset.sets import Sets
from sheaf.dataset.writers import WriteReport, Writers

__all__ = ["Dataset", "GroupedDataset", "How", "WriteReport"]


class Dataset(Columns, Sets, Joins, Groups, Functions, Partitions, Results, Rows, Writers):
    """A lazy, immutable plan over Arrow partitions.

    Verbs such as ``filter`` give a new dataset and run nothing. ``collect``, ``count``, ``show``, ``write_*``,
    ``to_*`` and iteration run the plan on the session's threads. Where a column is asked for, its name will do.

    >>> import sheaf as sf
    >>> flights = sf.from_pydict({"carrier": ["AA", "UA", "AA"], "delay": [5, 20, 7]})
    >>> flights.sort("delay").select("carrier").to_pydict()
    {'carrier': ['AA', 'AA', 'UA']}
    """

    def __repr__(self) -> str:
        columns = ", ".join(f"{field.name}: {field.type}" for field in self.schema)
        return f"Dataset({columns})"

    def _repr_html_(self) -> str:
        """A table for notebooks: types, and for a dataset in memory its first rows. It never runs a long plan."""
        rows = self.take(_html.ROWS) if self._in_memory else None
        return _html.table(self.schema, rows)
