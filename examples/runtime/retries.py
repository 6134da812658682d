"""Tasks that fail: a dead worker is tried again by itself, an exception only where that is asked for."""

import os
import signal
import tempfile
from pathlib import Path

import sheaf as ray


def attempt(folder: str, name: str) -> int:
    """Which attempt this is: every one leaves a byte in the file of its name."""
    with (Path(folder) / name).open("ab") as file:
        file.write(b".")
        return file.tell()


@ray.remote
def dies_once(folder: str) -> str:
    number = attempt(folder, "dies_once")
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"attempt {number} came through"


@ray.remote(max_retries=1)
def always_dies(folder: str) -> None:
    attempt(folder, "always_dies")
    os._exit(1)


@ray.remote
def raises(folder: str) -> None:
    attempt(folder, "raises")
    raise ConnectionError("no line")


@ray.remote(max_retries=4, retry_exceptions=[ConnectionError])
def unsteady(folder: str) -> str:
    number = attempt(folder, "unsteady")
    if number < 3:
        raise ConnectionError("no line")
    return f"attempt {number} came through"


def main() -> None:
    ray.init(num_cpus=2)
    with tempfile.TemporaryDirectory() as folder:
        print("worker killed:", ray.get(dies_once.remote(folder)))
        print("exceptions that are retried:", ray.get(unsteady.remote(folder)))
        try:
            ray.get(always_dies.remote(folder))
        except ray.exceptions.WorkerCrashedError:
            print("given up after", attempt(folder, "always_dies") - 1, "attempts")
        try:
            ray.get(raises.remote(folder))
        except ConnectionError:
            print("not retried:", attempt(folder, "raises") - 1, "attempt")
    ray.shutdown()


if __name__ == "__main__":
    main()
