# `make run` on a fresh machine needs Python 3.11 or newer and make, nothing else. `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONFIG ?= configs/burgers1d.yaml configs/steady.yaml
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11 python

.DEFAULT_GOAL := help
.PHONY: run test test-all lint format bench bench-full bench-apebench docs clean help

run: $(STAMP)  ## train and evaluate every CONFIG (Burgers, and a system that settles), and print their ledgers
	@for config in $(CONFIG); do echo "== $$config"; $(BIN)/ups run $$config || exit $$?; done

test: $(STAMP)  ## the fast tests
	OMP_NUM_THREADS=1 $(BIN)/pytest

test-all: $(STAMP)  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "slow or not slow"

lint: $(STAMP)  ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(STAMP)  ## bring all files into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench  ## a small look at every benchmark (minutes)
	$(BIN)/python -m bench.run --short

bench-full: $(VENV)/.bench data/bench/apebench/.made  ## all benchmarks and their page (18 hours on two cores)
	$(BIN)/python -m bench.run

bench-apebench: $(VENV)/.bench data/bench/apebench/.made  ## APEBench by its own protocol (hours)
	$(BIN)/python -m bench.run --only 'apebench/*'

data/bench/apebench/.made: bench/apebench_data.py
	$(BIN)/python -m venv $(VENV)-apebench
	$(VENV)-apebench/bin/python -m pip install --disable-pip-version-check -q apebench==0.1.1 exponax==0.1.0
	$(VENV)-apebench/bin/python -P bench/apebench_data.py data/bench/apebench diff_burgers diff_ks diff_kdv diff_disp 2d_diff_ks
	@touch $@

docs: $(VENV)/.docs  ## the documentation, in site/
	$(BIN)/python -c "from ups.config import reference; print(reference(), end='')" > docs/config.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## remove caches and built files; runs, data and .venv stay
	rm -rf site dist .pytest_cache .ruff_cache .hypothesis
	find src scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@grep -E '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## (.*)/  make \1~\2/' | column -t -s '~'

$(STAMP): pyproject.toml constraints.txt
	@python=; for p in $(PYTHONS); do \
	  if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$p; break; fi; done; \
	if [ -z "$$python" ]; then echo "error: Python 3.11 or newer is needed, none of these is: $(PYTHONS)" >&2; exit 2; fi; \
	if [ ! -x $(BIN)/pip ]; then echo "creating $(VENV) with $$($$python --version)"; $$python -m venv $(VENV); fi
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[data,dev]'
	@touch $@

$(VENV)/.%: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[data,dev,$*]'
	@touch $@
