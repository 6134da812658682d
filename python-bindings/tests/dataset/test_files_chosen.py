"""Which files are read: by extension, by filter, with some missing; and files read whole."""

import gzip
from pathlib import Path

import pytest

import sheaf as sf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sales by year and month, one row in each file, which says where it is from."""
    for year in (2023, 2024):
        for month in (1, 2, 12):
            file = tmp_path / f"year={year}" / f"month={month}" / "part.csv"
            file.parent.mkdir(parents=True)
            file.write_text(f"at\n{year}-{month}\n")
    return tmp_path


def test_a_filter_prunes_files_before_they_are_opened(folder: Path) -> None:
    (folder / "year=2023" / "month=1" / "part.csv").write_bytes(b"at\n\xff\xfe\xfa broken")
    seen: list[tuple[str, dict[str, str | None]]] = []

    def late(path: str, values: dict[str, str | None]) -> bool:
        seen.append((path, values))
        return values["year"] == "2024" or values["month"] == "12"

    dataset = sf.read_csv(folder, partition_filter=late)
    assert sorted(dataset.to_pydict()["at"]) == ["2023-12", "2024-1", "2024-12", "2024-2"]
    assert (str(folder / "year=2023" / "month=1" / "part.csv"), {"year": "2023", "month": "1"}) in seen
    assert dataset.filter(sf.col("month") == 12).select("at", "year").sort("at").to_pydict() == {
        "at": ["2023-12", "2024-12"],
        "year": [2023, 2024],
    }


def test_a_filter_sees_null_folders_and_paths(tmp_path: Path) -> None:
    for name in ("k=__HIVE_DEFAULT_PARTITION__", "k=a%20b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.csv").write_text("n\n1\n")
    read = sf.read_csv(tmp_path, partition_filter=lambda path, values: values["k"] is None)
    assert read.to_pydict() == {"n": [1], "k": [None]}
    read = sf.read_csv(tmp_path, partition_filter=lambda path, values: values["k"] == "a b")
    assert read.select("k").to_pydict() == {"k": ["a b"]}
    files = sf.read_csv(tmp_path / "k=a%20b" / "x.csv", partition_filter=lambda path, values: values == {})
    assert files.count() == 1


def test_what_a_filter_raises_is_told(folder: Path) -> None:
    def broken(path: str, values: dict[str, str | None]) -> bool:
        raise KeyError("no such year")

    with pytest.raises(sf.UserFunctionError, match=r"partition_filter raised KeyError: 'no such year' \(.*part\.csv\)"):
        sf.read_csv(folder, partition_filter=broken)
    with pytest.raises(sf.MissingFileError, match="no file to read is left") as raised:
        sf.read_csv(folder, partition_filter=lambda path, values: False)
    assert "partition_filter" in (raised.value.hint or "")
    none = sf.read_csv(folder, partition_filter=lambda path, values: False, schema={"at": "string"})
    assert none.to_pydict() == {"at": []}


@pytest.mark.parametrize("extensions", ["csv", [".CSV"], ["csv", "tsv"]])
def test_extensions(folder: Path, extensions: str | list[str]) -> None:
    (folder / "year=2023" / "month=1" / "notes.txt").write_text("not a table")
    assert sf.read_csv(f"{folder}/*/*/*", file_extensions=extensions).count() == 6
    assert sf.read_text(f"{folder}/*/*/*", file_extensions="txt").to_pydict()["text"] == ["not a table"]
    with pytest.raises(sf.MissingFileError, match="no file to read is left"):
        sf.read_csv(folder, file_extensions="sv")


def test_missing_paths(folder: Path) -> None:
    there, missing = folder / "year=2023", folder / "year=1999"
    with pytest.raises(sf.MissingFileError, match="year=1999"):
        sf.read_csv([there, missing])
    assert sf.read_csv([missing, there], ignore_missing_paths=True).count() == 3
    assert sf.read_csv([there, f"{folder}/*.json"], ignore_missing_paths=True).count() == 3
    with pytest.raises(sf.MissingFileError, match="no file to read is left"):
        sf.read_csv(missing, ignore_missing_paths=True)
    assert sf.read_csv(missing, ignore_missing_paths=True, schema={"at": "string"}).count() == 0


def test_files_that_come_later_are_chosen_too(folder: Path) -> None:
    dataset = sf.read_csv(folder, partition_filter=lambda path, values: values["year"] == "2024")
    assert dataset.count() == 3
    for year in (2023, 2024):
        (folder / f"year={year}" / "month=1" / "more.csv").write_text("at\nmore\n")
    assert dataset.count() == 4


def test_whole_files(tmp_path: Path) -> None:
    contents = {"a.png": bytes(range(256)) * 1000, "b.csv": b"a,b\n", "c.gz": gzip.compress(b"plain"), "d": b"\0"}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "empty").write_bytes(b"")
    files = sf.read_binary_files(tmp_path, include_paths=True)
    found = files.to_pydict()
    assert {Path(path).name: data for path, data in zip(found["path"], found["bytes"], strict=True)} == contents
    assert files.columns == ["bytes", "path"]
    assert files.count() == 4
    images = sf.read_binary_files(tmp_path, file_extensions=["png"])
    assert images.to_pydict() == {"bytes": [contents["a.png"]]}
    sizes = images.map_batches(lambda batch: {"size": [len(data) for data in batch["bytes"].to_pylist()]})
    assert sizes.to_pydict() == {"size": [256_000]}


def test_paths_of_files_are_told_without_reading_them(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1_000_000)
    files = sf.read_binary_files(tmp_path, include_paths=True)
    paths = files.select("path")
    assert [Path(path).name for path in paths.to_pydict()["path"]] == ["large"]
    stats = paths.stats() or ""
    assert "bytes_scanned=0" in stats or "bytes_scanned" not in stats, stats
    assert files.count() == 1
