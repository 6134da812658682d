"""``Dataset``: a lazy plan. Verbs give new datasets; what runs a plan says so."""

from __future__ import annotations

from sheaf import _html
from sheaf.dataset.data_iterator import DataIterator, FeedStats
from sheaf.dataset.grouped import GroupedDataset
from sheaf.dataset.iteration import mix
from sheaf.dataset.joins import How, Joins
from sheaf.dataset.keeping import Keeping
from sheaf.dataset.nulls import Nulls
from sheaf.dataset.partitions import Partitions
from sheaf.dataset.references import References
from sheaf.dataset.reshape import Reshape
from sheaf.dataset.sets import Sets, concat
from sheaf.dataset.splits import Splits
from sheaf.dataset.values import Values
from sheaf.dataset.windows import Windows
from sheaf.dataset.writers import WriteReport, Writers

__all__ = ["DataIterator", "Dataset", "FeedStats", "GroupedDataset", "How", "WriteReport", "concat", "mix"]


class Dataset(Nulls, Reshape, Sets, Joins, Windows, Partitions, Splits, Keeping, References, Values, Writers):
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
