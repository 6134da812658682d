"""``init``: its arguments as users and programs for Ray give them, checked, and the session that they start."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from sheaf._access import certificates_of, file_of
from sheaf._runtime import entrypoint, environment, machine, options, process, repeated

# What Ray's init takes and what has no meaning here; any other name is refused as a slip.
_WITHOUT_MEANING = """
allow_multiple bind_to_localhost cgroup_path configure_logging dashboard_agent_listen_port driver_object_store_memory
enable_object_reconstruction enable_resource_isolation job_config lru_evict logging_config logging_format
local_mode_safe_globals object_ref_seed proxy_server_url redis_max_memory storage system_reserved_cpu
system_reserved_memory _driver_object_store_memory _enable_object_reconstruction _node_ip_address _node_name
_plasma_directory _redis_max_memory _redis_password _redis_username _tracing_startup_hook _cluster_id
""".split()  # noqa: SIM905


class Context(Mapping[str, Any]):
    """What ``init`` returns: where the runtime is. As a context manager it shuts it down at the end."""

    dashboard_url: str
    """Host and port for ``JobSubmissionClient`` and others; ``""`` where nothing is served."""

    def __init__(self, address: str | None = None) -> None:
        from sheaf._sheaf import VERSION

        place = process.place()
        self.dashboard_url = place or ""
        own = f"sheaf://{place}" if place else "local"
        self.python_version = ".".join(str(part) for part in sys.version_info[:3])
        self.sheaf_version = self.ray_version = VERSION
        self.address_info: dict[str, Any] = {
            "address": address or own,
            "node_id": process.client().node_id,
            "node_ip_address": "127.0.0.1",
            "metrics_export_port": process.metrics_port(),
            "webui_url": self.dashboard_url,
        }

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.address_info)

    def __len__(self) -> int:
        return len(self.address_info)

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    def __repr__(self) -> str:
        return f"Context(node_id={self.address_info['node_id']!r}, sheaf_version={self.sheaf_version!r})"

    def disconnect(self) -> None:
        """Shut the runtime down."""
        process.shutdown()


def init(
    address: str | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    object_store_memory: int | None = None,
    spill_dir: str | os.PathLike[str] | None = None,
    namespace: str | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    ignore_reinit_error: bool = False,
    local_mode: bool = False,
    include_dashboard: bool | None = None,
    dashboard_host: str = "127.0.0.1",
    dashboard_port: int | None = None,
    log_to_driver: bool = True,
    logging_level: int | str | None = None,
    token_file: str | os.PathLike[str] | None = None,
    tls: Sequence[str | os.PathLike[str]] | None = None,
    _memory: int | None = None,
    _metrics_export_port: int | None = None,
    _temp_dir: str | os.PathLike[str] | None = None,
    _system_config: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Context:
    """Start the runtime for tasks, actors and objects, or join that of a cluster.

    Without an address it runs inside this process, with worker processes beside it.

    The first task, actor or ``put`` starts it where ``init`` was not called. All of it is gone with this process.

    Args:
        address: ``"sheaf://host:port"``: the cluster whose head is there, through the node of it that runs on this
            machine. ``"local"``: a runtime of this process' own. ``None`` and ``"auto"``: what ``SHEAF_ADDRESS`` says,
            else ``"local"``.
        num_cpus: CPUs for tasks and actors; by default those that this process may use.
        num_gpus: GPUs; by default those of ``CUDA_VISIBLE_DEVICES``, or all.
        resources: What else there is, under names of your own.
        labels: Of the node, for strategies that choose by them.
        object_store_memory: Bytes of shared memory that objects may take; by default 30 % of the memory.
        spill_dir: The folder for objects beyond that.
        namespace: Of the names of actors; by default one that nobody else has.
        runtime_env: For all tasks and actors: ``env_vars``, ``working_dir``, ``py_modules``, ``pip``, ``conda``. See
            ``sheaf.runtime_env.RuntimeEnv``. In a job it is put over the job's own.
        ignore_reinit_error: Whether a second ``init`` returns the runtime that is there; in notebooks it does if equal.
        local_mode: Whether tasks and methods run where they are called, in this thread, so that breakpoints work. No
            process is started; resources and environments are checked and have no effect.
        include_dashboard: Whether the runtime in this process listens at a port, as that of ``sheaf head`` does: jobs
            can be submitted to it, the command line can look at it, and nodes can join it. ``Context.dashboard_url``
            tells where. Without a token or certificates it is on 127.0.0.1, and whoever has an account on this machine
            can run programs by it.
        dashboard_host: The address at which it listens.
        dashboard_port: The port; by default one that is free.
        log_to_driver: Whether what workers print appears here.
        logging_level: Of the logger ``"sheaf"``.
        token_file: The file whose first line is the secret of the cluster; by default what ``SHEAF_TOKEN_FILE`` says.
        tls: PEM files: the certificate that is shown to the cluster, its key, and the authority of the cluster's; by
            default what ``SHEAF_TLS_CERT``, ``SHEAF_TLS_KEY`` and ``SHEAF_TLS_CA`` say.
        _metrics_export_port: Of this machine alone, on which ``/metrics`` is served for Prometheus; 0 for any that is
            free, which ``address_info`` tells. By default they are not served.
        _temp_dir: A folder for files with what workers print, in ``session_latest/logs`` below it; by default there are
            none.
        _system_config: Ray's. What ``object_spilling_config`` says of a folder is as ``spill_dir``; other names have no
            meaning, and a warning tells which.

    >>> import sheaf
    >>> with sheaf.init(num_cpus=2, ignore_reinit_error=True) as context:
    ...     context.address_info["address"]
    'local'
    """
    if repeated.goes_on(locals()):
        return Context()
    joined = None if local_mode else _chosen(address)
    _check_names(kwargs)
    _set_level(logging_level)
    env = _environment(runtime_env, joins=joined is not None)
    spill_dir = spill_dir or _spill_dir(_system_config or {})
    if joined is not None:
        _check_joining((num_cpus, num_gpus, resources, labels, object_store_memory, spill_dir, _memory, _temp_dir))
        process.join_session(
            joined,
            token_file=file_of(token_file, "SHEAF_TOKEN_FILE"),
            tls=certificates_of(tls),
            shown=log_to_driver,
            namespace=namespace,
            env=env,
        )
        return Context(joined)
    if local_mode:
        return _start_inline(_resources(num_cpus, num_gpus, _memory, resources), labels, namespace, env)
    process.start_session(
        resources=_resources(num_cpus, num_gpus, _memory, resources),
        labels=labels or {},
        object_store_memory=None if object_store_memory is None else int(object_store_memory),
        spill_dir=None if spill_dir is None else os.fspath(spill_dir),
        log_dir=None if _temp_dir is None else os.fspath(_temp_dir),
        shown=log_to_driver,
        namespace=namespace,
        env=env,
        listen=_listen(dashboard_host, dashboard_port, token_file, tls) if include_dashboard else None,
    )
    _export_metrics(_metrics_export_port)
    return Context()


def _listen(
    host: str,
    port: int | None,
    token_file: str | os.PathLike[str] | None,
    tls: Sequence[str | os.PathLike[str]] | None,
) -> process.Listen:
    where = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return process.Listen(f"{where}:{port or 0}", file_of(token_file, "SHEAF_TOKEN_FILE"), certificates_of(tls))


def _environment(runtime_env: Mapping[str, Any] | None, *, joins: bool) -> str:
    """What runs as a job has the job's environment, and its own over that; others have their own."""
    return environment.normalise(runtime_env, entrypoint.environment_of_job() if joins else "")


def _spill_dir(config: Mapping[str, Any]) -> str | None:
    """The folder for spilled objects that Ray's ``_system_config`` names, if it does."""
    if others := sorted(name for name in config if name != "object_spilling_config"):
        warnings.warn(f"init: without a meaning in Sheaf: _system_config of {', '.join(others)}", stacklevel=3)
    if (text := config.get("object_spilling_config")) is None:
        return None
    try:
        told = json.loads(text) if isinstance(text, str) else text
        if told["type"] != "filesystem":
            raise ValueError(f"the type {told['type']!r} is not there")
        folder = told["params"]["directory_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"init: object_spilling_config is {text!r}, which cannot be used: {error}\n"
            '  help: {"type": "filesystem", "params": {"directory_path": "/folder"}} as JSON, or spill_dir="/folder"'
        ) from error
    # Ray spreads over several; here there is one.
    return str(folder if isinstance(folder, str) else folder[0])


def _start_inline(
    resources: Mapping[str, float], labels: Mapping[str, str] | None, namespace: str | None, env: str
) -> Context:
    from sheaf._runtime.inline.client import InlineClient

    process.start_inline(InlineClient(resources, labels or {}), namespace=namespace, env=env)
    return Context()


def _set_level(level: int | str | None) -> None:
    if level is not None:
        logging.getLogger("sheaf").setLevel(level.upper() if isinstance(level, str) else level)


def _export_metrics(port: int | None) -> None:
    if port is None:
        return
    try:
        process.export_metrics(port)
    except BaseException:
        process.shutdown()
        raise


def _chosen(address: str | None) -> str | None:
    """The address of a cluster, or ``None`` for a runtime of this process' own."""
    if address in (None, "auto"):
        return os.environ.get("SHEAF_ADDRESS")
    return None if address == "local" else address


# What of the arguments is the node's.
_OF_NODES = "num_cpus num_gpus resources labels object_store_memory spill_dir _memory _temp_dir".split()  # noqa: SIM905


def _check_joining(given: Sequence[Any]) -> None:
    if named := [name for name, value in zip(_OF_NODES, given, strict=True) if value is not None]:
        raise ValueError(
            f"init: {', '.join(named)} cannot be given for a cluster: its nodes have their own\n"
            "  help: give them to the commands sheaf head and sheaf node"
        )


def _check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in _WITHOUT_MEANING:
            raise TypeError(options.unknown("init", name, ["address", *(init.__kwdefaults__ or ())]))
    # Ray's own defaults say nothing.
    named = sorted(name for name, value in given.items() if value not in (None, False))
    if named:
        warnings.warn(f"init: without a meaning in Sheaf: {', '.join(named)}", stacklevel=3)


def _resources(
    cpus: float | None, gpus: float | None, memory: int | None, named: Mapping[str, float] | None
) -> dict[str, float]:
    options.check_resources(named)
    every = {
        "CPU": machine.cpus() if cpus is None else cpus,
        "GPU": machine.gpus() if gpus is None else gpus,
        "memory": machine.memory() if memory is None else memory,
    }
    for name, value in every.items():
        options.check_amount(name, value)
    return {name: float(value) for name, value in (every | dict(named or {})).items() if value or name == "CPU"}
