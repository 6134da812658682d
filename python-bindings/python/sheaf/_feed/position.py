"""``Position``: where in an epoch a trainer is, and how positions that were saved by several become one beginning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sheaf import _sheaf
from sheaf.errors import FeedError, InvalidInputError

VERSION = 1

Ranges = tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Position:
    """Where a trainer is.

    An epoch's order is that of ``seed + epoch``. Of it the rows in ``done`` were read before these trainers began; the
    others are dealt to them, and this one has taken ``taken`` of its share.
    """

    plan: str
    seed: int
    shuffle_rows: int | None
    # What the plan is made for: an order that nobody said (groups, joins) depends on it. None is the session's threads.
    partitions: int | None = None
    epoch: int = 0
    done: Ranges = ()
    trainers: int = 1
    trainer: int = 0
    block: int = 1
    equal: bool = False
    taken: int = 0
    # Rows that are dealt, once they are known: when the last are.
    total: int | None = None
    ended: bool = False

    @property
    def fresh(self) -> bool:
        """Whether the epoch has yet to begin."""
        return not (self.ended or self.done or self.taken)

    @property
    def deal(self) -> _sheaf.Deal:
        """Who gets which rows."""
        return _sheaf.Deal(self.trainers, self.block, self.equal)

    @property
    def shuffle(self) -> tuple[int, int, int] | None:
        """The order of the epoch, as the engine takes it."""
        return None if self.shuffle_rows is None else (self.seed, self.epoch, self.shuffle_rows)

    def after(self, rows: int) -> Position:
        """This position, some rows later."""
        return dataclasses.replace(self, taken=self.taken + rows)

    def at_epoch(self, epoch: int) -> Position:
        """The begin of an epoch."""
        return dataclasses.replace(self, epoch=epoch, done=(), taken=0, total=None, ended=False)

    def state(self) -> dict[str, Any]:
        """The position as plain values, to be saved with a model."""
        return {"version": VERSION, **dataclasses.asdict(self), "done": [list(rows) for rows in self.done]}


def position(state: Mapping[str, Any]) -> Position:
    """The position that ``state()`` gave."""
    try:
        values = dict(state)
        if values.pop("version") != VERSION:
            raise unfit(
                f"is of version {state['version']!r}", f"this version of Sheaf reads states of version {VERSION}"
            )
        values["done"] = tuple((int(first), int(end)) for first, end in values["done"])
        return Position(**values)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise unfit(f"cannot be read: {error!r}", "pass what state_dict() gave") from error


def unfit(what: str, hint: str) -> InvalidInputError:
    """The error for a state that does not fit."""
    error = InvalidInputError(f"the state {what}\n  help: {hint}")
    error.hint = hint
    return error


def resumed(own: Position, states: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Position:
    """Where a trainer goes on: at its own state, or at what all trainers that were saved have left.

    Whoever deals as those did goes on dealing as they did. Else the rows that none of them has taken are dealt anew, in
    the order that they have in the epoch.
    """
    saved = [position(state) for state in ([states] if isinstance(states, Mapping) else states)]
    if not saved:
        raise unfit("is empty", "pass what state_dict() gave, of each trainer")
    for one in saved:
        check(own, one)
    alike = all((one.trainers, one.block, one.equal) == (own.trainers, own.block, own.equal) for one in saved)
    mine = [one for one in saved if one.trainer == own.trainer]
    if alike and mine and len({one.trainer for one in saved}) == len(saved):
        return _behind(mine[0], saved)
    return _dealt_anew(own, saved)


def check(own: Position, saved: Position) -> None:
    """Fails for a position in another order of rows than this one's."""
    if saved.plan != own.plan:
        raise unfit(
            f"belongs to another plan ({saved.plan}, and not {own.plan})",
            "load it into an iterator of the dataset that it was saved for: the same verbs over the same sources",
        )
    if saved.shuffle_rows != own.shuffle_rows:
        raise unfit(
            f"was saved with local_shuffle_buffer_size={saved.shuffle_rows}, and not {own.shuffle_rows}",
            "the order of rows depends on it: give the same",
        )


def _behind(mine: Position, saved: Sequence[Position]) -> Position:
    """A trainer's own position; one that has ended waits for the epoch that the others have yet to end."""
    if mine.ended and all(one.ended for one in saved):
        return mine.at_epoch(mine.epoch + 1)
    return mine


def _dealt_anew(own: Position, saved: Sequence[Position]) -> Position:
    first = saved[0]
    same = {(one.seed, one.partitions, one.done, one.trainers, one.block, one.equal) for one in saved}
    if len(same) > 1 or len({one.epoch for one in saved}) > 1:
        raise unfit("is of trainers that were not fed together", "pass the states that the trainers of one run saved")
    if len({one.trainer for one in saved}) != len(saved) or len(saved) != first.trainers:
        raise unfit(
            f"is that of {len(saved)} of {first.trainers} trainers",
            "pass a list with the state of every trainer: what they have taken together decides what is left",
        )
    anew = dataclasses.replace(own, seed=first.seed, epoch=first.epoch, partitions=first.partitions)
    if all(one.ended for one in saved):
        return anew.at_epoch(first.epoch + 1)
    taken = [one.taken for one in sorted(saved, key=lambda one: one.trainer)]
    total = next((one.total for one in saved if one.total is not None), None)
    return dataclasses.replace(anew, done=tuple(first.deal.done(first.done, taken, total)))


def together(members: Sequence[Position]) -> list[Position]:
    """Where trainers begin that are fed together: all at the begin of the same epoch, or in the middle of one."""
    starts = [one.at_epoch(one.epoch + 1) if one.ended else one for one in members]
    if not all(one.fresh for one in starts):
        # Who has ended the epoch that others are in has nothing left of it.
        starts = [dataclasses.replace(one, ended=False) for one in members]
    alike = {
        (one.plan, one.seed, one.shuffle_rows, one.partitions, one.epoch, one.done, one.block, one.equal)
        for one in starts
    }
    if len(alike) > 1:
        where = ", ".join(f"trainer {one.trainer} at epoch {one.epoch}, seed {one.seed}" for one in starts)
        raise FeedError(
            f"the trainers begin at different places: {where}\n"
            "  help: load the states that were saved together, each into its trainer, or none"
        )
    return starts
