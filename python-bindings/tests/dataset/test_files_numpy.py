"""``read_numpy``: every type and shape that Arrow has, against NumPy itself, and clear words about the others."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sheaf as sf

TYPES = ["?", "i1", "<i2", ">i4", "<i8", "u1", ">u2", "<u4", "<u8", "<f2", ">f4", "<f8"]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (20_000,), (7, 3), (300, 2, 4), (2, 0)])
def test_arrays_come_back(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    dice = np.random.default_rng(3)
    array = np.asarray(dice.integers(0, 100, shape)).astype(kind)
    np.save(tmp_path / "a.npy", array)
    table = sf.read_numpy(tmp_path / "a.npy").to_arrow()
    expected = array.reshape(1) if shape == () else array
    assert table.num_rows == len(expected)
    assert table.column("data").to_pylist() == expected.tolist()


def test_rows_of_several_files_and_batches(tmp_path: Path) -> None:
    for n in range(3):
        np.save(tmp_path / f"{n}.npy", np.arange(n * 50_000, (n + 1) * 50_000))
    read = sf.read_numpy(tmp_path, include_file_paths="file")
    assert sorted(read.to_arrow().column("data").to_pylist()) == list(range(150_000))
    first = sf.read_numpy(tmp_path / "0.npy").to_arrow().column("data")
    assert first.to_pylist() == list(range(50_000)), "in a file they keep their order"
    assert read.groupby("file").agg(sf.col("data").min().alias("least")).sort("least").to_pydict()["least"] == [
        0,
        50_000,
        100_000,
    ]
    assert read.count() == 150_000
    matrices = [batch["data"] for batch in sf.read_numpy(tmp_path).iter_batches(batch_format="numpy")]
    assert np.sort(np.concatenate(matrices)).tolist() == list(range(150_000))


def test_versions_of_the_layout(tmp_path: Path) -> None:
    for version in [(1, 0), (2, 0), (3, 0)]:
        with (tmp_path / "a.npy").open("wb") as file:
            np.lib.format.write_array(file, np.array([1, 2]), version=version)
        assert sf.read_numpy(tmp_path / "a.npy").to_pydict() == {"data": [1, 2]}
    np.save(tmp_path / "a.npy", np.asfortranarray(np.arange(3)))
    assert sf.read_numpy(tmp_path / "a.npy").to_pydict() == {"data": [0, 1, 2]}


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array(["a"]), 'NumPy\'s type "<U1"'),
        (np.array([1j]), "NumPy's type"),
        (np.array(["2020-01-01"], "M8[D]"), "NumPy's type"),
        (np.array([(1, 2)], [("a", "i4"), ("b", "i4")]), "records of several fields"),
        (np.asfortranarray(np.ones((2, 3))), "order of Fortran"),
    ],
)
def test_what_has_no_columns_is_told(tmp_path: Path, array: Any, said: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(sf.UnsupportedError, match=said) as raised:
        sf.read_numpy(tmp_path / "a.npy")
    assert "a.npy" in str(raised.value)


def test_broken_files_are_told(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, np.arange(1000))
    for broken in (b"no array", whole.getvalue()[:20], b"\x93NUMPY\x01\x00\x10\x00" + b"?" * 16):
        (tmp_path / "a.npy").write_bytes(broken)
        with pytest.raises(sf.CorruptFileError, match=r"a\.npy"):
            sf.read_numpy(tmp_path / "a.npy").to_arrow()
    (tmp_path / "a.npy").write_bytes(whole.getvalue()[:-8])
    with pytest.raises(sf.CorruptFileError, match=r"a\.npy.*ends before its last value"):
        sf.read_numpy(tmp_path / "a.npy").to_arrow()
    np.save(tmp_path / "b.npy", np.arange(3))
    assert sf.read_numpy(tmp_path / "*.npy", ignore_errors=True).count() in (3, 3 + 999)


def test_shapes_that_differ_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    np.save(tmp_path / "b.npy", np.zeros((2, 4)))
    with pytest.raises(sf.TypeMismatchError):
        sf.read_numpy(tmp_path).to_arrow()
