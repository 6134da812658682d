"""``Session``: settings, threads, memory and tables of one user of the engine, and the sources of datasets."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from sheaf import _formats, _objects, _sheaf
from sheaf._access import certificates_of, file_of
from sheaf._arguments import names_of, of_call
from sheaf._files import FileFilter, Files, Path, Paths
from sheaf._filesystem import paths_of
from sheaf._formats import Schema
from sheaf._references import References
from sheaf.dataset import Dataset
from sheaf.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from sheaf._functions.expressions import Function

# A session that a thread or another module holds at exit is not dropped; its folder goes all the same.
atexit.register(_sheaf.remove_spill_folders)
atexit.register(_sheaf.await_file_calls)


class Session(Files, References):
    """One user of the engine: settings, threads, a memory pool, a spill folder and a catalog of tables.

    The functions of the module, such as ``sf.read_parquet``, are the methods of a default session that starts when
    it is first used. A session ends with ``close``, at the end of a ``with`` block, or with the last dataset made
    from it; its threads stop and its spill folder goes.

    Args:
        memory_limit: Bytes that the engine may hold, near which operators spill, as a number or as text: ``"8GiB"``.
        threads: Engine threads, and partitions that a plan runs in parallel.
        spill_dir: The folder for spilled data.
        spill_limit: Bytes that may be on disk at once.
        batch_size: Rows of a batch between operators.
        progress: Whether long work shows a bar: ``"auto"`` (on a terminal and in notebooks), ``"on"`` or ``"off"``.
        address: ``"sheaf://host:port"``: queries run on the cluster whose head is there, through the node of it that
            runs on this machine. Functions run in worker processes of its nodes; what they print appears here. Rows in
            memory travel with each query. Nodes write the files of a folder, and this process commits them; a single
            file is written by this process.
        exchange: How rows go from stage to stage on a cluster: ``"durable"`` (kept on their nodes, where a node that
            dies costs only what it had), ``"streaming"`` (handed on as they are made, the first ones at once), or
            ``"auto"`` (streaming for what is iterated over, durable for all else).
        token_file: The file whose first line is the secret of the cluster; by default what ``SHEAF_TOKEN_FILE`` says.
        tls: PEM files: the certificate that is shown to the cluster, its key, and the authority of the cluster's; by
            default what ``SHEAF_TLS_CERT``, ``SHEAF_TLS_KEY`` and ``SHEAF_TLS_CA`` say.

    Raises:
        InvalidInputError: A setting that cannot be, or an address that is none.
        MissingFileError: No node of the cluster runs on this machine.

    >>> import sheaf as sf
    >>> with sf.Session(memory_limit="1GiB", threads=2) as session:
    ...     session.range(1000).count()
    1000
    """

    def __init__(
        self,
        *,
        memory_limit: int | str | None = None,
        threads: int | None = None,
        spill_dir: Path | None = None,
        spill_limit: int | str | None = None,
        batch_size: int | None = None,
        progress: Literal["auto", "on", "off"] | bool | None = None,
        exchange: Literal["auto", "durable", "streaming"] | None = None,
        address: str | None = None,
        token_file: Path | None = None,
        tls: Sequence[Path] | None = None,
    ) -> None:
        given = {
            "memory_limit": memory_limit,
            "threads": threads,
            "spill_dir": None if spill_dir is None else os.fspath(spill_dir),
            "spill_limit": spill_limit,
            "batch_size": batch_size,
            "progress": progress if not isinstance(progress, bool) else ("on" if progress else "off"),
            "exchange": exchange,
        }
        settings = [(key, str(value)) for key, value in given.items() if value is not None]
        if address is None:
            self._own = _sheaf.Session(settings)
            return
        from sheaf._runtime import process
        from sheaf._runtime.output import Printer

        shown = file_of(token_file, "SHEAF_TOKEN_FILE"), certificates_of(tls)
        self._own, output = _sheaf.Session.on_cluster(settings, address, shown, process.env_of_queries())
        # It ends with the last use of the session.
        Printer(output, shown=True)

    @property
    def _inner(self) -> _sheaf.Session:
        return self._own

    def close(self) -> None:
        """Let go of the engine. Datasets made from this session still run; the session makes no new ones.

        >>> import sheaf as sf
        >>> session = sf.Session(threads=1)
        >>> numbers = session.range(3)
        >>> session.close()
        >>> numbers.count()
        3
        >>> session.range(3)
        Traceback (most recent call last):
        sheaf.errors.InvalidInputError: the session is closed
          help: make a new sheaf.Session
        """
        self._inner.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Session({', '.join(f'{key}={value!r}' for key, value in self.settings.items())})"

    @property
    def settings(self) -> dict[str, str]:
        """The settings as text, by name; sizes are in bytes.

        >>> import sheaf as sf
        >>> with sf.Session(memory_limit="1GiB", threads=2) as session:
        ...     session.settings["memory_limit"], session.settings["threads"]
        ('1073741824', '2')
        """
        return dict(self._inner.settings())

    @property
    def memory(self) -> dict[str, int]:
        """Bytes that operators hold now (``reserved``), may hold (``limit``), and have spilled (``on_disk``).

        >>> import sheaf as sf
        >>> with sf.Session(memory_limit="1GiB") as session:
        ...     session.memory
        {'reserved': 0, 'limit': 1073741824, 'on_disk': 0}
        """
        return dict(zip(("reserved", "limit", "on_disk"), self._inner.memory(), strict=True))

    @property
    def spill_folder(self) -> str:
        """The session's own folder for spilled data, inside ``spill_dir``; it goes with the session.

        >>> import sheaf as sf, tempfile, pathlib
        >>> parent = tempfile.TemporaryDirectory()
        >>> with sf.Session(spill_dir=parent.name) as session:
        ...     [folder] = pathlib.Path(parent.name).iterdir()
        ...     session.spill_folder == str(folder)
        True
        >>> folder.exists()
        False
        """
        return self._inner.spill_folder()

    def read_parquet(
        self,
        paths: Paths,
        *,
        schema: Schema | None = None,
        hive_partitioning: bool | None = None,
        include_file_paths: str | None = None,
        union_by_name: bool = False,
        ignore_errors: bool = False,
        file_extensions: str | Sequence[str] = (),
        partition_filter: FileFilter | None = None,
        ignore_missing_paths: bool = False,
        parallelism: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
    ) -> Dataset:
        """A dataset of Parquet files: only the columns, row groups and pages that a query needs are read.

        Args:
            paths: A path, a glob, a folder, a URL (``s3://``, ``gs://``, ``az://``, ``https://``), or a list of them.
            schema: The columns of the files, when they are not to be inferred.
            hive_partitioning: Whether folders named ``key=value`` make columns: by default where all files agree.
            include_file_paths: The name of a column to add with each row's file.
            union_by_name: Whether the columns of all files are read, and not those of the first alone.
            ignore_errors: Whether files that cannot be read are skipped; see ``Dataset.skipped_files``.
            file_extensions: Read only files whose names end so, as in ``["csv", "csv.gz"]``.
            partition_filter: Read only files for which this is true. It is called, before any file is opened, with a
                file's path and a dict of what its folders named ``key=value`` say, as text.
            ignore_missing_paths: Whether paths where no file is are left out.
            parallelism: How many partitions the files are read in, at the most at once: by default as many as there
                are threads, or fewer. Small files are read in parts for it. Fewer partitions come of fewer files
                that cannot be read in parts: compressed ones, and those of a few row groups.
            storage_options: Credentials, region and endpoint of the store, before what the environment says.
            filesystem: A file system of fsspec, or of ``pyarrow.fs``, in which the paths are. It is called from several
                threads; stores that have URLs are faster by them.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = sf.range(3).write_parquet(f"{folder.name}/ids.parquet")
        >>> sf.read_parquet(f"{folder.name}/*.parquet").count()
        3
        """
        return self._read("parquet", **of_call(locals()))

    def read_csv(
        self,
        paths: Paths,
        *,
        delimiter: str = ",",
        quote: str | None = '"',
        escape: str | None = None,
        null_values: str | Sequence[str] = (),
        encoding: str | None = None,
        dtypes: Schema | None = None,
        infer_rows: int | None = None,
        skip_rows: int = 0,
        has_header: bool = True,
        comment: str | None = None,
        newlines_in_values: bool = False,
        truncated_rows: bool = False,
        compression: str | None = None,
        schema: Schema | None = None,
        hive_partitioning: bool | None = None,
        include_file_paths: str | None = None,
        union_by_name: bool = False,
        ignore_errors: bool = False,
        file_extensions: str | Sequence[str] = (),
        partition_filter: FileFilter | None = None,
        ignore_missing_paths: bool = False,
        parallelism: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
    ) -> Dataset:
        """A dataset of CSV files, plain or compressed (gzip, zstd, bzip2, xz).

        See ``read_parquet`` for the arguments that are not named here.

        Args:
            delimiter: Between the fields of a row.
            quote: Around a field that holds delimiters, quotes or line breaks; ``None``: quotes are plain text.
            escape: Before a quote inside a quoted field; by default such a quote is doubled.
            null_values: Texts that stand for null, besides the empty one.
            encoding: The encoding of the text, UTF-8 by default; a byte-order mark goes before it.
            dtypes: Types of single columns, which are then not inferred.
            infer_rows: Rows at the start of each file from which types are inferred; 0 makes every column text.
            skip_rows: Lines at the start of each file that are no rows.
            has_header: Whether the first row names the columns; else they are ``column_1``, ``column_2``, ….
            comment: Lines that start with this are no rows.
            newlines_in_values: Whether quoted fields may hold line breaks; such files are read in one piece.
            truncated_rows: Whether a row may end early: what it lacks is null.
            compression: By default guessed by each file's name.
            schema: All columns and their types, in the order of the file.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> file = pathlib.Path(folder.name, "a.csv")
        >>> _ = file.write_text("a;b\\n1;NA\\n2;x\\n")
        >>> sf.read_csv(file, delimiter=";", null_values="NA").to_pydict()
        {'a': [1, 2], 'b': [None, 'x']}
        """
        own = ("delimiter", "quote", "escape", "encoding", "skip_rows", "has_header", "comment")
        given = of_call(locals(), "own")
        csv = {name: given.pop(name) for name in (*own, "newlines_in_values", "truncated_rows")}
        nulls = given.pop("null_values")
        csv["null_values"] = [nulls] if isinstance(nulls, str) else list(nulls)
        csv["dtypes"] = _formats.to_schema(given.pop("dtypes"))
        return self._read("csv", csv=csv, **given)

    def read_json(
        self,
        paths: Paths,
        *,
        infer_rows: int | None = None,
        compression: str | None = None,
        schema: Schema | None = None,
        hive_partitioning: bool | None = None,
        include_file_paths: str | None = None,
        union_by_name: bool = False,
        ignore_errors: bool = False,
        file_extensions: str | Sequence[str] = (),
        partition_filter: FileFilter | None = None,
        ignore_missing_paths: bool = False,
        parallelism: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
    ) -> Dataset:
        """A dataset of JSON lines: one object per line.

        See ``read_parquet`` for the arguments that are not named here.

        Args:
            infer_rows: Lines at the start of each file from which the schema is inferred.
            compression: By default guessed by each file's name.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> file = pathlib.Path(folder.name, "a.jsonl")
        >>> _ = file.write_text('{"a": 1}\\n{"a": 2}\\n')
        >>> sf.read_json(file).to_pydict()
        {'a': [1, 2]}
        """
        return self._read("json", **of_call(locals()))

    def read_ipc(
        self,
        paths: Paths,
        *,
        schema: Schema | None = None,
        hive_partitioning: bool | None = None,
        include_file_paths: str | None = None,
        union_by_name: bool = False,
        ignore_errors: bool = False,
        file_extensions: str | Sequence[str] = (),
        partition_filter: FileFilter | None = None,
        ignore_missing_paths: bool = False,
        parallelism: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
    ) -> Dataset:
        """A dataset of Arrow IPC files (Feather) or streams. The arguments are those of ``read_parquet``.

        >>> import sheaf as sf, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = sf.range(3).write_ipc(f"{folder.name}/ids.arrow")
        >>> sf.read_ipc(f"{folder.name}/ids.arrow").count()
        3
        """
        return self._read("ipc", **of_call(locals()))

    def read_text(
        self,
        paths: Paths,
        *,
        compression: str | None = None,
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
        """A dataset of the lines of text files, in one column ``text``. The arguments are those of ``read_json``.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> file = pathlib.Path(folder.name, "a.txt")
        >>> _ = file.write_text("one\\ntwo\\n")
        >>> sf.read_text(file).to_pydict()
        {'text': ['one', 'two']}
        """
        return self._read("text", **of_call(locals()))

    def _read(self, reader: str, *, paths: Paths, schema: Schema | None = None, **given: Any) -> Dataset:
        within = paths_of(self._inner, given.pop("filesystem"), paths)
        options = {
            "compression": None,
            "csv": None,
            "infer_rows": None,
            "union_by_name": False,
            **given,
            "format": reader,
            "schema": _formats.to_schema(schema),
            "file_extensions": names_of(given["file_extensions"]),
            "storage_options": {key: str(value) for key, value in (given["storage_options"] or {}).items()},
        }
        return self._dataset(self._inner.read(within, options))

    def from_arrow(self, data: Any) -> Dataset:
        """A dataset over a table, record batch, reader, or anything else with the Arrow C interface.

        Buffers are shared, not copied. A reader is read to its end now.

        >>> import pyarrow as pa, sheaf as sf
        >>> sf.from_arrow(pa.table({"a": [1, 2]})).to_pydict()
        {'a': [1, 2]}
        """
        # Of anything else, bytes that claim to be pickled objects stay bytes.
        objects = isinstance(data, Dataset) or _objects.are_in(data)
        return self._dataset(self._inner.from_arrow(data, objects), in_memory=True)

    def from_pandas(self, frame: pd.DataFrame) -> Dataset:
        """A dataset over a ``pandas.DataFrame``; its index is left out.

        >>> import pandas as pd, sheaf as sf
        >>> sf.from_pandas(pd.DataFrame({"a": [1, 2]})).count()
        2
        """
        return self.from_arrow(_formats.from_pandas(frame))

    def from_polars(self, frame: pl.DataFrame | pl.LazyFrame) -> Dataset:
        """A dataset over a ``polars.DataFrame``; a ``LazyFrame`` is collected now.

        >>> import polars as pl, sheaf as sf
        >>> sf.from_polars(pl.DataFrame({"a": [1, 2]})).count()
        2
        """
        collect = getattr(frame, "collect", None)
        return self.from_arrow(_formats.from_polars(collect() if collect else frame))

    def from_items(self, items: Iterable[Any]) -> Dataset:
        """A dataset of one row for each item: dicts name their columns, other values are in the column ``item``.

        >>> import sheaf as sf
        >>> sf.from_items([{"a": 1}, {"a": 2, "b": "x"}]).to_pydict()
        {'a': [1, 2], 'b': [None, 'x']}
        >>> sf.from_items(["x", "y"]).columns
        ['item']
        """
        rows = list(items)
        if not all(isinstance(row, Mapping) for row in rows):
            return self.from_pydict({"item": rows})
        # PyArrow takes the columns of the first row for those of all.
        names = dict.fromkeys(name for row in rows for name in row)
        return self.from_pydict({name: [row.get(name) for row in rows] for name in names})

    def from_pydict(self, columns: Mapping[str, Any], *, schema: Schema | None = None) -> Dataset:
        """A dataset of columns by name: lists, NumPy arrays or Arrow arrays. Lists that Arrow has no one type for, or
        whose type in the schema is ``object``, are columns of Python objects.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 2]}, schema={"a": "int16"}).schema.field("a").type
        DataType(int16)
        """
        return self.from_arrow(_formats.to_columns(columns, _formats.to_schema(schema)))

    def range(self, start: int, end: int | None = None) -> Dataset:
        """One column ``id``: the integers from ``start`` (0 when one number is given) to before ``end``.

        >>> import sheaf as sf
        >>> sf.range(2, 5).to_pydict()
        {'id': [2, 3, 4]}
        """
        start, end = (0, start) if end is None else (start, end)
        return self._dataset(self._inner.range(start, end))

    def sql(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None, /, **datasets: Dataset | Any
    ) -> Dataset:
        """A dataset of one SQL statement.

        Tables are datasets given by name, registered tables, and files: ``SELECT * FROM 'data/*.parquet'``. A query is
        lazy; ``CREATE``, ``DROP``, ``SET``, ``INSERT`` and ``COPY … TO`` run at once.

        Args:
            query: The statement.
            params: Values for ``$1``, ``$2``, … (a list) or ``$name`` (a dict).
            datasets: What the query may name as tables: datasets, or anything that ``from_arrow`` takes.

        >>> import sheaf as sf
        >>> flights = sf.from_pydict({"carrier": ["AA", "UA"], "delay": [5, 20]})
        >>> sf.sql("SELECT carrier FROM flights WHERE delay > $1", [10], flights=flights).to_pydict()
        {'carrier': ['UA']}
        """
        tables = {name: data if isinstance(data, Dataset) else self.from_arrow(data) for name, data in datasets.items()}
        for name, table in tables.items():
            self._check(table, name)
        inner = {name: table._inner for name, table in tables.items()}
        return self._dataset(self._inner.sql(query, params, inner))

    def register(self, name: str, dataset: Dataset | Any) -> None:
        """Give a dataset a name that SQL can use; a table of that name is replaced.

        >>> import sheaf as sf
        >>> sf.register("numbers", sf.range(3))
        >>> sf.sql("SELECT sum(id) AS total FROM numbers").to_pydict()
        {'total': [3]}
        >>> sf.deregister("numbers")
        True
        """
        table = dataset if isinstance(dataset, Dataset) else self.from_arrow(dataset)
        self._check(table, name)
        self._inner.register(name, table._inner)

    def register_function(self, name: str, function: Function) -> None:
        """Give a function made by ``sheaf.func`` a name that SQL can use, in small letters unless it is quoted there. A
        function of the user's that has the name is replaced.

        >>> import sheaf as sf
        >>> @sf.func(return_dtype=int)
        ... def double(x):
        ...     return 2 * x
        >>> with sf.Session() as session:
        ...     session.register_function("double", double)
        ...     session.sql("SELECT double(id) AS twice FROM n", n=session.range(3)).to_pydict()
        {'twice': [0, 2, 4]}
        """
        self._inner.register_function(name, function.of_columns())

    def deregister(self, name: str) -> bool:
        """Remove a name; whether there was such a table.

        >>> import sheaf as sf
        >>> with sf.Session() as session:
        ...     session.register("numbers", session.range(3))
        ...     session.deregister("numbers"), session.deregister("numbers")
        (True, False)
        """
        return self._inner.deregister(name)

    def table(self, name: str) -> Dataset:
        """The registered table of this name; ``MissingFileError`` where there is none.

        >>> import sheaf as sf
        >>> with sf.Session() as session:
        ...     session.register("numbers", session.range(3))
        ...     session.table("numbers").count()
        3
        """
        return self._dataset(self._inner.table(name))

    def _dataset(self, inner: _sheaf.Dataset, *, in_memory: bool = False) -> Dataset:
        return Dataset(inner, in_memory=in_memory)

    def _check(self, dataset: Dataset, name: str) -> None:
        if not self._inner.owns(dataset._inner):
            error = InvalidInputError(f"the dataset {name!r} belongs to another session")
            error.hint = "make it with this session, or bring it over: session.from_arrow(dataset)"
            raise error


class DefaultSession(Session):
    """The session behind the module's functions: it starts when it is first used, and can be exchanged.

    In a program that has joined a cluster by ``init`` its queries run there, until ``shutdown``; threads, memory,
    stores and tables are the same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: Session | None = None
        self._is_chosen = False
        # The one on the cluster, and the number of the stay there.
        self._joined: tuple[int, _sheaf.Session] | None = None

    @property
    def _inner(self) -> _sheaf.Session:
        with self._lock:
            if self._current is None:
                self._current = Session()
            own = self._current._inner
            return self._on_cluster(own) or own

    def _on_cluster(self, own: _sheaf.Session) -> _sheaf.Session | None:
        # One that was chosen stays; and only a program that has called init can have joined.
        process = sys.modules.get("sheaf._runtime.process")
        if self._is_chosen or process is None or (cluster := process.joined_cluster()) is None:
            self._joined = None
            return None
        client, head, number = cluster
        if self._joined is None or self._joined[0] != number:
            shown = head.token_file, head.tls
            self._joined = number, own.on_joined(client, shown, process.env_of_queries())
        return self._joined[1]

    def use(self, session: Session | None) -> None:
        """Stand for another session from now on; for ``None`` for a new one with default settings."""
        with self._lock:
            self._current, self._is_chosen = session, session is not None


default = DefaultSession()
"""The session whose methods the module's functions are."""
