"""A rolling five-day average of prices by `map_overlap`: each call sees the five days before its rows as well."""

import datetime

import pandas as pd

import sheaf as sf

START = datetime.datetime(2026, 1, 1)


def five_day_average(prices: pd.DataFrame) -> pd.DataFrame:
    """Add the average of the five days up to each row."""
    return prices.assign(average=prices.rolling("5D", on="day")["price"].mean())


def main() -> None:
    """Print the last averages of a year, worked out in runs of thirty days."""
    days = list(range(365))
    prices = sf.from_pydict(
        {
            "day": [START + datetime.timedelta(days=day) for day in days],
            "price": [100.0 + day % 7 for day in days],
        }
    )
    averages = prices.map_overlap(five_day_average, "5d", on="day", batch_size=30, batch_format="pandas")
    whole_year = five_day_average(prices.to_pandas())
    assert averages.to_pandas()["average"].equals(whole_year["average"])
    for row in averages.sort(sf.col("day").desc()).limit(3).sort("day").to_arrow().to_pylist():
        print(f"{row['day']:%Y-%m-%d} {row['price']:.0f} {row['average']:.1f}")


if __name__ == "__main__":
    main()
