"""What all verbs stand on: the plan, and what is known of it without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from sheaf import _sheaf

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Plan:
    """The plan of a ``Dataset``, and what is known of it without running it."""

    def __init__(self, inner: _sheaf.Dataset, *, in_memory: bool = False) -> None:
        self._inner = inner
        self._in_memory = in_memory

    def _next(self, inner: _sheaf.Dataset, *, in_memory: bool = False) -> Dataset:
        """A dataset of this one's class: what a verb gives."""
        made: Dataset = type(self)(inner, in_memory=in_memory)  # type: ignore[assignment]
        return made

    def __reduce__(self) -> Any:
        # Imported here: the session makes datasets.
        from sheaf import _pickles

        return _pickles.dataset, (type(self), self._inner.to_bytes(), self._in_memory)

    # A plan never changes, so that a copy is itself.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: Any) -> Self:
        return self

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns.

        >>> import sheaf as sf
        >>> sf.range(3).schema
        id: int64 not null
        """
        return self._inner.schema()

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order.

        >>> import sheaf as sf
        >>> sf.range(3).columns
        ['id']
        """
        return self._inner.columns()

    @property
    def skipped_files(self) -> list[str]:
        """Files that readers under ``ignore_errors`` have left out so far.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = sf.range(3).write_parquet(f"{folder.name}/good.parquet")
        >>> _ = pathlib.Path(folder.name, "bad.parquet").write_text("no Parquet")
        >>> ids = sf.read_parquet(f"{folder.name}/*.parquet", ignore_errors=True)
        >>> ids.count(), [pathlib.Path(file).name for file in ids.skipped_files]
        (3, ['bad.parquet'])
        """
        return self._inner.skipped_files()

    def explain(self, *, analyze: bool = False) -> str:
        """The plan as text: as written, as optimized, as it runs. With ``analyze`` it runs, and says what it did.

        >>> import sheaf as sf
        >>> print(sf.range(3).limit(1).explain().splitlines()[0])
        == Logical ==
        """
        return self._inner.explain(analyze)

    def stats(self) -> str | None:
        """The operators of this dataset's last run with their rows, times and spilled bytes; None before the first.

        >>> import sheaf as sf
        >>> numbers = sf.range(3)
        >>> _ = numbers.collect()
        >>> "output_rows=3" in numbers.stats()
        True
        """
        return self._inner.stats()
