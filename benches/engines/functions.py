"""The user functions of the `map_batches` cases: the same NumPy and pandas work for every engine."""

import numpy as np
import pandas as pd


def add_one(values: np.ndarray) -> np.ndarray:
    """The NumPy function."""
    return values + 1


def upper(values: pd.Series) -> pd.Series:
    """The pandas function."""
    return values.str.upper()
