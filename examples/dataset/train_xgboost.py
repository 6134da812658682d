"""XGBoost takes a dataset batch by batch, as often as it needs: the table is never whole in Python."""

from collections.abc import Callable

import numpy as np
import sklearn.datasets
import xgboost

import sheaf as sf


class Batches(xgboost.DataIter):
    """What XGBoost reads: each pass over it is an epoch."""

    def __init__(self, rows: sf.Dataset) -> None:
        super().__init__()
        self.feed = rows.iterator()
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self.batches = self.feed.iter_batches(256, "numpy")

    def next(self, input_data: Callable[..., None]) -> bool:
        """Hand over a batch, and tell whether there was one."""
        batch = next(self.batches, None)
        if batch is None:
            return False
        label = batch.pop("target")
        input_data(data=np.column_stack(list(batch.values())), label=label)
        return True


table = sf.from_pandas(sklearn.datasets.load_breast_cancer(as_frame=True).frame)
numbered = table.with_column("row", sf.functions.row_number().over(order_by="mean radius"))
train = numbered.filter(sf.col("row") % 5 != 0).drop("row").materialize()
test = numbered.filter(sf.col("row") % 5 == 0).drop("row").materialize()

matrix = xgboost.QuantileDMatrix(Batches(train))
model = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "seed": 0, "nthread": 1}, matrix, 40)

held_out = test.to_pandas()
guess = model.predict(xgboost.DMatrix(held_out.drop(columns="target").to_numpy())) > 0.5
print("rows learned from:", matrix.num_row())
print("more than 93 % right:", float((guess == held_out["target"]).mean()) > 0.93)
