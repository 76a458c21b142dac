# Everything here works on a machine with Python 3.11, gcc and make; it sets up .venv by itself.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 1
# fairseq-signals' checkout, for test-signals; its own installation page says how to build it.
SIGNALS ?=
SIGNALS_VENV := .venv-signals

.PHONY: help setup demo demo-modally-reduced test test-slow test-signals lint clean

help:
	@echo "make demo           the main job on a synthetic cohort: table, plot and report in outputs/demo"
	@echo "make demo SEEDS=3   the same over three seeds: mean and spread"
	@echo "make demo-modally-reduced   the second method: outputs/demo-modally-reduced"
	@echo "make test           ruff, mypy and the tests"
	@echo "make test-slow      the longer tests"
	@echo "make test-signals SIGNALS=PATH   the trainings inside a checkout of fairseq-signals"

setup: $(VENV)/ready

# fairseq-fixed is built from source. Its isolated build would fetch the newest CUDA build of torch
# only to compile, so torch and the build tools come first and the isolation is switched off.
$(VENV)/ready: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=23.2" "setuptools>=68,<81" wheel "numpy>=1.24" "cython>=3" torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-build-isolation -e ".[fairseq,dev]"
	touch $@

demo: setup
	$(BIN)/selfmis demo --seeds $(SEEDS) --dest outputs/demo

demo-modally-reduced: setup
	$(BIN)/selfmis demo modally-reduced --seeds $(SEEDS) --dest outputs/demo-modally-reduced

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The tests' networks are small: a second thread brings nothing, and costs much on a busy machine.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

$(SIGNALS_VENV)/ready: setup.py pyproject.toml
	$(PYTHON) -m venv $(SIGNALS_VENV)
	$(SIGNALS_VENV)/bin/python -m pip install --quiet --upgrade "pip>=23.2" "setuptools>=68,<81" wheel "numpy>=1.24" torch==2.13.0
	$(SIGNALS_VENV)/bin/python -m pip install --quiet hydra-core==1.3.2 omegaconf==2.3.0 transformers==4.46.3 regex sacrebleu
	$(SIGNALS_VENV)/bin/python -m pip install --quiet --no-build-isolation -e ".[dev]"
	touch $@

test-signals: $(SIGNALS_VENV)/ready
	@test -f "$(SIGNALS)/fairseq_signals/__init__.py" || { echo "give a checkout of fairseq-signals: make test-signals SIGNALS=PATH"; exit 2; }
	PYTHONPATH="$(abspath $(SIGNALS))" $(SIGNALS_VENV)/bin/python -m pytest -m signals

clean:
	rm -rf $(VENV) $(SIGNALS_VENV) outputs build dist *.egg-info
