"""One engine with its cluster, in a process that answers one request after another: `cluster_child.py MODULE HANDLE`.

The handle is that of a connection to the parent, over which requests and results go as `child.py` has them in files.
The cluster starts with the first request. When the connection ends, the cluster is stopped.
"""

import importlib
import signal
import sys
from multiprocessing.connection import Connection

from child import Request, attempted, close
from processes import adopt_orphans
from run import stopped


def serve(connection: Connection, name: str) -> None:
    """Answer until the parent hangs up."""
    module = importlib.import_module(name)
    try:
        while True:
            request: Request = connection.recv()
            connection.send(attempted(module, request))
    except EOFError:
        return
    finally:
        close(module)


def main() -> None:
    """Answer the parent that the command line names."""
    signal.signal(signal.SIGTERM, stopped)
    adopt_orphans()
    with Connection(int(sys.argv[2])) as connection:
        serve(connection, sys.argv[1])


if __name__ == "__main__":
    main()
