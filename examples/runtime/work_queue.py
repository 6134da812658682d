"""A queue between tasks: producers wait when it is full, consumers when it is empty."""

import sheaf as ray
from sheaf.util.queue import Empty, Queue

PRODUCERS, ITEMS, SIZE = 2, 25, 4
END = -1


@ray.remote(num_cpus=0)
def produce(queue: Queue, first: int) -> int:
    for number in range(first, first + ITEMS):
        queue.put(number)
    queue.put(END)
    return ITEMS


@ray.remote(num_cpus=0)
def consume(queue: Queue) -> list[int]:
    squares = []
    while (number := queue.get(timeout=30)) != END:
        squares.append(number**2)
    return squares


def main() -> None:
    ray.init(num_cpus=2)
    queue = Queue(maxsize=SIZE)
    consumers = [consume.remote(queue) for _ in range(PRODUCERS)]
    producers = [produce.remote(queue, number * ITEMS) for number in range(PRODUCERS)]
    print("produced:", ray.get(producers))
    squares = sorted(square for part in ray.get(consumers) for square in part)
    print("consumed:", len(squares), "sum", sum(squares), "last", squares[-1])

    queue.put_nowait_batch([1, 2, 3])
    print("waiting:", queue.qsize(), "full:", queue.full())
    print("taken:", queue.get_nowait_batch(3))
    try:
        queue.get(timeout=0.1)
    except Empty:
        print("empty:", queue.empty())
    queue.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
