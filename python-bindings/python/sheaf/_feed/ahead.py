"""Work done ahead of its reader by a thread, a bounded number of items."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

# How long a wait may be deaf to the end of the other side.
SLICE_S = 0.1


def ahead(items: Iterator[Any], depth: int) -> Iterator[Any]:
    """The same items, made by a thread up to ``depth`` ahead; what it raises is raised here, after what came before."""
    made: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
    stopped = threading.Event()

    def work() -> None:
        end: tuple[bool, Any] = (True, None)
        try:
            for item in items:
                if not _put(made, (False, item), stopped.is_set):
                    return
        except BaseException as error:
            end = (True, error)
        _put(made, end, stopped.is_set)

    thread = threading.Thread(target=work, name="sheaf-feed", daemon=True)
    thread.start()
    try:
        while True:
            ended, item = made.get()
            if not ended:
                yield item
            elif item is not None:
                raise item
            else:
                return
    finally:
        stopped.set()


def _put(made: queue.Queue[Any], item: Any, stopped: Callable[[], bool]) -> bool:
    """Whether there was room for the item before the reader went."""
    while not stopped():
        try:
            made.put(item, timeout=SLICE_S)
        except queue.Full:
            continue
        return True
    return False
