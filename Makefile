# On a fresh machine `make demo` and `make test` do all of their set-up themselves: .venv, install, run.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check wheel clean

help: ## list these targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 14

demo: .venv/.installed-demo ## one random network, one ticket, two unseen tasks, one table (minutes)
	$(BIN)/ult compare experiment=quickstart

test: .venv/.installed-test ## the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

check: .venv/.installed-test ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

wheel: .venv/.installed-test ## build the wheel into dist/
	$(BIN)/python -m build --no-isolation

clean: ## remove what was built and cached (never .venv, store/ or data/)
	rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# A stamp per kind of install, older than pyproject.toml when that has changed. A broken .venv is made anew.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "PYTHON: got $$($(PYTHON) --version 2>&1), wanted Python 3.10 or newer; say make PYTHON=python3.12"; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 \
		|| $(PYTHON) -m venv --clear .venv \
		|| { rm -rf .venv; echo "No .venv could be made; install Python's venv module (Debian: python3-venv)."; exit 1; }
	@touch $@

.venv/.installed-demo: pyproject.toml | .venv/.made
	$(PIP) install -e .
	@touch $@

.venv/.installed-test: pyproject.toml | .venv/.made
	$(PIP) install -e '.[dev]'
	@touch .venv/.installed-demo $@
