"""The cache of a user on one machine: packages, folders and virtual environments, each made once and whole.

An entry is ``KIND/KEY/content`` below the root, and is there when ``KIND/KEY/ready`` is. Whoever makes or removes it
locks ``KIND/KEY.lock`` for himself; whoever uses it shares that lock for as long as he lives, and the kernel gives it
back however he ends. So what is half made is never used, and what is used is never removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sheaf.exceptions import RuntimeEnvSetupError

# What a user's cache may take on a disk. It is as much as Ray allows one kind of entry.
MOST_BYTES = 10 << 30
# How long a failure that was dear to find out is told again, before another try.
FAILED_SECONDS = 60.0
# The kind of copies of folders in which a program writes. They are nobody else's: they go when they were not used for
# so long.
COPIES, _COPIES_SECONDS = "working_dir", 3_600.0
# Between two looks at a lock that somebody else has.
_PAUSE_SECONDS = 0.02

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def default_root() -> Path:
    """Where the cache of this user is: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "sheaf" / "environments"


@dataclass(frozen=True)
class _Entry:
    """The files of an entry."""

    folder: Path

    @property
    def content(self) -> Path:
        return self.folder / "content"

    @property
    def ready(self) -> Path:
        return self.folder / "ready"

    @property
    def lock(self) -> Path:
        return self.folder.with_name(self.folder.name + ".lock")

    @property
    def failed(self) -> Path:
        return self.folder.with_name(self.folder.name + ".failed")

    def remove(self) -> None:
        """Remove it, the word that it is ready first. The caller has the lock."""
        import shutil

        self.ready.unlink(missing_ok=True)
        # What cannot be removed is no entry all the same.
        shutil.rmtree(self.folder, ignore_errors=True)


class Cache:
    """The entries below a root, and the locks on those that this process uses."""

    def __init__(self, root: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self.root = default_root() if root is None else root
        self._most_bytes = most_bytes
        self._held: dict[Path, int] = {}

    @property
    def files(self) -> list[int]:
        """The files whose locks say what this process uses."""
        return list(self._held.values())

    def hold(
        self, kind: str, key: str, make: Callable[[Path], None], *, until: float, remembers_failure: bool = False
    ) -> Path:
        """The content of an entry, which stays for as long as this process lives or until ``close``.

        Args:
            kind: Of what it is.
            key: What decides its content.
            make: Makes it in a folder that is empty; called where it is not there yet, by one process at a time.
            until: When others who make it are waited for no longer, by the monotonic clock.
            remembers_failure: Whether a failure to make it is told for a while without another try.
        """
        entry = _Entry(self.root / kind / key)
        if (known := self._held.get(entry.folder)) is not None:
            if entry.ready.exists():
                return entry.content
            # Somebody has emptied the cache by hand.
            del self._held[entry.folder]
            os.close(known)
        self._make_folder(entry.folder.parent)
        while True:
            if entry.ready.exists():
                shared = _locked(entry.lock, fcntl.LOCK_SH, until)
                if entry.ready.exists():
                    # Its time says when it was used last.
                    with contextlib.suppress(OSError):
                        os.utime(entry.ready)
                    self._held[entry.folder] = shared
                    return entry.content
                os.close(shared)
            try:
                alone = _lock(entry.lock, fcntl.LOCK_EX)
            except BlockingIOError:
                # It is not waited for alone: when the entry is there, those who use it share the lock for long.
                if time.monotonic() >= until:
                    raise _too_late(entry.lock) from None
                time.sleep(_PAUSE_SECONDS)
                continue
            try:
                if not entry.ready.exists():
                    self._make(entry, make, until, remembers_failure=remembers_failure)
                    self.trim()
            finally:
                os.close(alone)

    def close(self) -> None:
        """Let others remove what this process used."""
        while self._held:
            os.close(self._held.popitem()[1])

    def drop(self, kind: str, ending: str) -> None:
        """Remove the entries of a kind whose keys end so, and that nobody uses."""
        for entry in self._entries():
            if entry.folder.parent.name == kind and entry.folder.name.endswith(ending):
                _removed(entry)

    def trim(self, most_bytes: int | None = None) -> None:
        """Remove what was used longest ago, and nobody uses, until the rest is within the bound."""
        most_bytes = self._most_bytes if most_bytes is None else most_bytes
        now, total, there = time.time(), 0, []
        for entry in self._entries():
            used, size = _told(entry)
            total += size
            if used is None and _failure(entry) is not None:
                continue
            if used is None or (entry.folder.parent.name == COPIES and now - used > _COPIES_SECONDS):
                total -= size if _removed(entry) else 0
            else:
                there.append((used, size, entry))
        for _, size, entry in sorted(there, key=lambda each: each[:2]):
            if total <= most_bytes:
                return
            total -= size if _removed(entry) else 0

    def _entries(self) -> Iterator[_Entry]:
        for kind in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            # Of what could not be made there are only the files beside its folder.
            names = (
                {name.removesuffix(".lock").removesuffix(".failed") for name in os.listdir(kind)}
                if kind.is_dir()
                else ()
            )
            yield from (_Entry(kind / name) for name in sorted(names))

    def _make_folder(self, folder: Path) -> None:
        try:
            # Others are not to put code there.
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RuntimeEnvSetupError(
                f"the cache of environments cannot be made: {error}\n"
                "  help: let XDG_CACHE_HOME name a folder that this user may write to"
            ) from error

    def _make(self, entry: _Entry, make: Callable[[Path], None], until: float, *, remembers_failure: bool) -> None:
        if remembers_failure and (why := _failure(entry)) is not None:
            raise RuntimeEnvSetupError(why)
        try:
            try:
                self._try(entry, make)
            except OSError as error:
                if not is_no_room(error):
                    raise
                # What nobody uses is worth less than what is wanted now.
                self.trim(0)
                self._try(entry, make)
        except RuntimeEnvSetupError as error:
            # One whose time was over fails for itself alone: the next one may have more.
            if remembers_failure and time.monotonic() < until:
                # Where this is not written down, the next one finds it out himself.
                with contextlib.suppress(OSError):
                    entry.failed.write_text(json.dumps({"at": time.time(), "why": str(error)}), encoding="utf-8")
            raise
        except OSError as error:
            if is_no_room(error):
                raise no_room(entry.folder, str(error)) from error
            raise
        entry.failed.unlink(missing_ok=True)

    def _try(self, entry: _Entry, make: Callable[[Path], None]) -> None:
        entry.remove()
        entry.content.mkdir(parents=True)
        try:
            make(entry.content)
            begun = entry.folder / "ready.begun"
            begun.write_text(json.dumps({"bytes": _size(entry.content)}), encoding="utf-8")
            begun.rename(entry.ready)
        except BaseException:
            entry.remove()
            raise


def is_no_room(error: BaseException) -> bool:
    """Whether a disk or a quota is full."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def no_room(path: Path, why: str) -> RuntimeEnvSetupError:
    """What to say where a disk is full."""
    try:
        place = os.statvfs(path.parent)
        free = f"{place.f_bavail * place.f_frsize:,} bytes are free"
    except OSError:
        free = "how much is free is not known"
    return RuntimeEnvSetupError(
        f"the disk has no room for {path}: {why}; {free}\n"
        "  help: make room there, or let XDG_CACHE_HOME name a folder on another disk"
    )


def check_room(path: Path, size: int) -> None:
    """Raise where a folder's disk has no room for so many bytes; it may fill up meanwhile all the same."""
    place = os.statvfs(path)
    if size > place.f_bavail * place.f_frsize:
        raise OSError(errno.ENOSPC, f"{size:,} bytes are needed", str(path))


def _told(entry: _Entry) -> tuple[float | None, int]:
    """When an entry was used last, ``None`` for one that is not whole, and how large it is."""
    try:
        return entry.ready.stat().st_mtime, int(json.loads(entry.ready.read_text(encoding="utf-8"))["bytes"])
    except (OSError, ValueError, KeyError):
        return None, 0


def _failure(entry: _Entry) -> str | None:
    """Why it could not be made a moment ago."""
    try:
        told = json.loads(entry.failed.read_text(encoding="utf-8"))
        passed = time.time() - float(told["at"])
        # A clock that was set back would let it stand for long.
        if 0 <= passed < FAILED_SECONDS:
            left = FAILED_SECONDS - passed
            return f"{told['why']}\n  (this was {passed:.0f} s ago; it is tried again in {left:.0f} s)"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _removed(entry: _Entry) -> bool:
    """Remove an entry that nobody uses or makes; whether that is so."""
    try:
        alone = _lock(entry.lock, fcntl.LOCK_EX)
    except OSError:
        return False
    try:
        entry.remove()
        entry.failed.unlink(missing_ok=True)
        # Who waits for this file sees that it is gone, and makes another one.
        entry.lock.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(alone)
    return True


def _locked(path: Path, kind: int, until: float) -> int:
    """The file of a lock, with the lock, as soon as nobody is in the way."""
    while True:
        try:
            return _lock(path, kind)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise _too_late(path) from None
        time.sleep(_PAUSE_SECONDS)


def _lock(path: Path, kind: int) -> int:
    """The same, or ``BlockingIOError`` where somebody is in the way."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            if _is_same(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _too_late(path: Path) -> RuntimeEnvSetupError:
    return RuntimeEnvSetupError(
        f"another process has {path} and did not make its environment in time\n"
        '  help: give it more with config={"setup_timeout_seconds": ...}'
    )


def _is_same(file: int, path: Path) -> bool:
    """Whether the file is still the one of this name: it may have been removed while it was waited for."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _size(folder: Path) -> int:
    """The bytes on disk that a folder takes."""
    sizes = (
        os.lstat(os.path.join(inside, name)).st_blocks * 512
        for inside, folders, files in os.walk(folder)
        for name in (*folders, *files)
    )
    return sum(sizes)
