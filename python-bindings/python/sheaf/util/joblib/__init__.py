"""joblib on actors: what runs in ``joblib.parallel_backend("sheaf")`` runs on the cluster, scikit-learn's searches say.

>>> from sheaf.util.joblib import register_sheaf
>>> register_sheaf()  # doctest: +SKIP
>>> with joblib.parallel_backend("sheaf"):  # doctest: +SKIP
...     search.fit(x, y)
"""

__all__ = ["register_ray", "register_sheaf"]


def register_sheaf() -> None:
    """Let joblib know the backend, as ``"sheaf"`` and under Ray's name, ``"ray"``."""
    try:
        from joblib.parallel import register_parallel_backend
    except ImportError as error:
        raise ImportError("register_sheaf() needs joblib\n  help: pip install joblib") from error

    from sheaf.util.joblib.backend import SheafBackend

    for name in ("sheaf", "ray"):
        register_parallel_backend(name, SheafBackend)


register_ray = register_sheaf
