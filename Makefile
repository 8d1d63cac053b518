# Everything is installed into .venv, once.
#
#   make study                      run the quick study and write its report to out/quick
#   make study PRESET=tmlr-gru      another preset, to out/tmlr-gru
#   make study ARGS="--seed 3"      more options for `symscope study run`
#   make docs                       build the documentation site; open site/index.html
#   make test PYTHON=python3.12     another Python, 3.11 or newer, for a fresh .venv

PYTHON ?= python3
PRESET ?= quick
OUT    ?= out/$(PRESET)
ARGS   ?=
JOBS   ?= 2
# -qq prints errors only; `make PIP_FLAGS= test` prints everything.
PIP_FLAGS ?= -qq

VENV  := .venv
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip --disable-pip-version-check install $(PIP_FLAGS) -c constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

VENV_STAMP    := $(VENV)/.stamp-venv
RUNTIME_STAMP := $(VENV)/.stamp-runtime
DEV_STAMP     := $(VENV)/.stamp-dev
DOCS_STAMP    := $(VENV)/.stamp-docs

# pyvene, which the benchmarks compare with, has a separate environment with the same torch.
PYVENE       := .venv-bench
PYVENE_PIP   := $(PYVENE)/bin/python -m pip --disable-pip-version-check install $(PIP_FLAGS) \
                -c constraints.txt -c benchmarks/pyvene-constraints.txt
PYVENE_STAMP := $(PYVENE)/.stamp-pyvene

.DEFAULT_GOAL := help
.PHONY: help study test test-all lint format docs bench dist clean static

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

study: $(RUNTIME_STAMP)  ## run a study (PRESET=quick) and write its report to OUT (out/quick)
	$(BIN)/symscope study run $(PRESET) --out $(OUT) $(ARGS)

test: static  ## check format, lint and types, then run the tests except slow ones
	$(PYTEST) $(ARGS)

test-all: static $(DOCS_STAMP)  ## the same with the slow tests
	$(PYTEST) -m "" $(ARGS)

lint: static  ## check format, lint, types, and which package imports which
	$(BIN)/lint-imports --no-logo

format: $(DEV_STAMP)  ## format the code and apply every safe fix
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

docs: $(DOCS_STAMP)  ## build the documentation site in site/, to be opened from the file system
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet $(ARGS)
	@echo "Site: site/index.html"

bench: $(RUNTIME_STAMP)  ## measure speed and memory, and compare with pyvene where it can be installed (ARGS=search: one section)
	@$(MAKE) --no-print-directory $(PYVENE_STAMP) || \
	  echo "pyvene could not be installed in $(PYVENE): the benchmark runs without it" >&2
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m benchmarks $(ARGS)

dist: $(RUNTIME_STAMP)  ## build the wheel and the source archive in dist/
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist

clean:  ## remove .venv, .venv-bench, caches and builds; results in out/ stay
	rm -rf $(VENV) $(PYVENE) build dist site .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

static: $(DEV_STAMP)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/basedpyright

$(VENV_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "symscope needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
	  echo "Choose another version: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch is installed first, by name and version, so that no later step chooses another build.
$(RUNTIME_STAMP): pyproject.toml constraints.txt $(VENV_STAMP)
	@echo "Installing symscope into $(VENV) (some minutes where torch has to be downloaded) ..."
	$(PIP) $(TORCH) hatchling editables
	$(PIP) --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): $(RUNTIME_STAMP)
	@echo "Installing the development tools ..."
	$(PIP) --no-build-isolation -e '.[dev]'
	@touch $@

$(DOCS_STAMP): $(RUNTIME_STAMP)
	@echo "Installing the tools of the documentation site ..."
	$(PIP) --no-build-isolation -e '.[docs]'
	@touch $@

$(PYVENE_STAMP): constraints.txt benchmarks/pyvene-constraints.txt
	@echo "Installing pyvene into $(PYVENE), for the comparison (some minutes where torch has to be downloaded) ..."
	$(PYTHON) -m venv $(PYVENE)
	$(PYVENE_PIP) $(TORCH)
	$(PYVENE_PIP) pyvene
	@touch $@
