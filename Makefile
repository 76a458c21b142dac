# Everything here works on a machine with Python 3.11, gcc and make; it sets up .venv by itself.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 1
# Processes that run the tests.
WORKERS ?= 2
# Seconds that make fuzz gives to each of its properties.
FUZZ_SECONDS ?= 60
# fairseq-signals' checkout, for test-signals. It is not installed, nothing in it is changed, and its
# Cython extension must be built there: python setup.py build_ext --inplace.
SIGNALS ?=
# Which Hydra: new, or toolkit for the versions that fairseq-signals itself pins. Only pip before
# 24.1 installs those.
PINS ?= new
ifeq ($(PINS),toolkit)
SIGNALS_VENV := .venv-signals-toolkit
SIGNALS_PIP := pip<24.1
SIGNALS_HYDRA := hydra-core==1.0.7 omegaconf==2.0.6
else
SIGNALS_VENV := .venv-signals
SIGNALS_PIP := pip>=23.2
SIGNALS_HYDRA := hydra-core==1.3.2 omegaconf==2.3.0
endif

# Another interpreter than the one of .venv, for test-python, in a venv of its own; and what to run.
PYTHON_VENV = .venv-python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
TORCH ?= 2.13.0
TESTS ?= tests

# PTB-XL's folder, for results-real: ptbxl_database.csv, scp_statements.csv and records100.
DATA ?=
# The folder of ECG-ID, to tell its persons apart too; left out where it is not given.
ECGID ?=
RESULTS := docs/results/real
REAL := outputs/results-real

.PHONY: help setup docs demo demo-modally-reduced model results-real test test-slow test-signals test-python fuzz lint clean

help:
	@echo "make demo           the main job on a synthetic cohort: table, plot and report in outputs/demo"
	@echo "make demo SEEDS=3   the same over three seeds: mean and spread"
	@echo "make demo-modally-reduced   the second method: outputs/demo-modally-reduced"
	@echo "make test           ruff, mypy, import-linter and the tests"
	@echo "make test-slow      the longer tests"
	@echo "make docs           the site: outputs/docs/index.html"
	@echo "make test-python PYTHON=python3.12   the tests on another Python (TORCH=2.4.1: and another torch)"
	@echo "make fuzz FUZZ_SECONDS=600   random inputs, each property for that long"
	@echo "make results-real DATA=PTBXL   the tables on real records: hours; what is finished stays"
	@echo "make results-real DATA=PTBXL ECGID=PATH SIGNALS=PATH   and persons, and fairseq-signals' rows"
	@echo "make model DATA=PTBXL   the model that comes with the plugin, made again: half an hour or an hour"
	@echo "make test-signals SIGNALS=PATH   the trainings inside a checkout of fairseq-signals"
	@echo "make test-signals SIGNALS=PATH PINS=toolkit   the same with the Hydra that it pins"

setup: $(VENV)/ready

# fairseq-fixed is built from source. Its isolated build would fetch the newest CUDA build of torch
# only to compile, so torch and the build tools come first and the isolation is switched off.
$(VENV)/ready: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=23.2" "setuptools>=68,<81" wheel "numpy>=1.24" "cython>=3" torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-build-isolation -e ".[fairseq,dev]"
	touch $@

$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --no-build-isolation -e ".[docs]"
	touch $@

# A broken link, a docstring that does not render, or a config key without a meaning fails.
docs: $(VENV)/docs-ready
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -b html docs outputs/docs
	@echo outputs/docs/index.html

demo: setup
	$(BIN)/selfmis demo --seeds $(SEEDS) --dest outputs/demo

demo-modally-reduced: setup
	$(BIN)/selfmis demo modally-reduced --seeds $(SEEDS) --dest outputs/demo-modally-reduced

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The tests' networks are small: a second thread brings nothing, and costs much on a busy machine.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n $(WORKERS)

# A host that cannot be built there is said, and the tests that need none are run all the same.
test-python:
	$(PYTHON) -m venv $(PYTHON_VENV)
	$(PYTHON_VENV)/bin/python -m pip install --quiet --upgrade "pip>=23.2" "setuptools>=68,<81" wheel "numpy>=1.24" "cython>=3" torch==$(TORCH)
	$(PYTHON_VENV)/bin/python -m pip install --quiet --no-build-isolation -e ".[fairseq,dev]" || { \
		echo "fairseq cannot be built here: the tests of trainings will fail"; \
		$(PYTHON_VENV)/bin/python -m pip install --quiet --no-build-isolation -e ".[dev]"; }
	-$(PYTHON_VENV)/bin/selfmis doctor
	OMP_NUM_THREADS=1 $(PYTHON_VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

fuzz: setup
	FUZZ_SECONDS=$(FUZZ_SECONDS) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m fuzz -n $(WORKERS)

$(SIGNALS_VENV)/ready: setup.py pyproject.toml
	$(PYTHON) -m venv $(SIGNALS_VENV)
	$(SIGNALS_VENV)/bin/python -m pip install --quiet "$(SIGNALS_PIP)" "setuptools>=68,<81" wheel "numpy>=1.24" "cython>=3" torch==2.13.0
	$(SIGNALS_VENV)/bin/python -m pip install --quiet $(SIGNALS_HYDRA) transformers==4.46.3 regex sacrebleu
	$(SIGNALS_VENV)/bin/python -m pip install --quiet --no-build-isolation -e ".[dev]"
	touch $@

# Hydra 1.0 brings a pytest plugin, which Python 3.11 cannot import before it is patched.
test-signals: $(SIGNALS_VENV)/ready
	@test -f "$(SIGNALS)/fairseq_signals/__init__.py" || { echo "give a checkout of fairseq-signals: make test-signals SIGNALS=PATH"; exit 2; }
	@ls "$(SIGNALS)"/fairseq_signals/data/data_utils_fast*.so > /dev/null 2>&1 || { echo "build its Cython extension first: cd $(SIGNALS) && $(abspath $(SIGNALS_VENV))/bin/python setup.py build_ext --inplace"; exit 2; }
	PYTHONPATH="$(abspath $(SIGNALS))" $(SIGNALS_VENV)/bin/selfmis doctor
	PYTHONPATH="$(abspath $(SIGNALS))" OMP_NUM_THREADS=1 $(SIGNALS_VENV)/bin/python -m pytest -p no:hydra_pytest -m signals -n $(WORKERS)

# Rates are chosen on folds 1-8 alone, once: whoever has the files of them tries nothing again. Cells
# that others have finished, of this version and these records, are taken up. With SIGNALS, the rows
# that only fairseq-signals trains stand in the same tables.
METHODS ?= selfmis,selfmis_without_s,selfmis_without_m,without_alignment,ecgfounder,random_encoder,st_mem,modally_reduced,twelve_lead
# Each of these has its own file of rates, so that one more can join: mcma, pix2pix, ekgan and
# cyclegan take hours. Whoever names METHODS gets those alone, unless these are named too.
FURTHER_METHODS ?= $(if $(filter file,$(origin METHODS)),heartlang)
HOST_METHODS ?= simclr,3kg,clocs,w2v_cmsc,w2v_cmsc_rlm
BUDGET ?= 8000
MI_OPTIONS = benchmark mi --data $(REAL)/ptbxl --unlabelled $(REAL)/ptbxl --archive $(REAL)/ptbxl \
	--size small --fractions 1.0 --workers $(WORKERS) --budget $(BUDGET)
# With ECGID, persons are told apart by encoders that folds 9 and 10 were held out of. They are
# trained for it: of a cell that is taken up there is no checkpoint.
ENCODERS := $(REAL)/encoders
STAGE = $(ENCODERS)/fold1/seed$$seed/stages/$(1)/checkpoints/checkpoint_best.pt
IDENTIFIED := modally_reduced selfmis ecgfounder
CHOICE = --folds 4 --strat-folds 1-8 --trials-only
JUDGED = --rates-from $(RATES) --seeds 3 --methods $(ROWS) $(AGAINST) --keep $(RESULTS)
COMMA := ,
AGAINST = $(if $(filter without_alignment,$(subst $(COMMA), ,$(METHODS))),--against without_alignment)
FURTHER = $(subst $(COMMA), ,$(FURTHER_METHODS))
OWN_ROWS = $(subst $() ,$(COMMA),$(strip $(METHODS) $(FURTHER)))
OWN_RATES = $(RESULTS)/rates.json $(FURTHER:%=$(RESULTS)/rates-%.json)
ifdef SIGNALS
MI = PYTHONPATH="$(abspath $(SIGNALS))" OMP_NUM_THREADS=1 $(SIGNALS_VENV)/bin/selfmis $(MI_OPTIONS)
ROWS = $(OWN_ROWS),$(HOST_METHODS)
RATES = $(OWN_RATES) $(RESULTS)/rates-signals.json
else
MI = OMP_NUM_THREADS=1 $(BIN)/selfmis $(MI_OPTIONS)
ROWS = $(OWN_ROWS)
RATES = $(OWN_RATES)
endif

results-real: setup $(if $(SIGNALS),$(SIGNALS_VENV)/ready)
	@test -f "$(DATA)/ptbxl_database.csv" || { echo "give the folder of PTB-XL (1.0.3, from https://physionet.org/content/ptb-xl/): make results-real DATA=PATH"; exit 2; }
ifdef ECGID
	@for method in $(IDENTIFIED); do case ",$(METHODS)," in *,$$method,*) ;; *) \
		echo "ECGID asks who is who of the encoders of $(IDENTIFIED): name them in METHODS, or leave out ECGID"; exit 2;; esac; done
endif
	test -f $(REAL)/ptbxl/store.json || $(BIN)/selfmis prepare ptbxl "$(DATA)" --source-rate 100 --origin "PTB-XL 1.0.3" --dest $(REAL)/ptbxl
	mkdir -p $(RESULTS)
	test -f $(RESULTS)/rates.json || { $(MI) $(CHOICE) --methods $(METHODS) --dest $(REAL)/choice && cp $(REAL)/choice/rates.json $(RESULTS)/rates.json; }
	for one in $(FURTHER); do test -f $(RESULTS)/rates-$$one.json || { $(MI) $(CHOICE) --methods $$one --dest $(REAL)/choice-$$one \
		&& cp $(REAL)/choice-$$one/rates.json $(RESULTS)/rates-$$one.json; } || exit 1; done
ifdef SIGNALS
	test -f $(RESULTS)/rates-signals.json || { $(MI) $(CHOICE) --methods $(HOST_METHODS) --dest $(REAL)/choice-signals && cp $(REAL)/choice-signals/rates.json $(RESULTS)/rates-signals.json; }
endif
	$(MI) --folds 5 $(JUDGED) --dest $(REAL)/folds
	$(MI) --held-out 9,10 $(JUDGED) --dest $(REAL)/final
ifdef ECGID
	test -f $(REAL)/ecgid/store.json || $(BIN)/selfmis prepare ecgid "$(ECGID)" --origin "ECG-ID 1.0.0" --dest $(REAL)/ecgid
	$(MI) --held-out 9,10 --rates-from $(OWN_RATES) --seeds 3 --methods $(subst $() ,$(COMMA),$(IDENTIFIED)) --modes probe --dest $(ENCODERS)
	mkdir -p $(RESULTS)/identification
	for seed in 1 2 3; do $(BIN)/selfmis benchmark identification --data $(REAL)/ecgid --dest $(REAL)/identification/seed$$seed \
		--checkpoint $(call STAGE,modally_reduced) --against "SelfMIS=$(call STAGE,selfmis)" --against "trained on labels=$(call STAGE,single_lead_encoder)" \
		&& cp $(REAL)/identification/seed$$seed/identification.csv $(RESULTS)/identification/seed$$seed.csv || exit 1; done
endif

# The model that comes with the plugin, made again: real records and synthetic hearts alone. Its
# figures are those of its recipe, cross-validated; its weights are trained on all records but fold
# 10, on which checkpoints are chosen.
MODEL := outputs/model
COHORT := 2
HEARTS := $(MODEL)/hearts-$(COHORT)
BOTH := $(MODEL)/both-$(COHORT)
RUNS := $(MODEL)/runs-$(COHORT)
FOLDS := $(MODEL)/folds-$(COHORT)
BEST := checkpoints/checkpoint_best.pt
LR := 'optimization.lr=[0.0025]'
JOINED := --set selfmis:$(LR) --set single_lead_encoder:$(LR) --set multi_lead_encoder:$(LR) \
	--set single_lead_encoder:optimization.max_epoch=4 --set multi_lead_encoder:optimization.max_epoch=5
TRAIN := OMP_NUM_THREADS=1 $(BIN)/selfmis train

model: setup
	@test -f "$(DATA)/ptbxl_database.csv" || { echo "give the folder of PTB-XL (1.0.3, from https://physionet.org/content/ptb-xl/): make model DATA=PATH"; exit 2; }
	test -f $(MODEL)/ptbxl/store.json || $(BIN)/selfmis prepare ptbxl "$(DATA)" --source-rate 100 --origin "PTB-XL 1.0.3" --dest $(MODEL)/ptbxl
	test -f $(HEARTS)-wfdb/cohort.json || $(BIN)/selfmis prepare synthetic $(HEARTS)-wfdb --layout ptbxl --records 6000 --cohort $(COHORT) --workers $(WORKERS)
	test -f $(HEARTS)/store.json || $(BIN)/selfmis prepare ptbxl $(HEARTS)-wfdb --dest $(HEARTS)
	test -f $(BOTH)/store.json || $(BIN)/selfmis prepare join $(MODEL)/ptbxl $(HEARTS) --dest $(BOTH)
	for store in $(MODEL)/ptbxl $(BOTH); do test -f $$store-all/train.tsv || \
		$(BIN)/selfmis prepare folds $$store --valid 10 --dest $$store-all || exit 1; done
	OMP_NUM_THREADS=1 $(BIN)/selfmis benchmark mi --data $(MODEL)/ptbxl --unlabelled $(BOTH) --archive $(BOTH) \
		--size small --fractions 1.0 --workers $(WORKERS) --budget 60000 --folds 5 --seeds 3 --methods selfmis --modes probe \
		$(JOINED) --dest $(FOLDS)
	$(TRAIN) selfmis_supervised_small hydra.run.dir=$(RUNS)/single task.data=$(BOTH)-all 'task.leads=[I]' optimization.max_epoch=4 $(LR)
	$(TRAIN) selfmis_supervised_small hydra.run.dir=$(RUNS)/multi task.data=$(BOTH)-all optimization.max_epoch=5 $(LR)
	$(TRAIN) selfmis_pretrain_small hydra.run.dir=$(RUNS)/selfmis task.data=$(BOTH)-all optimization.max_epoch=9 $(LR) \
		model.single_lead_checkpoint=$(RUNS)/single/$(BEST) model.multi_lead_checkpoint=$(RUNS)/multi/$(BEST)
	$(TRAIN) selfmis_linear_probe_small hydra.run.dir=$(RUNS)/probe task.data=$(MODEL)/ptbxl-all model.encoder_checkpoint=$(RUNS)/selfmis/$(BEST)
	$(BIN)/selfmis export --checkpoint $(RUNS)/probe/$(BEST) --data $(MODEL)/ptbxl --licence cc-by-4.0 --dest $(MODEL)/selfmis-lead-I \
		--cross-validated $(FOLDS)/fold*/seed*/selfmis/probe/*/predictions.parquet
	$(BIN)/python -c "import hashlib, pathlib, re, sys; notice, made = map(pathlib.Path, sys.argv[1:]); \
		digest = hashlib.sha256((made / 'model.safetensors').read_bytes()).hexdigest(); \
		(made / 'NOTICE').write_text(re.sub('[0-9a-f]{64}', digest, notice.read_text()))" \
		selfmis_plugin/predict/shipped/selfmis-lead-I/NOTICE $(MODEL)/selfmis-lead-I

clean:
	rm -rf $(VENV) .venv-signals .venv-signals-toolkit .venv-python3.* outputs docs/generated build dist *.egg-info
