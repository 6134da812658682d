"""Fibonacci numbers by tasks that wait for tasks: on two CPUs, since a task that waits lends its CPU."""

import sheaf as ray


@ray.remote
def fibonacci(n: int) -> int:
    if n < 2:
        return n
    return sum(ray.get([fibonacci.remote(n - 1), fibonacci.remote(n - 2)]))


@ray.remote
def add(a: int, b: int) -> int:
    return a + b


def main() -> None:
    ray.init(num_cpus=2)
    print("by recursion:", ray.get(fibonacci.remote(6)))

    # The same without anyone waiting: each task has the two before it as arguments.
    numbers = [ray.put(0), ray.put(1)]
    for _ in range(60):
        numbers.append(add.remote(numbers[-2], numbers[-1]))
    print("by arguments:", ray.get(numbers[6]), ray.get(numbers[-1]))
    ray.shutdown()


if __name__ == "__main__":
    main()
