"""Datasets become files and tables: ``write_*``, which append unless told otherwise."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from sheaf import dataset
from sheaf.data.plan import Plan
from sheaf.data.settings import SaveMode
from sheaf.dataset.writers import WriteMode
from sheaf.errors import ExistsError, InvalidInputError, UnsupportedError

_MODES: dict[SaveMode, WriteMode] = {
    SaveMode.CREATE: "error",
    SaveMode.APPEND: "append",
    SaveMode.OVERWRITE: "overwrite",
    SaveMode.IGNORE: "ignore",
    SaveMode.ERROR: "error",
}
# What says where and how tasks of Ray's write, and changes no row and no name.
_WITHOUT_EFFECT = ("concurrency", "ray_remote_args", "try_create_dir", "min_bytes_per_file")


class Writers(Plan):
    """The methods of a ``Dataset`` that write it.

    The path is a folder, whatever its name, and files are added to it: ``mode=SaveMode.OVERWRITE`` and the like say
    otherwise. All or none of a write's files appear. ``concurrency``, ``ray_remote_args``, ``try_create_dir`` and
    ``min_bytes_per_file`` have no effect; ``filename_provider``, ``catalog`` and arguments that PyArrow
    has for files and formats are refused where they are not named here.
    """

    def write_parquet(
        self,
        path: str | os.PathLike[str],
        *,
        partition_cols: Sequence[str] | None = None,
        min_rows_per_file: int | None = None,
        max_rows_per_file: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
        compression: str | None = None,
        row_group_size: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        **arguments: Any,
    ) -> None:
        """Write Parquet files into a folder.

        Args:
            path: The folder, or its URL.
            partition_cols: Columns that become folders ``name=value``.
            min_rows_per_file: Rows of each file but the last; the plan runs once at the call, to count.
            max_rows_per_file: As ``min_rows_per_file``: a file has exactly so many.
            num_rows_per_file: As ``min_rows_per_file``.
            mode: What to do about data that is there.
            compression: As for ``sheaf.Dataset.write_parquet``.
            row_group_size: Rows of a row group at most.
            storage_options: As for ``sheaf.read_parquet``.
            filesystem: As for ``sheaf.Dataset.write_parquet``.
            arguments: See the class.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> for _ in range(2):
        ...     sf.data.range(3).write_parquet(folder.name)
        >>> sf.data.read_parquet(folder.name).count()
        6
        """
        _check("write_parquet", arguments)
        self._of_rows(max_rows_per_file or min_rows_per_file or num_rows_per_file).write_parquet(
            path,
            mode=_mode(mode),
            partition_by=list(partition_cols or ()),
            single_file=False,
            compression=compression,
            row_group_rows=row_group_size,
            storage_options=storage_options,
            filesystem=filesystem,
        )

    def write_csv(
        self,
        path: str | os.PathLike[str],
        *,
        arrow_csv_args_fn: Callable[[], Mapping[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
        write_options: Any = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        **arguments: Any,
    ) -> None:
        """Write CSV files into a folder; see ``write_parquet``. Of PyArrow's ``write_options`` header and delimiter.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> sf.data.range(3).write_csv(folder.name)
        >>> sf.data.read_csv(folder.name).count()
        3
        """
        _check("write_csv", arguments)
        made = dict(arrow_csv_args_fn()) if arrow_csv_args_fn is not None else {}
        options = made.pop("write_options", write_options)
        _check("write_csv", made)
        self._of_rows(min_rows_per_file or num_rows_per_file).write_csv(
            path,
            mode=_mode(mode),
            delimiter="," if options is None else options.delimiter,
            has_header=True if options is None else options.include_header,
            single_file=False,
            storage_options=storage_options,
            filesystem=filesystem,
        )

    def write_json(
        self,
        path: str | os.PathLike[str],
        *,
        pandas_json_args_fn: Callable[[], Mapping[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
        orient: str = "records",
        lines: bool = True,
        compression: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        **arguments: Any,
    ) -> None:
        """Write JSON lines into a folder; see ``write_parquet``. What pandas' ``to_json`` takes besides is refused.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> sf.data.range(3).write_json(folder.name)
        >>> sf.data.read_json(folder.name).count()
        3
        """
        made = {"orient": orient, "lines": lines} | dict(pandas_json_args_fn() if pandas_json_args_fn else {})
        if made.pop("orient") != "records" or made.pop("lines") is not True:
            raise UnsupportedError('write_json writes lines of objects: orient="records", lines=True')
        _check("write_json", {**arguments, **made})
        self._of_rows(min_rows_per_file or num_rows_per_file).write_json(
            path,
            mode=_mode(mode),
            single_file=False,
            compression=compression,
            storage_options=storage_options,
            filesystem=filesystem,
        )

    def write_numpy(
        self,
        path: str | os.PathLike[str],
        *,
        column: str,
        min_rows_per_file: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        **arguments: Any,
    ) -> None:
        """Write a column as ``.npy`` files into a folder; see ``write_parquet``. Numbers, and arrays of one shape.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> sf.data.range(3).write_numpy(folder.name, column="id")
        >>> sf.data.read_numpy(folder.name).count()
        3
        """
        _check("write_numpy", arguments)
        self._of_rows(min_rows_per_file or num_rows_per_file).write_numpy(
            path,
            column=column,
            mode=_mode(mode),
            single_file=False,
            storage_options=storage_options,
            filesystem=filesystem,
        )

    def write_sql(
        self, sql: str, connection_factory: Callable[[], Any], ray_remote_args: Any = None, concurrency: Any = None
    ) -> None:
        """Give each row to a statement of a database, such as ``INSERT INTO t VALUES (?, ?)``, in one transaction.

        Args:
            sql: The statement, with a place for each column.
            connection_factory: Makes a connection of Python's DB API.
            ray_remote_args: Without effect.
            concurrency: Without effect: one connection writes.

        >>> import sheaf as sf, sqlite3, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> connect = lambda: sqlite3.connect(f"{folder.name}/numbers.db")
        >>> _ = connect().execute("CREATE TABLE numbers (id INTEGER)")
        >>> sf.data.range(3).write_sql("INSERT INTO numbers VALUES (?)", connect)
        >>> sf.data.read_sql("SELECT sum(id) AS total FROM numbers", connect).take_all()
        [{'total': 3}]
        """
        connection = connection_factory()
        try:
            cursor = connection.cursor()
            for batch in self._ds.iter_batches():
                cursor.executemany(sql, list(zip(*(column.to_pylist() for column in batch.columns), strict=True)))
            connection.commit()
        finally:
            connection.close()

    def write_orc(
        self, path: str | os.PathLike[str], *, mode: SaveMode | str = SaveMode.APPEND, **arguments: Any
    ) -> None:
        """Write an ORC file into a folder of this machine, by PyArrow.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> sf.data.range(3).write_orc(folder.name)
        >>> len(list(pathlib.Path(folder.name).glob("*.orc")))
        1
        """
        from pyarrow import orc

        _check("write_orc", arguments)
        if not _prepare(os.fspath(path), _mode(mode), ".orc"):
            return
        with orc.ORCWriter(os.path.join(path, f"{uuid.uuid4().hex}.orc")) as writer:
            for batch in self._ds.iter_batches():
                writer.write(pa.Table.from_batches([batch]))

    def _of_rows(self, rows: int | None) -> dataset.Dataset:
        return self._ds if rows is None else self._ds.repartition(rows=rows)


def _mode(mode: SaveMode | str) -> WriteMode:
    made = SaveMode(mode)
    if made not in _MODES:
        raise UnsupportedError(f"no writer here takes mode={made.value!r}")
    return _MODES[made]


def _check(verb: str, arguments: Mapping[str, Any]) -> None:
    for name, value in arguments.items():
        if name not in _WITHOUT_EFFECT and value is not None:
            error = InvalidInputError(f"{verb} does not take {name}=")
            error.hint = "give the path as a URL, and storage_options; sheaf.Dataset has more options of the formats"
            raise error


def _prepare(path: str, mode: WriteMode, ending: str) -> bool:
    """Make the folder; whether there is anything to write. ``"overwrite"`` takes away what a writer of this wrote."""
    there = [name for name in os.listdir(path) if name.endswith(ending)] if os.path.isdir(path) else []
    if there and mode == "ignore":
        return False
    if there and mode == "error":
        raise ExistsError(f"there are files in {path}")
    os.makedirs(path, exist_ok=True)
    if mode == "overwrite":
        for name in there:
            os.remove(os.path.join(path, name))
    return True
