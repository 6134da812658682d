"""Munging with `batch_format="pandas"`: missing values are filled with the median of their group."""

import pandas as pd

import sheaf as sf


def main() -> None:
    """Print how many ages were missing and what they became."""
    rows = range(9_000)
    people = sf.from_pydict(
        {
            "class": [n % 3 + 1 for n in rows],
            "age": [None if n % 10 == 0 else float(20 + n % 3 * 10 + n % 7) for n in rows],
        }
    )
    medians = dict(people.groupby("class").median("age").to_arrow().to_pandas().itertuples(index=False))

    def filled(batch: pd.DataFrame) -> pd.DataFrame:
        missing = batch["age"].isna()
        age = batch["age"].fillna(batch["class"].map(medians))
        return batch.assign(age=age, was_missing=missing)

    munged = people.map_batches(filled, batch_format="pandas").persist()
    told = munged.filter("was_missing").groupby("class", "age").agg(n=sf.col("age").count()).sort("class")
    for row in told.to_pylist():
        print(f"class {row['class']}: {row['n']} ages were missing and are {row['age']:g} now")
    print("missing:", munged.filter(sf.col("age").is_null()).count())


if __name__ == "__main__":
    main()
