"""The start of the runtime, and what it holds when nothing runs."""

import time
from typing import Any

from memory import own_share_bytes, shared_out_bytes
from workloads import Settings
from workloads.tasks import nothing
from workloads.windows import duration

# Services that start in the background have done so after it.
SETTLED_SECONDS = 5.0


def cold_start(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """From `init` to the first result; what `import` takes is not in it."""

    def work() -> None:
        ray.init(num_cpus=settings.cores)
        ray.get(ray.remote(nothing).remote())

    return {"time": [duration(work)]}


def idle(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """What the processes of the runtime hold, and what the driver holds. Without CPUs no worker is started.

    Sheaf's head and node are in the driver: what it grows by `init` counts as the runtime's. Ray's are processes of
    their own: what its driver grows by does not count.
    """
    before = own_share_bytes()
    ray.init(num_cpus=0)
    time.sleep(SETTLED_SECONDS)
    driver, together = own_share_bytes(), shared_out_bytes()
    runtime = together - (before if ray.__name__ == "sheaf" else driver)
    return {"runtime": [runtime / 1e6], "driver": [driver / 1e6]}
