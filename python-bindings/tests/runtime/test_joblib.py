"""joblib's parallel loops, and scikit-learn's on them, as tasks of the runtime."""

import os

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from sheaf.util.joblib import register_sheaf

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


def square_and_process(value: int) -> tuple[int, int]:
    return value * value, os.getpid()


def test_a_parallel_loop_runs_in_workers() -> None:
    register_sheaf()
    with joblib.parallel_config(backend="sheaf"):
        done = joblib.Parallel(n_jobs=2)(joblib.delayed(square_and_process)(value) for value in range(20))
    assert [square for square, _ in done] == [value * value for value in range(20)]
    assert os.getpid() not in {process for _, process in done}


def test_a_grid_search_finds_what_it_finds_without() -> None:
    register_sheaf()
    random = np.random.default_rng(7)
    x = random.normal(size=(200, 4))
    y = (x[:, 0] + 0.5 * x[:, 1] + random.normal(scale=0.3, size=200) > 0).astype(int)
    grid = {"C": [0.01, 0.1, 1.0, 10.0]}
    alone = GridSearchCV(LogisticRegression(), grid, cv=3).fit(x, y)
    with joblib.parallel_backend("sheaf"):
        spread = GridSearchCV(LogisticRegression(), grid, cv=3, n_jobs=-1).fit(x, y)
    assert spread.best_params_ == alone.best_params_
    assert np.allclose(spread.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


def test_what_a_loop_raises_comes_back() -> None:
    register_sheaf()
    with joblib.parallel_config(backend="sheaf"), pytest.raises(ZeroDivisionError):
        joblib.Parallel(n_jobs=2)(joblib.delayed(divmod)(1, value) for value in (1, 0, 2))
