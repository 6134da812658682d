"""Datasets over files and queries: ``read_*``, with Ray's arguments.

``override_num_blocks``, or ``parallelism``, says how many partitions files are read in. What says where and how Ray
runs its tasks (``concurrency``, ``num_cpus``, ``num_gpus``, ``memory``, ``resources``, ``runtime_env``,
``ray_remote_args`` and the like) is taken and has no effect. What would change the rows and is not there is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv

from sheaf import dataset
from sheaf._files import FileFilter, Paths
from sheaf._sheaf import Expr, col, when
from sheaf.data.dataset import Dataset
from sheaf.errors import InvalidInputError, UnsupportedError
from sheaf.session import default

_WITHOUT_EFFECT = (
    *("accelerator_type", "concurrency", "fallback_strategy", "label_selector", "max_calls", "memory", "num_cpus"),
    *("num_gpus", "override_num_blocks", "parallelism", "ray_remote_args", "resources", "runtime_env"),
)
# What all readers of files take besides those.
_FILES = (
    *("partition_filter", "partitioning", "include_paths", "ignore_missing_paths", "shuffle", "file_extensions"),
    *("arrow_open_stream_args", "storage_options", "filesystem"),
)


def read_parquet(
    paths: Paths, *, columns: Sequence[str] | None = None, schema: Any = None, **arguments: Any
) -> Dataset:
    """Parquet files: only the columns, row groups and pages that a plan needs are read.

    Args:
        paths: A path, a glob, a folder, a URL, or a list of them.
        columns: Only these; ``select_columns`` does the same.
        schema: The columns of the files, when they are not to be inferred.
        arguments: ``partition_filter``, ``partitioning`` (``None`` for no columns of folders ``key=value``),
            ``include_paths``, ``ignore_missing_paths``, ``shuffle="files"``, ``file_extensions``, ``storage_options``,
            ``filesystem``.

    >>> import sheaf as sf, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> sf.data.range(3).write_parquet(folder.name)
    >>> sf.data.read_parquet(folder.name, columns=["id"]).count()
    3
    """
    files, finish = _files("read_parquet", arguments)
    made = default.read_parquet(paths, schema=schema, **files)
    return finish(made if columns is None else made.select(*columns, *_path_of(files)))


def read_csv(
    paths: Paths,
    *,
    read_options: Any = None,
    parse_options: Any = None,
    convert_options: Any = None,
    **arguments: Any,
) -> Dataset:
    """CSV files, plain or compressed.

    Of numbers and the like, texts such as ``NA`` are null as PyArrow has it; texts are never null, but may be empty.

    Args:
        paths: As for ``read_parquet``.
        read_options: PyArrow's: ``skip_rows``, ``column_names``, ``autogenerate_column_names`` and ``encoding`` count.
        parse_options: PyArrow's: ``delimiter``, ``quote_char``, ``escape_char`` and ``newlines_in_values`` count.
        convert_options: PyArrow's: ``column_types``, ``null_values``, ``strings_can_be_null`` and ``include_columns``
            count.
        arguments: As for ``read_parquet``.

    >>> import sheaf as sf, tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = pathlib.Path(folder.name, "a.csv").write_text("a,b\\n1,x\\n")
    >>> sf.data.read_csv(folder.name).take_all()
    [{'a': 1, 'b': 'x'}]
    """
    files, finish = _files("read_csv", arguments)
    given: dict[str, Any] = {}
    # What the reader calls the columns of a file without names, and what they are called here.
    names: dict[str, str] = {}
    if read_options is not None:
        listed = list(read_options.column_names or ())
        if not listed and read_options.autogenerate_column_names:
            listed = [f"f{at}" for at in range(_COLUMNS)]
        names = {f"column_{at + 1}": name for at, name in enumerate(listed)}
        given |= {"skip_rows": read_options.skip_rows, "has_header": not names}
        given["encoding"] = None if read_options.encoding in ("utf8", "utf-8") else read_options.encoding
    if parse_options is not None:
        given |= {"delimiter": parse_options.delimiter, "newlines_in_values": parse_options.newlines_in_values}
        given |= {"quote": parse_options.quote_char or None, "escape": parse_options.escape_char or None}
    options = csv.ConvertOptions() if convert_options is None else convert_options
    wanted = list(options.include_columns or ())
    read_as = {name: read for read, name in names.items()}
    typed: dict[str, Any] = dict(options.column_types)
    types = {read_as.get(name, name): kind for name, kind in typed.items()}
    made = _with_nulls(
        lambda nulls, kinds: default.read_csv(paths, null_values=nulls, dtypes=kinds or None, **given, **files),
        options.null_values,
        types,
        options.strings_can_be_null,
    )
    if names:
        made = made.rename({name: names[name] for name in made.columns if name in names})
    return finish(made.select(*wanted, *_path_of(files)) if wanted else made)


def _with_nulls(
    read: Callable[[list[str], dict[str, Any]], dataset.Dataset],
    nulls: list[str],
    types: dict[str, Any],
    texts_may_be_null: bool,
) -> dataset.Dataset:
    """What PyArrow makes of texts that stand for null: null in columns of numbers and the like, themselves in texts."""
    nulled = read(nulls, types)
    if texts_may_be_null or not any(_is_text(field.type) for field in nulled.schema):
        return nulled
    plain = read([], {})
    kinds = {field.name: field.type for field in nulled.schema}
    # These are not of their type before the texts for null are out of them.
    later = [name for name in plain.columns if name in types or plain.schema.field(name).type != kinds[name]]
    made = read([], dict.fromkeys(later, pa.string()))
    columns: dict[str, Expr] = {
        name: when(col(name).is_in(nulls)).then(None).otherwise(col(name)).cast(kinds[name])
        for name in later
        if not _is_text(kinds[name])
    }
    columns |= {name: col(name).fill_null("") for name, kind in kinds.items() if _is_text(kind)}
    return made.with_columns(columns)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def read_json(paths: Paths, *, lines: bool = False, **arguments: Any) -> Dataset:
    """JSON files with an object on each line, whatever ``lines`` says; a file that is one list is refused.

    >>> import sheaf as sf, tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = pathlib.Path(folder.name, "a.jsonl").write_text('{"a": 1}\\n')
    >>> sf.data.read_json(folder.name).take_all()
    [{'a': 1}]
    """
    files, finish = _files("read_json", {"file_extensions": ["json", "jsonl", "json.gz", "jsonl.gz"], **arguments})
    return finish(default.read_json(paths, **files))


def read_text(paths: Paths, *, encoding: str = "utf-8", drop_empty_lines: bool = True, **arguments: Any) -> Dataset:
    """The lines of text files in UTF-8, in the column ``text``; without those that are empty, unless told otherwise.

    >>> import sheaf as sf, tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name, "a.txt")
    >>> _ = file.write_text("one\\n\\ntwo\\n")
    >>> sf.data.read_text(file).take_all()
    [{'text': 'one'}, {'text': 'two'}]
    """
    if encoding.lower().replace("-", "") != "utf8":
        raise UnsupportedError(f"read_text reads UTF-8, not {encoding}\n  help: read_binary_files, and decode in map")
    files, finish = _files("read_text", arguments)
    made = default.read_text(paths, **files)
    return finish(made.filter(col("text") != "") if drop_empty_lines else made)


def read_binary_files(paths: Paths, *, include_paths: bool = False, **arguments: Any) -> Dataset:
    """One row for each file: its contents in the column ``bytes``, and with ``include_paths`` its ``path``.

    >>> import sheaf as sf, tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = pathlib.Path(folder.name, "a.bin").write_bytes(b"one")
    >>> sf.data.read_binary_files(folder.name).take_all()
    [{'bytes': b'one'}]
    """
    files, finish = _files("read_binary_files", {"partitioning": None, **arguments})
    return finish(default.read_binary_files(paths, include_paths=include_paths, **files))


def read_numpy(paths: Paths, *, allow_pickle: bool = False, **arguments: Any) -> Dataset:
    """The arrays in ``.npy`` files, in the column ``data``: the first axis is the rows. Pickled objects are refused.

    >>> import numpy as np, sheaf as sf, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(f"{folder.name}/a.npy", np.array([1, 2]))
    >>> sf.data.read_numpy(folder.name).take_all()
    [{'data': 1}, {'data': 2}]
    """
    if allow_pickle:
        raise UnsupportedError("read_numpy does not run what is pickled in files")
    files, finish = _files("read_numpy", {"partitioning": None, "file_extensions": ["npy"], **arguments})
    return finish(default.read_numpy(paths, **files))


def read_sql(sql: str, connection_factory: Callable[[], Any], *, sql_params: Any = None, **arguments: Any) -> Dataset:
    """The rows of a query to a database, which runs now, over one connection.

    Args:
        sql: The query.
        connection_factory: Makes a connection of Python's DB API.
        sql_params: Values for the places in the query.
        arguments: Without effect are ``shard_keys`` and ``shard_hash_fn`` too: nothing is read in parallel.

    >>> import sheaf as sf, sqlite3
    >>> sf.data.read_sql("SELECT 1 AS one", lambda: sqlite3.connect(":memory:")).take_all()
    [{'one': 1}]
    """
    _check("read_sql", {name: value for name, value in arguments.items() if not name.startswith("shard_")})
    connection = connection_factory()
    try:
        cursor = connection.cursor()
        cursor.execute(sql, *(() if sql_params is None else (sql_params,)))
        names = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    finally:
        connection.close()
    return Dataset(default.from_pydict({name: [row[at] for row in rows] for at, name in enumerate(names)}))


# So many columns of a file without names are called f0, f1, …; more have no such file.
_COLUMNS = 10_000


def _path_of(files: Mapping[str, Any]) -> list[str]:
    """The column of each row's file, where it is asked for."""
    return [files["include_file_paths"]] if "include_file_paths" in files else []


def _files(verb: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[dataset.Dataset], Dataset]]:
    """The arguments of a reader of Sheaf's, of Ray's; and what is done with what it reads."""
    given = {name: arguments.get(name) for name in _FILES}
    _check(verb, {name: value for name, value in arguments.items() if name not in _FILES})
    made: dict[str, Any] = {"hive_partitioning": _hive(given["partitioning"], "partitioning" in arguments)}
    if given["partition_filter"] is not None:
        made["partition_filter"] = _kept(given["partition_filter"])
    if given["include_paths"]:
        made["include_file_paths"] = "path"
    if given["ignore_missing_paths"]:
        made["ignore_missing_paths"] = True
    if given["file_extensions"]:
        made["file_extensions"] = given["file_extensions"]
    wished = arguments.get("override_num_blocks") or arguments.get("parallelism") or -1
    if wished > 0:
        made["parallelism"] = wished
    if given["storage_options"]:
        made["storage_options"] = given["storage_options"]
    if given["filesystem"] is not None:
        made["filesystem"] = given["filesystem"]
    compression = dict(given["arrow_open_stream_args"] or {})
    if "compression" in compression and verb in ("read_csv", "read_json", "read_text"):
        made["compression"] = compression.pop("compression")
    _check(verb, compression)
    shuffle = given["shuffle"]

    def finish(read: dataset.Dataset) -> Dataset:
        if shuffle is None:
            return Dataset(read)
        return Dataset(read.randomize_block_order(seed=getattr(shuffle, "seed", None)))

    return made, finish


def _hive(partitioning: Any, is_given: bool) -> bool | None:
    """Whether folders ``key=value`` make columns: where all files agree by default, never with ``None``."""
    if partitioning is None:
        return False if is_given else None
    style = getattr(partitioning, "style", partitioning)
    if getattr(style, "value", style) != "hive":
        raise UnsupportedError("folders make columns where they are named key=value, and in no other style")
    return None


def _kept(chosen: Callable[[list[str]], Any]) -> FileFilter:
    """Ray's filter of paths, which is given a list and returns those that stay, as Sheaf calls it."""

    def keep(path: str, _keys: Mapping[str, str | None]) -> bool:
        return bool(chosen([path]))

    return keep


def _check(verb: str, arguments: Mapping[str, Any]) -> None:
    for name, value in arguments.items():
        if name not in _WITHOUT_EFFECT and value is not None:
            error = InvalidInputError(f"{verb} does not take {name}=")
            error.hint = "paths may be URLs, with storage_options=; sheaf.read_parquet and the like have more options"
            raise error
