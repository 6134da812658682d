"""Ray Data's module under Ray's names, over Sheaf's datasets: ``import sheaf as ray`` runs programs of Ray Data.

>>> import sheaf as ray
>>> ray.data.range(4).map_batches(lambda batch: {"twice": batch["id"] * 2}).sum("twice")
12
"""

from __future__ import annotations

from typing import Any

from sheaf.data import aggregate as aggregate
from sheaf.data import expressions as expressions
from sheaf.data.dataset import Dataset, MaterializedDataset
from sheaf.data.grouped import GroupedData
from sheaf.data.iterator import DataIterator
from sheaf.data.plan import Schema
from sheaf.data.readers import (
    read_binary_files,
    read_csv,
    read_json,
    read_numpy,
    read_parquet,
    read_sql,
    read_text,
)
from sheaf.data.settings import (
    ActorPoolStrategy,
    DataContext,
    ExecutionOptions,
    ExecutionResources,
    MixStoppingCondition,
    SaveMode,
    TaskPoolStrategy,
)
from sheaf.data.sources import (
    from_arrow,
    from_arrow_refs,
    from_blocks,
    from_daft,
    from_dask,
    from_huggingface,
    from_items,
    from_numpy,
    from_numpy_refs,
    from_pandas,
    from_pandas_refs,
    from_sheaf,
    from_tf,
    from_torch,
    range,
    range_tensor,
)

__all__ = [
    "ActorPoolStrategy",
    "DataContext",
    "DataIterator",
    "Dataset",
    "ExecutionOptions",
    "ExecutionResources",
    "GroupedData",
    "MaterializedDataset",
    "MixStoppingCondition",
    "SaveMode",
    "Schema",
    "TaskPoolStrategy",
    "from_arrow",
    "from_arrow_refs",
    "from_blocks",
    "from_daft",
    "from_dask",
    "from_huggingface",
    "from_items",
    "from_numpy",
    "from_numpy_refs",
    "from_pandas",
    "from_pandas_refs",
    "from_sheaf",
    "from_tf",
    "from_torch",
    "range",
    "range_tensor",
    "read_binary_files",
    "read_csv",
    "read_json",
    "read_numpy",
    "read_parquet",
    "read_sql",
    "read_text",
]

_MEDIA = "read_binary_files, and a map that decodes them"
_A_STORE = "export to Parquet and read_parquet, or read_sql where it has a driver of Python's DB API"
_AN_EXTENSION = "write a function that makes Arrow data, and from_arrow or from_arrow_refs"

# What ray.data has and this has not, and what to use instead.
_NOT_THERE = {
    **dict.fromkeys(("read_audio", "read_images", "read_videos", "read_mcap", "read_webdataset"), _MEDIA),
    **dict.fromkeys(
        (
            *("read_bigquery", "read_clickhouse", "read_databricks_tables", "read_delta", "read_delta_sharing_tables"),
            *("read_hudi", "read_iceberg", "read_kafka", "read_lance", "read_lerobot", "read_mongo", "read_snowflake"),
            *("read_unity_catalog", "read_zarr"),
        ),
        _A_STORE,
    ),
    **dict.fromkeys(("read_avro", "read_orc", "read_tfrecords"), "a library of the format, and from_arrow"),
    **dict.fromkeys(("Datasource", "Datasink", "ReadTask", "read_datasource"), _AN_EXTENSION),
    "Preprocessor": "aggregates and with_columns, or scikit-learn in map_batches",
    "from_mars": "from_pandas",
    "from_modin": "from_pandas(frame._to_pandas())",
    "from_spark": "write Parquet there, and read_parquet",
}


def __getattr__(name: str) -> Any:
    hint = f"\n  help: {_NOT_THERE[name]}" if name in _NOT_THERE else ""
    raise AttributeError(f"module 'sheaf.data' has no attribute {name!r}{hint}")
