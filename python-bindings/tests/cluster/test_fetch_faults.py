"""Nodes that are killed while others read what they made."""

import random
import re
import threading
import time
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runtime.processes import becomes_true

import sheaf as sf

from .nodes import Cluster, Member, eventually

pytestmark = pytest.mark.timeout(300)

ROWS = 200_000
FILES = 12
SECONDS = 60
# A quarter of all that die while the queries of `test_queries.py` run.
KILLS = 5
SEED = 31


def reads_from(cluster: Cluster, member: Member) -> int:
    """Objects in a node's store of which parts are being read."""
    with urllib.request.urlopen(f"http://{cluster.place_of(member)}/metrics", timeout=SECONDS) as told:
        text = told.read().decode()
    found = re.search(r"^sheaf_store_reads\{[^}]*\} (\d+)", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])


def slowly(batch: dict[str, Any]) -> dict[str, Any]:
    time.sleep(0.05)
    return {"n": batch["n"], "text": batch["text"]}


def test_nodes_that_are_killed_while_others_read_from_them_cost_no_rows(cluster: Cluster, tmp_path: Path) -> None:
    chosen, drawn = random.Random(SEED), np.random.default_rng(SEED)
    numbers = drawn.permutation(ROWS)
    for number, own in enumerate(np.array_split(numbers, FILES)):
        # Enough of it that a reader does not have all at once.
        text = [bytes(drawn.integers(33, 126, 400, dtype=np.uint8)).decode() for _ in own]
        pq.write_table(pa.table({"n": own, "text": text}), tmp_path / f"{number}.parquet", compression="none")
    cluster.add(num_cpus=0)
    for _ in range(3):
        cluster.add(num_cpus=1)
    with sf.Session(threads=2, address=cluster.address) as there:
        # What sorts reads of all nodes at once, as slowly as the function goes.
        rows = there.read_parquet(str(tmp_path)).sort("n").map_batches(slowly, batch_format="numpy", batch_size=4_000)
        asked = rows.select("n")
        for kill in range(KILLS):
            answer: list[list[int]] = []

            def ask(answer: list[list[int]]) -> None:
                answer.append(asked.to_pydict()["n"])

            asking = threading.Thread(target=ask, args=(answer,))
            asking.start()
            victim = cluster.members[chosen.randrange(1, 4)]
            time.sleep(chosen.uniform(0, 0.3))
            # At once: it is asked for a few milliseconds, and read for seconds.
            assert becomes_true(partial(lambda victim: reads_from(cluster, victim) > 0, victim), SECONDS)
            victim.kill()
            killed = time.monotonic()
            asking.join(SECONDS)
            assert answer == [list(range(ROWS))], f"kill {kill}, {time.monotonic() - killed} s"
            cluster.restart(victim)
            eventually(lambda: len(cluster.nodes()), 4)
    eventually(cluster.objects, [])
