# make repro   sets everything up, then rebuilds the benchmark
# make test    sets everything up, then runs the tests
# make help    lists the rest

PYTHON ?= python3
VENV ?= .venv
# The Pythons of `make test-matrix`, the oldest first; one that is not there is named and left out.
PYTHONS ?= python3.11 python3.12 python3.13 python3.14
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
# The Hub's optional transfer service is not needed by any test, and Numba's caches belong beside the code.
export HF_HUB_DISABLE_XET := 1

.DEFAULT_GOAL := help
.PHONY: help repro fetch paper paper-own paper-phantom test test-long test-zoo test-matrix audit lint docs bench bench-predict bench-models bench-gpu parity goldens clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 22

repro: $(VENV)/.benchmark ## rebuild the whole benchmark; what is up to date stays
	@dvc repro

fetch: $(VENV)/.pipeline ## bring the images of the source that params.yaml names, such as medimeta (docs/data.md)
	@dvc repro fetch

paper: $(VENV)/.zoo ## every table and figure of the paper, in build/paper; says first what is missing (docs/paper.md)
	@python -m benchmark.paper

paper-own: $(VENV)/.zoo ## the same under our own protocol, in build/paper-own
	@python -m benchmark.paper --protocol own --folder build/paper-own

paper-phantom: $(VENV)/.benchmark ## the same grid scaled down on the phantom, in build/paper-phantom; half an hour at most
	@python -m benchmark.paper --preset paper-phantom

test: $(VENV)/.test ## run the tests
	@pytest -n auto

test-long: $(VENV)/.test ## run the tests that take longer
	@pytest -n auto -m "slow and not zoo and not gpu"

test-zoo: $(VENV)/.test .zoo ## run every published model's architecture, with random weights
	@PYTHONPATH="$(CURDIR)/.zoo" python -m pytest -m zoo

test-matrix: ## run the tests on the oldest versions, and on every Python
	@$(PYTHON) -m tests.matrix --pythons $(PYTHONS)

audit: $(VENV)/.test ## look for withdrawn versions and known vulnerabilities among the pins
	@python -m pip install --quiet --constraint constraints.txt pip-audit
	@python -m tests.matrix.audit

bench: $(VENV)/.test .peers ## measure everything that needs no GPU, beside the peers
	@OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)/.peers" python -m tests.bench

bench-predict: $(VENV)/.test ## measure how busy prediction keeps a model
	@python -m tests.bench.predicting

bench-models: $(VENV)/.test .zoo ## measure speed and memory of each kind of model, with random weights
	@OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)/.zoo" python -m tests.bench.models

bench-gpu: $(VENV)/.test ## time the torch kernels on a GPU
	@python -m tests.bench.gpu --output build/bench/gpu.json

parity: $(VENV)/.test ## compare the torch kernels with the CPU's bytes on a GPU
	@python -m tests.bench.parity --fuse

goldens: $(VENV)/.test ## remake the golden checksums: only with a new version of the bytes
	@python -m tests.corruptions.remake_goldens --overwrite

clean: ## remove the environments and build folders, never data
	@rm -rf .venv .zoo .peers build *.egg-info

# torchvision imports beside the CPU build of torch (benchmark/models/components/packages.py), but must stay out of the environment.
.zoo: constraints.txt
	@rm -rf $@
	@python -m pip install --quiet --no-deps --constraint constraints.txt --target $@ \
	  torchvision open_clip_torch timm ftfy wcwidth num2words docopt monai
	@touch $@

# The peers pin older versions of what we use, so they come without their requirements, and apart.
.peers: constraints.txt
	@rm -rf $@
	@python -m pip install --quiet --no-deps --target $@ \
	  medmnistc==0.1.0 medmnist==3.0.2 imagecorruptions==1.1.2 "setuptools<81" "$$(grep ^torchvision== constraints.txt)" \
	  corrupt-tta==0.1.7 albumentationsx==2.5.1 albucore==0.2.21 numkong==7.8.6 stringzilla==5.3.2
	@touch $@

lint: $(VENV)/.test ## run the formatter, the linters and the type checker on their own
	@ruff format . && ruff check . && mypy && lint-imports

docs: $(VENV)/.docs ## build the documentation's site into build/site
	@mkdocs build --quiet --strict

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
