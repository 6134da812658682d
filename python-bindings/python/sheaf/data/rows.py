"""Verbs over rows, partitions and several datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sheaf.data.grouped import GroupedData
from sheaf.data.plan import Plan
from sheaf.data.settings import MixStoppingCondition
from sheaf.dataset import How

if TYPE_CHECKING:
    from sheaf.data.dataset import Dataset

_JOINS: dict[str, How] = {
    "inner": "inner",
    "left_outer": "left",
    "right_outer": "right",
    "full_outer": "full",
    "left_semi": "left_semi",
    "right_semi": "right_semi",
    "left_anti": "left_anti",
    "right_anti": "right_anti",
}


class Rows(Plan):
    """The methods of a ``Dataset`` that choose, order and bring together rows."""

    def limit(self, limit: int) -> Dataset:
        """At most this many rows.

        >>> import sheaf as sf
        >>> sf.data.range(10).limit(2).take_all()
        [{'id': 0}, {'id': 1}]
        """
        return self._next(self._ds.limit(limit))

    def random_sample(self, fraction: float, *, seed: int | None = None) -> Dataset:
        """Each row with this probability; the same rows for the same seed.

        >>> import sheaf as sf
        >>> 400 < sf.data.range(1000).random_sample(0.5, seed=1).count() < 600
        True
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction is {fraction}: it is a share between 0 and 1")
        return self._next(self._ds.sample(fraction, seed=seed))

    def sort(
        self, key: str | Sequence[str], descending: bool | Sequence[bool] = False, boundaries: Any = None
    ) -> Dataset:
        """The rows in the order of these columns, nulls last. ``boundaries``, which cuts Ray's blocks, has no effect.

        >>> import sheaf as sf
        >>> sf.data.range(3).sort("id", descending=True).take_all()
        [{'id': 2}, {'id': 1}, {'id': 0}]
        """
        if key is None:
            raise ValueError("sort needs a key: a column, or several")
        return self._next(self._ds.sort(key, descending=descending))

    def repartition(
        self,
        num_blocks: int | None = None,
        target_num_rows_per_block: int | None = None,
        *,
        strict: bool = False,
        shuffle: bool = False,
        keys: Sequence[str] | None = None,
        sort: bool = False,
    ) -> Dataset:
        """The same rows in so many partitions, of so many rows each, or by keys; ``sort`` sorts each by the keys.

        ``repartition(8)`` deals the rows in turn and does not keep their order; ``repartition(1)`` and
        ``target_num_rows_per_block`` do. ``strict`` and ``shuffle``, which say how Ray does it, have no effect.

        >>> import sheaf as sf
        >>> sf.data.range(10).repartition(5).materialize().num_blocks()
        5
        """
        if num_blocks is None and target_num_rows_per_block is None:
            raise ValueError("repartition needs num_blocks or target_num_rows_per_block")
        if num_blocks is not None and target_num_rows_per_block is not None:
            raise ValueError("repartition takes num_blocks or target_num_rows_per_block, not both")
        if target_num_rows_per_block is not None:
            if keys:
                raise ValueError("keys go with num_blocks: rows of equal keys are together, however many they are")
            return self._next(self._ds.repartition(rows=target_num_rows_per_block))
        return self._next(self._ds.repartition(num_blocks, by=list(keys) if keys else None, sort=sort))

    def random_shuffle(self, *, seed: int | None = None, num_blocks: int | None = None, **ray_options: Any) -> Dataset:
        """All rows in a random order, each as likely at every place; on disk what memory does not hold.

        ``num_blocks`` is deprecated in Ray and has no effect, nor have arguments that say where Ray runs tasks.

        >>> import sheaf as sf
        >>> shuffled = sf.data.range(1000).random_shuffle(seed=7).take(1000)
        >>> shuffled != sf.data.range(1000).take(1000), len(shuffled)
        (True, 1000)
        """
        return self._next(self._ds.random_shuffle(seed=seed))

    def randomize_block_order(self, *, seed: int | None = None) -> Dataset:
        """The partitions in a random order, and in each the batches that are near each other.

        >>> import sheaf as sf
        >>> sf.data.range(10).randomize_block_order(seed=1).count()
        10
        """
        return self._next(self._ds.randomize_block_order(seed=seed))

    def union(self, *other: Dataset) -> Dataset:
        """The rows of this dataset, then those of the others; columns are matched by name.

        A column that a dataset has not is null there; in Ray such rows are without it.

        >>> import sheaf as sf
        >>> sf.data.range(2).union(sf.data.range(1)).take_all()
        [{'id': 0}, {'id': 1}, {'id': 0}]
        """
        return self._next(self._ds.union(*(each._ds for each in other), by_name=True))

    def mix(
        self,
        *other: Dataset,
        weights: Sequence[float] | None = None,
        stopping_condition: MixStoppingCondition = MixStoppingCondition.STOP_ON_LONGEST_DROP,
    ) -> Dataset:
        """Rows of this dataset and others, by the weights of their datasets. Ray mixes blocks, this mixes rows.

        >>> import sheaf as sf
        >>> sf.data.range(3).mix(sf.data.range(5), weights=[3, 1]).count()
        8
        """
        stop = MixStoppingCondition(stopping_condition)
        is_shortest = stop is MixStoppingCondition.STOP_ON_SHORTEST
        others = [each._ds for each in other]
        return self._next(self._ds.mix(*others, weights=weights, stop="shortest" if is_shortest else "longest"))

    def zip(self, *other: Dataset) -> Dataset:
        """The columns of datasets of the same length side by side; a name that is there already gets ``_1``, ``_2``, ….

        >>> import sheaf as sf
        >>> sf.data.range(2).zip(sf.data.range(2)).take_all()
        [{'id': 0, 'id_1': 0}, {'id': 1, 'id_1': 1}]
        """
        made = self._ds
        for each in other:
            taken = made.columns
            renamed: dict[str, str] = {}
            for name in each._ds.columns:
                free, number = name, 0
                while free in taken or free in renamed.values():
                    number += 1
                    free = f"{name}_{number}"
                renamed[name] = free
            made = made.zip(each._ds.rename(renamed))
        return self._next(made)

    def join(
        self,
        ds: Dataset,
        join_type: str,
        num_partitions: int | None = None,
        on: Sequence[str] = ("id",),
        right_on: Sequence[str] | None = None,
        left_suffix: str | None = None,
        right_suffix: str | None = None,
        *,
        partition_size_hint: int | None = None,
        aggregator_ray_remote_args: Any = None,
        validate_schemas: bool = False,
    ) -> Dataset:
        """Joins with another dataset on equal keys, which are in the result once, under the left side's names.

        ``num_partitions``, ``partition_size_hint``, ``aggregator_ray_remote_args`` and ``validate_schemas`` (schemas
        always are) say how Ray does it, and have no effect.

        Args:
            ds: The right side.
            join_type: ``inner``, ``left_outer``, ``right_outer``, ``full_outer``, ``left_semi``, ``right_semi``,
                ``left_anti`` or ``right_anti``.
            num_partitions: Without effect.
            on: The left side's keys.
            right_on: The right side's, where they differ.
            left_suffix: Put after the name of a left column that the right side has too.
            right_suffix: Put after the name of such a right column.
            partition_size_hint: Without effect.
            aggregator_ray_remote_args: Without effect.
            validate_schemas: Without effect.

        >>> import sheaf as sf
        >>> names = sf.data.from_items([{"id": 1, "name": "one"}])
        >>> sf.data.range(3).join(names, "inner", 2, on=("id",)).take_all()
        [{'id': 1, 'name': 'one'}]
        """
        for keys, named in ((on, "on"), (right_on or on, "right_on")):
            if not isinstance(keys, list | tuple):
                raise ValueError(f"{named} is a tuple or a list of columns, not {type(keys).__name__}")
        if join_type not in _JOINS:
            raise ValueError(f"there is no join_type {join_type!r}; there are {', '.join(_JOINS)}")
        left, right = list(on), list(right_on or on)
        if len(left) != len(right):
            raise ValueError(f"there are {len(left)} keys on the left and {len(right)} on the right")
        how = _JOINS[join_type]
        if how in ("left_semi", "right_semi", "left_anti", "right_anti"):
            return self._next(self._ds.join(ds._ds, left_on=left, right_on=right, how=how))
        other = ds._ds.rename({theirs: ours for ours, theirs in zip(left, right, strict=True) if ours != theirs})
        both = [name for name in self._ds.columns if name in other.columns and name not in left]
        if both and (left_suffix or "") == (right_suffix or ""):
            raise ValueError(f"both sides have the column {both[0]!r}: give left_suffix or right_suffix")
        joined = self._ds.join(
            other, on=left, how=how, left_suffix=left_suffix or "", suffix=right_suffix or "", null_equals=False
        )
        return self._next(joined)

    def groupby(self, key: str | Sequence[str] | None, num_partitions: int | None = None) -> GroupedData:
        """Groups by columns, or one of all rows; ``num_partitions`` has no effect.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"k": "a"}, {"k": "a"}]).groupby("k").count().take_all()
        [{'k': 'a', 'count()': 2}]
        """
        keys = [] if key is None else [key] if isinstance(key, str) else list(key)
        return GroupedData(self, keys)
