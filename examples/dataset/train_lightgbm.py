"""LightGBM learns from a dataset that the engine has joined and filtered."""

import lightgbm
import sklearn.datasets

import sheaf as sf

wine = sf.from_pandas(sklearn.datasets.load_wine(as_frame=True).frame)
numbered = wine.with_column("row", sf.functions.row_number().over(order_by=["alcohol", "proline"]))
# Each wine beside the means of those that are as strong, to a tenth: a feature that only a join gives.
strength = sf.functions.floor(sf.col("alcohol") * 10).alias("strength")
means = numbered.groupby(strength).agg(
    sf.col("color_intensity").mean().alias("usual_color"), sf.col("proline").mean().alias("usual_proline")
)
table = numbered.with_column("strength", strength).join(means, on="strength").sort("row")
train = table.filter(sf.col("row") % 4 != 0).drop("row", "strength")
test = table.filter(sf.col("row") % 4 == 0).drop("row", "strength")

learn, held_out = train.to_pandas(), test.to_pandas()
data = lightgbm.Dataset(learn.drop(columns="target"), learn["target"])
options = {"objective": "multiclass", "num_class": 3, "seed": 0, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
model = lightgbm.train(options, data, 60)

guess = model.predict(held_out.drop(columns="target")).argmax(axis=1)
print("wines learned from:", len(learn), "held out:", len(held_out))
print("more than 90 % right:", float((guess == held_out["target"]).mean()) > 0.9)
