"""Every kind of error is a class of its own, and says what, where, and what to do."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import sheaf as sf
from sheaf import errors

REPOSITORY = Path(__file__).resolve().parents[2]


def test_there_is_a_class_for_each_kind() -> None:
    source = (REPOSITORY / "core/src/error.rs").read_text()
    kinds = set(re.findall(r'Self::\w+ => "([^"]+)",', source))
    assert set(errors._KINDS) == kinds
    assert len(kinds) == len(set(errors._KINDS.values()))
    for kind, cls in errors._KINDS.items():
        made = errors._of_kind(kind, "what, where", "do this")
        assert isinstance(made, sf.SheafError)
        assert (type(made), str(made), made.hint) == (cls, "what, where", "do this")
        again = pickle.loads(pickle.dumps(made))
        assert (type(again), str(again), again.hint) == (cls, "what, where", "do this")
        assert cls.__name__ in errors.__all__
        assert getattr(sf, cls.__name__) is cls
    assert len(made.__class__.__mro__) > 3, "each is also an error of Python's own"


def missing(folder: Path) -> None:
    sf.read_parquet(folder / "gone.parquet")


def missing_glob(folder: Path) -> None:
    sf.read_csv(str(folder / "*.csv"))


def truncated(folder: Path) -> None:
    file = folder / "short.parquet"
    sf.range(1_000).write_parquet(file)
    file.write_bytes(file.read_bytes()[:-100])
    sf.read_parquet(file).to_arrow()


def other_format(folder: Path) -> None:
    (folder / "no.parquet").write_text("a,b\n1,2\n")
    sf.read_parquet(folder / "no.parquet").to_arrow()


def too_many_fields(folder: Path) -> None:
    (folder / "bad.csv").write_text("a,b\n1,2\n3,4\n5,6,7\n")
    sf.read_csv(folder / "bad.csv").to_arrow()


def wrong_value(folder: Path) -> None:
    (folder / "late.csv").write_text("a\n" + "1\n" * 50 + "x\n")
    sf.read_csv(folder / "late.csv", infer_rows=10).to_arrow()


def unknown_column(_: Path) -> None:
    sf.from_pydict({"carrier": ["AA"], "delay": [1]}).select("carier")


def unknown_column_in_expression(_: Path) -> None:
    sf.from_pydict({"carrier": ["AA"]}).filter(sf.col("carrrier") == "AA")


def unknown_column_in_sql(_: Path) -> None:
    sf.sql("SELECT carier FROM t", t=sf.from_pydict({"carrier": ["AA"]}))


def mismatch_in_expression(_: Path) -> None:
    sf.from_pydict({"a": [1], "b": [[1]]}).with_column("c", sf.col("a") + sf.col("b")).to_arrow()


def mismatch_of_an_argument(_: Path) -> None:
    sf.from_pydict({"b": ["x"]}).aggregate(sf.col("b").sum()).to_arrow()


def filter_by_a_number(_: Path) -> None:
    sf.from_pydict({"a": [1]}).filter(sf.col("a"))


def filter_by_a_window(_: Path) -> None:
    sf.from_pydict({"a": [1]}).filter(sf.functions.row_number().over(order_by="a") == 1)


def aggregate_as_a_column(_: Path) -> None:
    sf.from_pydict({"a": [1]}).with_column("share", sf.col("a") / sf.col("a").sum())


def column_beside_aggregates(_: Path) -> None:
    sf.from_pydict({"k": [1], "v": [1]}).groupby("k").agg(sf.col("v").sum(), sf.col("v"))


def value_without_the_type(_: Path) -> None:
    sf.from_pydict({"b": ["x"]}).select(sf.col("b").cast("int64")).to_arrow()


def other_encoding(folder: Path) -> None:
    (folder / "latin.csv").write_bytes("a\nGrün\n".encode("latin-1"))
    sf.read_csv(folder / "latin.csv").to_arrow()


def no_table_of_this_case(_: Path) -> None:
    sf.sql("SELECT * FROM Big", Big=sf.range(1))


def pattern_that_is_none(_: Path) -> None:
    sf.from_pydict({"a": ["x"]}).filter(sf.col("a").str.contains("(")).to_arrow()


def join_with_a_frame(_: Path) -> None:
    sf.range(1).join({"id": [1]}, on="id")  # type: ignore[arg-type]


def join_with_keys_twice(_: Path) -> None:
    sf.range(1).join(sf.range(1), on="id", left_on="id", right_on="id")


def cross_join_with_keys(_: Path) -> None:
    sf.range(1).join(sf.range(1), on="id", how="cross")


def full_join_using(_: Path) -> None:
    sf.sql("SELECT id FROM l FULL JOIN r USING (id)", l=sf.range(1), r=sf.range(2))


def sort_by_nothing(_: Path) -> None:
    sf.range(1).sort()


def column_twice(_: Path) -> None:
    sf.range(1).select("id", "id")


def key_and_aggregate_of_one_name(_: Path) -> None:
    sf.range(1).groupby("id").agg(id=sf.col("id").sum())


def explode_of_numbers(_: Path) -> None:
    sf.range(1).explode("id")


def mismatch_of_keys(_: Path) -> None:
    sf.from_pydict({"k": [1]}).join(sf.from_pydict({"k": [[1]]}), on="k")


def user_function(_: Path) -> None:
    def wrong(_: pa.RecordBatch) -> pa.RecordBatch:
        return 1 / 0

    numbers = sf.range(10)
    numbers.map_batches(wrong, schema=numbers.schema).to_arrow()


def memory_limit(_: Path) -> None:
    with sf.Session(memory_limit="16MiB", threads=1) as session:
        session.range(20_000_000).materialize()


def exists(folder: Path) -> None:
    sf.range(1).write_parquet(folder / "there.parquet")
    sf.range(1).write_parquet(folder / "there.parquet")


def no_table(_: Path) -> None:
    sf.table("nowhere")


def no_table_in_sql(_: Path) -> None:
    with sf.Session() as session:
        session.register("lineitem", session.range(1))
        session.sql("SELECT * FROM lineitm JOIN orders ON true", orders=session.range(1))


def no_table_at_all(_: Path) -> None:
    with sf.Session() as session:
        session.sql("SELECT * FROM 'notes.xyz'")


def no_sql(_: Path) -> None:
    sf.sql("SELEC 1")


def no_session_setting(_: Path) -> None:
    sf.Session(memory_limit="many")


CASES: list[tuple[Callable[[Path], None], type[sf.SheafError], type[Exception], list[str]]] = [
    (missing, sf.MissingFileError, FileNotFoundError, ["gone.parquet"]),
    (missing_glob, sf.MissingFileError, FileNotFoundError, ["*.csv"]),
    (truncated, sf.CorruptFileError, OSError, ["short.parquet"]),
    (other_format, sf.CorruptFileError, OSError, ["no.parquet"]),
    (too_many_fields, sf.ParseError, ValueError, ["bad.csv", "line 4", "more than 2 fields"]),
    (wrong_value, sf.ParseError, ValueError, ["late.csv", "line 52", "infer_rows"]),
    (unknown_column, sf.UnknownColumnError, KeyError, ['"carier"', 'did you mean "carrier"']),
    (unknown_column_in_expression, sf.UnknownColumnError, KeyError, ['"carrrier"', 'did you mean "carrier"']),
    (unknown_column_in_sql, sf.UnknownColumnError, KeyError, ['"carier"', 'did you mean "carrier"']),
    (mismatch_in_expression, sf.TypeMismatchError, TypeError, ["Int64", "List"]),
    (mismatch_of_an_argument, sf.TypeMismatchError, TypeError, ["the function sum takes Decimal", "not String"]),
    (filter_by_a_number, sf.TypeMismatchError, TypeError, ["a is Int64"]),
    (filter_by_a_window, sf.InvalidInputError, ValueError, ["row_number()"]),
    (aggregate_as_a_column, sf.InvalidInputError, ValueError, ["sum(a) is one value for many rows"]),
    (column_beside_aggregates, sf.InvalidInputError, ValueError, ['"v" is neither a key nor aggregated']),
    (value_without_the_type, sf.TypeMismatchError, TypeError, ["string 'x'", "Int64"]),
    (other_encoding, sf.ParseError, ValueError, ["latin.csv", "UTF-8"]),
    (no_table_of_this_case, sf.MissingFileError, FileNotFoundError, ['did you mean "Big"? in double quotes']),
    (pattern_that_is_none, sf.InvalidInputError, ValueError, ["regex parse error", "unclosed group"]),
    (join_with_a_frame, sf.TypeMismatchError, TypeError, ["this is dict", "sf.from_pandas"]),
    (join_with_keys_twice, sf.InvalidInputError, ValueError, ["on= or left_on="]),
    (cross_join_with_keys, sf.InvalidInputError, ValueError, ["neither keys"]),
    (full_join_using, sf.UnsupportedError, NotImplementedError, ["FULL JOIN with USING", "coalesce"]),
    (sort_by_nothing, sf.InvalidInputError, ValueError, ["no key to sort by"]),
    (column_twice, sf.InvalidInputError, ValueError, ['expression "id" at position 0', "same name"]),
    (key_and_aggregate_of_one_name, sf.InvalidInputError, ValueError, ['two columns have the name "id"', "alias"]),
    (explode_of_numbers, sf.TypeMismatchError, TypeError, ['"id" is Int64', "str.split"]),
    (mismatch_of_keys, sf.TypeMismatchError, TypeError, ["cannot join", '"k"', "cast"]),
    (user_function, sf.UserFunctionError, RuntimeError, ["wrong", "ZeroDivisionError", "partition 0, batch 0, row 0"]),
    (memory_limit, sf.MemoryLimitError, MemoryError, ["memory_limit"]),
    (exists, sf.ExistsError, FileExistsError, ["there.parquet"]),
    (no_table, sf.MissingFileError, FileNotFoundError, ['there is no table "nowhere"']),
    (
        no_table_in_sql,
        sf.MissingFileError,
        FileNotFoundError,
        ['there is no table "lineitm"', 'did you mean "lineitem"? the tables are lineitem, orders'],
    ),
    (no_table_at_all, sf.MissingFileError, FileNotFoundError, ['"notes.xyz"', "no table is registered", "ending"]),
    (no_sql, sf.ParseError, ValueError, ["SELEC"]),
    (no_session_setting, sf.InvalidInputError, ValueError, ["many", "8GiB"]),
]


@pytest.mark.parametrize(("act", "kind", "python", "said"), CASES, ids=[case[0].__name__ for case in CASES])
def test_errors(
    tmp_path: Path, act: Callable[[Path], None], kind: type[sf.SheafError], python: type[Any], said: list[str]
) -> None:
    with pytest.raises(python) as raised:
        act(tmp_path)
    assert type(raised.value) is kind
    for text in said:
        assert text in str(raised.value)


def test_hints_are_apart_too() -> None:
    with pytest.raises(sf.UnknownColumnError) as raised:
        sf.from_pydict({"carrier": ["AA"]}).select("carier")
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("did you mean")
    assert str(raised.value).endswith(f"help: {raised.value.hint}")


LISTED: list[tuple[Callable[[Path], None], str]] = [
    (missing, "check the path"),
    (missing_glob, "check the path"),
    (truncated, "ignore_errors=True"),
    (too_many_fields, "check the delimiter"),
    (wrong_value, "pass dtypes="),
    (mismatch_in_expression, ".cast(type)"),
    (mismatch_of_keys, "cast one of the keys"),
    (mismatch_of_an_argument, ".cast(type)"),
    (filter_by_a_number, "compare it with something"),
    (filter_by_a_window, "make it a column first"),
    (aggregate_as_a_column, ".over(…)"),
    (column_beside_aggregates, "sum, max"),
    (value_without_the_type, "strict=False"),
    (other_encoding, "encoding="),
    (unknown_column, "the columns are carrier, delay"),
    (unknown_column_in_expression, "the columns are carrier"),
    (unknown_column_in_sql, "the columns are carrier"),
    (user_function, "traceback"),
    (memory_limit, "raise memory_limit"),
]


@pytest.mark.parametrize(("act", "advice"), LISTED, ids=[act.__name__ for act, _ in LISTED])
def test_each_says_what_to_do(tmp_path: Path, act: Callable[[Path], None], advice: str) -> None:
    with pytest.raises(sf.SheafError) as raised:
        act(tmp_path)
    assert raised.value.hint, f"no hint: {raised.value}"
    assert advice in raised.value.hint
    assert str(raised.value).endswith(f"\n  help: {raised.value.hint}")
