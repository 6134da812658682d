"""``multiprocessing.Pool`` on actors: programs change their import and run on all nodes.

>>> from sheaf.util.multiprocessing import Pool
>>> with Pool(1) as pool:
...     pool.map(abs, [-1, 2, -3])
[1, 2, 3]
"""

from multiprocessing import JoinableQueue, TimeoutError

from sheaf.util.multiprocessing.pool import Pool
from sheaf.util.multiprocessing.results import AsyncResult

__all__ = ["AsyncResult", "JoinableQueue", "Pool", "TimeoutError"]
