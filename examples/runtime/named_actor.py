"""Actors by name: found by every task of the program, made where they are missing, and free again when they end."""

import time

import sheaf as ray


@ray.remote
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def add(self, number: int) -> int:
        self.count += number
        return self.count


@ray.remote
def add(name: str, number: int) -> int:
    return ray.get(ray.get_actor(name).add.remote(number))


def is_there(name: str) -> bool:
    try:
        ray.get_actor(name)
    except ValueError:
        return False
    return True


def main() -> None:
    ray.init(num_cpus=2)
    visits = Counter.options(name="visits").remote(10)
    ray.get([add.remote("visits", 1) for _ in range(8)])
    print("visits:", ray.get(visits.add.remote(0)))

    try:
        Counter.options(name="visits").remote()
    except ValueError:
        print("the name is taken")
    same = Counter.options(name="visits", get_if_exists=True).remote()
    print("the same:", same == visits, ray.get(same.add.remote(2)))
    print("of another name:", is_there("errors"))

    ray.kill(visits)
    deadline = time.monotonic() + 10
    while is_there("visits") and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        ray.get(visits.add.remote(1))
    except ray.exceptions.RayActorError:
        print("killed")
    again = Counter.options(name="visits").remote()
    print("starts anew:", ray.get(again.add.remote(1)))
    ray.shutdown()


if __name__ == "__main__":
    main()
