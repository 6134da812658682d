"""Sheaf: a distributed dataframe and dataset engine. One plan for Python, SQL and Rust.

>>> import sheaf as sf
>>> sf.range(10).limit(3).to_pydict()
{'id': [0, 1, 2]}
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from sheaf import _cpu

# Before anything compiled is loaded.
_cpu.check()

from sheaf import errors  # noqa: E402
from sheaf._sheaf import VERSION as __version__  # noqa: E402
from sheaf.errors import *  # noqa: E402, F403

if _TYPE_CHECKING:
    from sheaf import actor as actor
    from sheaf import cloudpickle as cloudpickle
    from sheaf import data as data
    from sheaf import exceptions, functions
    from sheaf import job_submission as job_submission
    from sheaf import runtime_env as runtime_env
    from sheaf import util as util
    from sheaf._functions.expressions import cls, func
    from sheaf._objects import object_
    from sheaf._runtime.api import (
        Durable,
        DynamicObjectRefGenerator,
        ObjectRef,
        ObjectRefGenerator,
        available_resources,
        cancel,
        cluster_resources,
        exit_actor,
        explain,
        get,
        get_actor,
        get_gpu_ids,
        get_runtime_context,
        init,
        is_initialized,
        kill,
        method,
        nodes,
        put,
        remote,
        request_resources,
        shutdown,
        wait,
    )
    from sheaf.aggregates import AggregateFn, AggregateFnV2, Aggregation
    from sheaf.compute import ActorPool, TaskPool
    from sheaf.dataset import DataIterator, Dataset, FeedStats, GroupedDataset, WriteReport, concat, mix
    from sheaf.expressions import Expr, SortKey, Window, col, left, lit, right, when
    from sheaf.session import Session
    from sheaf.session import default as _default

    read_parquet = _default.read_parquet
    read_csv = _default.read_csv
    read_json = _default.read_json
    read_ipc = _default.read_ipc
    read_text = _default.read_text
    read_binary_files = _default.read_binary_files
    read_numpy = _default.read_numpy
    from_arrow = _default.from_arrow
    from_arrow_refs = _default.from_arrow_refs
    from_numpy_refs = _default.from_numpy_refs
    from_pandas = _default.from_pandas
    from_pandas_refs = _default.from_pandas_refs
    from_polars = _default.from_polars
    from_items = _default.from_items
    from_pydict = _default.from_pydict
    range = _default.range
    sql = _default.sql
    register = _default.register
    register_function = _default.register_function
    deregister = _default.deregister
    table = _default.table

# Modules, and where the names are that are no methods of the default session. All are loaded when they are named: a
# worker of the runtime needs no pandas, Arrow or engine before a function of the user's does.
_MODULES = frozenset(
    {"actor", "cloudpickle", "data", "exceptions", "functions", "job_submission", "runtime_env", "util"}
)
_HOMES = {
    "sheaf.aggregates": {"AggregateFn", "AggregateFnV2", "Aggregation"},
    "sheaf._functions.expressions": {"cls", "func"},
    "sheaf._objects": {"object_"},
    "sheaf.compute": {"ActorPool", "TaskPool"},
    "sheaf.dataset": {"DataIterator", "Dataset", "FeedStats", "GroupedDataset", "WriteReport", "concat", "mix"},
    "sheaf.expressions": {"Expr", "SortKey", "Window", "col", "left", "lit", "right", "when"},
    "sheaf.session": {"Session"},
    "sheaf._runtime.api": {
        *(
            "Durable",
            "DynamicObjectRefGenerator",
            "ObjectRef",
            "ObjectRefGenerator",
            "available_resources",
            "cancel",
            "cluster_resources",
            "exit_actor",
            "explain",
            "get",
        ),
        *("get_actor", "get_gpu_ids", "get_runtime_context", "init", "is_initialized", "kill"),
        *("method", "nodes", "put", "remote", "request_resources", "shutdown", "wait"),
    },
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


# What a process may be to Ray, as Ray numbers it. Nothing here takes or tells them.
SCRIPT_MODE, WORKER_MODE, LOCAL_MODE, SPILL_WORKER_MODE, RESTORE_WORKER_MODE = 0, 1, 2, 3, 4

_AN_ID = "ids are text in hexadecimal: get_runtime_context(), nodes() and ObjectRef.hex() tell them"
_A_LIBRARY = "Ray's libraries are not there, what they stand on is: tasks, actors, objects and datasets"

# Names of Ray's that mean nothing here, and what to use instead.
_NOT_THERE = {
    **dict.fromkeys(
        "ActorClassID ActorID ClusterID FunctionID JobID NodeID ObjectID TaskID UniqueID WorkerID".split(),  # noqa: SIM905
        _AN_ID,
    ),
    **dict.fromkeys(("air", "dag", "llm", "rllib", "serve", "train", "tune", "workflow"), _A_LIBRARY),
    "Language": "there are functions and classes of Python alone",
    "ClientBuilder": "a driver runs on a machine with a node: init('sheaf://host:port')",
    "PlacementGroupID": "from sheaf.util.placement_group import PlacementGroupID",
    "autoscaler": "clusters do not grow by themselves: sheaf node --head HOST:PORT adds a node",
    "runtime_context": "sheaf.get_runtime_context() tells where the program runs",
    "show_in_dashboard": "print() appears in the driver; sheaf.util.metrics serves values to Prometheus",
    "timeline": "what ran when is not recorded; init(_metrics_export_port=0) serves counts and times to Prometheus",
    "client": "a driver runs on a machine with a node: init('sheaf://host:port')",
    "java_function": "there are functions of Python alone",
    "java_actor_class": "there are classes of Python alone",
    "cpp_function": "there are functions of Python alone",
    "LoggingConfig": "init(logging_level=..., log_to_driver=...) says what is logged",
}


def _session() -> _Any:
    return _import_module("sheaf.session")


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _import_module(f"sheaf.{name}")
    if name not in __all__:
        hint = f"\n  help: {_NOT_THERE[name]}" if name in _NOT_THERE else ""
        raise AttributeError(f"module 'sheaf' has no attribute {name!r}{hint}")
    home = _HOME_OF.get(name)
    value = globals()[name] = getattr(_import_module(home) if home else _session().default, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


def default_session() -> Session:
    """The session whose methods the module's functions are.

    >>> import sheaf as sf
    >>> sf.default_session().range(3).count()
    3
    """
    session: Session = _session().default
    return session


def set_default_session(session: Session | None) -> None:
    """Let the module's functions use this session from now on; ``None`` starts a new one with default settings.

    >>> import sheaf as sf
    >>> sf.set_default_session(sf.Session(threads=1))
    >>> sf.default_session().settings["threads"]
    '1'
    >>> sf.set_default_session(None)
    """
    _session().default.use(session)


__all__ = [
    "ActorPool",
    "AggregateFn",
    "AggregateFnV2",
    "Aggregation",
    "DataIterator",
    "Dataset",
    "Durable",
    "DynamicObjectRefGenerator",
    "Expr",
    "FeedStats",
    "GroupedDataset",
    "LOCAL_MODE",
    "ObjectRef",
    "ObjectRefGenerator",
    "RESTORE_WORKER_MODE",
    "SCRIPT_MODE",
    "SPILL_WORKER_MODE",
    "Session",
    "SortKey",
    "TaskPool",
    "WORKER_MODE",
    "Window",
    "WriteReport",
    "__version__",
    "available_resources",
    "cancel",
    "cls",
    "cluster_resources",
    "col",
    "concat",
    "default_session",
    "deregister",
    "errors",
    "exceptions",
    "exit_actor",
    "explain",
    "from_arrow",
    "from_arrow_refs",
    "from_items",
    "from_numpy_refs",
    "from_pandas",
    "from_pandas_refs",
    "from_polars",
    "from_pydict",
    "func",
    "functions",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
    "left",
    "lit",
    "method",
    "mix",
    "nodes",
    "object_",
    "put",
    "range",
    "read_binary_files",
    "read_csv",
    "read_ipc",
    "read_json",
    "read_numpy",
    "read_parquet",
    "read_text",
    "register",
    "register_function",
    "remote",
    "request_resources",
    "right",
    "set_default_session",
    "shutdown",
    "sql",
    "table",
    "wait",
    "when",
    *errors.__all__,
]
