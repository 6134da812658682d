"""The process of one node: the command line, which the kernel ends when the process that keeps it is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

from sheaf import _cli

_PR_SET_PDEATHSIG = 1


def main() -> NoReturn:
    """Run a command of ``sheaf``; the first arguments are the keeper's process and the file with the token."""
    keeper, token = int(sys.argv[1]), int(sys.argv[2])
    # The file is read by its path below this process; what this one starts need not inherit it.
    os.set_inheritable(token, False)
    # It comes when the thread ends that started this process, and that waits for its end.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        sys.exit("sheaf: who started this is gone")
    sys.argv = ["sheaf", *sys.argv[3:], "--token-file", f"/proc/{os.getpid()}/fd/{token}"]
    sys.exit(_cli.main())
