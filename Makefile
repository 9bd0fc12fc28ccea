# Coglex: `make run` serves it, `make test` tests it. Both install what they need into .venv.
PYTHON ?= python3
# Several tests at once: most of them wait for servers of their own.
ARGS ?= -n 3 --dist worksteal
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run test test-servers check bench clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /  make \1	/'

run: $(VENV)/run.stamp ## Serve the API on http://127.0.0.1:8000
	@exec env COGLEX_MAKE_SECRETS=1 $(BIN)/python manage.py serve --setup

test: $(VENV)/test.stamp ## Run the tests
	@$(BIN)/python -m pytest $(ARGS)

test-servers: $(VENV)/test.stamp ## Run what uses SQL or the cache on PostgreSQL and Redis, where they answer
	@$(BIN)/python -m tests.servers -m servers $(ARGS)

check: $(VENV)/test.stamp ## Lint, type check, layers, migrations, deployment settings
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py makemigrations --check --dry-run
	@DJANGO_SETTINGS_MODULE=tests.production $(BIN)/python manage.py check --deploy --fail-level WARNING

bench: $(VENV)/test.stamp ## Measure, beside other servers, and write docs/performance.md
	@$(BIN)/python -m bench

clean: ## Remove what was installed and cached; data in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "coglex: $(PYTHON) was not found: install Python 3.11 or newer, or say where it is: make PYTHON=/path/to/python3 run" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "coglex: Python 3.11 or newer is needed, $(PYTHON) is older: install one and say where it is: make PYTHON=/path/to/python3.11 run" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "coglex: $(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.txt | $(BIN)/python
	@echo "Installing packages (once, about 100 MB) …"
	@$(BIN)/python -m pip install --quiet -r requirements.txt || { \
	  echo "coglex: the packages could not be installed: see above; run make again when that is mended" >&2; exit 1; }
	@touch $@

$(VENV)/test.stamp: requirements-dev.txt requirements-s3.txt $(VENV)/run.stamp
	@echo "Installing packages for tests …"
	@$(BIN)/python -m pip install --quiet -r requirements-dev.txt || { \
	  echo "coglex: the packages could not be installed: see above; run make again when that is mended" >&2; exit 1; }
	@touch $@
