# The two commands of a fresh machine are `make demo` and `make test`; both set up all that they need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# The profile of the wheel: tests use their own (dev), the demo and the benchmarks release.
PROFILE := dev
demo bench bench-runtime bench-dataset bench-cluster: PROFILE := release

export CARGO_TARGET_DIR ?= $(CURDIR)/target
VENV := $(CURDIR)/.venv
PYTHON := $(VENV)/bin/python
# One interpreter and one environment for every cargo call, as maturin sets them: otherwise each call builds pyo3 anew.
export PYO3_PYTHON := $(PYTHON)
export PYO3_BUILD_EXTENSION_MODULE := 1
export PYO3_ENVIRONMENT_SIGNATURE = $(shell $(PYTHON) -c 'import sys; print("cpython-%d.%d-64bit" % sys.version_info[:2])' 2>/dev/null)
RUST := --workspace --exclude sheaf-python --features polars --locked
STEP := scripts/step

.PHONY: help demo test bench bench-runtime bench-dataset bench-cluster lint format lint-rust lint-python test-rust test-python wheel venv clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: wheel ## set everything up and run the main job on real data
	@$(STEP) "demo, Python" 900 env PATH="$(VENV)/bin:$$PATH" $(PYTHON) examples/quickstart.py
	@$(STEP) "demo, SQL" 300 env PATH="$(VENV)/bin:$$PATH" $(VENV)/bin/sheaf sql -f examples/quickstart.sql

test: lint test-rust test-python ## set everything up and pass every test

bench: wheel ## measure Sheaf and its peers side by side, in release
	benches/bench.sh --wheel "$$(ls "$(CARGO_TARGET_DIR)"/wheels/release/sheaf-*.whl)" --readme

bench-runtime: wheel ## measure Sheaf's runtime beside Ray's, in release
	benches/bench.sh --runtime --wheel "$$(ls "$(CARGO_TARGET_DIR)"/wheels/release/sheaf-*.whl)" --readme

bench-dataset: wheel ## measure the verbs of datasets and their peers side by side, in release
	benches/bench.sh --dataset --wheel "$$(ls "$(CARGO_TARGET_DIR)"/wheels/release/sheaf-*.whl)" --readme

bench-cluster: wheel ## measure TPC-H on a cluster of Sheaf's and on its peers', in release
	benches/bench.sh --cluster --wheel "$$(ls "$(CARGO_TARGET_DIR)"/wheels/release/sheaf-*.whl)" --readme

lint: lint-rust lint-python ## formats, lints and types

format: venv ## bring Rust and Python sources into their format
	cargo fmt --all
	$(VENV)/bin/ruff format .

lint-rust: venv
	@$(STEP) "cargo fmt" 120 cargo fmt --all --check
	@$(STEP) "cargo clippy" 2400 cargo clippy --workspace --all-targets --features polars --locked -- -D warnings

lint-python: venv
	@$(STEP) "ruff" 60 scripts/lint-python "$(VENV)"

test-rust: venv
	@$(STEP) "cargo test, build" 2400 cargo test $(RUST) --no-run
	@$(STEP) "cargo test" 1800 cargo test $(RUST) --lib --bins --tests
	@$(STEP) "cargo test, docs" 900 cargo test $(RUST) --doc

test-python: wheel
	@$(STEP) "mypy" 300 $(VENV)/bin/mypy --config-file python-bindings/pyproject.toml
	@$(STEP) "pytest" 3000 env PATH="$(VENV)/bin:$$PATH" $(PYTHON) -m pytest python-bindings/tests
	@$(STEP) "pytest, benchmarks" 300 $(PYTHON) -m pytest benches/tests
	@$(STEP) "pytest, deployments" 600 scripts/test-deploy "$(VENV)"
	@$(STEP) "pytest, other Pythons" 2400 scripts/test-other-pythons "$(VENV)"

wheel: venv ## build the Python package and install it into .venv (PROFILE=dev or release)
	@$(STEP) "wheel, $(PROFILE)" 3600 scripts/wheel "$(VENV)" "$(PROFILE)"

venv:
	@$(STEP) "Python environment" 900 scripts/venv "$(VENV)" python-bindings/requirements-test.txt

clean: ## remove what the other commands made in this folder
	rm -rf .venv .venv-* demo-data bench-data dist
