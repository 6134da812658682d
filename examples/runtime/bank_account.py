"""Bank accounts: actors keep the balances, tasks that were handed them move money between them."""

from typing import Any

import sheaf as ray


class Overdrawn(Exception):
    """More was asked for than is there."""


@ray.remote
class Account:
    def __init__(self, owner: str, balance: int) -> None:
        self.owner = owner
        self.balance = balance

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def withdraw(self, amount: int) -> int:
        if amount > self.balance:
            raise Overdrawn(f"{self.owner} has {self.balance} and not {amount}")
        self.balance -= amount
        return self.balance

    def read(self) -> int:
        return self.balance


@ray.remote
def transfer(source: Any, target: Any, amount: int) -> tuple[int, int]:
    left = ray.get(source.withdraw.remote(amount))
    return left, ray.get(target.deposit.remote(amount))


def main() -> None:
    ray.init(num_cpus=2)
    ann, ben = Account.remote("Ann", 100), Account.remote("Ben", 20)

    # The calls of one caller run in their order.
    print("Ann:", ray.get([ann.deposit.remote(5), ann.withdraw.remote(10), ann.deposit.remote(1)]))
    print("Ann to Ben:", ray.get(transfer.remote(ann, ben, 30)))

    try:
        ray.get(transfer.remote(ben, ann, 1_000))
    except Overdrawn as error:
        print("refused:", isinstance(error, ray.exceptions.RayTaskError))
    try:
        ray.get(ben.withdraw.remote(1_000))
    except ray.exceptions.RayTaskError as error:
        print("refused:", error.cause)

    # Many at once, both ways: no money is lost or made.
    ray.get([transfer.remote(*((ann, ben) if number % 2 else (ben, ann)), 1) for number in range(50)])
    print("in the end:", ray.get([ann.read.remote(), ben.read.remote()]))
    ray.shutdown()


if __name__ == "__main__":
    main()
