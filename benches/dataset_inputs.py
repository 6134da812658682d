"""The files of `make bench-dataset`, made once under the data folder and kept for the next run.

The tables of groups and joins are those of the db-benchmark (h2oai.github.io/db-benchmark, `_data/groupby-datagen.R`
and `join-datagen.R`): 100 groups, no nulls, not sorted. All is made in pieces of bounded memory from fixed seeds.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_cases import DatasetInputs, Sizes
from inputs import make, numbers, spans, write_parquet

GROUPS = 100
RECORD_BYTES = 100
IMAGE_SIDE = 96
# Words of a text, the frequent ones often: Zipf's law with this exponent.
VOCABULARY, ZIPF = 50_000, 1.1
WORDS_A_LINE = 10
# Of a right table of the joins, so that some keys are on both sides.
LEAST_KEYS = 10
# Bytes of a word and its space, on average over the law above.
WORD_BYTES = 7.5

Pieces = Iterator[pa.Table]


def prepare(folder: Path, sizes: Sizes) -> DatasetInputs:
    """All inputs, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, records = sizes.table_rows, sizes.sorted_bytes // RECORD_BYTES
    shuffled = sizes.shuffled_bytes // RECORD_BYTES
    inputs = DatasetInputs(
        groups=folder / f"groups-{rows}.parquet",
        joins=folder / f"joins-{rows}",
        text=folder / f"text-{sizes.text_bytes}.txt",
        numbers=folder / f"numbers-{sizes.mapped_rows}.parquet",
        records=folder / f"records-{records}.parquet",
        shuffled=folder / f"records-{shuffled}.parquet",
        images=folder / f"images-{sizes.images}.parquet",
    )
    make(inputs.groups, lambda path: write(path, groups(rows)))
    inputs.joins.mkdir(exist_ok=True)
    for name, pieces in joins(rows).items():
        make(inputs.joins / f"{name}.parquet", lambda path, pieces=pieces: write(path, pieces))
    make(inputs.text, lambda path: write_text(path, sizes.text_bytes))
    make(inputs.numbers, lambda path: write_parquet(path, "x", sizes.mapped_rows, numbers))
    make(inputs.records, lambda path: write(path, record_pieces(records)))
    make(inputs.shuffled, lambda path: write(path, record_pieces(shuffled)))
    make(inputs.images, lambda path: write(path, image_pieces(sizes.images)))
    return inputs


def write(path: Path, pieces: Pieces) -> None:
    """A file of these tables, one row group each."""
    first = next(pieces)
    with pq.ParquetWriter(path, first.schema, compression="snappy") as writer:
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(piece)


def named(values: np.ndarray, digits: int) -> pa.Array:
    """Numbers as the benchmark's names: `id001`."""
    return pa.array([f"id{value:0{digits}}" for value in values])


def groups(rows: int) -> Pieces:
    """The table of the ten questions over groups."""
    random = np.random.default_rng(108)
    many = max(1, rows // GROUPS)
    for start, stop in spans(rows):
        count = stop - start
        few = [random.integers(1, GROUPS + 1, count) for _ in range(4)]
        yield pa.table(
            {
                "id1": named(few[0], 3),
                "id2": named(few[1], 3),
                "id3": named(random.integers(1, many + 1, count), 10),
                "id4": few[2],
                "id5": few[3],
                "id6": random.integers(1, many + 1, count),
                "v1": random.integers(1, 6, count),
                "v2": random.integers(1, 16, count),
                "v3": np.round(random.random(count) * 100, 6),
            }
        )


def joins(rows: int) -> dict[str, Pieces]:
    """The left table of the five joins and its three right ones, whose keys overlap by nine tenths."""
    sizes = {"small": max(LEAST_KEYS, rows // 1_000_000), "medium": max(LEAST_KEYS, rows // 1_000), "big": rows}
    return {"x": left_pieces(rows, sizes), **{name: right_pieces(name, count) for name, count in sizes.items()}}


def keys(count: int, side: int) -> np.ndarray:
    """The keys of a table's side: 1 to nine tenths are on both, the last tenth is its own."""
    own = max(1, count // 10)
    values = np.arange(1, count + 1)
    if side:
        values[count - own :] += own
    return values


def left_pieces(rows: int, sizes: dict[str, int]) -> Pieces:
    """The left table."""
    random = np.random.default_rng(109)
    known = [keys(sizes[name], 0) for name in ("small", "medium", "big")]
    for start, stop in spans(rows):
        ids = [random.choice(values, stop - start) for values in known]
        columns = {f"id{at + 1}": values for at, values in enumerate(ids)}
        columns |= {f"id{at + 4}": named(values, 1) for at, values in enumerate(ids)}
        yield pa.table({**columns, "v1": np.round(random.random(stop - start) * 100, 6)})


def right_pieces(name: str, count: int) -> Pieces:
    """A right table: each key once, not in order."""
    random = np.random.default_rng(110)
    at = ("small", "medium", "big").index(name) + 1
    values = random.permutation(keys(count, 1))
    for start, stop in spans(count):
        piece = values[start:stop]
        yield pa.table(
            {f"id{at}": piece, f"id{at + 3}": named(piece, 1), "v2": np.round(random.random(stop - start) * 100, 6)}
        )


def write_text(path: Path, size: int) -> None:
    """Lines of words."""
    random = np.random.default_rng(111)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = np.array(["".join(random.choice(letters, random.integers(3, 11))) for _ in range(VOCABULARY)])
    weights = 1.0 / np.arange(1, VOCABULARY + 1) ** ZIPF
    weights /= weights.sum()
    with path.open("w") as file:
        while file.tell() < size:
            lines = min(100_000, 1 + int((size - file.tell()) / (WORDS_A_LINE * WORD_BYTES)))
            words = random.choice(vocabulary, (lines, WORDS_A_LINE), p=weights)
            file.write("\n".join(" ".join(line) for line in words) + "\n")


def record_pieces(rows: int) -> Pieces:
    """Records of about a hundred bytes: a key of random bits, and text."""
    random = np.random.default_rng(112)
    for start, stop in spans(rows):
        count = stop - start
        payload = random.integers(97, 123, (count, RECORD_BYTES - 12), dtype=np.uint8).tobytes()
        offsets = np.arange(0, len(payload) + 1, RECORD_BYTES - 12, dtype=np.int32)
        text = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(payload))
        yield pa.table({"key": random.integers(0, 2**62, count), "payload": text})


def image_pieces(images: int) -> Pieces:
    """Images as flat lists of bytes, and a label."""
    random = np.random.default_rng(113)
    size = IMAGE_SIDE * IMAGE_SIDE * 3
    for start in range(0, images, 1_000):
        count = min(1_000, images - start)
        pixels = pa.array(random.integers(0, 256, count * size, dtype=np.uint8))
        yield pa.table(
            {
                "image": pa.FixedSizeListArray.from_arrays(pixels, size),
                "label": np.arange(start, start + count) % 10,
            }
        )
