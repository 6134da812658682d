"""Objects: stored and read again by the driver, small and large, one and many."""

from typing import Any

import numpy as np

from workloads import Settings
from workloads.windows import rates, times

KILOBYTE = 1_000
MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
OBJECTS = 10_000


def put_1kb(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Objects per second."""
    return put(ray, settings, KILOBYTE, unit=1)


def put_1mb(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Gigabytes per second."""
    return put(ray, settings, MEGABYTE, unit=MEGABYTE / 1e9)


def put_1gb(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Gigabytes per second."""
    return put(ray, settings, GIGABYTE, unit=GIGABYTE / 1e9)


def get_1kb(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Objects per second."""
    return get(ray, settings, KILOBYTE, unit=1)


def get_1mb(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Gigabytes per second."""
    return get(ray, settings, MEGABYTE, unit=MEGABYTE / 1e9)


def get_1gb(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Gigabytes per second."""
    return get(ray, settings, GIGABYTE, unit=GIGABYTE / 1e9)


def put(ray: Any, settings: Settings, size: int, unit: float) -> dict[str, list[float]]:
    """Store an array and let it go."""
    array = np.ones(size, np.uint8)

    def step() -> float:
        ray.put(array)
        return unit

    return rates(step, settings.seconds)


def get(ray: Any, settings: Settings, size: int, unit: float) -> dict[str, list[float]]:
    """Get an array that a task has made, and read all of it: without a copy, to get it alone moves nothing."""

    def ones() -> Any:
        return np.ones(size, np.uint8)

    ref = ray.remote(ones).remote()

    def step() -> float:
        if ray.get(ref).view(np.uint64).max() == 0:
            raise ValueError("the object holds zeros instead of ones")
        return unit

    return rates(step, settings.seconds)


def many_objects(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """All of many small objects at once."""
    refs = [ray.put(number) for number in range(OBJECTS)]
    return times(lambda: ray.get(refs))
