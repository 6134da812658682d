"""`.dt`: functions of dates, times and durations. Spans are text such as `"15m"`, `"1d12h"` or `"3mo"`."""

from __future__ import annotations

import re
from typing import Literal

import pyarrow

from sheaf._sheaf import Expr, call_function, lit, when
from sheaf.types import Value

TimeUnit = Literal["s", "ms", "us", "ns"]

_SPAN = re.compile(r"(\d+)(ns|us|ms|mo|s|m|h|d|w|q|y)")
_MONTHS = {"mo": 1, "q": 3, "y": 12}
_DAYS = {"d": 1, "w": 7}
_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_UNITS = {
    "us": "microsecond",
    "ms": "millisecond",
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "q": "quarter",
    "y": "year",
}


def _span(text: str) -> Expr:
    """Return the interval that a text such as `"1d12h"` or `"-3mo"` says."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _SPAN.findall(rest)
    if not parts or "".join(count + unit for count, unit in parts) != rest:
        units = ", ".join([*_NANOSECONDS, *_DAYS, *_MONTHS])
        raise ValueError(f"{text!r} is no span of time: write numbers with units, such as '1d12h'; units are {units}")
    months = days = nanoseconds = 0
    for count, unit in parts:
        months += sign * int(count) * _MONTHS.get(unit, 0)
        days += sign * int(count) * _DAYS.get(unit, 0)
        nanoseconds += sign * int(count) * _NANOSECONDS.get(unit, 0)
    return lit(pyarrow.scalar((months, days, nanoseconds), pyarrow.month_day_nano_interval()))


class DatetimeNamespace:
    """Functions of dates, times and durations, reached as `sf.col("t").dt`.

    >>> from datetime import date
    >>> import sheaf as sf
    >>> days = sf.from_pydict({"day": [date(2013, 1, 31), date(2013, 12, 31)]})
    >>> days.select(quarter=sf.col("day").dt.quarter(), last=sf.col("day").dt.day()).to_pydict()
    {'quarter': [1, 4], 'last': [31, 31]}
    """

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def _call(self, name: str, *args: Value) -> Expr:
        return call_function(name, [self._expr, *args])

    def _part(self, part: str) -> Expr:
        return call_function("date_part", [part, self._expr])

    def year(self) -> Expr:
        """Return the year.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.year().alias("r")).to_pydict()
        {'r': [2013, None]}
        """
        return self._part("year")

    def iso_year(self) -> Expr:
        """Return the year that the ISO week belongs to.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.iso_year().alias("r")).to_pydict()
        {'r': [2014, None]}
        """
        return self._part("isoyear")

    def quarter(self) -> Expr:
        """Return the quarter, 1 to 4.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.quarter().alias("r")).to_pydict()
        {'r': [4, None]}
        """
        return self._part("quarter")

    def month(self) -> Expr:
        """Return the month, 1 to 12.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.month().alias("r")).to_pydict()
        {'r': [12, None]}
        """
        return self._part("month")

    def week(self) -> Expr:
        """Return the ISO week, 1 to 53; also spelled `week_of_year`.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.week().alias("r")).to_pydict()
        {'r': [1, None]}
        """
        return self._part("week")

    def day(self) -> Expr:
        """Return the day of the month, 1 to 31.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.day().alias("r")).to_pydict()
        {'r': [31, None]}
        """
        return self._part("day")

    def weekday(self) -> Expr:
        """Return the ISO day of the week, Monday 1 to Sunday 7.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.weekday().alias("r")).to_pydict()
        {'r': [2, None]}
        """
        return self._part("isodow")

    def day_of_week(self) -> Expr:
        """Return the day of the week, Monday 0 to Sunday 6.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.day_of_week().alias("r")).to_pydict()
        {'r': [1, None]}
        """
        return self._part("isodow") - 1

    def ordinal_day(self) -> Expr:
        """Return the day of the year, 1 to 366; also spelled `day_of_year`.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.ordinal_day().alias("r")).to_pydict()
        {'r': [365, None]}
        """
        return self._part("doy")

    def hour(self) -> Expr:
        """Return the hour, 0 to 23.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.hour().alias("r")).to_pydict()
        {'r': [23, None]}
        """
        return self._part("hour")

    def minute(self) -> Expr:
        """Return the minute, 0 to 59.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.minute().alias("r")).to_pydict()
        {'r': [59, None]}
        """
        return self._part("minute")

    def second(self) -> Expr:
        """Return the second, 0 to 59.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.second().alias("r")).to_pydict()
        {'r': [58, None]}
        """
        return self._part("second")

    def millisecond(self) -> Expr:
        """Return the milliseconds of the second.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.millisecond().alias("r")).to_pydict()
        {'r': [765, None]}
        """
        return self._part("millisecond") % 1000

    def microsecond(self) -> Expr:
        """Return the microseconds of the second.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.microsecond().alias("r")).to_pydict()
        {'r': [765432, None]}
        """
        return self._part("microsecond") % 1000000

    def nanosecond(self) -> Expr:
        """Return the nanoseconds of the second.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.nanosecond().alias("r")).to_pydict()
        {'r': [765432000, None]}
        """
        return self._part("nanosecond") % 1000000000

    def epoch(self, unit: TimeUnit = "us") -> Expr:
        """Return the time since 1970 began, as an integer of `"s"`, `"ms"`, `"us"` or `"ns"`; also spelled `timestamp`.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.epoch("s").alias("r")).to_pydict()
        {'r': [1388534398, None]}
        """
        return self._expr.cast(f"timestamp[{unit}]").cast("int64")

    def date(self) -> Expr:
        """Return the date.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.date().alias("r")).to_pydict()
        {'r': [datetime.date(2013, 12, 31), None]}
        """
        return self._expr.cast("date32")

    def time(self) -> Expr:
        """Return the time of day.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.time().alias("r")).to_pydict()
        {'r': [datetime.time(23, 59, 58, 765432), None]}
        """
        return self._expr.cast("time64[us]")

    def to_string(self, format: str) -> Expr:
        """Return the time as text, in a format such as `"%Y-%m-%d"`; also spelled `strftime`.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.to_string("%d.%m.%y").alias("r")).to_pydict()
        {'r': ['31.12.13', None]}
        """
        return self._call("to_char", format)

    def truncate(self, every: str) -> Expr:
        """Return the start of the span that the time lies in, such as `"1d"` or `"15m"`; also spelled `floor`.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.truncate("15m").alias("r")).to_pydict()
        {'r': [datetime.datetime(2013, 12, 31, 23, 45), None]}
        """
        count, unit = every[: len(every) - len(every.lstrip("0123456789"))], every.lstrip("0123456789")
        if count in ("", "1") and unit in _UNITS:
            return call_function("date_trunc", [_UNITS[unit], self._expr])
        return call_function("date_bin", [_span(every), self._expr])

    def offset_by(self, by: str) -> Expr:
        """Return the time moved by a span, such as `"1mo"` or `"-1d12h"`.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.offset_by("1mo").alias("r")).to_pydict()
        {'r': [datetime.datetime(2014, 1, 31, 23, 59, 58, 765432), None]}
        """
        return self._expr + _span(by)

    def month_start(self) -> Expr:
        """Return the first day of the month, at midnight.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.month_start().alias("r")).to_pydict()
        {'r': [datetime.datetime(2013, 12, 1, 0, 0), None]}
        """
        return call_function("date_trunc", ["month", self._expr])

    def month_end(self) -> Expr:
        """Return the last day of the month, at midnight.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.month_end().alias("r")).to_pydict()
        {'r': [datetime.datetime(2013, 12, 31, 0, 0), None]}
        """
        return DatetimeNamespace(DatetimeNamespace(self.month_start()).offset_by("1mo")).offset_by("-1d")

    def is_leap_year(self) -> Expr:
        """Return whether the year has 366 days.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select(sf.col("t").dt.is_leap_year().alias("r")).to_pydict()
        {'r': [False, None]}
        """
        year = self.year()
        return ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)

    def convert_time_zone(self, zone: str, unit: TimeUnit = "us") -> Expr:
        """Return the same moment in another time zone. Times without a zone are taken as UTC.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> moved = times.select(sf.col("t").dt.convert_time_zone("Europe/Madrid").alias("r")).to_pydict()
        >>> moved["r"][0].isoformat()
        '2014-01-01T00:59:58.765432+01:00'
        """
        return self._expr.cast(f"timestamp[{unit}, tz=UTC]").cast(f"timestamp[{unit}, tz={zone}]")

    def replace_time_zone(self, zone: str | None, unit: TimeUnit = "us") -> Expr:
        """Return the same wall clock time in another time zone, or with `None` in none.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> local = times.select(sf.col("t").dt.replace_time_zone("Europe/Madrid").alias("r")).to_pydict()
        >>> local["r"][0].isoformat()
        '2013-12-31T23:59:58.765432+01:00'
        """
        local = self._call("to_local_time").cast(f"timestamp[{unit}]")
        return local if zone is None else local.cast(f"timestamp[{unit}, tz={zone}]")

    def total_days(self) -> Expr:
        """Return a duration as whole days, the rest cut off.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select((sf.col("t") - datetime(2013, 12, 1)).dt.total_days().alias("r")).to_pydict()
        {'r': [30, None]}
        """
        return self._total(86_400_000_000)

    def total_hours(self) -> Expr:
        """Return a duration as whole hours, the rest cut off.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select((sf.col("t") - datetime(2013, 12, 1)).dt.total_hours().alias("r")).to_pydict()
        {'r': [743, None]}
        """
        return self._total(3_600_000_000)

    def total_minutes(self) -> Expr:
        """Return a duration as whole minutes, the rest cut off.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select((sf.col("t") - datetime(2013, 12, 1)).dt.total_minutes().alias("r")).to_pydict()
        {'r': [44639, None]}
        """
        return self._total(60_000_000)

    def total_seconds(self) -> Expr:
        """Return a duration as whole seconds, the rest cut off.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select((sf.col("t") - datetime(2013, 12, 1)).dt.total_seconds().alias("r")).to_pydict()
        {'r': [2678398, None]}
        """
        return self._total(1_000_000)

    def total_milliseconds(self) -> Expr:
        """Return a duration as whole milliseconds, the rest cut off.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select((sf.col("t") - datetime(2013, 12, 1)).dt.total_milliseconds().alias("r")).to_pydict()
        {'r': [2678398765, None]}
        """
        return self._total(1_000)

    def total_microseconds(self) -> Expr:
        """Return a duration as whole microseconds, the rest cut off.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select((sf.col("t") - datetime(2013, 12, 1)).dt.total_microseconds().alias("r")).to_pydict()
        {'r': [2678398765432, None]}
        """
        return self._total(1)

    def total_nanoseconds(self) -> Expr:
        """Return a duration as nanoseconds.

        >>> from datetime import datetime
        >>> import sheaf as sf
        >>> times = sf.from_pydict({"t": [datetime(2013, 12, 31, 23, 59, 58, 765432), None]})
        >>> times.select((sf.col("t") - datetime(2013, 12, 1)).dt.total_nanoseconds().alias("r")).to_pydict()
        {'r': [2678398765432000, None]}
        """
        return self._expr.cast("duration[ns]").cast("int64")

    def _total(self, microseconds: int) -> Expr:
        total = self._expr.cast("duration[us]").cast("int64")
        # Towards zero, where // would go down.
        whole = call_function("abs", [total]) // microseconds
        return when(total < 0).then(-whole).otherwise(whole)

    week_of_year = week
    day_of_year = ordinal_day
    timestamp = epoch
    strftime = to_string
    floor = truncate
