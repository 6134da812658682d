"""Files and databases."""

import pathlib
import tempfile

from .calls import case, ordered, table


@case
def parquet_appends(data):
    with tempfile.TemporaryDirectory() as folder:
        data.range(2).write_parquet(f"{folder}/out")
        data.range(3).write_parquet(f"{folder}/out")
        return ordered(data.read_parquet(f"{folder}/out"), "id")


@case
def parquet_overwrites(data):
    with tempfile.TemporaryDirectory() as folder:
        data.range(2).write_parquet(f"{folder}/out")
        data.range(3).write_parquet(f"{folder}/out", mode=data.SaveMode.OVERWRITE)
        return ordered(data.read_parquet(f"{folder}/out"), "id")


@case
def parquet_is_there(data):
    with tempfile.TemporaryDirectory() as folder:
        data.range(2).write_parquet(f"{folder}/out")
        data.range(3).write_parquet(f"{folder}/out", mode=data.SaveMode.ERROR)


@case
def parquet_columns(data):
    with tempfile.TemporaryDirectory() as folder:
        table(data).write_parquet(f"{folder}/out")
        return ordered(data.read_parquet(f"{folder}/out", columns=["x"]), "x")


@case
def parquet_partitions(data):
    with tempfile.TemporaryDirectory() as folder:
        table(data).write_parquet(f"{folder}/out", partition_cols=["k"])
        return ordered(data.read_parquet(f"{folder}/out").select_columns(["k", "x"]), "x")


@case
def csv(data):
    with tempfile.TemporaryDirectory() as folder:
        table(data).write_csv(f"{folder}/out")
        return ordered(data.read_csv(f"{folder}/out"), "x")


@case
def csv_nulls(data):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.csv").write_text('n,s,t\n1,x,NA\nNA,,"y"\n,NA,\n4,"",z\n')
        return data.read_csv(f"{folder}/a.csv").take_all()


@case
def csv_delimiter(data):
    from pyarrow import csv as options

    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.csv").write_text("a;b\n1;x\n")
        return data.read_csv(f"{folder}/a.csv", parse_options=options.ParseOptions(delimiter=";")).take_all()


@case
def json_lines(data):
    with tempfile.TemporaryDirectory() as folder:
        table(data).write_json(f"{folder}/out")
        return ordered(data.read_json(f"{folder}/out"), "x")


@case
def text(data):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.txt").write_text("one\n\ntwo\n")
        return [data.read_text(f"{folder}/a.txt").take_all(),
                data.read_text(f"{folder}/a.txt", drop_empty_lines=False).take_all()]  # fmt: skip


@case
def binary_files(data):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.bin").write_bytes(b"one")
        [row] = data.read_binary_files(f"{folder}/a.bin", include_paths=True).take_all()
        return [row["bytes"], pathlib.Path(row["path"]).name]


@case
def numpy_files(data):
    with tempfile.TemporaryDirectory() as folder:
        data.range(3).write_numpy(f"{folder}/out", column="id")
        return ordered(data.read_numpy(f"{folder}/out"), "data")


@case
def sql(data):
    import sqlite3

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.db"
        with sqlite3.connect(path) as there:
            there.execute("CREATE TABLE t (id INTEGER)")
        data.range(3).write_sql("INSERT INTO t VALUES (?)", lambda: sqlite3.connect(path))
        return ordered(data.read_sql("SELECT id FROM t", lambda: sqlite3.connect(path)), "id")
