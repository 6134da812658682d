"""The first file that another interpreter runs, before Sheaf is on its path: it says what is wrong with it, or goes on.

It has to be read by any Python 3, so that one of the wrong version can say so.
"""

import json
import os
import sys


def main() -> None:
    """Be a worker with what is in the open file whose number the command line has."""
    with open(int(sys.argv[1]), encoding="utf-8") as file:
        file.seek(0)
        told = json.load(file)
    # The folder of this file has modules that are not for others.
    beside = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if folder != beside]
    try:
        there, here = tuple(told["python"]), tuple(sys.version_info[:2])
        if there != here:
            raise RuntimeError(
                f"{sys.executable} is Python {here[0]}.{here[1]}, and the driver is Python {there[0]}.{there[1]}: "
                "what is pickled there cannot be read here\n"
                f"  help: have python={there[0]}.{there[1]} in the environment"
            )
        # What Sheaf itself needs is that of the other workers; after that the environment's own packages come first.
        own = list(sys.path)
        sys.path[:0] = told["sheaf"]
        from sheaf._runtime import zygote

        sys.path[:] = dict.fromkeys([*own, *told["path"], *told["sheaf"]])
    except BaseException as error:
        os.write(told["pipe"], f"the worker cannot run with {sys.executable}: {error}".encode())
        os._exit(1)
    zygote.go_on(told)


if __name__ == "__main__":
    main()
