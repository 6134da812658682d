"""What pickles of datasets call: they make lazy datasets of the default session of the process that they come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheaf.session import default

if TYPE_CHECKING:
    from sheaf.dataset.grouped import GroupedDataset
    from sheaf.dataset.plan import Plan


def dataset(of: type[Plan], data: bytes, in_memory: bool) -> Plan:
    """A dataset of this class.

    >>> import sheaf as sf
    >>> from sheaf import _pickles
    >>> load, arguments = sf.range(3).__reduce__()
    >>> load is _pickles.dataset, load(*arguments).count()
    (True, 3)
    """
    return of(default._inner.dataset_from_bytes(data), in_memory=in_memory)


def grouped(of: type[GroupedDataset], data: bytes, plan: Plan, keys: list[str], hidden: list[str]) -> GroupedDataset:
    """A grouped dataset of this class."""
    return of(default._inner.grouped_from_bytes(data), plan, keys, hidden)
