"""Large arrays: written once into shared memory, and read there by every task without a copy."""

import numpy as np
import pyarrow as pa

import sheaf as ray

ROWS, PARTS = 4_000_000, 4


@ray.remote
def part_sum(values: np.ndarray, part: int) -> int:
    size = len(values) // PARTS
    return int(values[part * size : (part + 1) * size].sum())


@ray.remote
def overwrite(values: np.ndarray) -> str:
    try:
        values[0] = 1
    except ValueError as error:
        return str(error)
    return "written"


@ray.remote
def squares(values: np.ndarray) -> np.ndarray:
    """What a task makes is shared as well."""
    return values**2


@ray.remote
def large(table: pa.Table) -> pa.Table:
    return table.filter(pa.compute.greater(table["n"], ROWS - 4))


def main() -> None:
    ray.init(num_cpus=2)
    values = np.arange(ROWS)
    ref = ray.put(values)
    print("sums of parts:", ray.get([part_sum.remote(ref, part) for part in range(PARTS)]))
    print("a write:", ray.get(overwrite.remote(ref)))
    print("read-only here too:", not ray.get(ref).flags.writeable)

    # A copy is the reader's own.
    own = ray.get(ref).copy()
    own[0] = 7
    print("a copy:", own[0], "the object:", ray.get(ref)[0])
    print("of a task:", ray.get(squares.remote(ref))[-1])
    print("of Arrow:", ray.get(large.remote(ray.put(pa.table({"n": values}))))["n"].to_pylist())
    ray.shutdown()


if __name__ == "__main__":
    main()
