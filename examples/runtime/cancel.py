"""Ending tasks: those that run, those that wait for a CPU, and those that others were started by."""

import time
from typing import Any

import sheaf as ray


@ray.remote
def forever() -> None:
    while True:
        time.sleep(0.01)


@ray.remote
def wait_for(refs: list[Any]) -> None:
    ray.get(refs)


@ray.remote
def started_by() -> None:
    ray.get([forever.remote(), forever.remote()])


@ray.remote(num_cpus=2)
def whole_machine() -> str:
    return "all CPUs are free"


def outcome(ref: Any) -> str:
    try:
        return str(ray.get(ref, timeout=30))
    except ray.exceptions.TaskCancelledError:
        return "cancelled"


def main() -> None:
    ray.init(num_cpus=2)
    running = [forever.remote() for _ in range(2)]
    queued = whole_machine.remote()
    waiting = wait_for.remote(running)
    time.sleep(0.5)
    ray.cancel(queued)
    print("queued:", outcome(queued))
    ray.cancel(waiting)
    print("waiting:", outcome(waiting))
    for ref in running:
        ray.cancel(ref)
    print("running:", [outcome(ref) for ref in running])

    parent = started_by.remote()
    time.sleep(0.5)
    ray.cancel(parent, recursive=True)
    print("with its children:", outcome(parent))

    # What is done stays done.
    done = whole_machine.remote()
    ray.wait([done], timeout=30)
    ray.cancel(done)
    print("done:", outcome(done))
    ray.shutdown()


if __name__ == "__main__":
    main()
