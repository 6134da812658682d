"""PyTorch's `DataLoader` over images that a process of its own holds in memory."""

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import DataLoader, TensorDataset

from cases import Case
from dataset_engines.functions import IMAGES_A_BATCH, SEED, digest
from engines import Run


def loader(case: Case) -> Run:
    """Batches of images in an order of the epoch's own, by as many workers as there are threads."""

    def run() -> pa.Table:
        table = pq.read_table(case.input)
        pixels = table["image"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
        images = TensorDataset(torch.from_numpy(pixels.copy()), torch.from_numpy(table["label"].to_numpy().copy()))
        order = torch.Generator().manual_seed(SEED)
        rows, total = 0, 0
        for image, label in DataLoader(images, IMAGES_A_BATCH, shuffle=True, generator=order, num_workers=case.threads):
            rows, total = rows + len(image), total + int(label.sum())
        return digest(rows, total)

    return run
