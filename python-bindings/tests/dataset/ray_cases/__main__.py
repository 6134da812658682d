"""Writes down what Ray Data gives, or tells where Sheaf differs: `python -m tests.dataset.ray_cases ray|sheaf`."""

import importlib
import inspect
import json
import sys
from typing import Any

from . import CASES, EXPECTED, outcome, table


def arguments(data: Any) -> dict[str, list[str]]:
    """The arguments of the functions of the module, and of the methods of its classes, by name."""
    classes = {
        "Dataset": data.Dataset,
        "DataIterator": data.DataIterator,
        "GroupedData": type(table(data).groupby("k")),
    }
    called = {name: getattr(data, name) for name in dir(data) if name.startswith(("range", "from_", "read_"))}
    for kind, of in classes.items():
        called |= {f"{kind}.{name}": member for name, member in inspect.getmembers(of, inspect.isfunction)}
    for name in dir(data.aggregate):
        of = getattr(data.aggregate, name)
        if isinstance(of, type) and of.__module__ == data.aggregate.__name__:
            called[f"aggregate.{name}"] = of
    return {
        name: [each.name for each in inspect.signature(of).parameters.values() if each.kind is not each.VAR_KEYWORD]
        for name, of in called.items()
        if callable(of) and not name.split(".")[-1].startswith("_")
    }


def write(told: dict[str, Any]) -> None:
    """A line for each call."""
    parts = []
    for part in ("cases", "arguments"):
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(told[part].items())]
        parts.append(f'"{part}": {{\n' + ",\n".join(lines) + "\n}")
    EXPECTED.write_text(f'{{"ray": {json.dumps(told["ray"])},\n' + ",\n".join(parts) + "\n}\n")


def main() -> None:
    module = sys.argv[1]
    if module == "ray":
        import ray
        from ray import cloudpickle

        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        # Ray's workers cannot import the tests.
        cloudpickle.register_pickle_by_value(sys.modules[__package__])
        found = {name: outcome(of, ray.data) for name, of in CASES.items()}
        told = {"ray": ray.__version__, "cases": found, "arguments": arguments(ray.data)}
        write(told)
    else:
        data = importlib.import_module("sheaf.data")
        expected = json.loads(EXPECTED.read_text())["cases"]
        for name, of in CASES.items():
            made = outcome(of, data)
            if made != expected[name]:
                print(f"{name}\n  ray:   {expected[name]}\n  sheaf: {made}")


if __name__ == "__main__":
    main()
