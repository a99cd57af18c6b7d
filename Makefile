# make demo    accuracy of a small network on simulated analog hardware, real handwritten digits
# make test    the test suite
# make lint    style, types and import contracts
# make bench   speed relative to plain NumPy
#
# All of them work from a fresh clone: the virtual environment is built on first use and rebuilt when
# pyproject.toml or constraints.txt change. PYTHON chooses the interpreter (3.11 or newer).

PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 3

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 5 --timeout 60 -c constraints.txt
# One BLAS thread per process: faster on small matrices, comparable between machines, no fight between test workers.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# What JAX compiles runs once or twice in a test: machine code is made without the costly passes, which saves a third of
# the time of tests/flax. Slow tests and Keras are compiled as users' functions are.
PLAIN_CODE := JAX_DISABLE_MOST_OPTIMIZATIONS=true

.PHONY: demo test test-slow lint format bench env clean

demo: $(VENV)/.demo
	$(BIN)/crossohm run

# Keras runs on one backend per process: its tests run in three, one for each.
test: $(VENV)/.dev
	$(ONE_THREAD) $(BIN)/python -m pytest tests/keras --dist each $(foreach backend,tensorflow jax torch,--tx popen//env:KERAS_BACKEND=$(backend))
	$(ONE_THREAD) $(PLAIN_CODE) $(BIN)/python -m pytest -n $(WORKERS) --ignore=tests/keras -m "not slow"

# What takes many seconds on one core each: killed sweeps, whole data sets, large functions that JAX compiles.
test-slow: $(VENV)/.dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --ignore=tests/keras -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(ONE_THREAD) $(BIN)/python benchmarks/core.py
	$(ONE_THREAD) $(BIN)/python benchmarks/grid.py

env: $(VENV)/.dev

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A download that stalls fails after the time-out; what has arrived is cached, so a second try is cheap.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing crossohm with PyTorch and scikit-learn into $(VENV) (a minute or two, once)"
	$(PIP) -e '.[torch,data]' || $(PIP) -e '.[torch,data]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing crossohm with its development tools into $(VENV) (a few minutes, once)"
	$(PIP) -e '.[dev]' || $(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo
