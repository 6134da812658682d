"""Dead letters say which file a row was read from, and which row of it it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import sheaf as sf

FILES, ROWS = 3, 2_000


def bad(value: int) -> bool:
    return value % 397 == 5


def refuse(batch: pa.RecordBatch) -> pa.RecordBatch:
    values = batch["v"].to_pylist()
    if any(map(bad, values)):
        raise ValueError("a bad row")
    return pa.record_batch({"v": values})


def write_parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path.with_suffix(".parquet"), row_group_size=300)


def write_csv(path: Path, table: pa.Table) -> None:
    pa.csv.write_csv(table, path.with_suffix(".csv"))


def write_json(path: Path, table: pa.Table) -> None:
    path.with_suffix(".jsonl").write_text("".join(f'{{"v": {v}, "w": {v % 7}}}\n' for v in table["v"].to_pylist()))


def write_ipc(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_file(path.with_suffix(".arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=300)


FORMATS: dict[str, tuple[Callable[[Path, pa.Table], None], Callable[[list[Path]], sf.Dataset]]] = {
    "parquet": (write_parquet, sf.read_parquet),
    "csv": (write_csv, sf.read_csv),
    "json": (write_json, sf.read_json),
    "ipc": (write_ipc, sf.read_ipc),
}


@pytest.fixture(params=FORMATS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[sf.Dataset, Path]:
    """A dataset of several files: the values go on from file to file."""
    write, read = FORMATS[request.param]
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(FILES):
        values = range(number * ROWS, (number + 1) * ROWS)
        write(folder / f"f{number}", pa.table({"v": values, "w": [v % 7 for v in values]}))
    return read(sorted(folder.iterdir())), folder


def letters(ds: sf.Dataset, folder: Path) -> list[dict[str, Any]]:
    ds.map_batches(refuse, batch_size=500, schema={"v": int}, dead_letter=folder).collect()
    return sf.read_parquet(folder).sort("v").to_pylist()


def check(found: list[dict[str, Any]], wanted: list[int]) -> None:
    assert [row["v"] for row in found] == wanted
    for row in found:
        assert Path(row["_file"]).stem == f"f{row['v'] // ROWS}"
        assert row["_file_row"] == row["v"] % ROWS


BAD = [value for value in range(FILES * ROWS) if bad(value)]


def test_rows_of_files_say_where_they_come_from(files: tuple[sf.Dataset, Path], tmp_path: Path) -> None:
    ds, folder = files
    found = letters(ds, tmp_path / "plain")
    check(found, BAD)
    assert all(Path(row["_file"]).parent == folder for row in found)
    assert list(found[0]) == [
        *("v", "w", "_error", "_traceback", "_attempt", "_partition", "_row", "_file", "_file_row"),
    ]


@pytest.mark.parametrize(
    ("name", "verb", "kept"),
    [
        ("filter", lambda ds: ds.filter(sf.col("v") >= 4_100), lambda v: v >= 4_100),
        ("even", lambda ds: ds.filter(sf.col("v") % 2 == 0), lambda v: v % 2 == 0),
        (
            "select",
            lambda ds: ds.select((sf.col("v") + 0).alias("v")).with_column("x", sf.col("v") * 2),
            lambda v: True,
        ),
        ("sort", lambda ds: ds.sort("v", descending=True), lambda v: True),
        ("window", lambda ds: ds.with_column("n", sf.col("v").sum().over("w")), lambda v: True),
        ("repartition", lambda ds: ds.repartition(5), lambda v: True),
        ("index", lambda ds: ds.with_row_index(), lambda v: True),
        ("limit", lambda ds: ds.sort("v").limit(2_500), lambda v: v < 2_500),
        ("rename", lambda ds: ds.rename({"w": "z"}).drop("z"), lambda v: True),
        ("union", lambda ds: ds.filter(sf.col("v") < 2_000).union(ds.filter(sf.col("v") >= 2_000)), lambda v: True),
    ],
)
def test_verbs_that_keep_rows_keep_their_places(
    files: tuple[sf.Dataset, Path],
    tmp_path: Path,
    name: str,
    verb: Callable[[sf.Dataset], sf.Dataset],
    kept: Callable[[int], bool],
) -> None:
    check(letters(verb(files[0]), tmp_path / name), [value for value in BAD if kept(value)])


def test_filters_on_row_groups_and_pages_leave_the_numbers_right(tmp_path: Path) -> None:
    table = pa.table({"v": range(ROWS)})
    pq.write_table(table, tmp_path / "f0.parquet", row_group_size=100, write_page_index=True, data_page_size=64)
    ds = sf.read_parquet(tmp_path / "f0.parquet")
    narrow = ds.filter((sf.col("v") > 1_500) & (sf.col("v") < 1_700))
    check(letters(narrow, tmp_path / "narrow"), [1_593])
    last = ds.filter(sf.col("v") == 1_990)
    check(letters(last, tmp_path / "last"), [1_990] if bad(1_990) else [])


def test_paths_that_are_there_already(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": range(10)}), tmp_path / "f0.parquet")
    ds = sf.read_parquet(tmp_path / "f0.parquet", include_file_paths="path")
    found = letters(ds, tmp_path / "letters")
    assert [(row["path"], row["_file"], row["_file_row"]) for row in found] == [
        (str(tmp_path / "f0.parquet"), str(tmp_path / "f0.parquet"), 5)
    ]


@pytest.mark.parametrize(
    "made",
    [
        lambda ds: ds.map_batches(lambda batch: batch),
        lambda ds: ds.join(sf.range(10_000).rename({"id": "v"}), on="v"),
        lambda ds: ds.groupby("v").agg(sf.col("w").max()),
        lambda ds: sf.from_arrow(ds.to_arrow()),
    ],
    ids=["function", "join", "groups", "memory"],
)
def test_rows_made_of_others_have_no_place(
    files: tuple[sf.Dataset, Path], tmp_path: Path, made: Callable[[sf.Dataset], sf.Dataset]
) -> None:
    found = letters(made(files[0]), tmp_path / "letters")
    assert [row["v"] for row in found] == BAD
    assert {(row["_file"], row["_file_row"]) for row in found} == {(None, None)}


def test_without_dead_letters_scans_are_as_before(files: tuple[sf.Dataset, Path]) -> None:
    mapped = files[0].filter(sf.col("v") > 3).map_batches(lambda batch: batch, on_error="skip")
    assert "__source" not in mapped.explain()


def test_workers_are_given_the_columns_alone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": range(1_000)}), tmp_path / "f0.parquet")

    def names(batch: pa.RecordBatch) -> pa.RecordBatch:
        assert batch.schema.names == ["v"]
        return refuse(batch)

    ds = sf.read_parquet(tmp_path / "f0.parquet")
    mapped = ds.map_batches(names, schema={"v": int}, dead_letter=tmp_path / "letters", compute=sf.TaskPool(1))
    assert mapped.count() == 1_000 - len([value for value in range(1_000) if bad(value)])
    check(sf.read_parquet(tmp_path / "letters").sort("v").to_pylist(), [value for value in BAD if value < 1_000])
    sf.shutdown()
