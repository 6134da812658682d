"""Reading and writing files through every argument that Python has for it."""

import gzip
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

FORMATS = {"parquet": "parquet", "csv": "csv", "json": "jsonl", "ipc": "arrow"}


def csv(folder: Path, text: str, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_round_trip(tmp_path: Path, kind: str) -> None:
    data = sf.from_pydict({"a": [1, 2, None], "b": ["x", None, "z"]})
    target = tmp_path / f"data.{FORMATS[kind]}"
    report = getattr(data, f"write_{kind}")(target)
    assert report == sf.WriteReport(str(target), 1, 3, target.stat().st_size)
    assert getattr(sf, f"read_{kind}")(target).to_pydict() == data.to_pydict()


def test_parquet_is_read_by_others(tmp_path: Path) -> None:
    data = sf.range(1_000).with_column("text", sf.lit("x"))
    data.write_parquet(tmp_path / "a.parquet", compression="zstd(3)", row_group_rows=100)
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.num_row_groups == 10
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 1_000


def test_modes(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    one, two = sf.range(1), sf.range(2)
    one.write_parquet(target)
    with pytest.raises(sf.ExistsError, match="folder"):
        two.write_parquet(target)
    assert two.write_parquet(target, mode="ignore").files == 0
    assert sf.read_parquet(target).count() == 1
    two.write_parquet(target, mode="append")
    assert sf.read_parquet(target).count() == 3
    two.write_parquet(target, mode="overwrite")
    assert sf.read_parquet(target).count() == 2
    with pytest.raises(sf.InvalidInputError, match="write mode"):
        one.write_parquet(target, mode="maybe")


def test_partitions_and_file_sizes(tmp_path: Path) -> None:
    data = sf.range(1_000).with_column("part", sf.col("id") % 3)
    report = data.write_parquet(tmp_path / "by", partition_by="part")
    assert sorted(path.name for path in (tmp_path / "by").glob("part=*")) == ["part=0", "part=1", "part=2"]
    assert report.files == 3
    back = sf.read_parquet(tmp_path / "by")
    assert back.count() == 1_000
    assert sf.read_parquet(tmp_path / "by" / "part=1", hive_partitioning=False).columns == ["id"]
    with pytest.raises(sf.InvalidInputError, match="is not a size"):
        sf.range(1).write_csv(tmp_path / "none", target_file_size="many")
    assert sf.range(300_000).write_csv(tmp_path / "text", target_file_size="200kB").files > 1
    several = sf.range(300_000).write_csv(tmp_path / "sized", target_file_size=200_000)
    assert several.files > 3


def test_paths_lists_and_globs(tmp_path: Path) -> None:
    for number in range(3):
        sf.range(number, number + 1).write_parquet(tmp_path / f"{number}.parquet")
    assert sf.read_parquet(str(tmp_path / "*.parquet")).count() == 3
    two = sf.read_parquet([tmp_path / "0.parquet", tmp_path / "2.parquet"])
    assert two.sort("id").to_pydict() == {"id": [0, 2]}
    named = sf.read_parquet(tmp_path, include_file_paths="file").sort("id").to_pydict()["file"]
    assert [path.rsplit("/", 1)[1] for path in named] == ["0.parquet", "1.parquet", "2.parquet"]


def test_csv_dialect(tmp_path: Path) -> None:
    text = "made by hand\na;b;c\n# no row\n1;'x;''y';NA\n2;-;z\n"
    data = sf.read_csv(csv(tmp_path, text), delimiter=";", quote="'", null_values=["NA", "-"], comment="#", skip_rows=1)
    assert data.to_pydict() == {"a": [1, 2], "b": ["x;'y", None], "c": [None, "z"]}
    with pytest.raises(sf.InvalidInputError, match="one ASCII character"):
        sf.read_csv(tmp_path / "a.csv", delimiter="||")


def test_csv_types_header_and_encoding(tmp_path: Path) -> None:
    plain = csv(tmp_path, "1,x\n2,é\n", encoding="latin-1")
    data = sf.read_csv(plain, has_header=False, encoding="latin1", dtypes={"column_1": "float32"})
    assert data.schema.field("column_1").type == pa.float32()
    assert data.to_pydict() == {"column_1": [1.0, 2.0], "column_2": ["x", "é"]}
    assert sf.read_csv(plain, has_header=False, encoding="latin1", infer_rows=0).schema.field(0).type == pa.string()
    schema = {"n": int, "t": str}
    assert sf.read_csv(plain, has_header=False, encoding="latin1", schema=schema).columns == ["n", "t"]


def test_csv_escape_newlines_and_short_rows(tmp_path: Path) -> None:
    text = 'a,b\n"x\\"y","1\n2"\nlast\n'
    data = sf.read_csv(csv(tmp_path, text), escape="\\", newlines_in_values=True, truncated_rows=True)
    assert data.to_pydict() == {"a": ['x"y', "last"], "b": ["1\n2", None]}


def test_compression_by_name_and_by_argument(tmp_path: Path) -> None:
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(b"a\n1\n"))
    assert sf.read_csv(packed).to_pydict() == {"a": [1]}
    odd = tmp_path / "a.data"
    odd.write_bytes(gzip.compress(b"a\n1\n"))
    assert sf.read_csv(odd, compression="gzip").to_pydict() == {"a": [1]}
    sf.range(2).write_csv(tmp_path / "b.csv.zst")
    assert sf.read_csv(tmp_path / "b.csv.zst").count() == 2


def test_json_and_text(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"a": 1}\n{"a": 2, "b": [1]}\n')
    assert sf.read_json(lines).to_pydict() == {"a": [1, 2], "b": [None, [1]]}
    assert sf.read_json(lines, infer_rows=1).columns == ["a"]
    assert sf.read_text(lines).count() == 2


def test_schemas_that_differ(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1], pa.int32())}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": pa.array([2], pa.int64()), "b": ["x"]}), tmp_path / "1.parquet")
    with pytest.raises(sf.TypeMismatchError, match="union_by_name=True"):
        sf.read_parquet(tmp_path)
    both = sf.read_parquet(tmp_path, union_by_name=True).sort("a")
    assert both.to_pydict() == {"a": [1, 2], "b": [None, "x"]}


def test_broken_files_are_skipped_and_counted(tmp_path: Path) -> None:
    sf.range(3).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"not parquet at all")
    data = sf.read_parquet(tmp_path, ignore_errors=True)
    assert data.count() == 3
    assert [path.rsplit("/", 1)[1] for path in data.skipped_files] == ["b.parquet"]
    with pytest.raises(sf.CorruptFileError, match=r"b\.parquet"):
        sf.read_parquet(tmp_path).count()


def test_a_broken_file_gives_the_same_rows_on_any_number_of_threads(tmp_path: Path) -> None:
    lines = "".join(f"{i},{'x' * 40}\n" for i in range(150_000))
    (tmp_path / "a.csv").write_text(f"n,t\n{lines}1,2,3\n{lines}")
    (tmp_path / "b.csv").write_text("n,t\n7,y\n")
    assert (tmp_path / "a.csv").stat().st_size > 12_000_000, "large enough to be read in parts"
    counts = set()
    for threads in (1, 2, 4):
        with sf.Session(threads=threads) as session:
            data = session.read_csv(tmp_path, ignore_errors=True)
            counts.add((data.count(), data.to_arrow().num_rows, len(data.skipped_files)))
    assert len(counts) == 1, counts
    [(count, rows, skipped)] = counts
    assert count == rows <= 150_001
    assert skipped == 1


def test_a_schema_types_the_columns_of_folders_too(tmp_path: Path) -> None:
    sf.from_pydict({"z": ["01", "2", None], "v": [1, 2, 3]}).write_parquet(tmp_path / "d", partition_by="z")
    assert sf.read_parquet(tmp_path / "d").sort("v").to_pydict()["z"] == [1, 2, None]
    text = sf.read_parquet(tmp_path / "d", schema={"v": "int64", "z": "string"})
    assert text.sort("v").to_pydict() == {"v": [1, 2, 3], "z": ["01", "2", None]}
    assert text.filter(sf.col("z") == "01").to_pydict() == {"v": [1], "z": ["01"]}
    small = sf.read_parquet(tmp_path / "d", schema={"v": "int64", "z": "int8"})
    assert small.schema.field("z").type == pa.int8()


def test_rows_of_other_columns_are_not_appended(tmp_path: Path) -> None:
    sf.range(2).write_parquet(tmp_path / "d", mode="append")
    others = [{"id": ["x"]}, {"id": [1.5]}, {"id": [1], "more": [2]}, {"no": [1]}]
    for other in others:
        rows = sf.from_pydict(other)
        with pytest.raises(sf.TypeMismatchError, match="has the columns id Int64, and the new rows"):
            rows.write_parquet(tmp_path / "d", mode="append")
        with pytest.raises(sf.TypeMismatchError, match="has the columns id Int64"):
            sf.sql(f"COPY rows TO '{tmp_path}/d' STORED AS PARQUET OPTIONS ('mode' 'append')", rows=rows)
    sf.range(3).write_parquet(tmp_path / "d", mode="append")
    assert sf.read_parquet(tmp_path / "d").count() == 5
    parts = sf.from_pydict({"p": ["1", "x"], "n": [1, 2]})
    for _ in range(2):
        parts.write_parquet(tmp_path / "p", mode="append", partition_by="p")
    assert sf.read_parquet(tmp_path / "p").count() == 4


@pytest.mark.parametrize("suffix", ["parquet", "ipc", "csv", "json"])
def test_rows_are_not_appended_to_other_folders(tmp_path: Path, suffix: str) -> None:
    rows = sf.from_pydict({"p": ["x", "y"], "q": [1, 2], "n": [1, 2]})
    write = getattr(rows, f"write_{suffix}")
    write(tmp_path / "d", partition_by=["p"])
    write(tmp_path / "d", mode="append", partition_by=["p"])
    for other, would in [([], "not partitioned"), (["q"], "partitioned by q"), (["p", "q"], "partitioned by p, q")]:
        with pytest.raises(sf.InvalidInputError, match=f"is partitioned by p, and the new rows would be {would}"):
            write(tmp_path / "d", mode="append", partition_by=other)
    assert getattr(sf, f"read_{suffix}")(tmp_path / "d").count() == 4
    write(tmp_path / "flat", mode="append")
    with pytest.raises(sf.InvalidInputError, match="append without partition_by"):
        write(tmp_path / "flat", mode="append", partition_by=["p"])


def test_categories_of_polars_are_written(tmp_path: Path) -> None:
    frame = pl.DataFrame({"c": pl.Series(["x", None, "y"], dtype=pl.Categorical), "n": [1, 2, 3]})
    sf.from_polars(frame).write_parquet(tmp_path / "c.parquet")
    assert pl.read_parquet(tmp_path / "c.parquet")["c"].to_list() == ["x", None, "y"]
    sf.from_polars(frame).write_parquet(tmp_path / "by", partition_by="c")
    assert sf.read_parquet(tmp_path / "by").sort("n").to_pydict() == {"n": [1, 2, 3], "c": ["x", None, "y"]}


def test_csv_writing_options(tmp_path: Path) -> None:
    data = sf.from_pydict({"a": [1, None], "b": ["x;y", "z"]})
    data.write_csv(tmp_path / "a.csv", delimiter=";", quote="'", has_header=False, null_value="NULL")
    assert (tmp_path / "a.csv").read_text() == "1;'x;y'\nNULL;z\n"


def test_storage_options_reach_the_store() -> None:
    options = {"endpoint_url": "http://127.0.0.1:1", "key": "k", "secret": "s", "region": "x", "no_such_option": "1"}
    with pytest.raises(sf.InvalidInputError, match="no_such_option"):
        sf.read_parquet("s3://bucket/a.parquet", storage_options=options)
