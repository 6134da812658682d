"""What a program shows to a cluster: the files that are named, or those that variables name."""

from __future__ import annotations

import os
from collections.abc import Sequence


def file_of(path: str | os.PathLike[str] | None, variable: str) -> str | None:
    """The path of a file, by default what a variable says."""
    return os.environ.get(variable) if path is None else os.fspath(path)


def certificates_of(files: Sequence[str | os.PathLike[str]] | None) -> tuple[str, str, str] | None:
    """The files of a certificate, its key and the authority of others, by default what variables say."""
    named = [os.environ.get(f"SHEAF_TLS_{part}") for part in ("CERT", "KEY", "CA")]
    found = [text for text in named if text is not None] if files is None else [os.fspath(file) for file in files]
    if not found:
        return None
    if len(found) != len(named):
        raise ValueError(
            f"{len(found)} of {len(named)} files for certificates are given\n"
            "  help: tls=(certificate, key, authority), or SHEAF_TLS_CERT, SHEAF_TLS_KEY and SHEAF_TLS_CA"
        )
    return found[0], found[1], found[2]
