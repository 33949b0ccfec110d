# Everything a checkout needs: `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
THREADS := OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## make .venv with everything pinned

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "handful needs Python 3.11 or newer, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP) ## run the main job on real pictures, print the verdict, write demo/report.html
	$(BIN)/handful run examples/demo.toml -o demo/store
	$(BIN)/handful report demo/store -o demo/report.html

test: $(STAMP) ## run the test suite
	$(THREADS) $(BIN)/python -m pytest

check: $(STAMP) ## formatting, lint, types, structure
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(THREADS) $(BIN)/python -m pytest tests/test_architecture.py tests/test_public_names.py

bench: $(STAMP) ## run the benchmarks that take minutes
	$(THREADS) $(BIN)/python benchmarks/verdict_simulation.py --studies 400 --output build/verdict_simulation.md

clean: ## remove what make made, but not .venv
	rm -rf demo build dist
