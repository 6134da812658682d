"""Word count by `map_batches`: a function makes words of lines, and a group-by counts them."""

import pyarrow as pa
import pyarrow.compute as pc

import sheaf as sf

LINES = [
    "the quick brown fox jumps over the lazy dog",
    "the dog sleeps and the fox runs",
    "a fox is quick and a dog is lazy",
]


def words(batch: pa.RecordBatch) -> pa.Table:
    """Split lines into words and count them within the batch, so that less goes on to the group-by."""
    split = pc.list_flatten(pc.split_pattern(batch["line"], " "))
    counted = split.value_counts()
    return pa.table({"word": counted.field("values"), "n": counted.field("counts")})


def main() -> None:
    """Print the most frequent words of many lines."""
    lines = sf.from_pydict({"line": LINES * 1_000})
    counted = lines.map_batches(words, batch_size=500).groupby("word").agg(n=sf.col("n").sum())
    for row in counted.sort(sf.col("n").desc(), "word").limit(5).to_pylist():
        print(f"{row['word']:<6} {row['n']}")


if __name__ == "__main__":
    main()
