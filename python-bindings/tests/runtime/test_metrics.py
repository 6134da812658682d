"""Metrics of programs: Ray's signatures and checks, and the values of all processes as Prometheus reads them."""

import pickle
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import psutil
import pytest

import sheaf as ray
from sheaf._runtime import process
from sheaf.util.metrics import Counter, Gauge, Histogram

from . import processes

pytestmark = pytest.mark.timeout(60)

TOLD_SECONDS = 10


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    ray.shutdown()
    context = ray.init(num_cpus=2, resources={"widget": 3}, _metrics_export_port=0, log_to_driver=False)
    yield context["metrics_export_port"]
    ray.shutdown()


def read(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return str(answer.read().decode())


def value(port: int, sample: str) -> float | None:
    """The value of the first sample that begins so."""
    found = re.search(rf"^{re.escape(sample)}[^ ]* (\S+)$", read(port), re.MULTILINE)
    return None if found is None else float(found[1])


def comes_to(port: int, sample: str, wanted: float) -> bool:
    return processes.becomes_true(lambda: value(port, sample) == wanted, TOLD_SECONDS)


def test_checks_are_those_of_ray() -> None:
    for wrong in (lambda: Counter(""), lambda: Histogram("h"), lambda: Histogram("h", boundaries=[0.0, 1.0])):
        with pytest.raises(ValueError, match=r"name|boundaries"):
            wrong()
    for wrong in (lambda: Counter("c", tag_keys="ab"), lambda: Counter("c", tag_keys=(1,))):
        with pytest.raises(TypeError, match=r"tuple type|must be str"):
            wrong()
    counter = Counter("c", tag_keys=("a", "b"))
    with pytest.raises(ValueError, match="Unrecognized tag key z"):
        counter.set_default_tags({"z": "1"})
    with pytest.raises(TypeError, match="must be str"):
        counter.set_default_tags({"a": 1})
    assert counter.set_default_tags({"a": "1"}) is counter
    with pytest.raises(ValueError, match=r"Missing value for tag key\(s\): b"):
        counter.inc()
    with pytest.raises(ValueError, match="value must be >0"):
        counter.inc(0, tags={"b": "2"})
    with pytest.raises(TypeError, match="int or float"):
        counter.inc("1", tags={"b": "2"})
    with pytest.warns(UserWarning, match="Invalid metric name"):
        Gauge("not a name").set(1)
    Gauge("g").set(None)
    histogram = Histogram("h", "What it is", boundaries=[1.0, 2.0], tag_keys=("a",))
    assert histogram.info == {
        "name": "h",
        "description": "What it is",
        "tag_keys": ("a",),
        "default_tags": {},
        "boundaries": [1.0, 2.0],
    }
    assert pickle.loads(pickle.dumps(counter)).info["tag_keys"] == ("a", "b")


def test_the_table_of_nodes_tells_the_port(port: int) -> None:
    assert [node["MetricsExportPort"] for node in ray.nodes()] == [port]


def test_what_happens_in_driver_tasks_and_actors_is_summed(port: int) -> None:
    done = Counter("done", description="What was done.", tag_keys=("by",))

    @ray.remote
    def task() -> None:
        done.inc(2, tags={"by": "all"})

    @ray.remote
    class Actor:
        def __init__(self) -> None:
            self.done = Counter("done", tag_keys=("by",)).set_default_tags({"by": "all"})

        def work(self) -> None:
            self.done.inc()

    done.inc(tags={"by": "all"})
    actor = Actor.remote()
    ray.get([task.remote() for _ in range(10)] + [actor.work.remote() for _ in range(5)])
    assert comes_to(port, 'done_total{by="all"}', 1 + 2 * 10 + 5)
    text = read(port)
    assert "# HELP done_total What was done.\n# TYPE done_total counter\n" in text


def test_what_a_worker_counted_is_told_before_it_ends(port: int) -> None:
    @ray.remote(max_calls=1)
    def once() -> None:
        Counter("once").inc()

    ray.get([once.remote() for _ in range(5)])
    assert comes_to(port, "once_total", 5)


def test_gauges_are_what_was_set_last_and_histograms_count(port: int) -> None:
    Gauge("level").set(7)
    assert comes_to(port, "level", 7)
    ray.get(ray.remote(lambda: Gauge("level").set(-2.5)).remote())
    assert comes_to(port, "level", -2.5)
    seconds = Histogram("seconds", boundaries=[0.1, 1.0])
    for each in (0.05, 0.1, 0.5, 3):
        seconds.observe(each)
    assert comes_to(port, "seconds_count", 4)
    buckets = [value(port, f'seconds_bucket{{le="{bound}"}}') for bound in ("0.1", "1", "+Inf")]
    assert buckets == [2, 3, 4]
    assert value(port, "seconds_sum") == pytest.approx(3.65)


def test_the_runtime_tells_of_itself(port: int) -> None:
    node = f'node="{ray.get_runtime_context().get_node_id()}"'
    assert value(port, f'sheaf_resources_total{{{node},name="widget"}}') == 3
    kept = ray.put(b"x" * 1_000_000)
    assert comes_to(port, f'sheaf_store_objects{{{node},place="memory"}}', 1)
    assert (value(port, f'sheaf_store_bytes{{{node},place="memory"}}') or 0) > 1_000_000
    pending = ray.remote(resources={"widget": 4})(pow).remote(2, 2)
    assert comes_to(port, f'sheaf_tasks{{{node},state="queued"}}', 1)
    ray.cancel(pending)
    assert (value(port, "sheaf_workers") or 0) >= 1
    del kept


def test_a_metric_of_two_kinds_is_refused_and_hurts_nothing(port: int) -> None:
    Counter("twofold").inc()
    assert comes_to(port, "twofold_total", 1)
    Gauge("twofold").set(5)
    Counter("twofold").inc()
    assert comes_to(port, "twofold_total", 2)


def test_it_is_served_to_this_machine_alone_and_only_when_asked_for(port: int) -> None:
    served = [each for each in psutil.Process().net_connections() if each.status == psutil.CONN_LISTEN]
    assert [each.laddr.ip for each in served if each.laddr.port == port] == ["127.0.0.1"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        read(port, "/other")
    assert process.metrics_port() == port


@pytest.mark.usefixtures("no_runtime")
def test_a_port_that_is_taken_is_told_and_nothing_starts() -> None:
    taken = ray.init(num_cpus=1, _metrics_export_port=0)["metrics_export_port"]
    ended = processes.run_driver(f"""
import sheaf
try:
    sheaf.init(num_cpus=1, _metrics_export_port={taken})
except OSError as error:
    print(sheaf.is_initialized(), error)
""")
    assert ended.stdout.startswith("False"), ended.stderr
    assert f"port {taken}" in ended.stdout
    ray.shutdown()
    with pytest.raises(urllib.error.URLError):
        read(taken)
