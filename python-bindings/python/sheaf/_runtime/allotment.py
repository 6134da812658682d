"""What a call may use of the machine, told to libraries in the environment variables that they read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from sheaf._runtime.context import Terms

_GPUS = "CUDA_VISIBLE_DEVICES"
_THREADS = "OMP_NUM_THREADS"


class Allotment:
    """The variables of this process, before its first call as they were inherited."""

    def __init__(self) -> None:
        # The node counts the GPUs that its own process sees.
        self._devices = [each.strip() for each in os.environ.get(_GPUS, "").split(",") if each.strip()]
        self._shown: list[int] | None = None

    def show(self, gpu_ids: Sequence[int], terms: Terms) -> None:
        """Let libraries that are loaded from now on see these GPUs, and as many threads as the call has CPUs."""
        if self._shown is None:
            # As Ray; a library reads it once, so that the first call says it for all.
            os.environ.setdefault(_THREADS, str(max(1, int(terms.resources.get("CPU", 1)))))
        if list(gpu_ids) == self._shown:
            return
        self._shown = list(gpu_ids)
        if _GPUS in json.loads(terms.env or "{}").get("env_vars", {}):
            return
        os.environ[_GPUS] = ",".join(self._device(each) for each in gpu_ids)

    def _device(self, gpu_id: int) -> str:
        return self._devices[gpu_id] if gpu_id < len(self._devices) else str(gpu_id)
