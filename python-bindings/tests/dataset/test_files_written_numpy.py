"""``write_numpy`` and back; ``parallelism=`` of readers."""

import itertools
import pathlib
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import sheaf as sf

KINDS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


def column_of(array: Any) -> pa.Array:
    """The array as a column: further axes are lists of one size."""
    if array.ndim == 1:
        return pa.array(array)
    return pa.FixedSizeListArray.from_arrays(column_of(array.reshape(-1, *array.shape[2:])), array.shape[1])


def test_arrays_go_and_come_back(tmp_path: pathlib.Path) -> None:
    dice = np.random.default_rng(3)
    for at, (kind, shape) in enumerate(itertools.product(KINDS, [(700,), (300, 3), (40, 2, 5), (0,), (0, 4)])):
        values = dice.integers(0, 100, shape).astype(kind)
        table = pa.table({"other": pa.array(range(len(values))), "x": column_of(values)})
        file = tmp_path / f"{at}.npy"
        report = sf.from_arrow(table).write_numpy(file, column="x")
        assert (report.files, report.rows) == (1, len(values))
        written = np.load(file)
        assert (written.dtype, written.shape) == (values.dtype, values.shape)
        assert np.array_equal(written, values)
        again = sf.read_numpy(file)
        assert again.schema.field("data").type == table.schema.field("x").type or len(shape) > 1
        assert again.to_pydict()["data"] == table["x"].to_pylist()
    halves = pa.table({"x": pa.array(np.array([0.5, -2], np.float16))})
    sf.from_arrow(halves).write_numpy(tmp_path / "half.npy", column="x")
    assert np.load(tmp_path / "half.npy").tolist() == [0.5, -2]


def test_each_partition_makes_files_that_appear_together(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "ids"
    report = sf.range(100_000).repartition(rows=25_000).write_numpy(folder, column="id")
    files = sorted(folder.glob("*.npy"))
    assert report.files == len(files) == 4
    assert sorted(np.concatenate([np.load(file) for file in files]).tolist()) == list(range(100_000))
    assert sorted(sf.read_numpy(folder).to_pydict()["data"]) == list(range(100_000))
    with pytest.raises(sf.errors.ExistsError):
        sf.range(3).write_numpy(folder, column="id")
    sf.range(3).write_numpy(folder, column="id", mode="overwrite")
    assert sf.read_numpy(folder).to_pydict() == {"data": [0, 1, 2]}
    sf.range(3, 5).write_numpy(folder, column="id", mode="append")
    assert sorted(sf.read_numpy(folder).to_pydict()["data"]) == [0, 1, 2, 3, 4]


def test_a_write_that_fails_leaves_nothing(tmp_path: pathlib.Path) -> None:
    ids = sf.range(100_000).with_column("x", sf.when(sf.col("id") < 90_000).then(sf.col("id")))
    with pytest.raises(sf.errors.TypeMismatchError, match=r'"x" has nulls(.|\n)*fill_null'):
        ids.write_numpy(tmp_path / "x", column="x")
    assert list(tmp_path.rglob("*.npy")) == []
    with pytest.raises(sf.errors.MissingFileError):
        sf.read_numpy(tmp_path / "x")


def test_folders_and_sizes(tmp_path: pathlib.Path) -> None:
    rows = sf.range(60_000).with_column("half", sf.col("id") % 2)
    rows.write_numpy(tmp_path / "halves", column="id", partition_by="half", target_file_size="64KiB")
    odd = [np.load(file) for file in (tmp_path / "halves" / "half=1").glob("*.npy")]
    assert len(odd) > 2
    assert sorted(np.concatenate(odd).tolist()) == list(range(1, 60_000, 2))
    back = sf.read_numpy(tmp_path / "halves", hive_partitioning=True)
    assert back.filter(sf.col("data") % 2 != sf.col("half")).count() == 0
    assert back.count() == 60_000


def test_files_end_where_memory_does(tmp_path: pathlib.Path) -> None:
    with sf.Session(memory_limit="48MiB", threads=2) as session:
        wide = (
            session.range(200_000)
            .with_column("x", sf.lit(1.5))
            .map_batches(lambda batch: {"x": np.ones((batch.num_rows, 64), np.float64)}, schema=None)
        )
        report = wide.write_numpy(tmp_path / "x", column="x")
        assert report.rows == 200_000
        # 102 MB of values, which 128 MiB of a file would hold.
        assert report.files > 2
        assert sum(len(np.load(file)) for file in (tmp_path / "x").glob("*.npy")) == 200_000
        with pytest.raises(sf.errors.MemoryLimitError, match="write a folder"):
            wide.write_numpy(tmp_path / "x.npy", column="x")
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (pa.array(["a"]), "numbers, booleans"),
        (pa.array([[1, 2]]), "lists of that size|list of that size"),
        (pa.array([None], pa.null()), "is no array"),
        (pa.array([1], pa.timestamp("us")), "is no array"),
    ],
)
def test_what_is_no_array_is_told(values: pa.Array, error: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(sf.errors.TypeMismatchError, match=error):
        sf.from_arrow(pa.table({"x": values})).write_numpy(tmp_path / "x.npy", column="x")


def test_what_is_not_there_or_cannot_be_appended_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(sf.errors.UnknownColumnError):
        sf.range(3).write_numpy(tmp_path / "x.npy", column="y")
    sf.range(3).write_numpy(tmp_path / "x", column="id")
    with pytest.raises(sf.errors.TypeMismatchError, match="Float64"):
        sf.from_pydict({"other": [1.5]}).write_numpy(tmp_path / "x", column="other", mode="append")
    sf.from_pydict({"other": [7]}).write_numpy(tmp_path / "x", column="other", mode="append")
    assert sorted(sf.read_numpy(tmp_path / "x").to_pydict()["data"]) == [0, 1, 2, 7]


def test_sql_writes_arrays_too(tmp_path: pathlib.Path) -> None:
    sf.sql(f"COPY (SELECT value FROM generate_series(1, 3) AS t(value)) TO '{tmp_path}/a.npy'").collect()
    assert np.load(tmp_path / "a.npy").tolist() == [1, 2, 3]


@pytest.mark.parametrize("wanted", [1, 2, 3, 7])
def test_parallelism_is_how_many_partitions_there_are(wanted: int, tmp_path: pathlib.Path) -> None:
    for at in range(5):
        rows = 2_000 * (at + 1)
        pathlib.Path(tmp_path, f"{at}.csv").write_text(
            "x\n" + "".join(f"{at * 100_000 + row}\n" for row in range(rows))
        )
    expected = sorted(at * 100_000 + row for at in range(5) for row in range(2_000 * (at + 1)))
    for threads in (1, 4):
        with sf.Session(threads=threads) as session:
            read = session.read_csv(f"{tmp_path}/*.csv", parallelism=wanted)
            assert read.num_partitions() == wanted
            assert sorted(read.to_pydict()["x"]) == expected
            assert read.filter(sf.col("x") >= 400_000).count() == 10_000
            assert session.read_csv(f"{tmp_path}/0.csv", parallelism=wanted).num_partitions() == wanted


def test_parallelism_of_other_formats(tmp_path: pathlib.Path) -> None:
    dice = random.Random(1)
    rows = sf.from_pydict({"x": [dice.randrange(1000) for _ in range(30_000)]})
    rows.write_parquet(tmp_path / "x.parquet", row_group_rows=1_000)
    parts = sf.read_parquet(tmp_path / "x.parquet", parallelism=5)
    assert parts.num_partitions() == 5
    assert parts.sum("x") == rows.sum("x")
    # What cannot be read in parts is as many partitions as there are files.
    rows.write_csv(tmp_path / "x.csv.gz")
    packed = sf.read_csv(tmp_path / "x.csv.gz", parallelism=5)
    assert packed.num_partitions() == 1
    assert packed.sum("x") == rows.sum("x")
    for read, name in ((sf.read_parquet, "x.parquet"), (sf.read_csv, "x.csv.gz")):
        with pytest.raises(sf.errors.InvalidInputError, match="partition"):
            read(tmp_path / name, parallelism=0)
