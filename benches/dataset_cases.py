"""What `make bench-dataset` measures: work of datasets, each on every engine that can do it.

The ten questions over groups and the five joins are those of the db-benchmark (h2oai.github.io/db-benchmark), over
tables made as it makes them. Where a result has more rows than a person would read, what is compared is its digest:
how many rows there are and the sums of their numbers, computed by the engine within the clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cases import Case, counted

EVERYBODY = ("sheaf", "duckdb", "polars", "daft", "dask", "ray")
STREAMING = ("sheaf", "duckdb", "polars", "daft", "ray")
CALLING = ("sheaf", "daft", "ray")
LOADING = ("sheaf", "ray", "torch")
LEAST_LIMIT = 100_000_000


@dataclass(frozen=True)
class Sizes:
    """How much of everything there is."""

    table_rows: int = 10_000_000
    text_bytes: int = 1_000_000_000
    mapped_rows: int = 10_000_000
    sorted_bytes: int = 5_000_000_000
    sort_limit: int = 1_000_000_000
    shuffled_bytes: int = 2_000_000_000
    single_rows: int = 100_000
    images: int = 10_000

    def divided(self, by: int) -> "Sizes":
        """The same shape, smaller; no engine sorts within less than the least limit."""
        smaller = {name: max(1, value // by) for name, value in vars(self).items()}
        return Sizes(**{**smaller, "sort_limit": max(LEAST_LIMIT, smaller["sort_limit"])})


@dataclass(frozen=True)
class DatasetInputs:
    """The files that the cases read."""

    groups: Path
    joins: Path
    text: Path
    numbers: Path
    records: Path
    shuffled: Path
    images: Path


# The groups of the db-benchmark, as SQL and as a title.
GROUPS = {
    "g01": ("sum of v1 by id1", "select id1, sum(v1) as v1 from x group by id1"),
    "g02": ("sum of v1 by id1, id2", "select id1, id2, sum(v1) as v1 from x group by id1, id2"),
    "g03": (
        "sum of v1, mean of v3 by id3",
        "select count(*) as n, sum(v1) as v1, sum(v3) as v3 from "
        "(select id3, sum(v1) as v1, avg(v3) as v3 from x group by id3)",
    ),
    "g04": (
        "means of v1, v2, v3 by id4",
        "select id4, avg(v1) as v1, avg(v2) as v2, avg(v3) as v3 from x group by id4",
    ),
    "g05": (
        "sums of v1, v2, v3 by id6",
        "select count(*) as n, sum(v1) as v1, sum(v2) as v2, sum(v3) as v3 from "
        "(select id6, sum(v1) as v1, sum(v2) as v2, sum(v3) as v3 from x group by id6)",
    ),
    "g06": (
        "median and deviation of v3 by id4, id5",
        "select count(*) as n, sum(m) as m, sum(s) as s from "
        "(select id4, id5, median(v3) as m, stddev(v3) as s from x group by id4, id5)",
    ),
    "g07": (
        "max of v1 less min of v2 by id3",
        "select count(*) as n, sum(d) as d from (select id3, max(v1) - min(v2) as d from x group by id3)",
    ),
    "g08": (
        "the largest two v3 by id6",
        "select count(*) as n, sum(v3) as v3 from (select id6, v3 from "
        "(select id6, v3, row_number() over (partition by id6 order by v3 desc) as place from x) where place <= 2)",
    ),
    "g09": (
        "regression of v1 and v2 by id2, id4",
        "select count(*) as n, sum(r) as r from "
        "(select id2, id4, power(corr(v1, v2), 2) as r from x group by id2, id4)",
    ),
    "g10": (
        "sum of v3 and count by id1 to id6",
        "select count(*) as n, sum(v3) as v3, sum(c) as c from "
        "(select id1, id2, id3, id4, id5, id6, sum(v3) as v3, count(*) as c from x "
        "group by id1, id2, id3, id4, id5, id6)",
    ),
}
# The joins: the right table, the key, the kind, the title.
JOINS = {
    "j1": ("small", "id1", "inner", "small inner on an integer"),
    "j2": ("medium", "id2", "inner", "medium inner on an integer"),
    "j3": ("medium", "id2", "left", "medium left on an integer"),
    "j4": ("medium", "id5", "inner", "medium inner on text"),
    "j5": ("big", "id3", "inner", "big inner on an integer"),
}


def join_sql(name: str) -> str:
    """The digest of a join."""
    right, key, how, _ = JOINS[name]
    return (
        f"select count(*) as n, sum(x.v1) as v1, sum({right}.v2) as v2 "
        f"from x {how} join {right} on x.{key} = {right}.{key}"
    )


def dataset_cases(inputs: DatasetInputs, sizes: Sizes, threads: int, scratch: Path) -> list[Case]:
    """Every case, in the order of the table."""

    def case(name: str, title: str, work: str, engines: Sequence[str], path: Path, **more: object) -> Case:
        given = {"rows": 0, "sql": "", "output": "", **more}
        return Case(name, title, work, tuple(engines), str(path), threads, folder="dataset_engines", **given)  # type: ignore[arg-type]

    rows = counted(sizes.table_rows)
    gigabytes = f"{sizes.sorted_bytes / 1e9:g} GB"
    groups = [
        case(name, f"groupby, {rows}: {title}", "grouped", EVERYBODY, inputs.groups, sql=sql)
        for name, (title, sql) in GROUPS.items()
    ]
    joins = [
        case(name, f"join, {rows}: {title}", "joined", EVERYBODY, inputs.joins, sql=join_sql(name))
        for name, (_, _, _, title) in JOINS.items()
    ]
    calls = [
        case(
            f"{weight}_{kind}_{workers}",
            f"`map_batches`, {weight}, {kind}, {workers} worker{'s' * (workers > 1)}",
            f"{weight}_{kind}",
            CALLING,
            inputs.numbers,
            rows=workers,
        )
        for weight in ("light", "heavy")
        for kind in ("function", "class")
        for workers in (1, 2)
    ]
    return [
        case("words", f"word count over {sizes.text_bytes / 1e9:g} GB of text", "words", EVERYBODY, inputs.text),
        *calls,
        *groups,
        *joins,
        case(
            "sort",
            f"sort of {gigabytes} within {sizes.sort_limit / 1e9:g} GB, to Parquet",
            "sorted_",
            STREAMING,
            inputs.records,
            rows=sizes.sort_limit,
            output=str(scratch / "sorted"),
        ),
        case(
            "shuffle",
            f"random shuffle of {sizes.shuffled_bytes / 1e9:g} GB, to Parquet",
            "shuffled",
            ("sheaf", "polars", "daft", "ray"),
            inputs.shuffled,
            output=str(scratch / "shuffled"),
        ),
        case(
            "single",
            f"{counted(sizes.single_rows)} batches of one row",
            "single",
            ("sheaf", "ray"),
            inputs.numbers,
            rows=sizes.single_rows,
        ),
        case(
            "loader",
            f"shuffled batches of {counted(sizes.images)} images for training",
            "loader",
            LOADING,
            inputs.images,
            rows=sizes.images,
        ),
    ]
