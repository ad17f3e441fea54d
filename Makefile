# Two commands are enough: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin
BENCH := .venv-bench
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help run stop status demo clean-demo test lint audit format install install-dev bench-queue bench-console bench-attribution bench-reports clean
.NOTPARALLEL:

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-18s %s\n", $$1, $$2}'

run: $(BIN)/.installed ## start database, demo, console and worker; Ctrl-C stops everything
	@exec $(BIN)/python -m skeldir_huey run

stop: $(BIN)/.installed ## stop a `make run` and the embedded PostgreSQL
	@$(BIN)/python -m skeldir_huey stop

status: $(BIN)/.installed ## show database, migrations, roles, consumers and waiting jobs
	@$(BIN)/python -m skeldir_huey status

demo: $(BIN)/.installed ## add the demo's data to the database that is set
	@$(BIN)/python -m skeldir_huey demo

clean-demo: $(BIN)/.installed ## delete the embedded database; the next `make run` begins anew
	@$(BIN)/python -m skeldir_huey demo --reset

test: $(BIN)/.installed-dev ## lint, the whole suite on PostgreSQL 18 in two processes, then on 16 what depends on it
	@$(MAKE) --no-print-directory lint
	@exec $(BIN)/python -m tests $(TESTS)

lint: $(BIN)/.installed-dev ## ruff (lint and format), mypy; the import contracts run in pytest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(BIN)/.installed-dev ## look for insecure code (bandit) and packages with known holes (pip-audit)
	@$(BIN)/python .ci/audit.py

format: $(BIN)/.installed-dev ## let ruff format and sort
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(BIN)/.installed ## make the virtualenv .venv with what `make run` needs

install-dev: $(BIN)/.installed-dev ## the same with what `make test` needs

bench-queue: $(BIN)/.installed $(BENCH)/.installed ## measure the queue beside its peers; ARGS=--quick takes 2 minutes
	@exec $(BIN)/python -m bench.queue $(ARGS)

bench-console: $(BIN)/.installed ## time every page on full tables; SCALE=20000 takes a minute
	@exec $(BIN)/python -m bench.console $(ARGS)

bench-attribution: $(BIN)/.installed $(BENCH)/.installed ## measure attribution; ARGS=--quick takes 2 minutes, SCALE= is events
	@exec $(BIN)/python -m bench.attribution $(ARGS)

bench-reports: $(BIN)/.installed ## measure refreshes, triggers, import; SCALE= is allocations, 10000000 take 5 minutes
	@exec $(BIN)/python -m bench.reports $(ARGS)

clean: ## delete the virtualenvs and caches; data stays
	rm -rf .venv $(BENCH) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/pip: # written last, so a virtualenv that was killed half-made is made again
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or newer is needed, $(PYTHON) is older or missing: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "making the virtualenv .venv"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "make: $(PYTHON) cannot make a virtualenv (on Debian: apt-get install python3.11-venv)" >&2; exit 1; }

# Installed anew only when a list of requirements changes.
$(BIN)/.installed: requirements.txt | $(BIN)/pip
	@echo "installing requirements.txt (about a minute the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -r requirements.txt
	@touch $@

$(BIN)/.installed-dev: requirements-dev.txt $(BIN)/.installed
	@echo "installing requirements-dev.txt"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -r requirements-dev.txt
	@touch $@

# The peers live apart: the product never sees them.
$(BENCH)/.installed: bench/requirements-peers.txt | $(BIN)/pip
	@echo "installing bench/requirements-peers.txt into $(BENCH)"
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --disable-pip-version-check --progress-bar on -r bench/requirements-peers.txt
	@touch $@
