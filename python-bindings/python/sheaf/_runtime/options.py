"""Options of tasks, actors and methods, as Ray names them: checked by name, type and value, and as ``CallOptions``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sheaf._runtime import labels
from sheaf._runtime.durable import place
from sheaf._runtime.placement import Place, PlacementGroup

# The least part of a resource that is counted.
_LEAST = 0.0001

Check = Callable[[str, Any], None]


def check_amount(name: str, value: Any) -> None:
    """Raise unless this is an amount of a resource."""
    _check_type(name, value, int | float)
    if value < 0:
        raise ValueError(f"{name} is {value}, and cannot be negative")
    if 0 < value < _LEAST:
        raise ValueError(f"{name} is {value}; {_LEAST} is the least that is counted")


def check_resources(named: Any) -> None:
    """Raise unless these are resources under names of the user's own."""
    if named is None:
        return
    _check_type("resources", named, Mapping)
    for own, option in (("CPU", "num_cpus"), ("GPU", "num_gpus"), ("memory", "memory")):
        if own in named:
            raise ValueError(f"resources has {own!r}; give it as {option}=")
    for name, value in named.items():
        check_amount(f"resources[{name!r}]", value)


def _check_type(name: str, value: Any, kind: Any) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and not issubclass(bool, kind)):
        raise TypeError(f"{name} is {value!r}, a {type(value).__name__}, which it cannot be")


def _amount(name: str, value: Any) -> None:
    check_amount(name, value)


def _count(least: int) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}, and has to be a whole number")
        if value < least:
            endless = " (-1: without end)" if least < 0 else ""
            raise ValueError(f"{name} is {value}, and has to be {least} or more{endless}")

    return check


def _kind(*kinds: type) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{name} is {value!r}, and has to be a {wanted}")

    return check


STREAMING, DYNAMIC = "streaming", "dynamic"
"""Ray's words for the number of returns of a generator: results that come one by one, or one that has them all."""


def _num_returns(name: str, value: Any) -> None:
    if value not in (STREAMING, DYNAMIC):
        _count(0)(name, value)


def _groups(name: str, value: Any) -> None:
    _kind(Mapping)(name, value)
    for group, most in value.items():
        _kind(str)(f"a name in {name}", group)
        _count(1)(f"{name}[{group!r}]", most)


def _exceptions(name: str, value: Any) -> None:
    if isinstance(value, bool):
        return
    _kind(list, tuple)(name, value)
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in value):
        raise ValueError(f"{name} is {value!r}, and has to be a bool or a list of exception types")


def _lifetime(name: str, value: Any) -> None:
    if value not in ("detached", "non_detached"):
        raise ValueError(f'{name} is {value!r}, and has to be "detached" or "non_detached"')


def _group(name: str, value: Any) -> None:
    if value != "default" and not isinstance(value, PlacementGroup):
        raise TypeError(f"{name} is {value!r}, and has to be a placement group")


def _any(name: str, value: Any) -> None:
    pass


_COMMON: dict[str, Check] = {
    "num_cpus": _amount,
    "num_gpus": _amount,
    "memory": _amount,
    "resources": lambda _, value: check_resources(value),
    "accelerator_type": _kind(str),
    "name": _kind(str),
    "runtime_env": _kind(Mapping),
    "scheduling_strategy": _any,
    # Sheaf's own.
    "fail_if_unschedulable": _kind(bool),
    "label_selector": _kind(Mapping),
    "placement_group": _group,
    "placement_group_bundle_index": _count(-1),
    "placement_group_capture_child_tasks": _kind(bool),
    # Without a meaning here; harmless.
    "object_store_memory": _amount,
    "enable_task_events": _kind(bool),
    "fallback_strategy": _kind(list),
    "_generator_backpressure_num_objects": _count(-1),
    "_metadata": _any,
    "_labels": _any,
}
TASK = _COMMON | {
    "num_returns": _num_returns,
    "max_retries": _count(-1),
    "retry_exceptions": _exceptions,
    "max_calls": _count(0),
}
ACTOR = _COMMON | {
    "max_restarts": _count(-1),
    "max_task_retries": _count(-1),
    "max_concurrency": _count(1),
    "max_pending_calls": _count(-1),
    "concurrency_groups": _groups,
    "namespace": _kind(str),
    "lifetime": _lifetime,
    "get_if_exists": _kind(bool),
    "durable": place.check,
    # Without a meaning here; harmless.
    "allow_out_of_order_execution": _kind(bool),
    "enable_tensor_transport": _kind(bool),
}
METHOD: dict[str, Check] = {
    "num_returns": _num_returns,
    "name": _kind(str),
    "max_task_retries": _count(-1),
    "retry_exceptions": _exceptions,
    "concurrency_group": _kind(str),
    # Without a meaning here; harmless.
    "enable_task_events": _kind(bool),
    "_generator_backpressure_num_objects": _count(-1),
}
# Those that a method itself has, and not a call of it.
OWN_OF_METHOD: dict[str, Check] = METHOD | {"durable": _kind(bool)}


def check(given: Mapping[str, Any], known: Mapping[str, Check], what: str) -> None:
    """Raise for an option that is not known, or has a value that it cannot have; ``None`` is the default of each.

    >>> from sheaf._runtime import options
    >>> options.check({"num_cpu": 1}, options.TASK, "remote functions")
    Traceback (most recent call last):
    ValueError: remote functions have no option 'num_cpu'
      help: did you mean 'num_cpus'?
    """
    for name, value in given.items():
        if name not in known:
            raise ValueError(unknown(what, name, known))
        if value is not None:
            known[name](name, value)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not there."""
    listed = sorted(each for each in known if not each.startswith("_"))
    near = difflib.get_close_matches(name, listed, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(listed)}"
    verb = "has" if what == "init" else "have"
    return f"{what} {verb} no option {name!r}\n  help: {hint}"


def resources(given: Mapping[str, Any], default_cpus: float) -> dict[str, float]:
    """What the options ask for, by the names of resources."""
    cpus = given.get("num_cpus")
    asked = {
        "CPU": default_cpus if cpus is None else cpus,
        "GPU": given.get("num_gpus"),
        "memory": given.get("memory"),
        **(given.get("resources") or {}),
    }
    if accelerator := given.get("accelerator_type"):
        asked[f"accelerator_type:{accelerator}"] = _LEAST * 10
    return {name: float(value) for name, value in asked.items() if value}


def names_resources(given: Mapping[str, Any]) -> bool:
    """Whether an actor asks for anything to hold for life; memory alone, as in Ray, does not count."""
    return any(given.get(name) is not None for name in ("num_cpus", "num_gpus", "resources", "accelerator_type"))


def strategy(given: Mapping[str, Any], place: Place | None) -> tuple[Any, ...]:
    """Where to run, as ``CallOptions`` says it: in the place that was chosen, if there is one."""
    if place is not None:
        return ("GROUP", place.group.id.hex(), place.index)
    chosen = given.get("scheduling_strategy")
    if chosen is None or hasattr(chosen, "placement_group"):
        selector = given.get("label_selector")
        return ("LABELS", labels.of_selector(selector), []) if selector else ("DEFAULT",)
    if chosen in ("DEFAULT", "SPREAD"):
        return (chosen,)
    if hasattr(chosen, "node_id"):
        return ("NODE", chosen.node_id, bool(chosen.soft))
    if hasattr(chosen, "hard"):
        return ("LABELS", labels.of_operators(chosen.hard), labels.of_operators(chosen.soft))
    raise ValueError(
        f'scheduling_strategy is {chosen!r}, and has to be "DEFAULT", "SPREAD" '
        "or one of sheaf.util.scheduling_strategies"
    )
