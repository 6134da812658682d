"""The answers of the calls that were saved last: a call that comes again is given its answer, and not run again."""

from __future__ import annotations

from typing import Any

from sheaf.exceptions import DurableError

Answer = tuple[str, Any]
"""``("value", …)``: the results as ``RuntimeClient.finish`` takes them; ``("error", …)``: as ``fail`` does."""

# At most so many calls are with a process at once, many times over; and the answers of them, where they are no larger.
_KEPT = 1024
_KEPT_BYTES = 4 << 20
# Of so many callers is known up to which call they have been forgotten.
_CALLERS = 4096

# An id: 8 bytes for the node of the caller, 3 for the caller, and 5 for the number of the call, which grows.
_CALLER_BYTES = 11


class Answers:
    """By the id of the call, which all its attempts have in common."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Answer | None] = {}
        self._bytes = 0
        self._forgotten: dict[bytes, bytes] = {}

    def __contains__(self, task: bytes) -> bool:
        return task in self._kept

    def find(self, task: bytes, name: str) -> Answer | None:
        """The answer of a call that was saved; ``None`` for one that was not. Raises where it cannot be given."""
        if task in self._kept:
            answer = self._kept[task]
            if answer is None:
                raise DurableError(
                    f"{name} was run and is saved, and its process died before the answer was heard; "
                    "it was too large to be kept, has references in it, or came as a stream"
                )
            return answer
        if self._forgotten.get(task[:_CALLER_BYTES], b"") >= task:
            raise DurableError(
                f"{name} is tried again so late that nobody knows whether it was saved: it was not run again\n"
                "  help: ask the actor what became of it"
            )
        return None

    def add(self, task: bytes, answer: Answer | None) -> None:
        """Keep the answer of a call; ``None`` where it cannot be kept."""
        size = _size(answer)
        if size > _KEPT_BYTES:
            answer, size = None, 0
        self._kept[task] = answer
        self._bytes += size
        if self._bytes > _KEPT_BYTES:
            self._drop_answers()
        if len(self._kept) > _KEPT:
            oldest = next(iter(self._kept))
            self._bytes -= _size(self._kept.pop(oldest))
            self._forget(oldest)

    def dump(self) -> Any:
        """All of it, as what ``load`` takes."""
        return self._kept, self._forgotten

    @classmethod
    def load(cls, dumped: Any) -> Answers:
        """What ``dump`` gave."""
        same = cls()
        same._kept, same._forgotten = (dict(each) for each in dumped)
        same._bytes = sum(map(_size, same._kept.values()))
        return same

    def _drop_answers(self) -> None:
        for task, answer in self._kept.items():
            if self._bytes <= _KEPT_BYTES:
                return
            self._bytes -= _size(answer)
            self._kept[task] = None

    def _forget(self, task: bytes) -> None:
        caller = task[:_CALLER_BYTES]
        self._forgotten[caller] = max(self._forgotten.pop(caller, b""), task)
        if len(self._forgotten) > _CALLERS:
            del self._forgotten[next(iter(self._forgotten))]


def _size(answer: Answer | None) -> int:
    if answer is None:
        return 0
    kind, body = answer
    if kind == "error":
        return len(body)
    return sum(len(data) + sum(map(len, buffers)) for data, buffers in body)
