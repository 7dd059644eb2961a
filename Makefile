# Every target runs one command. `make` without a target lists them.
#
# PYTHON=python3.12   the Python to make .venv with; otherwise the first suitable one is taken
# PYTEST_ARGS='-k x'  passed on to pytest
# MUTANTS_ARGS=join   passed on to tests.mutants; --help explains it
# BENCH_ARGS=         passed on to the benchmark; --help explains it
# LOCK_ARGS=--upgrade passed on to uv
# BASE=python@sha256:… the base image, by its digest for a release: see SECURITY.md

PYTHON_CANDIDATES = $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
PYTEST_ARGS =
MUTANTS_ARGS =
BENCH_ARGS =
LOCK_ARGS =
DOCKER = docker
IMAGE = clerk-user-sync
BASE = python:3.11-slim

VENV = .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(LOCK_ARGS)
LOCK = $(COMPILE) --extra service pyproject.toml
LOWEST = .lowest
LOWEST_TESTS = tests/adapters tests/commands tests/contract tests/package tests/service
# The first needs schemathesis. In the second, an older Starlette with a newer anyio warns.
NOT_AT_LOWEST = tests/service/test_openapi.py tests/package/test_testing.py
RESOLVE = uv pip compile --quiet --python $(BIN)/python --no-emit-index-url --all-extras pyproject.toml

.PHONY: docs help run demo test test-slow test-lowest example test-mutants bench bench-peers bench-growth bench-memory check lock image sbom clean

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

run: $(VENV)/run.stamp ## start the service with an emulated Clerk, and run the demo; Ctrl-C stops it
	@$(BIN)/python -m scripts.run

demo: $(VENV)/run.stamp ## run the demo and exit: 0 if every result is right
	@$(BIN)/python -m scripts.run --once

test: $(VENV)/dev.stamp ## run the tests, except those that take minutes
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-slow: $(VENV)/dev.stamp ## run the tests that take minutes, and fuzz tests with more examples
	@$(BIN)/python -m pytest -m "slow or fuzz" --hypothesis-profile thorough $(PYTEST_ARGS)

example: $(VENV)/dev.stamp ## install the wheel beside the application in examples/, and run its tests
	@$(BIN)/python -m pytest -m slow tests/package/test_example.py $(PYTEST_ARGS)

test-lowest: $(VENV)/made.stamp ## run the tests on the lowest versions that pyproject.toml allows (needs uv)
	rm -rf $(LOWEST) && mkdir $(LOWEST)
	$(RESOLVE) --resolution lowest-direct --output-file $(LOWEST)/lowest.txt
	$(RESOLVE) --group test --constraint $(LOWEST)/lowest.txt --output-file $(LOWEST)/all.txt
	uv venv --quiet --seed --python $(BIN)/python $(LOWEST)/venv
	uv pip install --quiet --python $(LOWEST)/venv/bin/python --requirement $(LOWEST)/all.txt
	$(LOWEST)/venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		$(addprefix --ignore=,$(NOT_AT_LOWEST)) $(PYTEST_ARGS) $(LOWEST_TESTS)

test-mutants: $(VENV)/dev.stamp ## put small mistakes into critical code, and report those that no test finds
	@$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

bench: $(VENV)/run.stamp ## compare our speed with a plain server: raw ASGI, the same statements, nothing else
	@$(BIN)/python -m bench $(BENCH_ARGS)

bench-peers: $(VENV)/bench.stamp ## compare our speed with four other services; two of them need Node 20 and npm
	@$(BIN)/python -m bench --peers $(BENCH_ARGS)

bench-growth: $(VENV)/run.stamp ## compare our speed at 10,000 to 5 million users, and with 10 million journal entries
	@$(BIN)/python -m bench.growth $(BENCH_ARGS)

bench-memory: $(VENV)/run.stamp ## measure the time until ready, and the memory after a million requests
	@$(BIN)/python -m bench.memory $(BENCH_ARGS)

check: $(VENV)/dev.stamp ## check lint, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp ## the documentation as a site, in build/docs; it asks nobody else for anything
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

lock: ## resolve requirements/*.txt from pyproject.toml (needs uv)
	$(LOCK) --output-file requirements/service.txt
	$(LOCK) --extra embedded --constraint requirements/service.txt \
		--output-file requirements/run.txt
	$(LOCK) --extra embedded --group dev --constraint requirements/run.txt \
		--output-file requirements/dev.txt
	$(LOCK) --extra embedded --group bench --constraint requirements/run.txt \
		--output-file requirements/bench.txt
	echo pytest-asyncio | $(COMPILE) --extra embedded --extra testing pyproject.toml - \
		--constraint requirements/dev.txt --output-file requirements/example.txt
	printf 'cyclonedx-bom\nhatchling\n' | $(COMPILE) - --constraint requirements/dev.txt \
		--output-file requirements/build.txt

image: ## build the Docker image
	DOCKER_BUILDKIT=1 $(DOCKER) build --build-arg BASE=$(BASE) --tag $(IMAGE) .

sbom: ## write the image's list of components to sbom.cdx.json (CycloneDX)
	$(DOCKER) run --rm $(IMAGE) cat /opt/venv/share/sbom.cdx.json >sbom.cdx.json

clean: ## remove .venv and caches; .data is kept
	rm -rf $(VENV) $(LOWEST) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each candidate is run, because a pyenv shim may exist and not work.
$(VENV)/made.stamp:
	@for python in $(PYTHON_CANDIDATES); do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "Making $(VENV) with $$($$python --version)"; \
		$$python -m venv --clear $(VENV) && touch $@ && exit 0; \
		echo "Python's venv is incomplete. On Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; \
	done; \
	echo "No Python 3.11 or newer among: $(PYTHON_CANDIDATES)." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1

$(VENV)/run.stamp: requirements/run.txt | $(VENV)/made.stamp
	@echo "Installing the service's libraries, once. This takes a minute or two ..."
	@$(INSTALL) -r requirements/run.txt
	@touch $@

# dev.txt holds all of run.txt, in the same versions.
$(VENV)/dev.stamp: requirements/dev.txt | $(VENV)/made.stamp
	@echo "Installing the tests' libraries, once. This takes some minutes ..."
	@$(INSTALL) -r requirements/dev.txt
	@touch $(VENV)/run.stamp $@

$(VENV)/bench.stamp: requirements/bench.txt bench/peers/node/package-lock.json | $(VENV)/made.stamp
	@echo "Installing the other services of bench-peers (once)"
	@$(INSTALL) -r requirements/bench.txt
	@cd bench/peers/node && npm ci --no-audit --no-fund
	@touch $@
