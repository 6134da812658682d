#!/usr/bin/env bash
# `make bench`: the peers' environment, the TPC-H data, Sheaf's wheel if one is given, then the measurement.
#   benches/bench.sh [--wheel FILE] [arguments of run.py, see benches/run.py --help]
# `make bench-runtime`: the same for the runtime, which needs no data.
#   benches/bench.sh --runtime [--wheel FILE] [arguments of runtime.py, see benches/runtime.py --help]
# `make bench-dataset`: the same for the verbs of datasets, whose inputs it makes itself.
#   benches/bench.sh --dataset [--wheel FILE] [arguments of dataset.py, see benches/dataset.py --help]
# `make bench-cluster`: the same for clusters, whose inputs it makes itself too; Spark needs a `java`, of version 17.
#   benches/bench.sh --cluster [--wheel FILE] [arguments of cluster.py, see benches/cluster.py --help]
set -euo pipefail
cd "$(dirname "$0")/.."

script=run.py
case "${1:-}" in
    --runtime | --dataset | --cluster)
        script=${1#--}.py
        shift
        ;;
esac
wheel=""
if [ "${1:-}" = "--wheel" ]; then
    wheel=$2
    shift 2
fi

scale=1
previous=""
for argument in "$@"; do
    case "$argument" in
        --scale=*) scale=${argument#--scale=} ;;
        *) [ "$previous" != "--scale" ] || scale=$argument ;;
    esac
    previous=$argument
done

python=.venv-bench/bin/python
[ -x "$python" ] || python3 -m venv .venv-bench
"$python" -m pip install --quiet --disable-pip-version-check -r benches/requirements.txt
if [ -n "$wheel" ]; then
    "$python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"
    "$python" -m pip install --quiet --disable-pip-version-check "$wheel"
fi

# The dev profile, with the selection of packages and features that the tests have: what they built serves here too, and
# a minute of writing at scale 1 is less than building the test dependencies once more in release.
if [ "$script" = run.py ] && [ ! -e "bench-data/tpch-sf$scale/lineitem.parquet" ]; then
    cargo bench --quiet --locked --profile dev --workspace --exclude sheaf-python --features polars \
        --bench tpch_data -- --scale "$scale" --out "$PWD/bench-data/tpch-sf$scale"
fi
exec "$python" "benches/$script" "$@"
