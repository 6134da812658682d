"""Sheaf: a distributed dataframe and dataset engine. One plan for Python, SQL and Rust.

>>> import sheaf as sf
>>> sf.range(10).limit(3).to_pydict()
{'id': [0, 1, 2]}
"""

from sheaf import _cpu

# Before anything compiled is loaded.
_cpu.check()

from sheaf import errors, functions  # noqa: E402
from sheaf._sheaf import VERSION as __version__  # noqa: E402
from sheaf.dataset import Dataset, GroupedDataset  # noqa: E402
from sheaf.errors import *  # noqa: E402, F403
from sheaf.expressions import Expr, SortKey, col, lit, when  # noqa: E402
from sheaf.session import DefaultSession as _DefaultSession  # noqa: E402
from sheaf.session import Session  # noqa: E402
from sheaf.writers import WriteReport  # noqa: E402

_default = _DefaultSession()

read_parquet = _default.read_parquet
read_csv = _default.read_csv
read_json = _default.read_json
read_ipc = _default.read_ipc
read_text = _default.read_text
from_arrow = _default.from_arrow
from_pandas = _default.from_pandas
from_polars = _default.from_polars
from_items = _default.from_items
from_pydict = _default.from_pydict
range = _default.range
sql = _default.sql
register = _default.register
deregister = _default.deregister
table = _default.table


def default_session() -> Session:
    """The session whose methods the module's functions are.

    >>> import sheaf as sf
    >>> sf.default_session().range(3).count()
    3
    """
    return _default


def set_default_session(session: Session | None) -> None:
    """Let the module's functions use this session from now on; ``None`` starts a new one with default settings.

    >>> import sheaf as sf
    >>> sf.set_default_session(sf.Session(threads=1))
    >>> sf.default_session().settings["threads"]
    '1'
    >>> sf.set_default_session(None)
    """
    _default.use(session)


__all__ = [
    "Dataset",
    "Expr",
    "GroupedDataset",
    "Session",
    "SortKey",
    "WriteReport",
    "__version__",
    "col",
    "default_session",
    "deregister",
    "errors",
    "from_arrow",
    "from_items",
    "from_pandas",
    "from_polars",
    "from_pydict",
    "functions",
    "lit",
    "range",
    "read_csv",
    "read_ipc",
    "read_json",
    "read_parquet",
    "read_text",
    "register",
    "set_default_session",
    "sql",
    "table",
    "when",
    *errors.__all__,
]
