"""Batches of PyTorch, JAX and TensorFlow, and PyTorch's loader with workers of its own."""

import importlib.util
import multiprocessing
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import sheaf as sf


@pytest.fixture(scope="module")
def session() -> Iterator[sf.Session]:
    with sf.Session(threads=1, batch_size=100) as session:
        yield session


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture
def table(session: sf.Session) -> sf.Dataset:
    columns = {
        "x": pa.array(np.arange(10, dtype=np.float32)),
        "pair": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(20)), 2),
        "label": pa.array([row % 2 == 0 for row in range(10)]),
    }
    return session.from_arrow(pa.table(columns))


def test_what_is_not_installed_is_said(session: sf.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = session.range(3)
    find = importlib.util.find_spec
    for name in ("torch", "jax", "tensorflow"):
        if find(name) is not None:
            monkeypatch.setitem(sys.modules, name, None)
    for call, text in [
        (rows.iter_torch_batches, "iter_torch_batches needs torch\n  help: pip install torch"),
        (rows.to_torch, "to_torch needs torch\n  help: pip install torch"),
        (rows.iter_jax_batches, "iter_jax_batches needs jax\n  help: pip install jax"),
        (rows.to_tf, "to_tf needs tensorflow\n  help: pip install tensorflow"),
    ]:
        with pytest.raises(ModuleNotFoundError) as raised:
            call()
        assert str(raised.value) == text


def test_tensors_of_pytorch(table: sf.Dataset, torch: Any) -> None:
    first, last = table.iter_torch_batches(6)
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in first.items()} == {
        "x": (torch.float32, (6,)),
        "pair": (torch.int64, (6, 2)),
        "label": (torch.bool, (6,)),
    }
    assert last["pair"].tolist() == [[12, 13], [14, 15], [16, 17], [18, 19]]
    first["x"] += 1
    assert table.to_pydict()["x"][:6] == [0, 1, 2, 3, 4, 5], "a trainer may write to its batches"
    half = next(table.iter_torch_batches(dtypes={"x": torch.float64}))
    assert (half["x"].dtype, half["pair"].dtype) == (torch.float64, torch.int64)
    assert next(table.iter_torch_batches(dtypes=torch.float16))["pair"].dtype == torch.float16
    made = list(table.iter_torch_batches(4, collate_fn=lambda arrays: torch.as_tensor(arrays["x"].copy()).sum()))
    assert [float(total) for total in made] == [6.0, 22.0, 17.0]
    assert next(table.iter_torch_batches(device="meta"))["x"].device.type == "meta"


def test_what_cannot_be_a_tensor_is_said(session: sf.Session, torch: Any) -> None:
    text = session.from_pydict({"name": ["a", "b"]})
    with pytest.raises(sf.TypeMismatchError, match=r"the column 'name' of type .* cannot be a tensor of PyTorch"):
        next(text.iter_torch_batches())
    with pytest.raises(sf.InvalidInputError, match="dtypes and collate_fn exclude each other"):
        text.iter_torch_batches(dtypes=torch.float32, collate_fn=dict)


def test_collate_errors_come_after_what_came_before(session: sf.Session, torch: Any) -> None:
    def fails(arrays: dict[str, Any]) -> Any:
        if arrays["id"][0] == 20:
            raise RuntimeError("cannot collate")
        return torch.as_tensor(arrays["id"].copy())

    feed = session.range(100).iterator()
    batches = feed.iter_torch_batches(10, collate_fn=fails, prefetch_batches=4)
    assert [int(next(batches)[0]) for _ in range(2)] == [0, 10]
    with pytest.raises(RuntimeError, match="cannot collate"):
        next(batches)
    assert feed.state_dict()["taken"] == 20


def test_positions_are_of_what_the_trainer_has_and_not_of_what_is_made_ahead(session: sf.Session, torch: Any) -> None:
    feed = session.range(1000).iterator()
    batches = feed.iter_torch_batches(10, collate_fn=lambda arrays: arrays["id"].sum(), prefetch_batches=8)
    for _ in range(3):
        next(batches)
    again = session.range(1000).iterator()
    again.load_state_dict(feed.state_dict())
    assert next(again.iter_torch_batches(5))["id"].tolist() == [30, 31, 32, 33, 34]


def loaded(data: Any, **options: Any) -> list[int]:
    from torch.utils.data import DataLoader

    return [int(row) for batch in DataLoader(data, **options) for row in batch["id"]]


def test_a_loader_takes_rows_or_batches(session: sf.Session, torch: Any) -> None:
    assert loaded(session.range(25).to_torch(), batch_size=10) == list(range(25))
    assert loaded(session.range(25).to_torch(10), batch_size=None) == list(range(25))
    shuffled = session.range(50).iterator(seed=1, local_shuffle_buffer_size=50).to_torch(7)
    first, second = loaded(shuffled, batch_size=None), loaded(shuffled, batch_size=None)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    shuffled.set_epoch(0)
    assert loaded(shuffled, batch_size=None) == first
    with pytest.raises(sf.InvalidInputError, match="give it to the DataLoader"):
        session.range(3).to_torch(collate_fn=dict)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_loader_share_the_rows(session: sf.Session, torch: Any, start: str) -> None:
    data = session.range(200).iterator(seed=3, local_shuffle_buffer_size=200).to_torch(8)
    context = multiprocessing.get_context(start)
    epochs = [loaded(data, batch_size=None, num_workers=2, multiprocessing_context=context) for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(200))] * 2
    assert epochs[0] != epochs[1], "workers that are made anew go on with the next epoch"
    # Batches come in turn from the workers: they are those that one process would have had.
    data.set_epoch(0)
    assert loaded(data, batch_size=None) == epochs[0]
    assert sorted(loaded(data, batch_size=None, num_workers=3, multiprocessing_context=context)) == list(range(200))


def test_workers_that_stay_go_on_with_the_next_epoch(session: sf.Session, torch: Any) -> None:
    from torch.utils.data import DataLoader

    data = session.range(100).iterator(seed=3, local_shuffle_buffer_size=100).to_torch()
    loader = DataLoader(data, batch_size=10, num_workers=2, persistent_workers=True)
    epochs = [[int(row) for batch in loader for row in batch["id"]] for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(100))] * 2
    assert epochs[0] != epochs[1]


def test_the_loader_of_a_share_has_one_worker(session: sf.Session, torch: Any) -> None:
    (feed,) = session.range(30).streaming_split(1)
    assert loaded(feed.to_torch(10), batch_size=None, num_workers=1) == list(range(30))
    with pytest.raises(sf.InvalidInputError, match="cannot be shared among 2 workers"):
        loaded(feed.to_torch(10), batch_size=None, num_workers=2)


def test_loaded_states_go_on_in_a_loader(session: sf.Session, torch: Any) -> None:
    data = session.range(100).to_torch(10)
    batches = iter(data)
    assert [int(next(batches)["id"][0]) for _ in range(3)] == [0, 10, 20]
    again = session.range(100).to_torch(10)
    again.load_state_dict(data.state_dict())
    assert loaded(again, batch_size=None) == list(range(30, 100))
    again.load_state_dict(data.state_dict())
    assert sorted(loaded(again, batch_size=None, num_workers=2)) == list(range(30, 100)), "in workers, too"


def test_arrays_of_jax(table: sf.Dataset) -> None:
    pytest.importorskip("jax")
    first, last = table.iter_jax_batches(6)
    assert first["pair"].shape == (6, 2)
    assert last["x"].tolist() == [6, 7, 8, 9]
    assert next(table.iter_jax_batches(dtypes={"x": np.float16}))["x"].dtype == np.float16


def test_datasets_of_tensorflow(session: sf.Session, table: sf.Dataset) -> None:
    pytest.importorskip("tensorflow")
    features, labels = next(iter(table.to_tf(["x", "pair"], "label", batch_size=4)))
    assert {name: tensor.shape.as_list() for name, tensor in features.items()} == {"x": [4], "pair": [4, 2]}
    assert labels.numpy().tolist() == [True, False, True, False]
    assert [len(batch.numpy()) for batch in table.to_tf("x", batch_size=4)] == [4, 4, 2]
    text = session.from_pydict({"name": ["a", None, "c"]}).filter(sf.col("name").is_not_null())
    assert next(iter(text.to_tf("name"))).numpy().tolist() == [b"a", b"c"]
    lists = session.from_pydict({"list": [[1], [2, 3]]})
    with pytest.raises(sf.TypeMismatchError, match=r"the column 'list' of type .* cannot be a tensor of TensorFlow"):
        lists.to_tf()
