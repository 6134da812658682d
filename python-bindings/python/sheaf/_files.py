"""Datasets of whole files, and the types of arguments that all readers of files have."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sheaf._arguments import of_call

if TYPE_CHECKING:
    from sheaf.dataset import Dataset

Path: TypeAlias = str | os.PathLike[str]
Paths: TypeAlias = Path | Sequence[Path]
FileFilter: TypeAlias = Callable[[str, dict[str, str | None]], bool]


class Files:
    """The methods of a ``Session`` that read files as they are."""

    if TYPE_CHECKING:

        def _read(self, reader: str, *, paths: Paths, **given: Any) -> Dataset: ...

    def read_binary_files(
        self,
        paths: Paths,
        *,
        include_paths: bool = False,
        hive_partitioning: bool | None = None,
        ignore_errors: bool = False,
        file_extensions: str | Sequence[str] = (),
        partition_filter: FileFilter | None = None,
        ignore_missing_paths: bool = False,
        parallelism: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
    ) -> Dataset:
        """A dataset of one row for each file: its contents in the column ``bytes``, as they are.

        Files come in the order of the paths, those of a folder by their names. Empty ones are left out, as by all
        readers. See ``read_parquet`` for the arguments that are not named here.

        Args:
            paths: As for ``read_parquet``. Whole folders are read, whatever the names of the files in them.
            include_paths: Whether there is a column ``path`` with each file's path; without ``bytes`` no file is read.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = pathlib.Path(folder.name, "a.bin").write_bytes(b"one")
        >>> sf.read_binary_files(folder.name).to_pydict()
        {'bytes': [b'one']}
        """
        given = of_call(locals())
        path = "path" if given.pop("include_paths") else None
        return self._read("binary", include_file_paths=path, **given)

    def read_numpy(
        self,
        paths: Paths,
        *,
        hive_partitioning: bool | None = None,
        include_file_paths: str | None = None,
        ignore_errors: bool = False,
        file_extensions: str | Sequence[str] = (),
        partition_filter: FileFilter | None = None,
        ignore_missing_paths: bool = False,
        parallelism: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
    ) -> Dataset:
        """A dataset of the arrays in ``.npy`` files, in one column ``data``: the first axis is the rows.

        Further axes become lists of one size, which ``batch_format="numpy"`` gives as matrices again. Numbers and
        booleans are read, in the order of C. Files come in the order of the
        paths, and their rows in that of each file. The arguments are those of ``read_parquet``.

        >>> import numpy as np, sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> np.save(f"{folder.name}/a.npy", np.arange(4).reshape(2, 2))
        >>> sf.read_numpy(f"{folder.name}/*.npy").to_pydict()
        {'data': [[0, 1], [2, 3]]}
        """
        return self._read("numpy", **of_call(locals()))
