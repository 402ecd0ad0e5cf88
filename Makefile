# make repro   sets everything up, then rebuilds the benchmark
# make test    sets everything up, then runs the tests
# make help    lists the rest

PYTHON ?= python3
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
# The Hub's optional transfer service is not needed by any test, and Numba's caches belong beside the code.
export HF_HUB_DISABLE_XET := 1

.DEFAULT_GOAL := help
.PHONY: help repro test test-long test-zoo lint bench bench-gpu parity goldens constraints clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 22

repro: $(VENV)/.benchmark ## rebuild the whole benchmark; what is up to date stays
	@dvc repro

test: $(VENV)/.test ## run the tests
	@pytest -n auto -m "not slow and not zoo and not gpu"

test-long: $(VENV)/.test ## run the tests that take longer
	@pytest -m slow

lint: $(VENV)/.test ## run the formatter, the linters and the type checker on their own
	@ruff format . && ruff check . && mypy && lint-imports

# One stamp for each set of extras, renewed when what is installed would change.
$(VENV)/.%: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the packages of extra '$*' (some minutes the first time)"
	@python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one, as in: make repro PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory venv-package
	@$(PYTHON) -m venv $(VENV)

# Debian and Ubuntu ship Python without the package that makes virtual environments.
.PHONY: venv-package
venv-package:
	@package="python$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"; \
	if [ "$$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi; \
	echo "installing $$package"; \
	{ $$as_root apt-get update -qq && $$as_root apt-get install -y -qq "$$package"; } || \
	  { echo "error: ask an administrator for: apt-get install $$package"; exit 1; }
