# Every target wraps commands that a person could type; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := .tools/bin/uv
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Tracing for coverage slows every call: only the tests of the rooms that it is measured of pay for it.
PURE_TESTS := tests/features tests/models
# What PYTEST_ARGS choose may all be in the other half.
NONE_CHOSEN = test $$? = 5 -a -n "$(PYTEST_ARGS)"
PURE := features models $(PURE_TESTS)
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

# LightGBM's wheel wants the system's OpenMP library, which nearly every machine has.
OPENMP = { apt-get update -qq && apt-get install -qq -y libgomp1; } || \
	{ echo "LightGBM needs OpenMP: install libgomp1 (Debian) or libomp (macOS)" >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format types contracts tests chaos bench docs lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools uv==0.13.9

$(VENV)/.installed: requirements.txt pyproject.toml | $(UV)
	test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -c "import lightgbm" 2>/dev/null || $(OPENMP)
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements-dev.txt
	touch $@

setup: $(VENV)/.installed-dev  ## Create the environment, with the development tools

demo: $(VENV)/.installed  ## Generate a cluster, train, score, show grades and alerts, serve (DEMO_ARGS=--no-serve: do not serve)
	$(BIN)/clustercredit demo $(DEMO_ARGS)

test: lint types contracts tests  ## The whole gate

lint: $(VENV)/.installed-dev  ## Style and common mistakes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.installed-dev  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.installed-dev  ## Types
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev  ## Who may import whom
	$(BIN)/lint-imports

tests: $(VENV)/.installed-dev  ## Tests: of the pure rooms with their coverage, then of all else on a real embedded PostgreSQL
	$(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report=term $(PURE) $(PYTEST_ARGS) || $(NONE_CHOSEN)
	$(BIN)/pytest -n 2 --dist loadgroup tests service $(PURE_TESTS:%=--ignore=%) $(PYTEST_ARGS) || $(NONE_CHOSEN)

chaos: $(VENV)/.installed-dev  ## The promises in full, on real servers and sockets, with their figures
	$(BIN)/pytest -m chaos -n 0 -s $(PYTEST_ARGS)

bench: $(VENV)/.installed-dev  ## Benchmarks, each against a peer or a limit in the same run
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(VENV)/.installed  ## Write openapi.json and docs/reference from the code
	$(BIN)/clustercredit docs

lock: $(UV)  ## Lock the dependencies, with hashes
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra dev pyproject.toml -c requirements.txt -o requirements-dev.txt

clean:  ## Remove the environment and caches; the data under .local stay
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
