# nightshift: everything runs from here. Python 3.11 or newer, pip and make are all it takes.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Two jobs: what does not depend on each other runs side by side, such as the set-up of the two environments.
MAKEFLAGS += --no-print-directory --jobs=2

PYTHON ?= python3
ARCH ?= arm64
ROWS ?= 1000000
ROUNDS ?= 3
SAMPLES ?= 5
JSON ?=
JOB ?= cleanup
EVENT ?=

export PYTHONPATH := layers/shared:functions:.
# SAM wants a region even to read a template, tells on its users unless asked not to, and writes into $HOME.
SAM := AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR=.cache/sam .venv-sam/bin/sam

PYTEST := .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: help setup sam demo test test-all lint lint-python lint-template collect docs bench coldstart build invoke lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: .venv/bin/nightshift ## create .venv, everything pinned

sam: .venv-sam/.stamp

demo: setup ## one night from end to end, on this machine
	@.venv/bin/python -m local.demo

test: lint collect ## all that CI runs: lint, then the tests but the slow ones
	@$(PYTEST) -m "not slow"

test-all: lint collect ## lint and every test, before a release
	@$(PYTEST)

lint: lint-python lint-template ## ruff, mypy, names and imports, cfn-lint, sam validate

lint-python: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/python -m tools.names

lint-template: sam
	@.venv-sam/bin/cfn-lint template.yaml
	@$(SAM) validate --lint

# Beside mypy, which leaves a core free: otherwise each worker compiles all test modules. An error is the tests' to report.
collect: setup
	@.venv/bin/python -m pytest --collect-only --quiet >/dev/null 2>&1 || true

docs: setup ## fill the generated blocks of README.md and docs/
	@.venv/bin/python -m tools.docs

bench: setup ## nightshift beside its peers (ROWS=1000000 ROUNDS=3 JSON=1); alone on stdout
	@$(MAKE) .venv-bench/.stamp >&2
	@.venv/bin/python -m benchmarks --rows $(ROWS) --rounds $(ROUNDS) $(if $(JSON),--json)

coldstart: setup sam ## INIT and first answer of each function, beside a bare import boto3 (SAMPLES=5 JSON=1)
	@.venv/bin/python -m benchmarks.coldstart --samples $(SAMPLES) $(if $(JSON),--json)

build: setup sam ## what gets deployed, into .aws-sam (ARCH=arm64 or x86_64)
	@compiler="$$(.venv/bin/python layers/build.py interpreter)"; \
	test -n "$$compiler" || echo "no python3.13 here: no byte code is shipped, cold starts are slower" >&2; \
	LAYER_ARCH=$(ARCH) LAYER_COMPILER="$$compiler" LAYER_PYTHON="$(CURDIR)/.venv/bin/python" \
		LAYER_PIP="'$(CURDIR)/.venv/bin/python' -m pip" \
		$(SAM) build --parameter-overrides Architecture=$(ARCH)
	@.venv/bin/python tools/build_report.py .aws-sam/build

invoke: setup sam ## one function in Lambda's own runtime (JOB=cleanup EVENT=events/cleanup.json)
	@.venv/bin/python -m local.invoke $(JOB) $(EVENT)

lock: .venv-lock/.stamp ## make the lock files again from the .in files, newest versions
	@./tools/lock/lock

clean: ## remove what make made
	rm -rf .venv .venv-sam .venv-bench .venv-lock .aws-sam .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The command, and this checkout's packages on .venv's path: neither needs an activated environment or PYTHONPATH.
.venv/bin/nightshift: .venv/.stamp
	@printf '%s\n' "$(CURDIR)/layers/shared" "$(CURDIR)/functions" > \
		"$$($(@D)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nightshift.pth"
	@printf '#!/bin/sh\nexec "%s" -m nightshift "$$@"\n' "$(CURDIR)/$(@D)/python" > $@
	@chmod +x $@

# An environment is made once for each version of its lock. pip's progress goes to stderr: `make -s bench JSON=1`
# owes its caller one JSON object on stdout.
.venv/.stamp: requirements-dev.txt
.venv-sam/.stamp: tools/sam/requirements.txt
.venv-bench/.stamp: benchmarks/requirements.txt
.venv-lock/.stamp: tools/lock/requirements.txt
.venv/.stamp .venv-sam/.stamp .venv-bench/.stamp .venv-lock/.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "nightshift needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name another: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.13" >&2; exit 1; }
	@echo "setting up $(@D)" >&2
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D) >&2
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $< >&2
	@touch $@
