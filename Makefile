# Everything here works in a fresh clone with Python 3.11 or newer and a package index.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
RESULTS := build/features.json
# Tests run side by side in so many processes; JOBS=0 runs them one after the other.
JOBS   ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder --features-json=$(RESULTS)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# What serves and runs, and what checks: the second is the first and more.
RUN_READY := $(VENV)/.installed
DEV_READY := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help up demo test bench test-races test-faults soak lint format messages features features-report migrations-check lock clean

help: ## show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

up: $(RUN_READY) ## start everything in one process (PORT, HOST, TIDEMILL_DATA, DATABASE_URL, BROKER_URL)
	@exec $(BIN)/python manage.py up $(ARGS)

demo: $(RUN_READY) ## run the main job on real data and show it; EXIT=1 ends after the run
	@exec $(BIN)/python manage.py demo $(if $(EXIT),--exit) $(ARGS)

test: $(DEV_READY) ## run the tests, JOBS=2 at a time (ARGS goes to pytest)
	$(PYTEST) --durations=25 $(ARGS)

test-races: $(DEV_READY) ## run every race 200 times; RACE_ROUNDS=1000 (ARGS goes to pytest)
	RACE_ROUNDS=$(or $(RACE_ROUNDS),200) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/instances/races $(ARGS)

test-faults: $(DEV_READY) ## kill everything while plans run; INSTANCES=2000 (ARGS goes to pytest)
	FAULTS_INSTANCES=$(or $(INSTANCES),2000) $(BIN)/python -m pytest -m faults tests/faults $(ARGS)

bench: $(DEV_READY) ## measure speed and memory, write docs/benchmarks.md; CHECK=1 fails on a miss
	@$(BIN)/python -m tests.benchmarks $(if $(CHECK),--check) $(ARGS)

soak: $(DEV_READY) ## use it at random while it breaks; MINUTES=10, SEED= repeats (ARGS: --broker rabbitmq)
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(ARGS)

lint: $(DEV_READY) ## check style, types, layers and migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy config projects workflows events instances backfill
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory migrations-check

format: $(DEV_READY) ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: $(DEV_READY) ## collect the words for translation, and compile what is translated (needs gettext)
	$(BIN)/python .ci/messages.py

features: $(DEV_READY) ## run the tests and print what they prove, feature by feature
	@mkdir -p build
	@$(PYTEST) -q $(ARGS) >build/features.log 2>&1 \
		|| { tail -n 30 build/features.log; echo "The tests did not pass; all of it: build/features.log"; }
	@$(MAKE) --no-print-directory features-report

features-report: $(DEV_READY) ## print the features as the last test run proved them
	@$(BIN)/python -m tests.support.features_report $(RESULTS)

migrations-check: $(DEV_READY) ## fail when a model has changed without a migration
	$(BIN)/python manage.py makemigrations --check --dry-run

# Versions that are locked stay; delete a lock file to take the newest of everything.
LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --extra demo --extra production

lock: $(RUN_READY) ## write the lock files anew from pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove what was installed and built; data in var/ stays
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tidemill needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11 …" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "The virtual environment cannot be made; on Debian: apt install python3-venv" >&2; \
		exit 1; }

$(RUN_READY): requirements.lock | $(VENV)/bin/python
	@echo "Installing Tidemill's packages into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@

$(DEV_READY): requirements-dev.lock | $(VENV)/bin/python
	@echo "Installing the packages for development into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@ $(RUN_READY)
