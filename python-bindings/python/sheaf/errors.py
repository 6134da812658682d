"""The errors of Sheaf: one class for each kind, each also of the Python kind that it resembles.

Every message says what happened, to what, and where it is known what to do, which is also in ``hint``.

>>> import sheaf as sf
>>> try:
...     sf.read_parquet("no/such/file.parquet")
... except FileNotFoundError as error:
...     print(type(error).__name__)
MissingFileError
"""

__all__ = [
    "CancelledError",
    "ConflictError",
    "CorruptFileError",
    "DiskFullError",
    "ExistsError",
    "FeedError",
    "InternalError",
    "InvalidInputError",
    "MemoryLimitError",
    "MissingFileError",
    "ParseError",
    "PermissionDeniedError",
    "SheafError",
    "StoreError",
    "TypeMismatchError",
    "UnknownColumnError",
    "UnsupportedError",
    "UserFunctionError",
]


class SheafError(Exception):
    """Any error of Sheaf."""

    hint: str | None = None
    """What to do about it, where that is known."""

    def __str__(self) -> str:
        # KeyError would quote the message, OSError would look for a number in it.
        return str(self.args[0]) if self.args else type(self).__name__


class MissingFileError(SheafError, FileNotFoundError):
    """A file, folder, bucket or table that does not exist."""


class ExistsError(SheafError, FileExistsError):
    """The target of a write or a ``CREATE`` exists already."""


class CorruptFileError(SheafError, OSError):
    """A file that exists but cannot be read as what it claims to be: truncated, corrupt, of another format."""


class ParseError(SheafError, ValueError):
    """Text that cannot be read: a row of a file that does not fit its schema, or SQL that is none."""


class UnknownColumnError(SheafError, KeyError):
    """A column that the input does not have."""


class TypeMismatchError(SheafError, TypeError):
    """Types or schemas that do not fit together."""


class InvalidInputError(SheafError, ValueError):
    """A plan, query or argument that cannot be right, whatever the data."""


class UserFunctionError(SheafError, RuntimeError):
    """A function of the user's raised: ``__cause__`` is its exception, with its own traceback."""


class MemoryLimitError(SheafError, MemoryError):
    """The memory limit was reached and the operator has no way to spill."""


class DiskFullError(SheafError, OSError):
    """The spill folder or the target disk is full."""


class PermissionDeniedError(SheafError, PermissionError):
    """Credentials are missing or refused."""


class StoreError(SheafError, OSError):
    """A store or file could not be read or written now; another try may work."""


class ConflictError(SheafError, OSError):
    """Another writer changed the same target first."""


class CancelledError(SheafError, RuntimeError):
    """The work was stopped before its end."""


class FeedError(SheafError, RuntimeError):
    """Trainers that are fed together cannot go on: one of them is gone, too slow, or begins elsewhere."""


class UnsupportedError(SheafError, NotImplementedError):
    """Something that exists in the plan language but that Sheaf does not do."""


class InternalError(SheafError, RuntimeError):
    """A defect in Sheaf; please report it."""


_KINDS: dict[str, type[SheafError]] = {
    "not found": MissingFileError,
    "already exists": ExistsError,
    "corrupt file": CorruptFileError,
    "parse error": ParseError,
    "unknown column": UnknownColumnError,
    "type mismatch": TypeMismatchError,
    "invalid input": InvalidInputError,
    "user function failed": UserFunctionError,
    "memory limit reached": MemoryLimitError,
    "disk full": DiskFullError,
    "permission denied": PermissionDeniedError,
    "I/O error": StoreError,
    "conflict": ConflictError,
    "cancelled": CancelledError,
    "not supported": UnsupportedError,
    "internal error": InternalError,
}


def _of_kind(kind: str, message: str, hint: str | None) -> SheafError:
    """The exception for an error of the engine; the engine calls this."""
    error = _KINDS[kind](message)
    error.hint = hint
    return error
