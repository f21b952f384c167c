# make run    the application              make test   every test
# make check  format, lint, types, arrows  make bench  the benchmarks
# GPU=1 takes the CUDA set instead of the CPU one: give it in every call, or export it. ARGS="…" is passed on.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first interpreter that starts and fits. .venv's own comes first: a version manager's launcher
# costs a tenth of a second, and may exist only to say that the version is not installed.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON ?= $(shell for python in .venv/bin/python python3.11 python3.12 python3 python; do \
	"$$python" -c '$(FITS)' 2>/dev/null && echo "$$python" && break; done)
BIN := .venv/bin
# What there is of ours; a part that is not written yet is no error
CODE = $(wildcard assistant feedback retrieval training benchmarks scripts)

.PHONY: help run test check bench lock fmt clean venv

help:
	@sed -n '1,3s/^# //p' Makefile

venv:
	@test -n "$(PYTHON)" || { echo "set-up: no Python 3.11 or 3.12 was found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" scripts/bootstrap.py $(if $(GPU),--gpu)

run: venv
	@$(BIN)/apprentice up $(ARGS)

# The engine and the browser take the whole machine, so they go one after the other. 5: none selected.
test: venv
	$(BIN)/python -m pytest -n 2 -m "not engine and not browser" $(ARGS)
	$(BIN)/python -m pytest -m "engine or browser" $(ARGS) || test $$? -eq 5

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: venv
	$(BIN)/python -m benchmarks $(ARGS)

fmt: venv
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Needs no working .venv: it is how a broken lock is mended
lock:
	@test -n "$(PYTHON)" || { echo "lock: no Python 3.11 or 3.12 was found" >&2; exit 1; }
	@"$(PYTHON)" scripts/lock.py $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv .venv.lock .venv.old-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
