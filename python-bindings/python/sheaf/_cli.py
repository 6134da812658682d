"""The console script ``sheaf``: the command line of the binary, run inside Python."""

import signal
import sys

from sheaf._sheaf import command_line

# Commands that run Python themselves.
_RUN_PYTHON = (["head"], ["node"], ["up"], ["job", "submit"])


def _with_python(arguments: list[str]) -> list[str]:
    """The same, with this Python for what the command runs where none is named."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for words in _RUN_PYTHON:
        if own[: len(words)] == words and "--python" not in own:
            return [*words, "--python", sys.executable, *arguments[len(words) :]]
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
