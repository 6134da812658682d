"""Expressions under the path of ``ray.data.expressions``; their methods are those of ``sheaf.Expr``.

>>> import sheaf as sf
>>> from sheaf.data.expressions import col
>>> sf.data.range(3).filter(expr=col("id") > 1).take_all()
[{'id': 2}]
"""

from __future__ import annotations

from sheaf._sheaf import Expr, col, lit

__all__ = ["Expr", "col", "lit"]
