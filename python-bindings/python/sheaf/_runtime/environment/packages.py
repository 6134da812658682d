"""Packages: folders, modules and archives of the driver as one file each, named by what is in it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from sheaf._runtime.environment import cache, patterns
from sheaf.exceptions import RuntimeEnvSetupError

if TYPE_CHECKING:
    import io
    import zipfile

# As Ray: what is larger belongs into a store or an image. The head keeps the packages of a cluster.
MOST_BYTES = 500 << 20
# How many files an error names.
_NAMED = 5

_SCHEME = "package://"
_PART_BYTES = 1 << 20
# Of each file in a package, so that the same files are the same package.
_DATE = (1980, 1, 1, 0, 0, 0)
# Nearly as small as the default, in a third of the time.
_LEVEL = 1


@dataclass(frozen=True)
class Package:
    """A package as the text of an environment names it: ``package://SHA256/NAME.zip``."""

    sha256: str
    name: str
    """Of the file: for people, and for pip, which reads the name of a wheel."""
    copy: str = ""
    """Whose copy of it this is; empty where nobody writes to it and one will do for all."""

    def __str__(self) -> str:
        return f"{_SCHEME}{self.sha256}/{self.name}" + (f"?copy={self.copy}" if self.copy else "")

    @property
    def is_wheel(self) -> bool:
        """Whether pip is to install it."""
        return self.name.endswith(".whl")


def is_package(text: str) -> bool:
    """Whether a path is a package already, as in an environment that a task was told."""
    return text.startswith(_SCHEME)


def read(text: str) -> Package:
    """The package of this name.

    >>> from sheaf._runtime.environment import packages
    >>> packages.read("package://" + 64 * "0" + "/project.zip").name
    'project.zip'
    """
    found = re.fullmatch(_SCHEME + r"([0-9a-f]{64})/([\w.+-]+)(?:\?copy=(\w+))?", text, re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} names no package: {_SCHEME}SHA256/NAME.zip does")
    return Package(found[1], found[2], found[3] or "")


def name_of(path: Path) -> str:
    """How a package of this folder or file is called."""
    return (re.sub(r"[^\w.-]", "_", path.name, flags=re.ASCII) or "package") + ".zip"


@dataclass(frozen=True)
class File:
    """A file that goes into a package."""

    inside: str
    path: Path
    size: int
    changed: int
    is_program: bool


def files_of(top: Path, excludes: Sequence[str] = (), inside: str = "") -> list[File]:
    """The files of a folder in the order of their names, without what is left out; a single file is itself.

    Links are followed, as far as they do not lead into a folder that they are in. Sockets, pipes, devices, and links
    to nothing stay out.
    """
    if top.is_file():
        return [_file(top, inside + top.name, top.stat())]
    own = patterns.read(excludes)
    always = patterns.read(patterns.ALWAYS)
    return list(_walk(top, "", inside, (always, [], own), ()))


def _walk(
    folder: Path,
    below: str,
    inside: str,
    rules: tuple[list[patterns.Pattern], list[patterns.Pattern], list[patterns.Pattern]],
    above: tuple[tuple[int, int], ...],
) -> Iterator[File]:
    always, of_files, own = rules
    here = folder.stat()
    if (here.st_dev, here.st_ino) in above:
        return
    above = (*above, (here.st_dev, here.st_ino))
    of_files = of_files + patterns.of_folder(folder, below)
    for name in sorted(os.listdir(folder)):
        path, relative = folder / name, f"{below}/{name}" if below else name
        try:
            told = path.stat()
        except FileNotFoundError:
            continue
        is_folder = stat.S_ISDIR(told.st_mode)
        # What the program asks for counts most.
        if patterns.leaves_out((*always, *of_files, *own), relative, is_folder=is_folder):
            continue
        if is_folder:
            yield from _walk(path, relative, inside, (always, of_files, own), above)
        elif stat.S_ISREG(told.st_mode):
            yield _file(path, inside + relative, told)


def _file(path: Path, inside: str, told: os.stat_result) -> File:
    return File(inside, path, told.st_size, told.st_mtime_ns, bool(told.st_mode & stat.S_IXUSR))


def write(files: Sequence[File], target: IO[bytes], what: str) -> str:
    """Write these files as a zip archive that is the same for the same contents, and return its hash."""
    import zipfile

    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for file in files:
            told = zipfile.ZipInfo(file.inside, _DATE)
            told.compress_type = zipfile.ZIP_DEFLATED
            told.external_attr = (stat.S_IFREG | (0o755 if file.is_program else 0o644)) << 16
            try:
                with file.path.open("rb") as source, archive.open(told, "w", force_zip64=True) as entry:
                    while part := source.read(_PART_BYTES):
                        entry.write(part)
                        if target.tell() > MOST_BYTES:
                            raise too_large(what, files)
            except FileNotFoundError:
                # It was there a moment ago; a folder that is worked in loses files.
                continue
    return hash_of(target)


def hash_of(file: IO[bytes]) -> str:
    """The hash of a file from its beginning, to which it is set back."""
    file.seek(0)
    found = hashlib.file_digest(cast("io.BufferedReader", file), "sha256").hexdigest()
    file.seek(0)
    return found


def too_large(what: str, files: Sequence[File]) -> ValueError:
    """What to say of a package that would be over the limit."""
    largest = sorted(files, key=lambda file: (-file.size, file.inside))[:_NAMED]
    named = "".join(f"\n    {file.size:>15,} bytes  {file.inside}" for file in largest)
    return ValueError(
        f"runtime_env: {what} is a package of more than {MOST_BYTES:,} bytes; its largest files are{named}\n"
        "  help: leave out what workers do not need with excludes or .gitignore, and put data where all nodes read it"
    )


def unpack(archive: Path, folder: Path, until: float) -> None:
    """Write the files of an archive into a folder. Raises ``RuntimeEnvSetupError`` for what is no such archive."""
    import zipfile

    try:
        with zipfile.ZipFile(archive) as opened:
            every = opened.infolist()
            cache.check_room(folder, sum(each.file_size for each in every))
            for each in every:
                _unpack_file(opened, each, folder)
                if time.monotonic() > until:
                    raise RuntimeEnvSetupError(f"{archive} could not be unpacked in time into {folder}")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, RuntimeEnvSetupError):
            raise
        raise RuntimeEnvSetupError(f"{archive} cannot be unpacked: {error}") from error


def _unpack_file(archive: zipfile.ZipFile, file: zipfile.ZipInfo, folder: Path) -> None:
    # It leads nowhere else: what points up or away from the folder is cut off its name.
    path = Path(archive.extract(file, folder))
    if (file.external_attr >> 16) & stat.S_IXUSR and path.is_file():
        path.chmod(0o755)
