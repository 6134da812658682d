"""The backend that joblib asks for: it hands batches of calls to a pool of actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase

import sheaf
from sheaf._sheaf import ObjectRef
from sheaf.util.multiprocessing.pool import Pool
from sheaf.util.multiprocessing.results import AsyncResult

# Arguments from here on are stored once, however many calls have them.
_STORED_BYTES = 100 * 1024


class SheafBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of ``joblib.Parallel`` on actors.

    Args:
        ray_remote_args: Options of the actors, under Ray's name.
        given: What every backend of joblib takes.
    """

    uses_threads = False
    supports_sharedmem = False
    supports_retrieve_callback = True

    def __init__(self, *, ray_remote_args: Mapping[str, Any] | None = None, **given: Any) -> None:
        self._options = ray_remote_args
        self._pool: Pool | None = None
        self._stored: dict[int, tuple[Any, ObjectRef]] = {}
        super().__init__(**given)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many batches run at once; negative numbers count from the CPUs of the cluster."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        if not sheaf.is_initialized():
            sheaf.init()
        return max(1, int(sheaf.cluster_resources().get("CPU", 1)) + 1 + n_jobs)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> int:
        """Start the actors for a ``Parallel``."""
        count = self.effective_n_jobs(n_jobs)
        self.parallel = parallel
        self._pool = Pool(count, ray_remote_args=ray_remote_args or self._options)
        return count

    def submit(self, func: Any, callback: Callable[[Any], Any] | None = None) -> AsyncResult:
        """Hand a batch of calls to an actor; the callback takes its result, or what it raised."""
        if self._pool is None:
            raise RuntimeError("the backend has no actors: joblib calls configure() first")
        batch = _Batch([self._with_references(item) for item in func.items], func._backend, func._n_jobs)
        return self._pool.apply_async(batch, callback=callback, error_callback=callback)

    def retrieve_result_callback(self, out: Any) -> Any:
        """The results of a batch, from what its callback was given."""
        if isinstance(out, BaseException):
            raise out
        return out

    def terminate(self) -> None:
        """End the actors."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None
        self._stored.clear()
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End what runs, and start anew where more is to come."""
        self.terminate()
        if ensure_ready:
            self.configure(self.parallel.n_jobs, self.parallel, **self.parallel._backend_kwargs)

    def _with_references(self, item: Any) -> Any:
        function, args, kwargs = item
        stored = {key: self._reference(value) for key, value in kwargs.items()}
        return function, [self._reference(value) for value in args], stored

    def _reference(self, value: Any) -> Any:
        """A large argument as a reference to it; data that all calls search through is pickled once."""
        if getattr(value, "nbytes", 0) < _STORED_BYTES:
            return value
        if id(value) not in self._stored:
            self._stored[id(value)] = (value, sheaf.put(value))
        return _Stored(self._stored[id(value)][1])


class _Stored:
    """Stands for an argument in the object store; references that users pass are left alone."""

    def __init__(self, ref: ObjectRef) -> None:
        self.ref = ref


class _Batch:
    """What an actor runs: the calls of one batch, with joblib's backend for what they start themselves."""

    def __init__(self, items: list[Any], backend: Any, n_jobs: int | None) -> None:
        self.items = items
        self.backend = backend
        self.n_jobs = n_jobs

    def __call__(self) -> list[Any]:
        from joblib.parallel import parallel_config

        with parallel_config(backend=self.backend, n_jobs=self.n_jobs):
            return [
                function(*map(_value, args), **{key: _value(value) for key, value in kwargs.items()})
                for function, args, kwargs in self.items
            ]


def _value(argument: Any) -> Any:
    return sheaf.get(argument.ref) if isinstance(argument, _Stored) else argument
