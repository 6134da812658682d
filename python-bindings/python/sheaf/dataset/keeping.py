"""What keeps a plan's rows for those that go on from it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sheaf.dataset.plan import Plan

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Keeping(Plan):
    """The methods of a ``Dataset`` that run it once, so that it need not run again."""

    def materialize(self) -> Dataset:
        """Runs the plan once and keeps its rows in memory, within the session's limit, for all that goes on from it.

        Rows that do not fit are a ``MemoryLimitError``: ``persist`` keeps those on disk.

        >>> import sheaf as sf
        >>> kept = sf.range(3).materialize()
        >>> kept.count(), kept.limit(1).count()
        (3, 1)
        """
        return self._next(self._inner.materialize(), in_memory=True)

    def persist(self) -> Dataset:
        """Runs the plan once and keeps its rows for all that goes on from it: in memory, and on disk what does not fit.

        Rows in memory move to disk when operators need the memory. The partitions stay those of the plan, and the
        order of rows in them. The rows go with the last dataset that stands on them, and with the session.

        >>> import sheaf as sf
        >>> kept = sf.range(3).map_batches(lambda batch: batch).persist()
        >>> kept.count(), kept.limit(1).count()
        (3, 1)
        """
        return self._next(self._inner.persist(), in_memory=True)

    def checkpoint(
        self,
        path: str | os.PathLike[str],
        *,
        format: Literal["parquet", "ipc"] = "parquet",
        overwrite: bool = False,
        storage_options: Mapping[str, str] | None = None,
    ) -> Dataset:
        """The same rows from files in a folder, for this program and later ones. It does not keep the order of rows.

        Where the folder holds the checkpoint of the same plan over the same inputs, that is read. Otherwise the plan
        runs now, and its rows are written: the folder appears whole or not at all. Inputs are the same when their
        files have the same names, sizes and times, and when rows in memory are equal; user functions when they
        pickle to the same bytes, which does not look into the modules that they import.

        Args:
            path: A folder, or its URL.
            format: Parquet, or Arrow IPC, which takes more room and is read faster.
            overwrite: Whether what else is in the folder is replaced; it is an ``ExistsError`` by default.
            storage_options: As for ``sf.read_parquet``.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> for run in ("first", "second"):
        ...     _ = sf.range(3).map_batches(lambda batch: batch).checkpoint(f"{folder.name}/ids").count()
        """
        options = {key: str(value) for key, value in (storage_options or {}).items()}
        return self._next(self._inner.checkpoint(os.fspath(path), format, overwrite, options))

    def cache_epochs(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Dataset:
        """The same rows, computed in the first epoch and read from a folder in all later ones. Rows keep their order.

        The first run streams its rows as they are computed, and writes them to the folder on the way. The cache counts
        once a run was read to its end; before that, and after a kill, the next run begins anew. Later runs, of this
        program and of others, read the cache, in the partitions and the order of the run that left it, and compute
        nothing. Several processes may run at once: the first to end leaves its rows.

        Iterators go on over it from any state, also from one that was saved while the cache was not there yet. Put
        what is to differ from epoch to epoch (augmentation, ``mix``, shuffles) behind it.

        Args:
            path: A folder of this machine. It need not exist; files in it that are no cache are an ``ExistsError``.
            overwrite: Whether the cache of another plan or of other inputs is replaced; it is an ``ExistsError`` by
                default. They are told apart as by ``checkpoint``, when this method is called.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> numbers = sf.range(3).map_batches(lambda batch: batch).cache_epochs(f"{folder.name}/numbers").iterator()
        >>> [[row["id"] for row in numbers.iter_rows()] for epoch in range(2)]
        [[0, 1, 2], [0, 1, 2]]
        """
        return self._next(self._inner.cache_epochs(os.fspath(path), overwrite))


PACKAGE = str(Path(__file__).parent.parent)


def warn_of_repetition(functions: Sequence[str]) -> None:
    """Warn that these functions run again, at the line of the user's that runs them."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    named = ", ".join(map(repr, functions))
    message = f"this runs {named} for the second time: persist() or checkpoint() the dataset to keep what it made"
    warnings.warn(message, stacklevel=level)
