"""A weighted mean as an aggregate of one's own, in Ray's form and in Dask's."""

import pandas as pd

import sheaf as sf

# Ray's form: a state for each group, to which rows are added and states are merged.
BY_STATES = sf.AggregateFn(
    init=lambda key: (0.0, 0.0),
    accumulate_row=lambda state, row: (state[0] + row["price"] * row["sold"], state[1] + row["sold"]),
    merge=lambda state, other: (state[0] + other[0], state[1] + other[1]),
    finalize=lambda state: state[0] / state[1],
    name="mean_price",
    columns=["price", "sold"],
)

# Dask's form: what is made of a piece of each group, how pieces are put together, and what is made of the whole.
BY_PIECES = sf.Aggregation(
    "mean_price",
    chunk=lambda groups: (groups.apply(lambda rows: (rows.price * rows.sold).sum()), groups.sold.sum()),
    agg=lambda revenue, sold: (revenue.sum(), sold.sum()),
    finalize=lambda revenue, sold: revenue / sold,
)


def main() -> None:
    """Print the mean price of each product, weighted by how many were sold."""
    rows = range(10_000)
    sales = sf.from_pydict(
        {
            "product": [f"product {n % 3}" for n in rows],
            "price": [1.0 + n % 7 for n in rows],
            "sold": [1.0 + n % 5 for n in rows],
        }
    )
    grouped = sales.groupby("product")
    states = grouped.agg(BY_STATES).sort("product").to_pandas()
    pieces = grouped.agg({("price", "sold"): BY_PIECES}).sort("product").to_pandas()
    pd.testing.assert_series_equal(states["mean_price"], pieces.iloc[:, 1], check_names=False)
    for row in states.itertuples():
        print(f"{row.product} {row.mean_price:.4f}")


if __name__ == "__main__":
    main()
