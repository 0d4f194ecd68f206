# Each target sets up what it needs; Python 3.11 with venv and pip is all that is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# What runs on Python 3.9: the executor with all that it ships, and what runs inside Alerta.
ON_39 := $(addprefix src/alerta_opsgenie/,core executor plugin journal clients agent)

.PHONY: help demo test lint bench executor docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      the whole bridge on embedded parts, with a table of what each side shows"
	@echo "make test      lint, types and all tests"
	@echo "make lint      ruff, mypy, import-linter, vermin"
	@echo "make bench     the figures of the documentation, as ratios side by side"
	@echo "make executor  build/oecAlertaExecutor.py, the one file that OEC and JEC start"
	@echo "make docs      the documentation as HTML, in docs/_build"

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

demo: $(INSTALLED) executor
	$(BIN)/python -m lab $(DEMO_ARGS)

executor: $(INSTALLED)
	$(BIN)/python -m alerta_opsgenie.executor.build build

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --target=3.9- --violations $(ON_39)

test: lint executor
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile $(PYTEST_ARGS)

bench: $(INSTALLED) executor
	$(BIN)/python -m bench

docs: $(INSTALLED)
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build

clean:
	rm -rf build dist docs/_build $(VENV)
