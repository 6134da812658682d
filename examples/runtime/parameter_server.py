"""A parameter server: workers compute gradients on their own rows, an actor applies them and hands out the weights."""

import numpy as np

import sheaf as ray

WORKERS, STEPS, ROWS, RATE = 4, 40, 5_000, 0.1
TRUTH = np.array([2.0, -1.0, 0.5])


@ray.remote
class ParameterServer:
    def __init__(self, size: int) -> None:
        self.weights = np.zeros(size)

    def apply(self, *gradients: np.ndarray) -> np.ndarray:
        """The weights after a step down the mean of the gradients."""
        self.weights -= RATE * np.mean(gradients, axis=0)
        return self.weights


@ray.remote
class Worker:
    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.inputs = random.normal(size=(ROWS, len(TRUTH)))
        self.outputs = self.inputs @ TRUTH + random.normal(scale=0.1, size=ROWS)

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        return 2 / ROWS * self.inputs.T @ (self.inputs @ weights - self.outputs)

    def loss(self, weights: np.ndarray) -> float:
        return float(np.mean((self.inputs @ weights - self.outputs) ** 2))


def main() -> None:
    ray.init(num_cpus=2)
    server = ParameterServer.remote(len(TRUTH))
    workers = [Worker.remote(seed) for seed in range(WORKERS)]

    weights = server.apply.remote(np.zeros(len(TRUTH)))
    for step in range(1, STEPS + 1):
        # References go from call to call: the driver never sees the gradients.
        weights = server.apply.remote(*[worker.gradient.remote(weights) for worker in workers])
        if step % 10 == 0:
            losses = ray.get([worker.loss.remote(weights) for worker in workers])
            print(f"step {step}: loss {np.mean(losses):.4f}")
    print("weights", ray.get(weights).round(2).tolist())
    ray.shutdown()


if __name__ == "__main__":
    main()
