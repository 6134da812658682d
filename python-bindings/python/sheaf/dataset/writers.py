"""Datasets become files: ``write_*``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from sheaf import _arguments
from sheaf._filesystem import urls
from sheaf.dataset.plan import Plan

WriteMode: TypeAlias = Literal["error", "append", "overwrite", "ignore"]


class WriteReport(NamedTuple):
    """What a write wrote.

    >>> import sheaf as sf, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> report = sf.range(3).write_csv(f"{folder.name}/ids.csv")
    >>> report.files, report.rows, report.bytes
    (1, 3, 9)
    """

    path: str
    """The target."""
    files: int
    """New files."""
    rows: int
    """Rows in them."""
    bytes: int
    """Their bytes."""


class Writers(Plan):
    """The methods of a ``Dataset`` that write it."""

    def write_parquet(
        self,
        target: str | os.PathLike[str],
        *,
        mode: WriteMode = "error",
        partition_by: str | Sequence[str] = (),
        target_file_size: int | str | None = None,
        single_file: bool | None = None,
        compression: str | None = None,
        row_group_rows: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        job: str | None = None,
    ) -> WriteReport:
        """Write Parquet: one file or a folder of files. It appears whole or not at all.

        Args:
            target: A path or URL. A name that ends as a Parquet file's does is one file, else it is a folder.
            mode: What to do about data that is there: ``"error"``, ``"append"``, ``"overwrite"`` or ``"ignore"``.
            partition_by: Columns that become folders ``name=value``.
            target_file_size: Bytes that a folder's files grow to, about, as a number or as text: ``"512MiB"``.
            single_file: Whether the target is one file, when its name does not say so.
            compression: ``"snappy"`` by default, or ``"zstd"``, ``"zstd(9)"``, ``"lz4"``, ``"gzip"``, ``"brotli"``,
                ``"none"``.
            row_group_rows: Rows of a row group at most.
            storage_options: As for ``sf.read_parquet``.
            filesystem: As for ``sf.read_parquet``: the target is in it. What is written appears as safely as it can
                hold files back and create one only where there is none (see docs/writing.md).
            job: A name under which the write goes on where it was when the program is killed and runs again, through
                shuffles, joins and groups: what is computed is recorded in ``target/_sheaf_jobs`` until the write is
                done, and each row is written exactly once. The target is a folder. A job that is done gives its
                report again. With other data or another plan under its name it is an error; functions of yours it
                knows by their names alone.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> sf.range(3).write_parquet(f"{folder.name}/ids.parquet").rows
        3
        """
        return self._write("parquet", row_group_rows=row_group_rows, **_common(locals()))

    def write_csv(
        self,
        target: str | os.PathLike[str],
        *,
        mode: WriteMode = "error",
        delimiter: str = ",",
        quote: str = '"',
        has_header: bool = True,
        null_value: str = "",
        partition_by: str | Sequence[str] = (),
        target_file_size: int | str | None = None,
        single_file: bool | None = None,
        compression: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        job: str | None = None,
    ) -> WriteReport:
        """Write CSV. See ``write_parquet`` for the arguments that are not named here.

        Args:
            delimiter: Between the fields of a row.
            quote: Around a field that needs it.
            has_header: Whether the first row names the columns.
            null_value: The text that stands for null.
            compression: ``"gzip"``, ``"zstd"``, ``"bzip2"``, ``"xz"`` or ``"none"``; by default that of the name.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> report = sf.range(2).write_csv(f"{folder.name}/ids.csv")
        >>> pathlib.Path(report.path).read_text()
        'id\\n0\\n1\\n'
        """
        csv = {"delimiter": delimiter, "quote": quote, "has_header": has_header, "null_value": null_value}
        return self._write("csv", csv=csv, **_common(locals()))

    def write_json(
        self,
        target: str | os.PathLike[str],
        *,
        mode: WriteMode = "error",
        partition_by: str | Sequence[str] = (),
        target_file_size: int | str | None = None,
        single_file: bool | None = None,
        compression: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        job: str | None = None,
    ) -> WriteReport:
        """Write JSON lines. See ``write_parquet`` and ``write_csv`` for the arguments.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> report = sf.range(1).write_json(f"{folder.name}/ids.jsonl")
        >>> pathlib.Path(report.path).read_text()
        '{"id":0}\\n'
        """
        return self._write("json", **_common(locals()))

    def write_ipc(
        self,
        target: str | os.PathLike[str],
        *,
        mode: WriteMode = "error",
        partition_by: str | Sequence[str] = (),
        target_file_size: int | str | None = None,
        single_file: bool | None = None,
        compression: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        job: str | None = None,
    ) -> WriteReport:
        """Write Arrow IPC files. See ``write_parquet``; the compressions are ``"none"``, ``"lz4"`` and ``"zstd"``.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> sf.range(3).write_ipc(f"{folder.name}/ids.arrow").files
        1
        """
        return self._write("ipc", **_common(locals()))

    def write_numpy(
        self,
        target: str | os.PathLike[str],
        *,
        column: str,
        mode: WriteMode = "error",
        partition_by: str | Sequence[str] = (),
        target_file_size: int | str | None = None,
        single_file: bool | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        job: str | None = None,
    ) -> WriteReport:
        """Write a column as arrays of NumPy, in ``.npy`` files. See ``write_parquet`` for the other arguments.

        Numbers and booleans are written, and lists of one size of them, which become further axes; nulls are an error.
        Each partition makes files of its own, with its rows in their order. A file is held in memory until it is whole:
        those of a folder end at ``target_file_size``, 128 MiB by default, or where the memory limit is near.

        >>> import numpy as np, sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = sf.range(3).write_numpy(f"{folder.name}/ids.npy", column="id")
        >>> np.load(f"{folder.name}/ids.npy")
        array([0, 1, 2])
        """
        given = _common({**locals(), "compression": None})
        return self._write("numpy", only=column, **given)

    def _write(
        self, writer: str, *, target: str | os.PathLike[str], only: str | None = None, **given: Any
    ) -> WriteReport:
        size, filesystem = given["target_file_size"], given.pop("filesystem")
        options = {
            "csv": None,
            "row_group_rows": None,
            **given,
            "target_file_size": None if size is None else str(size),
            "format": writer,
            "partition_by": (folders := _arguments.names_of(given["partition_by"])),
            "storage_options": {key: str(value) for key, value in (given["storage_options"] or {}).items()},
        }
        inner = self._inner if only is None else self._inner.select([*folders, only])
        [within] = [os.fspath(target)] if filesystem is None else urls(inner, filesystem, [target])
        return WriteReport(*inner.write(within, options))


_WRITE = (
    *("target", "mode", "partition_by", "target_file_size", "single_file", "compression", "storage_options"),
    *("filesystem", "job"),
)


def _common(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that all writers have."""
    return {name: given[name] for name in _WRITE}
