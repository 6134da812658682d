"""One engine on one program of the runtime, in a process of its own: `runtime_child.py REQUEST RESULT`.

Both are JSON. The result has the samples of each figure, or the error.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from workloads import Settings, chosen

# What a footnote of the table can hold.
LONGEST_ERROR = 300


def perform(request: dict[str, Any]) -> dict[str, Any]:
    """Run the program and say what it found out."""
    (program,) = chosen([request["program"]])
    settings = Settings(**request["settings"])
    try:
        ray = importlib.import_module(request["engine"])
        work = getattr(importlib.import_module(f"workloads.{program.module}"), program.name)
        try:
            if not program.starts:
                ray.init(num_cpus=settings.cores)
            return {"samples": work(ray, settings)}
        finally:
            ray.shutdown()
    except Exception as error:
        # An engine that cannot run a program is a result, and the table shows it.
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST_ERROR]}


def main() -> None:
    """Answer the request that the command line names."""
    request, result = map(Path, sys.argv[1:3])
    outcome = perform(json.loads(request.read_text()))
    result.write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
