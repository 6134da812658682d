"""Environments of tasks and actors under Ray's path, ``ray.runtime_env``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sheaf._runtime import environment
from sheaf._runtime.environment import config as _config
from sheaf._runtime.environment import setup as _setup

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]


class RuntimeEnvConfig(dict[str, Any]):
    """How an environment is set up, for the key ``config``; a plain dictionary does the same.

    Args:
        setup_timeout_seconds: How long the set-up of a worker may take before the task or actor fails with
            ``RuntimeEnvSetupError``; by default 600. -1 is for as long as it takes, which is a day at most.
        eager_install: Ray's; without a meaning here: an environment is made when the first worker wants it.

    >>> from sheaf.runtime_env import RuntimeEnvConfig
    >>> RuntimeEnvConfig(setup_timeout_seconds=60)
    {'setup_timeout_seconds': 60}
    """

    def __init__(self, setup_timeout_seconds: int = _setup.DEFAULT_SECONDS, eager_install: bool = True) -> None:
        given = {_setup.TIMEOUT: setup_timeout_seconds, **({} if eager_install else {"eager_install": False})}
        _config.check(given)
        super().__init__(given)


class RuntimeEnv(dict[str, Any]):
    """A ``runtime_env`` by keyword arguments, checked at once; a plain dictionary does the same.

    Args:
        env_vars: Variables of the worker's environment; values may name others: ``"${HOME}/data"``.
        working_dir: A folder, or a ``.zip`` archive of one, in whose copy workers run.
        py_modules: Folders of modules, ``.py`` files, ``.zip`` and ``.whl`` archives, or imported modules.
        excludes: Patterns of what stays out of the copies of ``working_dir`` and ``py_modules``, as in ``.gitignore``.
        pip: Packages, or the path of a file of them, or a dictionary with ``packages``, ``pip_check``,
            ``pip_version`` and ``pip_install_options``.
        conda: The name of an environment, the path of a ``.yml`` file, or what is in one as a dictionary.
        py_executable: The command of another Python of the same version for workers.
        config: A ``RuntimeEnvConfig``.

    Raises ``TypeError`` or ``ValueError`` for what cannot be, and for ``pip`` together with ``conda``.

    >>> from sheaf.runtime_env import RuntimeEnv
    >>> RuntimeEnv(env_vars={"A": "1"}, pip=["requests==2.31"])
    {'env_vars': {'A': '1'}, 'pip': ['requests==2.31']}
    """

    def __init__(
        self,
        *,
        env_vars: Mapping[str, str] | None = None,
        working_dir: Any = None,
        py_modules: list[Any] | None = None,
        excludes: list[str] | None = None,
        pip: Any = None,
        conda: Any = None,
        py_executable: str | None = None,
        config: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> None:
        given = {
            "env_vars": env_vars,
            "working_dir": working_dir,
            "py_modules": py_modules,
            "excludes": excludes,
            "pip": pip,
            "conda": conda,
            "py_executable": py_executable,
            "config": config,
            **others,
        }
        environment.normalise(given)
        super().__init__({key: value for key, value in given.items() if value is not None})
