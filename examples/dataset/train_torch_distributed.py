"""Two workers of torch.distributed share one dataset. One is killed half way; both go on, to the same loss."""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import sklearn.datasets
import torch
import torch.distributed

import sheaf as sf

WORKERS, BATCH_ROWS, EPOCHS = 2, 32, 3


def train(rank: int, feed: sf.DataIterator, folder: Path, attempt: int, dies_at: int | None) -> None:
    """One worker: it averages gradients with the other, and saves what both need to go on."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting-{attempt}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORKERS)
    torch.manual_seed(0)
    model = torch.nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    step, saved = 0, folder / "checkpoint.pt"
    if saved.exists():
        state = torch.load(saved, weights_only=False)
        step = state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    for _ in range(feed.epoch, EPOCHS):
        for batch in feed.iter_torch_batches(BATCH_ROWS, dtypes={"digit": torch.int64}):
            loss = torch.nn.functional.cross_entropy(model(batch["pixels"] / 16), batch["digit"])
            optimizer.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= WORKERS
            optimizer.step()
            step += 1
            if step % 10 == 0:
                # Each knows what it has taken: all of that together is where the data goes on.
                feeds: list = [None] * WORKERS
                torch.distributed.all_gather_object(feeds, feed.state_dict())
                parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "feeds": feeds, "step": step}
                if rank == 0:
                    torch.save(parts, folder / "new.pt")
                    os.replace(folder / "new.pt", saved)
                torch.distributed.barrier()
            if step == dies_at and rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
    if rank == 0:
        torch.save(model.state_dict(), folder / "model.pt")
    torch.distributed.destroy_process_group()


def worker(*arguments: object) -> None:
    """A worker that ends quietly where the other is gone."""
    with contextlib.suppress(RuntimeError):
        train(*arguments)  # type: ignore[arg-type]
        return
    sys.exit(1)


def run(table: sf.Dataset, dies_at: int | None = None) -> tuple[float, list[int]]:
    """Train with as many attempts as it takes; the loss over all rows, and the step at which each attempt began."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), []
        while not (folder / "model.pt").exists():
            saved = torch.load(folder / "checkpoint.pt", weights_only=False) if began else {"feeds": None, "step": 0}
            began.append(saved["step"])
            feeds = table.streaming_split(
                WORKERS,
                equal=True,
                block_rows=BATCH_ROWS,
                seed=0,
                local_shuffle_buffer_size=2_000,
                resume=saved["feeds"],
            )
            dies = dies_at if len(began) == 1 else None
            workers = [
                context.Process(target=worker, args=(rank, feed, folder, len(began), dies))
                for rank, feed in enumerate(feeds)
            ]
            for one in workers:
                one.start()
            for one in workers:
                one.join()
        model = torch.nn.Linear(64, 10)
        model.load_state_dict(torch.load(folder / "model.pt"))
    batch = next(table.iter_torch_batches(10_000, dtypes={"digit": torch.int64}))
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(model(batch["pixels"] / 16), batch["digit"])), began


if __name__ == "__main__":
    digits = sklearn.datasets.load_digits()
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(digits.data.reshape(-1), pa.float32()), 64)
    table = sf.from_arrow(pa.table({"pixels": pixels, "digit": digits.target}))
    loss, _ = run(table)
    again, began = run(table, dies_at=45)
    print("attempts began at the steps", began)
    print("the same loss as without a kill:", again == loss)
    print("loss below 0.3:", loss < 0.3)
