"""Inputs are made once, whole, and say how to get what cannot be made here."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cases import TPCH_TABLES
from inputs import prepare, spans


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder in which the TPC-H tables and the CSV file seem to be there."""
    tpch = tmp_path / "tpch-sf0.5"
    tpch.mkdir()
    for name in (*(f"{table}.parquet" for table in TPCH_TABLES), "lineitem.csv"):
        (tpch / name).touch()
    return tmp_path


def test_files_have_the_rows_that_were_asked_for(folder: Path) -> None:
    """In row groups of at most a million rows, neither compressed nor in a dictionary."""
    inputs = prepare(folder, 0.5, 1_500_000, 10)
    numbers = pq.ParquetFile(inputs.numbers)
    assert numbers.metadata.num_row_groups == 2
    assert numbers.metadata.row_group(0).column(0).compression == "UNCOMPRESSED"
    assert not numbers.metadata.row_group(0).column(0).has_dictionary_page
    assert numbers.read().column("x").to_pylist()[-1] == 1_499_999
    assert pq.read_table(inputs.strings).column("s").to_pylist()[9] == "row 00000009 of a dataset"
    assert not list(folder.rglob("*.unfinished"))


def test_a_file_that_is_there_is_kept(folder: Path) -> None:
    """The second run reads what the first wrote."""
    first = prepare(folder, 0.5, 10, 10).numbers.stat().st_mtime_ns
    assert prepare(folder, 0.5, 10, 10).numbers.stat().st_mtime_ns == first


def test_missing_tables_are_named_with_the_command_that_makes_them(folder: Path) -> None:
    """They come from another program."""
    (folder / "tpch-sf0.5" / "orders.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks orders: .*cargo bench .*--scale 0.5"):
        prepare(folder, 0.5, 10, 10)


def test_spans_cover_all_rows() -> None:
    """No row twice, none forgotten."""
    assert list(spans(2_500_000)) == [(0, 1_000_000), (1_000_000, 2_000_000), (2_000_000, 2_500_000)]
    assert list(spans(0)) == []
