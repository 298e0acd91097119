PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHARED ?= ../shared
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
	--numprocesses auto --maxprocesses 4 --dist loadfile --max-worker-restart 0

.PHONY: demo test check bench mutants coverage setup

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/sartor demo

# several processes of one thread each: what the tests run is too small to be shared among threads
test: setup
	$(PYTEST)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python bench/style.py src/sartor --check

bench: setup
	$(BIN)/python bench/episode.py --shared $(SHARED)

# of MODULES, files or folders; of what differs from main where none are given
mutants: setup
	$(BIN)/python bench/mutants.py $(MODULES)

coverage: setup
	$(PYTEST) --cov --cov-report term:skip-covered --cov-report xml
