"""A till that loses nothing: its process is killed, then the whole program, and it goes on with what it has."""

import os
import signal
import subprocess
import sys
import tempfile
import threading

import sheaf as ray


@ray.remote(name="till")
class Till:
    """Its state is saved before a sale is acknowledged."""

    def __init__(self) -> None:
        self.cash = 0
        self.receipts: list[str] = []
        self.drawer = threading.Lock()

    def __getstate__(self) -> tuple[int, list[str]]:
        # A lock cannot be saved; it is made again below.
        return self.cash, self.receipts

    def __setstate__(self, state: tuple[int, list[str]]) -> None:
        self.cash, self.receipts = state
        self.drawer = threading.Lock()

    def sell(self, what: str, price: int) -> int:
        self.cash += price
        self.receipts.append(what)
        return self.cash

    @ray.method(durable=False)
    def pid(self) -> int:
        return os.getpid()

    @ray.method(durable=False)
    def read(self) -> list[str]:
        return self.receipts


def morning(till: ray.actor.ActorHandle) -> None:
    print("tea and cake:", ray.get([till.sell.remote("tea", 3), till.sell.remote("cake", 4)]), flush=True)
    os.kill(ray.get(till.pid.remote()), signal.SIGKILL)
    print("its process was killed; soup:", ray.get(till.sell.remote("soup", 6)), flush=True)
    # Nobody shuts anything down.
    os.kill(os.getpid(), signal.SIGKILL)


def afternoon(till: ray.actor.ActorHandle) -> None:
    print("another program; pie:", ray.get(till.sell.remote("pie", 5)), flush=True)
    # Twenty sales are sent, and the process is killed in the middle: none is lost, and none is made twice.
    pid = ray.get(till.pid.remote())
    sales = [till.sell.remote(f"bun {number}", 1) for number in range(20)]
    os.kill(pid, signal.SIGKILL)
    print("buns:", ray.get(sales) == list(range(19, 39)), flush=True)
    print("receipts:", ray.get(till.read.remote())[:5], flush=True)
    ray.shutdown()


def main() -> None:
    if len(sys.argv) == 1:
        with tempfile.TemporaryDirectory() as store:
            for part in ("morning", "afternoon"):
                done = subprocess.run([sys.executable, __file__, part, store], check=False)
                print(f"the {part} ended with {done.returncode}", flush=True)
        return
    part, store = sys.argv[1:]
    ray.init(num_cpus=2, log_to_driver=False)
    till = Till.options(durable=ray.Durable(store)).remote()
    {"morning": morning, "afternoon": afternoon}[part](till)


if __name__ == "__main__":
    main()
