"""A placement group: the CPUs for a trainer and its helpers are reserved together before any of them starts."""

import time

import sheaf as ray
from sheaf.util.placement_group import placement_group, placement_group_table, remove_placement_group
from sheaf.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@ray.remote(num_cpus=1)
class Trainer:
    def __init__(self) -> None:
        self.weight = 0

    def learn(self, gradients: list[int]) -> int:
        self.weight += sum(gradients)
        return self.weight


@ray.remote(num_cpus=1)
def gradient(shard: int, weight: int) -> int:
    return shard + weight % 7


def free_cpus() -> int:
    return int(ray.available_resources().get("CPU", 0))


def main() -> None:
    ray.init(num_cpus=3)
    group = placement_group([{"CPU": 1}, {"CPU": 2}], strategy="PACK")
    print("reserved:", group.wait(timeout_seconds=30), group.bundle_specs)
    print("CPUs for others:", free_cpus())

    in_trainer = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
    in_helpers = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=1)
    trainer = Trainer.options(scheduling_strategy=in_trainer).remote()
    weight = 0
    for _ in range(3):
        shards = [gradient.options(scheduling_strategy=in_helpers).remote(shard, weight) for shard in range(4)]
        weight = ray.get(trainer.learn.remote(ray.get(shards)))
        print("weight:", weight)

    too_large = placement_group([{"CPU": 1}, {"CPU": 1}])
    print("a second one:", too_large.wait(timeout_seconds=1), placement_group_table(too_large)["state"])
    ready = too_large.ready()
    remove_placement_group(group)
    print("with the first one gone:", ray.get(ready) == too_large)
    try:
        ray.get(trainer.learn.remote([1]))
    except ray.exceptions.RayActorError:
        print("the trainer went with its group")
    try:
        gradient.options(num_cpus=2, placement_group=too_large).remote(0, 0)
    except ValueError:
        print("no bundle has two CPUs")
    remove_placement_group(too_large)
    deadline = time.monotonic() + 10
    while free_cpus() < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    print("CPUs at the end:", free_cpus())
    ray.shutdown()


if __name__ == "__main__":
    main()
