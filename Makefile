# Each target sets up what it needs; Python 3.11 with venv and pip is all that is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# What runs on Python 3.9: the executor with all that it ships, and what runs inside Alerta.
ON_39 := $(addprefix src/alerta_opsgenie/,core executor plugin journal clients agent)

# Where it is set, every process of the tests compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

# Tests run at once in so many processes. One file is one process's: its fixtures are set up once.
PROCESSES ?= 4
PYTEST = $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

# What tests/browser drives; where it is missing and cannot be installed, those tests are skipped.
CHROMIUM = { command -v chromium && command -v chromedriver; } >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null \
	|| apt-get install --quiet --yes --no-install-recommends chromium chromium-driver >/dev/null || true

.PHONY: help demo check test test-long test-matrix lint bench executor package docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       the whole bridge on embedded parts, with a table of what each side shows"
	@echo "make check      lint, types, and the tests that need no Alerta and break nothing: under a minute"
	@echo "make test       lint, types, and all tests but the long ones: under 8 minutes on two cores"
	@echo "make test-long  the long tests: servers and packages, fuzzing, kills in the hundreds"
	@echo "make test-matrix  the tests with a real Alerta, for each version, database and alarm model; writes the table"
	@echo "make lint       ruff, mypy, import-linter, vermin"
	@echo "make bench      the figures of the documentation, as ratios side by side"
	@echo "make executor   build/oecAlertaExecutor.py, the one file that OEC and JEC start"
	@echo "make package    a wheel, and a .deb for Debian 12 and later, in dist"
	@echo "make docs       the documentation as HTML, in docs/_build, and man pages, in build/man"

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

demo: $(INSTALLED) executor
	$(BIN)/python -m lab $(DEMO_ARGS)

executor: $(INSTALLED)
	$(BIN)/python -m alerta_opsgenie.executor.build build

package: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .
	$(BIN)/sphinx-build -W -q -b man docs build/man
	deploy/debian/build.sh dist/*.whl dist build/man

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --target=3.9- --violations $(ON_39)

check: lint
	$(PYTEST) -m "not alerta and not faults and not long" --ignore=tests/e2e --ignore=tests/faults --ignore=tests/browser $(PYTEST_ARGS)

test: lint executor
	@$(CHROMIUM)
	$(PYTEST) -m "not long" $(PYTEST_ARGS)

test-long: $(INSTALLED) executor
	ALERTA_OPSGENIE_LONG=1 $(PYTEST) -m "long or grows" $(PYTEST_ARGS)

test-matrix: $(INSTALLED)
	$(BIN)/python -m tests.matrix $(VERSIONS)

bench: $(INSTALLED) executor
	$(BIN)/python -m bench

docs: $(INSTALLED)
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build
	$(BIN)/sphinx-build -W -q -b man docs build/man

clean:
	rm -rf build dist docs/_build $(VENV) .venv-matrix
