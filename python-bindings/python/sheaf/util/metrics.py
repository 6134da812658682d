"""Metrics of programs: what is counted, set and observed in any process of the runtime, for Prometheus to read.

Each process tells its node of them a few times a second. ``init(_metrics_export_port=...)`` serves those of a node at
``/metrics``: counters and histograms summed over its processes, gauges as they were set last.

>>> from sheaf.util.metrics import Counter
>>> requests = Counter("requests", description="Requests so far.", tag_keys=("route",))
>>> requests.inc(tags={"route": "/"})
>>> requests.info
{'name': 'requests', 'description': 'Requests so far.', 'tag_keys': ('route',), 'default_tags': {}}
"""

from __future__ import annotations

import re
import warnings
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from sheaf._runtime import reporter

__all__ = ["Counter", "Gauge", "Histogram"]

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Metric:
    """What the kinds of metrics share; it is made as one of them."""

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        if not name:
            raise ValueError("Empty name is not allowed. Please provide a metric name.")
        tag_keys = tag_keys or ()
        if not isinstance(tag_keys, tuple):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(tag_keys)}")
        for key in tag_keys:
            if not isinstance(key, str):
                raise TypeError(f"Tag keys must be str, got {type(key)}.")
        self._is_discarded = _NAME.fullmatch(name) is None
        if self._is_discarded:
            warnings.warn(
                f"Invalid metric name: {name}. Metric will be discarded and data will not be collected or published. "
                "Metric names can only contain letters, numbers, _, and :. Metric names cannot start with numbers.",
                UserWarning,
                stacklevel=3,
            )
        self._name = name
        self._description = description
        self._tag_keys = tag_keys
        self._default_tags: dict[str, str] = {}

    def set_default_tags(self, default_tags: dict[str, str]) -> Any:
        """Tags for every value that is not given others; returns the metric itself.

        >>> from sheaf.util.metrics import Gauge
        >>> Gauge("depth", tag_keys=("queue",)).set_default_tags({"queue": "in"}).info["default_tags"]
        {'queue': 'in'}
        """
        for key, value in default_tags.items():
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}.")
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be str, got {type(value)}.")
        self._default_tags = dict(default_tags)
        return self

    @property
    def info(self) -> dict[str, Any]:
        """What the metric is, by name."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": self._default_tags,
        }

    def _series(self, tags: Mapping[str, str] | None) -> reporter.Series | None:
        """Which values are meant; none of a metric that is discarded."""
        for value in (tags or {}).values():
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be str, got {type(value)}.")
        every = {**self._default_tags, **(tags or {})}
        if missing := [key for key in self._tag_keys if key not in every]:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}.")
        if self._is_discarded:
            return None
        return reporter.Series(self._name, self._description, tuple(sorted(every.items())))

    def __reduce__(self) -> Any:
        return _again, (type(self), (self._name, self._description, self._tag_keys), self._default_tags)


class Counter(Metric):
    """A number that only grows. Its name in Prometheus ends with ``_total``.

    >>> from sheaf.util.metrics import Counter
    >>> Counter("tasks_done").inc(2)
    """

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        """Let it grow by so much."""
        _check_number(value)
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}")
        if (series := self._series(tags)) is not None:
            reporter.count(series, value)


class Gauge(Metric):
    """A number that goes up and down: what was set last, by whichever process.

    >>> from sheaf.util.metrics import Gauge
    >>> Gauge("queue_length").set(3)
    """

    def set(self, value: float | None, tags: dict[str, str] | None = None) -> None:
        """Let it be so much; nothing is done for ``None``."""
        if value is None:
            return
        _check_number(value)
        if (series := self._series(tags)) is not None:
            reporter.set_to(series, value)


class Histogram(Metric):
    """How many values there were, by their size.

    Args:
        name: In Prometheus.
        description: For people.
        boundaries: Of the buckets, each more than 0, in their order.
        tag_keys: Names of tags.

    >>> from sheaf.util.metrics import Histogram
    >>> Histogram("seconds", boundaries=[0.1, 1, 10]).observe(0.3)
    """

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Sequence[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(name, description, tag_keys)
        if not boundaries:
            raise ValueError(
                "boundaries argument should be provided when using the Histogram class. "
                'e.g., Histogram("name", boundaries=[1.0, 2.0])'
            )
        for at, boundary in enumerate(boundaries):
            if boundary <= 0:
                raise ValueError(
                    f"Invalid `boundaries` argument at index {at}, {boundaries}. Use positive values for the arguments."
                )
        self.boundaries = boundaries
        self._bounds = tuple(sorted(float(each) for each in boundaries))

    def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Count this value in its bucket."""
        _check_number(value)
        if (series := self._series(tags)) is not None:
            # A bucket has its upper bound within.
            reporter.observe(series, self._bounds, bisect_left(self._bounds, value), value)

    @property
    def info(self) -> dict[str, Any]:
        """What the metric is, by name."""
        return {**super().info, "boundaries": self.boundaries}

    def __reduce__(self) -> Any:
        made_of = (self._name, self._description, self.boundaries, self._tag_keys)
        return _again, (Histogram, made_of, self._default_tags)


def _again(kind: type[Metric], made_of: tuple[Any, ...], default_tags: dict[str, str]) -> Metric:
    metric: Metric = kind(*made_of).set_default_tags(default_tags)
    return metric


def _check_number(value: Any) -> None:
    if not isinstance(value, int | float):
        raise TypeError(f"value must be int or float, got {type(value)}.")
