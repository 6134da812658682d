"""What is saved of one actor: a snapshot and the records after it, written by one life at a time.

In a store these are files. ``epochs/00000003``: the third life began. ``saved/00000003-000002.snapshot``: the second
snapshot of that life, and ``….journal``: the records after it. The snapshot that comes last by name is the one that
counts.

That nothing acknowledged is lost between two lives: a life (1) creates its epoch, then (2) reads. A writer (a) has its
record on disk, then (b) looks for newer epochs, and (c) acknowledges only if there are none. So if (b) finds none, (1)
comes later, and (2) reads the record.
"""

from __future__ import annotations

import contextlib
import os
import re

from sheaf._runtime.durable import frames
from sheaf._runtime.durable.store import Store
from sheaf.exceptions import DurableError, DurableFencedError

# Lives that begin at once take their turns; a reader starts again when what it reads is replaced.
_TRIES = 32
# A life that is older than all of these is as far behind as one whose successor is there.
_EPOCHS_KEPT = 8
# A journal of states is replaced when it is so much larger than a snapshot, and no small thing.
_JOURNAL_FACTOR = 4
_JOURNAL_BYTES = 4 << 20

_SAVED = re.compile(r"\.?(\d{8})-(\d{6})\.(snapshot|journal)")
_EPOCH = re.compile(r"\.?(\d{8})")


class Log:
    """The log of one actor; ``where`` names it in errors."""

    def __init__(self, store: Store, where: str) -> None:
        self._store = store
        self._where = where
        self._epoch = 0
        self._snapshots = 0
        # Of the journal that is written.
        self._records = self._bytes = 0
        self._longest_bytes = _JOURNAL_BYTES
        self.wants_snapshot = True
        """Whether the next thing to write is a snapshot: there is none of this life, or its journal is long."""

    def take_over(self) -> None:
        """Begin a life: those before it write no more."""
        for _ in range(_TRIES):
            epochs = self._epochs()
            epoch = max(epochs, default=0) + 1
            if self._store.create(f"epochs/{epoch:08}", os.urandom(16)):
                break
        else:
            raise DurableError(f"{_TRIES} others began to use {self._where} at the same time")
        self._epoch = epoch
        old = [name for name in self._store.names("epochs") if _number(name) <= epoch - _EPOCHS_KEPT]
        self._store.delete([f"epochs/{name}" for name in old])

    def read(self) -> tuple[bytes, list[bytes]] | None:
        """The snapshot that counts and the records after it; ``None`` where nothing was saved."""
        for _ in range(_TRIES):
            found = [name for name in self._store.names("saved") if re.fullmatch(r"\d{8}-\d{6}\.snapshot", name)]
            if not found:
                return None
            name = f"saved/{max(found)}"
            data = self._store.read(name)
            if data is not None:
                snapshots = self._records_of(name, data)
                if len(snapshots) != 1:
                    raise self._damaged(name, "its checksum is wrong")
                journal = name.removesuffix("snapshot") + "journal"
                return snapshots[0], self._records_of(journal, self._store.read(journal) or b"")
        raise DurableError(f"{self._where} is written faster than it can be read: by whom?")

    def start(self, snapshot: bytes) -> None:
        """Write a snapshot, which all that was written before it is in."""
        self.wants_snapshot = True
        self._snapshots += 1
        framed = frames.framed(snapshot)
        if not self._store.create(f"saved/{self._name}.snapshot", framed):
            raise DurableError(f"{self._where}/saved/{self._name}.snapshot is there already, and not from this actor")
        self._check_newest()
        self._records, self._bytes = 0, 0
        self._longest_bytes = max(_JOURNAL_BYTES, _JOURNAL_FACTOR * len(framed))
        self.wants_snapshot = False
        # What could not be deleted, the next snapshot deletes.
        with contextlib.suppress(Exception):
            self._store.delete([f"saved/{name}" for name in self._store.names("saved") if self._is_old(name)])

    def append(self, record: bytes) -> None:
        """Write a record after the snapshot."""
        # Until it is done: nothing may come behind a record of which nobody knows whether it is there.
        self.wants_snapshot = True
        framed = frames.framed(record)
        self._store.append(f"saved/{self._name}.journal", framed)
        self._check_newest()
        self._records += 1
        self._bytes += len(framed)
        self.wants_snapshot = self._records >= self._store.longest_journal or self._bytes >= self._longest_bytes

    @property
    def _name(self) -> str:
        return f"{self._epoch:08}-{self._snapshots:06}"

    def _is_old(self, name: str) -> bool:
        found = _SAVED.match(name)
        return found is not None and (int(found[1]), int(found[2])) < (self._epoch, self._snapshots)

    def _epochs(self) -> list[int]:
        return [int(name) for name in self._store.names("epochs") if name.isdigit()]

    def _check_newest(self) -> None:
        newest = max(self._epochs(), default=0)
        if newest != self._epoch:
            what = f"life {newest} of it has begun" if newest else "it was deleted"
            raise DurableFencedError(
                f"the durable actor at {self._where} is no longer this one: this was its life {self._epoch}, and "
                f"{what}. Whether this call was saved is not known\n"
                "  help: another program has made an actor with this store, namespace and name; use one at a time"
            )

    def _records_of(self, name: str, data: bytes) -> list[bytes]:
        try:
            return frames.unframed(data)
        except frames.DamagedError as error:
            raise self._damaged(name, str(error)) from None

    def _damaged(self, name: str, why: str) -> DurableError:
        return DurableError(
            f"{self._where}/{name} cannot be read: {why}\n"
            "  help: put back a copy of it, or give up what is saved with sheaf.util.delete_durable(name)"
        )


def _number(name: str) -> int:
    found = _EPOCH.match(name)
    return int(found[1]) if found else 0
