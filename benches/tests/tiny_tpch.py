"""TPC-H in miniature, the same each time: small enough to make in a test, and every query finds rows in it.

The words are those that the queries look for, and everything else is drawn evenly, so that each condition is met often.
"""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]

SUPPLIERS, PARTS, CUSTOMERS, ORDERS = 24, 80, 120, 1000
SUPPLIERS_OF_A_PART = 4
FIRST_DAY, DAYS = date(1992, 1, 1), 2405
TODAY = date(1995, 6, 17)

REGIONS = ("AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST")
NATIONS = (
    ("KENYA", 0), ("BRAZIL", 1), ("CANADA", 1), ("GERMANY", 3), ("INDIA", 2), ("CHINA", 2), ("SAUDI ARABIA", 4),
    ("FRANCE", 3),
)  # fmt: skip
TYPES = ("ECONOMY ANODIZED STEEL", "PROMO BRUSHED BRASS", "MEDIUM POLISHED TIN", "SMALL PLATED BRASS")
BRANDS = ("Brand#12", "Brand#23", "Brand#34", "Brand#45")
CONTAINERS = ("SM CASE", "MED BOX", "LG PACK")
SIZES = (1, 3, 9, 15)
COLOURS = ("forest", "green", "salmon")
SEGMENTS = ("BUILDING", "MACHINERY")
PRIORITIES = ("1-URGENT", "2-HIGH", "3-MEDIUM", "5-LOW")
MODES = ("AIR", "AIR REG", "MAIL", "SHIP", "TRUCK")
INSTRUCTIONS = ("DELIVER IN PERSON", "NONE")

MONEY = {"acctbal", "retailprice", "supplycost", "totalprice", "quantity", "extendedprice", "discount", "tax"}
COUNTS = {"size", "availqty", "shippriority", "linenumber"}


def write_tables(folder: Path) -> None:
    """All tables, each as the Parquet file that the cases read."""
    folder.mkdir(parents=True)
    for name, rows in tables(Random(22)).items():
        schema = pa.schema([(column, type_of(column)) for column in rows[0]])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{name}.parquet")


def type_of(column: str) -> pa.DataType:
    """The type that a column of this name has."""
    name = column.partition("_")[2]
    if name in MONEY:
        return pa.decimal128(15, 2)
    if name in COUNTS:
        return pa.int32()
    if name.endswith("key"):
        return pa.int64()
    return pa.date32() if name.endswith("date") else pa.string()


def tables(random: Random) -> dict[str, list[Row]]:
    """The rows of all tables."""
    orders = [order(random, key) for key in range(1, ORDERS + 1)]
    return {
        "region": [{"r_regionkey": key, "r_name": name, "r_comment": "a region"} for key, name in enumerate(REGIONS)],
        "nation": [
            {"n_nationkey": key, "n_name": name, "n_regionkey": region, "n_comment": "a nation"}
            for key, (name, region) in enumerate(NATIONS)
        ],
        "supplier": [supplier(random, key) for key in range(1, SUPPLIERS + 1)],
        "customer": [customer(random, key) for key in range(1, CUSTOMERS + 1)],
        "part": [part(random, key) for key in range(1, PARTS + 1)],
        "partsupp": [
            {
                "ps_partkey": key,
                "ps_suppkey": supplier_of(key, at),
                "ps_availqty": random.randint(1, 9999),
                "ps_supplycost": money(random, 100, 100_000),
                "ps_comment": "an offer",
            }
            for key in range(1, PARTS + 1)
            for at in range(SUPPLIERS_OF_A_PART)
        ],
        "orders": orders,
        "lineitem": [
            line(random, each, number)
            for each in orders
            for number in range(1, 8 if large(each) else random.randint(2, 7))
        ],
    }


def money(random: Random, least: int, most: int) -> Decimal:
    """An amount between two numbers of cents."""
    return Decimal(random.randint(least, most)).scaleb(-2)


def supplier_of(part_key: int, at: int) -> int:
    """One of a part's suppliers: all different."""
    return (part_key + at * (SUPPLIERS // SUPPLIERS_OF_A_PART)) % SUPPLIERS + 1


def large(row: Row) -> bool:
    """Whether an order is of more than 300 pieces."""
    return bool(row["o_orderkey"] % 50 == 0)


def contact(prefix: str, key: int, nation: int) -> Row:
    """What suppliers and customers have in common; the phone's first digits follow from the nation."""
    return {
        f"{prefix}_address": f"{key} Main Street",
        f"{prefix}_nationkey": nation,
        f"{prefix}_phone": f"{nation + 10}-555-{key:04}",
    }


def supplier(random: Random, key: int) -> Row:
    """A row of supplier: each nation has three."""
    complaint = "Customer knows of no Complaints" if key % 7 == 0 else "nothing to say"
    return {
        "s_suppkey": key,
        "s_name": f"Supplier#{key:09}",
        **contact("s", key, key % len(NATIONS)),
        "s_acctbal": money(random, -99_999, 999_999),
        "s_comment": complaint,
    }


def customer(random: Random, key: int) -> Row:
    """A row of customer."""
    return {
        "c_custkey": key,
        "c_name": f"Customer#{key:09}",
        **contact("c", key, key % len(NATIONS)),
        "c_acctbal": money(random, -99_999, 999_999),
        "c_mktsegment": random.choice(SEGMENTS),
        "c_comment": "a customer",
    }


def part(random: Random, key: int) -> Row:
    """A row of part."""
    return {
        "p_partkey": key,
        "p_name": f"{random.choice(COLOURS)} {random.choice(COLOURS)}",
        "p_mfgr": "Manufacturer#1",
        "p_brand": random.choice(BRANDS),
        "p_type": random.choice(TYPES),
        "p_size": random.choice(SIZES),
        "p_container": random.choice(CONTAINERS),
        "p_retailprice": money(random, 90_000, 200_000),
        "p_comment": "a part",
    }


def order(random: Random, key: int) -> Row:
    """A row of orders. Every third customer has none."""
    placed = FIRST_DAY + timedelta(days=random.randrange(DAYS))
    buyer = random.randrange(CUSTOMERS // 3) * 3 + random.randint(1, 2)
    return {
        "o_orderkey": key,
        "o_custkey": buyer,
        "o_orderstatus": "F" if placed < TODAY else "O",
        "o_totalprice": money(random, 100_000, 50_000_000),
        "o_orderdate": placed,
        "o_orderpriority": random.choice(PRIORITIES),
        "o_clerk": "Clerk#000000001",
        "o_shippriority": 0,
        "o_comment": random.choice(("no special wishes or requests", "nothing")),
    }


def line(random: Random, of: Row, number: int) -> Row:
    """A row of lineitem."""
    shipped = of["o_orderdate"] + timedelta(days=random.randint(1, 60))
    received = shipped + timedelta(days=random.randint(1, 30))
    part_key = random.randint(1, PARTS)
    returned = random.choice("RA") if received <= TODAY else "N"
    return {
        "l_orderkey": of["o_orderkey"],
        "l_partkey": part_key,
        "l_suppkey": supplier_of(part_key, random.randrange(SUPPLIERS_OF_A_PART)),
        "l_linenumber": number,
        "l_quantity": Decimal(random.randint(44 if large(of) else 1, 50)),
        "l_extendedprice": money(random, 100_000, 10_000_000),
        "l_discount": money(random, 0, 10),
        "l_tax": money(random, 0, 8),
        "l_returnflag": returned,
        "l_linestatus": "F" if shipped <= TODAY else "O",
        "l_shipdate": shipped,
        "l_commitdate": of["o_orderdate"] + timedelta(days=random.randint(30, 90)),
        "l_receiptdate": received,
        "l_shipinstruct": random.choice(INSTRUCTIONS),
        "l_shipmode": random.choice(MODES),
        "l_comment": f"line {number} of {of['o_orderkey']}",
    }
