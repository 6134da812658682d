"""Object stores and web servers from Python, against servers of the test's own."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from servers import BUCKET, KEY, REGION, SECRET, FolderServer, ObjectServer, serving

import sheaf as sf

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """An empty bucket, and nothing in the environment that leads elsewhere."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with serving(ObjectServer()) as server:
        yield server


@pytest.fixture
def web(tmp_path: Path) -> Iterator[FolderServer]:
    with serving(FolderServer(tmp_path)) as server:
        yield server


@pytest.fixture
def session(request: pytest.FixtureRequest) -> Iterator[sf.Session]:
    """A session whose stores and connections go before the server does."""
    for server in {"store", "web"} & set(request.fixturenames):
        request.getfixturevalue(server)
    with sf.Session(threads=2, progress="off") as session:
        yield session


def data_keys(store: ObjectServer, folder: str) -> list[str]:
    """The data files below a folder, without its manifest."""
    return sorted(key for key in store.objects if key.startswith(f"{folder}/") and "/_sheaf/" not in key)


NAMES = {
    "of AWS": {"endpoint_url": "url", "region": REGION, "access_key_id": KEY, "secret_access_key": SECRET},
    "of the environment": {
        "AWS_ENDPOINT": "url", "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
    },
    "of s3fs": {"endpoint": "url", "region": REGION, "key": KEY, "secret": SECRET},
}  # fmt: skip


@pytest.mark.parametrize("names", NAMES)
def test_one_file_goes_to_s3_and_comes_back(store: ObjectServer, session: sf.Session, names: str) -> None:
    options = {name: store.url if value == "url" else value for name, value in NAMES[names].items()}
    data = session.from_pydict({"a": [1, 2, None], "b": ["x", None, "é"]})
    report = data.write_parquet(f"s3://{BUCKET}/d/one.parquet", storage_options=options)
    body = store.objects["d/one.parquet"].body
    assert report == sf.WriteReport(f"s3://{BUCKET}/d/one.parquet", 1, 3, len(body))
    assert pq.read_table(io.BytesIO(body)).to_pydict() == data.to_pydict()
    back = session.read_parquet(f"s3://{BUCKET}/d/one.parquet", storage_options=options)
    assert back.to_pydict() == data.to_pydict()
    data.write_csv(f"s3://{BUCKET}/one.csv", storage_options=options)
    assert store.objects["one.csv"].body == "a,b\n1,x\n2,\n,é\n".encode()
    assert session.read_csv(f"s3://{BUCKET}/one.csv", storage_options=options).to_pydict() == data.to_pydict()


def test_a_partitioned_folder_goes_to_s3_and_comes_back(store: ObjectServer, session: sf.Session) -> None:
    target = f"s3://{BUCKET}/by"
    data = session.range(1_000).with_column("part", sf.col("id") % 3)
    report = data.write_parquet(target, partition_by="part", storage_options=store.options)
    assert (report.files, report.rows) == (3, 1_000)
    assert [key.split("/")[1] for key in data_keys(store, "by")] == ["part=0", "part=1", "part=2"]
    back = session.read_parquet(target, storage_options=store.options)
    assert back.sort("id").select("id", "part").to_pydict() == data.to_pydict()
    store.asked.clear()
    assert back.filter(sf.col("part") == 1).select("id").sort("id").to_pydict() == {"id": list(range(1, 1_000, 3))}
    read = {request.target.split("/")[3] for request in store.asked if request.target.endswith(".parquet")}
    assert read == {"part=1"}, "the filter picks the folder"


def test_a_glob_picks_objects(store: ObjectServer, session: sf.Session) -> None:
    for name, number in {"t/1/a.csv": 1, "t/2/a.csv": 2, "t/2/b.txt": 3, "u/1/a.csv": 4}.items():
        store.put(name, f"n\n{number}\n".encode())
    found = session.read_csv(f"s3://{BUCKET}/t/*/*.csv", include_file_paths="file", storage_options=store.options)
    assert found.sort("n").to_pydict() == {
        "n": [1, 2],
        "file": [f"s3://{BUCKET}/t/1/a.csv", f"s3://{BUCKET}/t/2/a.csv"],
    }
    listed = [f"s3://{BUCKET}/u/1/a.csv", f"s3://{BUCKET}/t/2/b.txt"]
    assert session.read_csv(listed, storage_options=store.options).sort("n").to_pydict() == {"n": [3, 4]}
    with pytest.raises(sf.MissingFileError, match=r"no file matches s3://bucket/t/\*\.json"):
        session.read_json(f"s3://{BUCKET}/t/*.json", storage_options=store.options)


@pytest.mark.parametrize("name", ["folder", "file.parquet"])
def test_modes(store: ObjectServer, session: sf.Session, name: str) -> None:
    target, options = f"s3://{BUCKET}/{name}", store.options

    def write(start: int, stop: int, mode: str) -> sf.WriteReport:
        return session.range(start, stop).write_parquet(target, mode=mode, storage_options=options)

    def ids() -> list[int]:
        return session.read_parquet(target, storage_options=options).sort("id").to_pydict()["id"]

    write(0, 3, "error")
    with pytest.raises(sf.ExistsError, match=rf"s3://bucket/{name} exists already"):
        write(3, 6, "error")
    assert write(3, 6, "ignore").files == 0
    assert ids() == [0, 1, 2]
    write(7, 9, "overwrite")
    assert ids() == [7, 8]
    assert all(pq.read_table(io.BytesIO(store.objects[key].body)).num_rows for key in data_keys(store, name))
    if name == "folder":
        assert (
            sum(pq.read_metadata(io.BytesIO(store.objects[key].body)).num_rows for key in data_keys(store, name)) == 2
        )
        write(9, 10, "append")
        assert ids() == [7, 8, 9]


def test_a_large_file_goes_in_parts(store: ObjectServer, session: sf.Session) -> None:
    numbers = np.random.default_rng(1).random(1_500_000)
    target = f"s3://{BUCKET}/large.parquet"
    data = session.from_arrow(pa.table({"x": numbers}))
    report = data.write_parquet(target, compression="none", storage_options=store.options)
    assert report.bytes == len(store.objects["large.parquet"].body) > 8 << 20
    assert {"PUT", "POST"} == {request.method for request in store.asked if "uploadId" in request.target}
    assert store.uploads == {}
    back = session.read_parquet(target, storage_options=store.options).to_arrow()
    assert np.array_equal(np.sort(back["x"].to_numpy()), np.sort(numbers))


def child(code: str, **environment: str) -> str:
    """What a process of its own prints that has this in its environment."""
    command = [sys.executable, "-c", f"import sheaf as sf\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "names",
    [
        {"AWS_ENDPOINT_URL": "url", "AWS_REGION": REGION, "AWS_ALLOW_HTTP": "true"},
        {"AWS_ENDPOINT": "url", "AWS_DEFAULT_REGION": REGION},
    ],
    ids=lambda names: "+".join(names),
)
def test_the_environment_leads_to_s3(store: ObjectServer, names: dict[str, str]) -> None:
    store.put("a.csv", b"n\n1\n2\n")
    environment = {name: store.url if value == "url" else value for name, value in names.items()}
    code = (
        "print(sf.read_csv('s3://bucket/a.csv').to_pydict())\n"
        "print(sf.range(3).write_parquet('s3://bucket/out/', mode='overwrite').rows)\n"
        "print(sf.read_parquet('s3://bucket/out/').count())\n"
    )
    said = child(code, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, **environment)
    assert said.splitlines() == ["{'n': [1, 2]}", "3", "3"]
    assert len(data_keys(store, "out")) == 1


def test_arguments_go_before_the_environment(store: ObjectServer) -> None:
    store.put("a.csv", b"n\n1\n")
    code = (
        "try:\n"
        "    sf.read_csv('s3://bucket/a.csv')\n"
        "except sf.PermissionDeniedError:\n"
        "    print('refused')\n"
        f"print(sf.read_csv('s3://bucket/a.csv', storage_options={{'access_key_id': '{KEY}'}}).to_pydict())\n"
    )
    said = child(
        code,
        AWS_ACCESS_KEY_ID="AKOTHER",
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_ENDPOINT_URL=store.url,
        AWS_REGION=REGION,
    )
    assert said.splitlines() == ["refused", "{'n': [1]}"]


Remote = Callable[[sf.Session, str, dict[str, str]], object]
ACTIONS: dict[str, Remote] = {
    "read a file": lambda session, bucket, options: session.read_csv(f"{bucket}/a.csv", storage_options=options),
    "read a folder": lambda session, bucket, options: session.read_parquet(f"{bucket}/a/", storage_options=options),
    "read a glob": lambda session, bucket, options: session.read_csv(f"{bucket}/*.csv", storage_options=options),
    "write a file": lambda session, bucket, options: session.range(1).write_csv(
        f"{bucket}/b.csv", storage_options=options
    ),
    "write a folder": lambda session, bucket, options: session.range(1).write_parquet(
        f"{bucket}/b", storage_options=options
    ),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_wrong_credentials_are_told_as_such(store: ObjectServer, session: sf.Session, action: str) -> None:
    store.put("a.csv", b"n\n1\n")
    with pytest.raises(PermissionError) as raised:
        ACTIONS[action](session, f"s3://{BUCKET}", {**store.options, "access_key_id": "AKOTHER"})
    assert type(raised.value) is sf.PermissionDeniedError
    assert f"s3://{BUCKET}" in str(raised.value)
    assert raised.value.hint == "check the credentials: storage_options, or the environment"
    assert SECRET not in str(raised.value)
    assert list(store.objects) == ["a.csv"]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_missing_bucket_is_told_as_such(store: ObjectServer, session: sf.Session, action: str) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        ACTIONS[action](session, "s3://no-such-bucket", store.options)
    assert type(raised.value) is sf.MissingFileError
    assert "s3://no-such-bucket" in str(raised.value)
    assert raised.value.hint == "the bucket or container does not exist: check its name, region and endpoint"


def test_a_missing_object_is_told_as_such(store: ObjectServer, session: sf.Session) -> None:
    store.put("t/a.parquet", b"")
    with pytest.raises(sf.MissingFileError, match=r"s3://bucket/t/gone\.parquet"):
        session.read_parquet(f"s3://{BUCKET}/t/gone.parquet", storage_options=store.options)


def test_files_of_a_web_server_are_read(web: FolderServer, session: sf.Session) -> None:
    wide = pa.table({"id": range(50_000), "text": [f"text {n * 7919}" for n in range(50_000)]})
    pq.write_table(wide, web.folder / "wide.parquet")
    (web.folder / "d").mkdir()
    (web.folder / "d" / "a b.csv").write_text("n,word\n1,x\n2,é\n", encoding="utf-8")
    found = session.read_parquet(f"{web.url}/wide.parquet").filter(sf.col("id") >= 49_997).select("id")
    assert found.sort("id").to_pydict() == {"id": [49_997, 49_998, 49_999]}
    read = [request for request in web.asked if request.method == "GET"]
    assert read
    assert all(request.range and request.status == 206 for request in read), "only ranges are fetched"
    assert session.read_csv(f"{web.url}/d/a%20b.csv").to_pydict() == {"n": [1, 2], "word": ["x", "é"]}
    two = session.read_csv([f"{web.url}/d/a%20b.csv", str(web.folder / "d" / "a b.csv")])
    assert two.count() == 4


def test_what_a_web_server_cannot_do_is_told(web: FolderServer, session: sf.Session) -> None:
    for read in (session.read_parquet, session.read_csv):
        with pytest.raises(sf.MissingFileError, match=rf"{web.url}/gone\.file"):
            read(f"{web.url}/gone.file")
    with pytest.raises(sf.UnsupportedError, match="name each file"):
        session.read_csv(f"{web.url}/*.csv")
    web.asked.clear()
    with pytest.raises(sf.UnsupportedError, match=r"(?s)does not write over HTTP.*write to local disk"):
        session.range(1).write_parquet(f"{web.url}/new.parquet")
    assert web.asked == []
