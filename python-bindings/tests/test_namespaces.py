"""`.str`, `.dt`, `.list` and `.struct`: every method over values and nulls, most of them against Polars."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest

import sheaf as sf
from sheaf.expressions import DatetimeNamespace, ListNamespace, StringNamespace, StructNamespace

TEXT = ["Hello World", "  a-12 b-7  ", "día", "", None, "x.y", "-7"]
MOMENTS = [
    dt.datetime(2013, 12, 31, 23, 59, 58, 765432),
    dt.datetime(2012, 2, 29),
    None,
    dt.datetime(1969, 7, 20, 20, 17, 40),
]
SPANS = [dt.timedelta(days=1, hours=2, milliseconds=3), dt.timedelta(seconds=-90), None]
NUMBERS: list[list[int | None] | None] = [[3, 1, None], [], None, [2, 2, 5], [7]]

S, T, D, XS = sf.col("s"), sf.col("t"), sf.col("d"), sf.col("xs")
PS, PT, PD, PXS = pl.col("s"), pl.col("t"), pl.col("d"), pl.col("xs")

# Ours and Polars' own, which must agree on every row.
ALIKE: list[tuple[str, sf.Expr, pl.Expr]] = [
    ("str.upper", S.str.upper(), PS.str.to_uppercase()),
    ("str.to_uppercase", S.str.to_uppercase(), PS.str.to_uppercase()),
    ("str.lower", S.str.lower(), PS.str.to_lowercase()),
    ("str.to_lowercase", S.str.to_lowercase(), PS.str.to_lowercase()),
    ("str.title", S.str.title(), PS.str.to_titlecase()),
    ("str.to_titlecase", S.str.to_titlecase(), PS.str.to_titlecase()),
    ("str.len_chars", S.str.len_chars(), PS.str.len_chars()),
    ("str.length", S.str.length(), PS.str.len_chars()),
    ("str.len_bytes", S.str.len_bytes(), PS.str.len_bytes()),
    ("str.contains", S.str.contains("[0-9]"), PS.str.contains("[0-9]")),
    ("str.contains a text", S.str.contains(".", literal=True), PS.str.contains(".", literal=True)),
    ("str.match", S.str.match("^[a-z]"), PS.str.contains("^[a-z]")),
    ("str.starts_with", S.str.starts_with("x"), PS.str.starts_with("x")),
    ("str.startswith", S.str.startswith("x"), PS.str.starts_with("x")),
    ("str.ends_with", S.str.ends_with("d"), PS.str.ends_with("d")),
    ("str.endswith", S.str.endswith("d"), PS.str.ends_with("d")),
    ("str.count_matches", S.str.count_matches("[a-z]"), PS.str.count_matches("[a-z]")),
    ("str.count_matches of a text", S.str.count_matches(".", literal=True), PS.str.count_matches(".", literal=True)),
    ("str.extract", S.str.extract("-([0-9]+)"), PS.str.extract("-([0-9]+)", 1)),
    ("str.extract all", S.str.extract("-([0-9]+)", 0), PS.str.extract("-([0-9]+)", 0)),
    ("str.extract two", S.str.extract("(.)-([0-9])", 2), PS.str.extract("(.)-([0-9])", 2)),
    ("str.replace", S.str.replace("[a-z]", "_"), PS.str.replace("[a-z]", "_")),
    ("str.replace a text", S.str.replace("l", "$1", literal=True), PS.str.replace("l", "$1", literal=True)),
    ("str.replace_all", S.str.replace_all("[a-z]", "_"), PS.str.replace_all("[a-z]", "_")),
    ("str.replace_all a text", S.str.replace_all(".", "l", literal=True), PS.str.replace_all(".", "l", literal=True)),
    ("str.strip", S.str.strip(), PS.str.strip_chars()),
    ("str.strip characters", S.str.strip("Hd "), PS.str.strip_chars("Hd ")),
    ("str.strip_chars", S.str.strip_chars(), PS.str.strip_chars()),
    ("str.lstrip", S.str.lstrip(), PS.str.strip_chars_start()),
    ("str.strip_chars_start", S.str.strip_chars_start(), PS.str.strip_chars_start()),
    ("str.rstrip", S.str.rstrip(), PS.str.strip_chars_end()),
    ("str.strip_chars_end", S.str.strip_chars_end(), PS.str.strip_chars_end()),
    ("str.strip_prefix", S.str.strip_prefix("x."), PS.str.strip_prefix("x.")),
    ("str.strip_suffix", S.str.strip_suffix("rld"), PS.str.strip_suffix("rld")),
    ("str.pad_start", S.str.pad_start(5, "*"), PS.str.pad_start(5, "*")),
    ("str.pad_end", S.str.pad_end(5, "*"), PS.str.pad_end(5, "*")),
    ("str.zfill", S.str.zfill(5), PS.str.zfill(5)),
    ("str.slice", S.str.slice(1, 3), PS.str.slice(1, 3)),
    ("str.slice from the end", S.str.slice(-3), PS.str.slice(-3)),
    ("str.slice to the end", S.str.slice(2), PS.str.slice(2)),
    ("str.head", S.str.head(2), PS.str.head(2)),
    ("str.left", S.str.left(2), PS.str.head(2)),
    ("str.tail", S.str.tail(2), PS.str.tail(2)),
    ("str.right", S.str.right(2), PS.str.tail(2)),
    ("str.reverse", S.str.reverse(), PS.str.reverse()),
    ("str.encode", S.str.encode("hex"), PS.str.encode("hex")),
    ("str.to_integer", S.str.to_integer(strict=False), PS.str.to_integer(strict=False)),
    ("str.find", S.str.find("l"), PS.str.find("l", literal=True)),
    ("dt.year", T.dt.year(), PT.dt.year()),
    ("dt.iso_year", T.dt.iso_year(), PT.dt.iso_year()),
    ("dt.quarter", T.dt.quarter(), PT.dt.quarter()),
    ("dt.month", T.dt.month(), PT.dt.month()),
    ("dt.week", T.dt.week(), PT.dt.week()),
    ("dt.week_of_year", T.dt.week_of_year(), PT.dt.week()),
    ("dt.day", T.dt.day(), PT.dt.day()),
    ("dt.weekday", T.dt.weekday(), PT.dt.weekday()),
    ("dt.day_of_week", T.dt.day_of_week(), PT.dt.weekday() - 1),
    ("dt.ordinal_day", T.dt.ordinal_day(), PT.dt.ordinal_day()),
    ("dt.day_of_year", T.dt.day_of_year(), PT.dt.ordinal_day()),
    ("dt.hour", T.dt.hour(), PT.dt.hour()),
    ("dt.minute", T.dt.minute(), PT.dt.minute()),
    ("dt.second", T.dt.second(), PT.dt.second()),
    ("dt.millisecond", T.dt.millisecond(), PT.dt.millisecond()),
    ("dt.microsecond", T.dt.microsecond(), PT.dt.microsecond()),
    ("dt.nanosecond", T.dt.nanosecond(), PT.dt.nanosecond()),
    ("dt.epoch", T.dt.epoch(), PT.dt.epoch()),
    ("dt.timestamp", T.dt.timestamp("ms"), PT.dt.timestamp("ms")),
    ("dt.date", T.dt.date(), PT.dt.date()),
    ("dt.time", T.dt.time(), PT.dt.time()),
    ("dt.to_string", T.dt.to_string("%d.%m.%Y %H"), PT.dt.to_string("%d.%m.%Y %H")),
    ("dt.strftime", T.dt.strftime("%j"), PT.dt.strftime("%j")),
    ("dt.truncate", T.dt.truncate("1mo"), PT.dt.truncate("1mo")),
    ("dt.truncate to 15 minutes", T.dt.truncate("15m"), PT.dt.truncate("15m")),
    ("dt.floor", T.dt.floor("1d"), PT.dt.truncate("1d")),
    ("dt.offset_by", T.dt.offset_by("-1mo2d3h"), PT.dt.offset_by("-1mo2d3h")),
    ("dt.month_start", T.dt.month_start(), PT.dt.month_start().dt.truncate("1d")),
    ("dt.month_end", T.dt.month_end(), PT.dt.month_end().dt.truncate("1d")),
    ("dt.is_leap_year", T.dt.is_leap_year(), PT.dt.is_leap_year()),
    (
        "dt.convert_time_zone",
        T.dt.convert_time_zone("Europe/Madrid"),
        PT.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Madrid"),
    ),
    (
        "dt.replace_time_zone",
        T.dt.replace_time_zone("Europe/Madrid"),
        PT.dt.replace_time_zone("Europe/Madrid"),
    ),
    ("dt.total_days", D.dt.total_days(), PD.dt.total_days()),
    ("dt.total_hours", D.dt.total_hours(), PD.dt.total_hours()),
    ("dt.total_minutes", D.dt.total_minutes(), PD.dt.total_minutes()),
    ("dt.total_seconds", D.dt.total_seconds(), PD.dt.total_seconds()),
    ("dt.total_milliseconds", D.dt.total_milliseconds(), PD.dt.total_milliseconds()),
    ("dt.total_microseconds", D.dt.total_microseconds(), PD.dt.total_microseconds()),
    ("dt.total_nanoseconds", D.dt.total_nanoseconds(), PD.dt.total_nanoseconds()),
    ("list.len", XS.list.len(), PXS.list.len()),
    ("list.get", XS.list.get(1), PXS.list.get(1, null_on_oob=True)),
    ("list.get from the end", XS.list.get(-2), PXS.list.get(-2, null_on_oob=True)),
    ("list.get by a column", XS.list.get(sf.lit(0)), PXS.list.get(0, null_on_oob=True)),
    ("list.first", XS.list.first(), PXS.list.first()),
    ("list.last", XS.list.last(), PXS.list.last()),
    ("list.contains", XS.list.contains(2), PXS.list.contains(2)),
    ("list.mean", XS.list.mean(), PXS.list.mean()),
    ("list.min", XS.list.min(), PXS.list.min()),
    ("list.max", XS.list.max(), PXS.list.max()),
    ("list.sort", XS.list.sort(), PXS.list.sort()),
    (
        "list.sort down",
        XS.list.sort(descending=True, nulls_last=True),
        PXS.list.sort(descending=True, nulls_last=True),
    ),
    ("list.reverse", XS.list.reverse(), PXS.list.reverse()),
    ("list.unique", XS.list.unique().list.sort(), PXS.list.unique().list.sort()),
    ("list.n_unique", XS.list.n_unique(), PXS.list.n_unique()),
    ("list.drop_nulls", XS.list.drop_nulls(), PXS.list.drop_nulls()),
    ("list.slice", XS.list.slice(1, 1), PXS.list.slice(1, 1)),
    ("list.slice from the end", XS.list.slice(-2), PXS.list.slice(-2)),
    ("list.head", XS.list.head(2), PXS.list.head(2)),
    ("list.tail", XS.list.tail(2), PXS.list.tail(2)),
    ("list.filter", XS.list.filter(lambda x: x > 2), PXS.list.eval(pl.element().filter(pl.element() > 2))),
    ("list.eval", XS.list.eval(lambda x: x * 10), PXS.list.eval(pl.element() * 10)),
]


def frame() -> pl.DataFrame:
    rows = max(len(TEXT), len(MOMENTS), len(SPANS), len(NUMBERS))

    def filled(values: list[Any]) -> list[Any]:
        return values + [None] * (rows - len(values))

    return pl.DataFrame(
        {"s": filled(TEXT), "t": filled(MOMENTS), "d": filled(SPANS), "xs": filled(NUMBERS)},
        schema_overrides={"t": pl.Datetime("us"), "d": pl.Duration("us"), "xs": pl.List(pl.Int64)},
    )


@pytest.mark.parametrize(("ours", "theirs"), [case[1:] for case in ALIKE], ids=[case[0] for case in ALIKE])
def test_as_polars(ours: sf.Expr, theirs: pl.Expr) -> None:
    rows = frame()
    got = sf.from_arrow(rows.to_arrow()).select(ours.alias("r")).to_arrow().column("r").to_pylist()
    assert got == rows.select(theirs.alias("r"))["r"].to_list()


OWN: list[tuple[str, sf.Expr, dict[str, Any], list[Any]]] = [
    ("str.capitalize", S.str.capitalize(), {"s": ["new YORK", "", None]}, ["New york", "", None]),
    ("str.like", S.str.like("a%"), {"s": ["abc", "Abc", None]}, [True, False, None]),
    ("str.ilike", S.str.ilike("a_c"), {"s": ["abc", "Abc", "x", None]}, [True, True, False, None]),
    ("str.split", S.str.split(","), {"s": ["a,b", "c", None]}, [["a", "b"], ["c"], None]),
    ("str.split_part", S.str.split_part(",", 1), {"s": ["a,b", "c", None]}, ["b", "", None]),
    ("str.split_part from the end", S.str.split_part(",", -1), {"s": ["a,b", "c"]}, ["b", "c"]),
    ("str.replace, a group", S.str.replace("(a)(b)", r"\2\1"), {"s": ["xab"]}, ["xba"]),
    ("str.lpad", S.str.lpad(3, "0"), {"s": ["7", "1234", None]}, ["007", "123", None]),
    ("str.rpad", S.str.rpad(3, "."), {"s": ["7", "1234", None]}, ["7..", "123", None]),
    ("str.repeat", S.str.repeat(2), {"s": ["ab", None]}, ["abab", None]),
    ("str.decode", S.str.decode("hex"), {"s": ["6162", None]}, [b"ab", None]),
    ("str.to_date", S.str.to_date("%d.%m.%Y"), {"s": ["31.12.2013", None]}, [dt.date(2013, 12, 31), None]),
    ("str.to_date, ISO", S.str.to_date(), {"s": ["2013-12-31"]}, [dt.date(2013, 12, 31)]),
    (
        "str.to_datetime",
        S.str.to_datetime("%d.%m.%Y %H:%M"),
        {"s": ["31.12.2013 23:00"]},
        [dt.datetime(2013, 12, 31, 23)],
    ),
    ("str.to_time", S.str.to_time("%H:%M"), {"s": ["23:59", None]}, [dt.time(23, 59), None]),
    ("dt of a date", T.dt.day(), {"t": [dt.date(2013, 12, 31), None]}, [31, None]),
    (
        "dt.replace_time_zone with none",
        T.dt.replace_time_zone(None),
        {"t": [dt.datetime(2013, 1, 1, 12, tzinfo=ZoneInfo("Europe/Madrid")), None]},
        [dt.datetime(2013, 1, 1, 12), None],
    ),
    ("list.sum", XS.list.sum(), {"xs": [[1, 2], [3], None]}, [3.0, 3.0, None]),
    ("list.index_of", XS.list.index_of(2), {"xs": [[1, 2], [3], None]}, [1, None, None]),
    ("list.join", XS.list.join("-"), {"xs": [["a", None, "b"], None]}, ["a-b", None]),
    ("list.concat", XS.list.concat([9]), {"xs": [[1], [2]]}, [[1, 9], [2, 9]]),
    ("list.append", XS.list.append(9), {"xs": [[1], []]}, [[1, 9], [9]]),
    ("list.set_union", XS.list.set_union([2, 9]).list.sort(), {"xs": [[1, 2], [9]]}, [[1, 2, 9], [2, 9]]),
    ("list.set_intersection", XS.list.set_intersection([2, 9]), {"xs": [[1, 2], [3]]}, [[2], []]),
    ("list.set_difference", XS.list.set_difference([2, 9]), {"xs": [[1, 2], [3]]}, [[1], [3]]),
    ("list.flatten", XS.list.flatten(), {"xs": [[[1], [2, 3]], None]}, [[1, 2, 3], None]),
    ("list.any", XS.list.any(lambda x: x > 2), {"xs": [[1, 2], [3], None]}, [False, True, None]),
    ("struct.field", sf.col("v").struct.field("x"), {"v": [{"x": 1}, None]}, [1, None]),
    ("struct[]", sf.col("v").struct["x"], {"v": [{"x": 1}, None]}, [1, None]),
]


@pytest.mark.parametrize(("expr", "columns", "expected"), [case[1:] for case in OWN], ids=[case[0] for case in OWN])
def test_own(expr: sf.Expr, columns: dict[str, Any], expected: list[Any]) -> None:
    got = sf.from_arrow(pa.table(columns)).select(expr.alias("r")).to_arrow().column("r").to_pylist()
    assert got == expected


def test_every_method_is_tested() -> None:
    named = {case[0].split()[0].rstrip(",") for case in (*ALIKE, *OWN)}
    for name, namespace in [
        ("str", StringNamespace),
        ("dt", DatetimeNamespace),
        ("list", ListNamespace),
        ("struct", StructNamespace),
    ]:
        methods = {f"{name}.{method}" for method in vars(namespace) if not method.startswith("_")}
        assert methods <= named, methods - named


def test_spans_of_time() -> None:
    with pytest.raises(ValueError, match="no span of time"):
        T.dt.offset_by("a while")
    with pytest.raises(ValueError, match="no span of time"):
        T.dt.truncate("5 lightyears")
