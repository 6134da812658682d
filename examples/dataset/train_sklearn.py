"""scikit-learn learns batch by batch: the engine scales the columns, and shuffles the rows of each epoch."""

import sklearn.datasets
from sklearn.linear_model import SGDClassifier

import sheaf as sf

table = sf.from_pandas(sklearn.datasets.load_breast_cancer(as_frame=True).frame)
columns = [name for name in table.columns if name != "target"]

# What is learned from is scaled by what is learned from, and by nothing else.
numbered = table.with_column("row", sf.functions.row_number().over(order_by="mean radius"))
train, test = numbered.filter(sf.col("row") % 5 != 0), numbered.filter(sf.col("row") % 5 == 0)
scale = train.aggregate(
    *[sf.col(name).mean().alias(f"{name} mean") for name in columns],
    *[sf.col(name).std().alias(f"{name} std") for name in columns],
).take(1)[0]
scaled = {name: (sf.col(name) - scale[f"{name} mean"]) / scale[f"{name} std"] for name in columns}
train, test = (part.with_columns(**scaled).select(*columns, "target").materialize() for part in (train, test))

model = SGDClassifier(loss="log_loss", random_state=0)
feed = train.iterator(seed=0, local_shuffle_buffer_size=1000)
for _ in range(20):
    for batch in feed.iter_batches(32, "pandas"):
        model.partial_fit(batch[columns], batch["target"], classes=[0, 1])

held_out = test.to_pandas()
print("rows learned from:", feed.stats().rows)
print("more than 95 % right:", model.score(held_out[columns], held_out["target"]) > 0.95)
