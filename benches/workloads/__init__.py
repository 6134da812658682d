"""What `runtime.py` measures: small programs that are the same for Sheaf and for Ray, and the figures that they give.

A program takes the engine's module under the name `ray` and returns five samples of each of its figures. The modules of
this package have one function for each program.
"""

from dataclasses import dataclass

# What the issue of the runtime asks for, as Sheaf's figure over Ray's: messages, bandwidth, memory at rest.
MESSAGES = 3.0
BANDWIDTH = 1.0
AT_REST = 1 / 20


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    key: str
    title: str
    unit: str
    goal: float | None = None
    higher: bool = True


@dataclass(frozen=True)
class Program:
    """A function of a module of this package, and what it finds out."""

    name: str
    module: str
    figures: tuple[Figure, ...]
    # Whether it starts the runtime itself; each sample then has a process of its own.
    starts: bool = False
    # Whether it has a number of tasks to queue, and is tried with fewer where that takes too long.
    queues: bool = False


@dataclass(frozen=True)
class Settings:
    """What the command line says to a program."""

    seconds: float
    cores: int
    tasks: int


def steady(name: str, module: str, title: str, unit: str = "1/s", goal: float = MESSAGES) -> Program:
    """A program that does the same for some seconds and has one figure: how much of it there is in a second."""
    return Program(name, module, (Figure("rate", title, unit, goal),))


def timed(name: str, module: str, title: str, *, goal: float | None = None, starts: bool = False) -> Program:
    """A program that does a given piece of work and has one figure: how long it takes."""
    return Program(name, module, (Figure("time", title, "s", goal, higher=False),), starts=starts)


PROGRAMS = (
    steady("tasks_sync", "tasks", "tasks, one client, one after the other"),
    steady("tasks_async", "tasks", "tasks, one client, 1,000 at a time"),
    steady("tasks_clients", "tasks", "tasks, four clients, 1,000 at a time each"),
    steady("calls_sync", "actors", "actor calls, 1:1, one after the other"),
    steady("calls_async", "actors", "actor calls, 1:1, 1,000 at a time"),
    steady("calls_many_small", "actors", "actor calls, 4:4, argument of 100 bytes"),
    steady("calls_many_large", "actors", "actor calls, 4:4, argument of 1 MB", "GB/s", BANDWIDTH),
    steady("put_1kb", "objects", "`put` of 1 KB"),
    steady("put_1mb", "objects", "`put` of 1 MB", "GB/s", BANDWIDTH),
    steady("put_1gb", "objects", "`put` of 1 GB", "GB/s", BANDWIDTH),
    steady("get_1kb", "objects", "`get` of 1 KB"),
    steady("get_1mb", "objects", "`get` of 1 MB, and read it", "GB/s", BANDWIDTH),
    steady("get_1gb", "objects", "`get` of 1 GB, and read it", "GB/s", BANDWIDTH),
    timed("many_arguments", "tasks", "a task with 10,000 references as arguments", goal=1 / MESSAGES),
    timed("many_objects", "objects", "`get` of 10,000 small objects", goal=1 / MESSAGES),
    Program(
        "queued",
        "tasks",
        (
            Figure("time", "1,000,000 queued tasks: until the last has ended", "s", higher=False),
            Figure("memory", "1,000,000 queued tasks: memory while they wait", "MB", higher=False),
        ),
        queues=True,
    ),
    timed("cold_start", "starts", "`init` until the first result of a task", starts=True),
    timed("actors_100", "actors", "100 actors until each has answered"),
    Program(
        "transfer_1gb",
        "nodes",
        (Figure("rate", "1 GB moved between two nodes on loopback", "GB/s", BANDWIDTH),),
        starts=True,
    ),
    Program(
        "idle",
        "starts",
        (
            Figure("runtime", "the runtime at rest, without workers", "MB", AT_REST, higher=False),
            Figure("driver", "the driver at rest", "MB", higher=False),
        ),
        starts=True,
    ),
)


def chosen(names: list[str]) -> list[Program]:
    """The programs of these names, or all."""
    if unknown := set(names) - {program.name for program in PROGRAMS}:
        known = ", ".join(program.name for program in PROGRAMS)
        raise ValueError(f"no row named {', '.join(sorted(unknown))}; there are {known}")
    return [program for program in PROGRAMS if not names or program.name in names]
