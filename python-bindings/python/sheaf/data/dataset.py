"""``Dataset`` and ``MaterializedDataset`` under Ray's names."""

from __future__ import annotations

from sheaf.data.columns import Columns
from sheaf.data.functions import Functions
from sheaf.data.results import Results
from sheaf.data.splits import Splits
from sheaf.data.writers import Writers


class Dataset(Functions, Columns, Splits, Results, Writers):
    """A lazy plan, with the methods, the arguments and the defaults of Ray's ``Dataset``.

    ``to_sheaf()`` is the ``sheaf.Dataset`` beneath, which has more verbs.

    >>> import sheaf as ray
    >>> numbers = ray.data.range(4).map_batches(lambda batch: {"twice": batch["id"] * 2})
    >>> numbers.filter(expr="twice > 2").take_all()
    [{'twice': 4}, {'twice': 6}]
    """


class MaterializedDataset(Dataset):
    """A dataset whose rows are there: in memory, and on disk what does not fit.

    >>> import sheaf as sf
    >>> sf.data.from_items([1, 2]).count()
    2
    """

    def num_blocks(self) -> int:
        """How many partitions there are.

        >>> import sheaf as sf
        >>> sf.data.from_items([1, 2]).num_blocks()
        1
        """
        return self._ds.num_partitions()
