"""The console script ``sheaf``: the command line of the binary, run inside Python."""

import signal
import sys

from sheaf._sheaf import command_line

_STARTS_WORKERS = ("head", "node")


def _with_python(arguments: list[str]) -> list[str]:
    """The same, with this Python for workers where none is named."""
    if arguments[:1] and arguments[0] in _STARTS_WORKERS and "--python" not in arguments:
        return [arguments[0], "--python", sys.executable, *arguments[1:]]
    return arguments


def main() -> int:
    """Run the command line with this process's arguments and return its exit code.

    >>> import sys
    >>> from sheaf._cli import main
    >>> arguments, sys.argv = sys.argv, ["sheaf", "--no-such-option"]
    >>> main()
    2
    >>> sys.argv = arguments
    """
    # Python would only note an interrupt and wait for the command's end; the command line answers it itself.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return command_line(["sheaf", *_with_python(sys.argv[1:])])
    finally:
        signal.signal(signal.SIGINT, handler)
