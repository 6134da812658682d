"""Pi by random points: results are taken as they come, and a task is started for each until there are enough."""

import random

import sheaf as ray

SAMPLES, TASKS, AT_ONCE = 20_000, 16, 4


@ray.remote
def hits(seed: int) -> int:
    """How many of the points of this seed lie in the circle."""
    points = random.Random(seed)
    return sum(points.random() ** 2 + points.random() ** 2 <= 1 for _ in range(SAMPLES))


def main() -> None:
    ray.init(num_cpus=2)
    seeds = iter(range(TASKS))
    waiting = [hits.remote(next(seeds)) for _ in range(AT_ONCE)]
    inside = done = 0
    while waiting:
        ready, waiting = ray.wait(waiting, num_returns=1, timeout=30)
        for ref in ready:
            inside += ray.get(ref)
            done += 1
        waiting += [hits.remote(seed) for _, seed in zip(ready, seeds, strict=False)]
    print(f"{done} tasks, {inside:,} of {done * SAMPLES:,} points inside")
    print(f"pi is about {4 * inside / (done * SAMPLES):.4f}")
    ray.shutdown()


if __name__ == "__main__":
    main()
