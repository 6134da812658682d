"""``DataContext`` under the path of ``ray.data.context``.

>>> from sheaf.data.context import DataContext
>>> DataContext.get_current().max_errored_blocks
0
"""

from __future__ import annotations

from sheaf.data.settings import DataContext, ExecutionOptions, ExecutionResources

__all__ = ["DataContext", "ExecutionOptions", "ExecutionResources"]
