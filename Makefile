# Everything is made inside the clone: .venv (Python packages), _build (the site)
# and .cache (what tools would otherwise write into the home folder).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SITE := _build/html
NB ?=
NAME ?=
ALL ?=
EXPERIMENTS := $(filter-out __init__,$(basename $(notdir $(wildcard book/experiments/*.py))))
PORT ?= 8000

CACHE := $(CURDIR)/.cache
export PIP_NO_CACHE_DIR ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export IPYTHONDIR := $(CACHE)/ipython
export JUPYTER_CONFIG_DIR := $(CACHE)/jupyter/config
export JUPYTER_DATA_DIR := $(CACHE)/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CACHE)/jupyter/runtime
export JUPYTER_NO_CONFIG := 1
export KERAS_HOME := $(CACHE)/keras
export MPLCONFIGDIR := $(CACHE)/matplotlib
export XDG_CACHE_HOME := $(CACHE)/xdg
export XDG_CONFIG_HOME := $(CACHE)/xdg/config
export PYTHONHASHSEED := 0
# Else ONNX Runtime reports on its use, in a thread of its own.
export ORT_DISABLE_TELEMETRY := 1
# Processes run side by side: one thread each.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
unexport MPLBACKEND
unexport PYTHONPATH
# Thousands of processes import the same modules: they are compiled once, at their first import,
# and not by pip, which would compile many that nobody imports.
unexport PYTHONDONTWRITEBYTECODE

INSTALL = $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable
# After a failure the next build reads all pages again: a page that was read
# once would not be warned about twice.
BUILD = $(BIN)/jupyter-book build . $(1) -W -n --keep-going --quiet || { rm -rf _build/.doctrees; false; }

.DEFAULT_GOAL := help
.PHONY: help book pdf typesetter zip test lint test-book test-unit test-mutants test-notebooks test-site notebooks experiments serve bench constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(VENV)/.book ## build the site into _build/html
	@$(call BUILD)
	@echo "The book: $(CURDIR)/$(SITE)/index.html"

pdf: typesetter $(VENV)/.book ## build the book as one PDF, _build/lstm-book.pdf
	@rm -rf _build/latex
	@$(call BUILD,--builder latex)
	@$(BIN)/python -m scripts.pdf

typesetter:
	@for program in xelatex latexmk xindy rsvg-convert; do \
	  command -v $$program >/dev/null || { echo "$$program is not there; on Debian and Ubuntu:"; \
	  echo "  apt install --no-install-recommends $(shell cat .ci/tex-packages)"; exit 1; }; done

zip: $(VENV)/.book ## build the site anew and pack it as _build/lstm-book.zip
	@rm -rf $(SITE)
	@$(call BUILD)
	@$(BIN)/python -m scripts.pack

# The first two keep one processor busy each.
test: $(VENV)/.test ## prove everything: the six stages below
	@$(MAKE) --no-print-directory -j 2 lint test-book
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-mutants
	@$(MAKE) --no-print-directory test-notebooks
	@$(MAKE) --no-print-directory test-site
	@echo "all stages passed"

lint: $(VENV)/.test ## stage 1: style of code and notebooks, and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --exclude '*.ipynb' . && \
	  $(BIN)/ruff format --check --line-length 77 $(wildcard book/*.ipynb book/*/*.ipynb) && \
	  $(BIN)/mypy $(call verdict,lint)

test-book: $(VENV)/.test ## stage 2: the whole book anew, a warning is a failure
	@rm -rf $(SITE) _build/.doctrees
	@{ $(call BUILD); } $(call verdict,book)

test-unit: $(VENV)/.test ## stage 3: unit and property tests
	@$(BIN)/python -m pytest -q -n 2 tests --ignore tests/site $(call verdict,unit tests)

test-mutants: $(VENV)/.test ## stage 4: every wrong sign, operator and operand is found (no sample, hours: ALL=1)
	@cd tests && $(CURDIR)/$(BIN)/python -m mutation $(if $(ALL),--all) $(call verdict,mutants)

test-notebooks: $(VENV)/.test ## stage 5: every stored output is what the code gives
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --nbval --nbval-current-env \
	  --nbval-cell-timeout 120 --nbval-sanitize-with tests/nbval.cfg book \
	  $(call verdict,notebooks)

test-site: $(VENV)/.test ## stage 6: every page of the built book in a browser
	@test -f $(SITE)/index.html || { $(call BUILD); }
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/site $(call verdict,site)

# The last line of a stage names it.
verdict = && echo "passed: $(1)" || { echo "FAILED: $(1)"; exit 1; }

notebooks: $(VENV)/.test ## run the notebooks and store their outputs (one: NB=book/...ipynb)
	@$(BIN)/python scripts/notebooks.py $(NB)

experiments: $(VENV)/.test ## run the long experiments, into companion/data/results (one: NAME=time_lag)
	@for name in $(or $(NAME),$(EXPERIMENTS)); do $(BIN)/python -m book.experiments.$$name || exit 1; done

serve: book ## build the site and serve it on this machine (PORT=8000)
	@echo "http://127.0.0.1:$(PORT)/  (stop with Ctrl-C)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE)

bench: $(VENV)/.test ## time the cells against other code, into companion/data/benchmarks
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.parts
	@$(BIN)/python -m benchmarks.scaling
	@$(BIN)/python -m benchmarks.batches
	@$(BIN)/python -m benchmarks.serving
	@$(BIN)/python -m benchmarks.map
	@$(BIN)/python -m benchmarks.whole_model
	@$(BIN)/python -m benchmarks.one_step

constraints: $(VENV)/.test ## resolve all dependencies anew, into constraints.txt
	@$(INSTALL) '.[lock]'
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate \
	  --no-emit-package lstm-companion \
	  --custom-compile-command 'make constraints' --output-file constraints.txt pyproject.toml

clean: ## remove what make made
	rm -rf $(VENV) .cache _build .pytest_cache .ruff_cache .hypothesis lstm_companion.egg-info
	find companion tests scripts book benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there: install Python 3.11 or newer, or say PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is too old: Python 3.11 or newer is needed (make PYTHON=python3.12 book)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv: install it (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.book: constraints.txt pyproject.toml | $(BIN)/python
	@echo "installing what building the book needs into $(VENV)"
	@$(INSTALL) '.[book]'
	@touch $@

$(VENV)/.test: constraints.txt pyproject.toml | $(BIN)/python
	@echo "installing what running and testing the book needs into $(VENV)"
	@$(INSTALL) '.[test]'
	@touch $@ $(VENV)/.book
