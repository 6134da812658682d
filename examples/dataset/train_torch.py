"""PyTorch on the CPU: batches of tensors, shuffled anew in each epoch, and a program that goes on where it stopped."""

import pyarrow as pa
import sklearn.datasets
import torch

import sheaf as sf

BATCH_ROWS, EPOCHS = 64, 6

digits = sklearn.datasets.load_digits()
pixels = pa.FixedSizeListArray.from_arrays(pa.array(digits.data.reshape(-1), pa.float32()), 64)
table = sf.from_arrow(pa.table({"pixels": pixels, "digit": digits.target}))


class Training:
    """A model with what it needs to go on: its optimizer and its place in the data."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.feed = table.iterator(seed=0, local_shuffle_buffer_size=2_000)

    def run(self, stop_after: int | None = None) -> float:
        """Train to the end, or for so many steps; the last loss."""
        steps, loss = 0, torch.tensor(0.0)
        for _ in range(self.feed.epoch, EPOCHS):
            for batch in self.feed.iter_torch_batches(BATCH_ROWS, dtypes={"digit": torch.int64}):
                loss = torch.nn.functional.cross_entropy(self.model(batch["pixels"] / 16), batch["digit"])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                steps += 1
                if steps == stop_after:
                    return float(loss.detach())
        return float(loss.detach())

    def state(self) -> dict:
        """All that a checkpoint holds."""
        parts = {"model": self.model, "optimizer": self.optimizer, "feed": self.feed}
        return {name: part.state_dict() for name, part in parts.items()}

    def load(self, state: dict) -> None:
        """Go on at a checkpoint."""
        for name in ("model", "optimizer", "feed"):
            getattr(self, name).load_state_dict(state[name])


torch.set_num_threads(1)
unbroken = Training()
loss = unbroken.run()

broken = Training()
broken.run(stop_after=75)
again = Training()
again.load(broken.state())
print("rows of the epoch that were left:", len(digits.data) - again.feed.state_dict()["taken"])
print("the same loss as without a break:", again.run() == loss)
print("loss below 0.1:", loss < 0.1)
