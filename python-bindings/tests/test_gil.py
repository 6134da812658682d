"""The GIL is free while the engine works."""

import threading
import time

import sheaf as sf


def test_other_threads_run() -> None:
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        started = time.perf_counter()
        with sf.Session(threads=1) as session:
            numbers = session.range(3_000_000).with_column("key", (sf.col("id") * 7919) % 1_000_003)
            numbers.sort("key").limit(1_000_000).aggregate(sf.col("id").sum()).to_arrow()
        ended = time.perf_counter()
    finally:
        stop.set()
        ticker.join()
    during = [at for at in ticks if started <= at <= ended]
    gaps = [after - before for before, after in zip([started, *during], [*during, ended], strict=False)]
    assert ended - started > 0.1, "too short to say anything"
    # Held for the whole run, the lock would leave one gap as long as the run.
    assert max(gaps) < (ended - started) / 2
    assert len(during) > 10


def test_threads_share_a_session() -> None:
    totals: list[int] = []

    def work() -> None:
        totals.append(sf.range(100_000).filter(sf.col("id") % 2 == 0).count())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert totals == [50_000] * 4
