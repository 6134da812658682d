"""What of a folder stays out of its package: patterns as ``.gitignore`` has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# As Ray: read in each folder, and hold below it.
FILES = (".gitignore", ".rayignore")

# As Ray: what is large, and made anew wherever it is wanted. A pattern such as ``!venv/`` lets it in again.
ALWAYS = (".git/", ".venv/", "venv/", "__pycache__/")


@dataclass(frozen=True)
class Pattern:
    """One line: what it matches, below which folder."""

    below: str
    """The folder whose file it is from, relative to the top; empty for the top."""
    expression: re.Pattern[str]
    includes: bool
    """It lets in again what one before it left out."""
    is_of_folders: bool

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Whether it is about this path, which is relative to the top."""
        if self.is_of_folders and not is_folder:
            return False
        if self.below:
            if not path.startswith(self.below + "/"):
                return False
            path = path[len(self.below) + 1 :]
        return self.expression.fullmatch(path) is not None


def read(lines: Iterable[str], below: str = "") -> list[Pattern]:
    """The patterns of these lines.

    >>> from sheaf._runtime.environment import patterns
    >>> [made] = patterns.read(["# what is built", "build/"])
    >>> made.matches("src/build", is_folder=True), made.matches("build", is_folder=False)
    (True, False)
    """
    return [pattern for line in lines if (pattern := _pattern(line, below)) is not None]


def of_folder(folder: Path, below: str) -> list[Pattern]:
    """The patterns of the files that a folder has for it."""
    found: list[Pattern] = []
    for name in FILES:
        try:
            found += read((folder / name).read_text(encoding="utf-8", errors="replace").splitlines(), below)
        except (FileNotFoundError, IsADirectoryError):
            continue
    return found


def leaves_out(found: Iterable[Pattern], path: str, *, is_folder: bool) -> bool:
    """Whether the patterns leave a path out: the last one about it decides."""
    last = None
    for pattern in found:
        if pattern.matches(path, is_folder=is_folder):
            last = pattern
    return last is not None and not last.includes


def _pattern(line: str, below: str) -> Pattern | None:
    text = line.rstrip("\r\n")
    # Blanks at the end do not count, unless they are quoted.
    text = re.sub(r"(?<!\\)\s+$", "", text)
    if not text or text.startswith("#"):
        return None
    includes = text.startswith("!")
    text = text[1:] if includes else text
    is_of_folders = text.endswith("/")
    text = text.rstrip("/")
    # One with a slash at its beginning or in its middle is about that place, any other about each folder below.
    is_anchored = "/" in text
    text = text.lstrip("/")
    if not text:
        return None
    expression = _expression(text) if is_anchored else "(?:.*/)?" + _expression(text)
    return Pattern(below, re.compile(expression, re.DOTALL), includes, is_of_folders)


def _expression(text: str) -> str:
    parts = text.split("/")
    out = ""
    for at, part in enumerate(parts):
        is_last = at == len(parts) - 1
        if part == "**":
            # Any folders at the beginning and in the middle, all that is inside at the end.
            out += ".+" if is_last else "(?:.*/)?"
        else:
            out += _of_name(part) + ("" if is_last else "/")
    return out


def _of_name(part: str) -> str:
    out, at = "", 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "\\" and at < len(part):
            out += re.escape(part[at])
            at += 1
        elif char == "[" and (end := part.find("]", at + 1 + (part[at : at + 1] in ("!", "^")))) > 0:
            inside = part[at:end].replace("\\", "\\\\")
            inside = "^" + inside[1:] if inside[:1] in ("!", "^") else inside
            out += f"(?!/)[{inside}]"
            at = end + 1
        else:
            out += re.escape(char)
    return out
