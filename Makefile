# Two commands are enough: `make demo` and `make test`. Both do all the set-up they need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
FOLDERS := $(shell find evaluators gate flows -type d -not -name __pycache__)

.PHONY: demo test long-tests ledger-tests mutation-tests benchmarks error-rates installation-test image-root docs cli-reference screenshots lint types architecture check-all format clean

$(VENV)/.packages: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--config-settings editable_mode=strict --editable ".[dev]"
	touch $@ $(VENV)/.project

# a strict editable install links files one by one: a new file needs a new link
$(VENV)/.project: $(VENV)/.packages $(FOLDERS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--config-settings editable_mode=strict --editable .
	touch $@

demo: $(VENV)/.project  ## train, register and gate two tiny models
	$(BIN)/finetune-gate demo

test: $(VENV)/.project  ## every test
	$(BIN)/python -m pytest -n auto --dist loadgroup

long-tests: $(VENV)/.project  ## the parts of the tests that take long: every kill point, every byte of a cut store, every fault of MLflow
	FINETUNE_GATE_LONG_TESTS=1 $(BIN)/python -m pytest -n auto --dist loadgroup --timeout 3600 tests/answers tests/attesting tests/clusters tests/flows/test_changed_files.py \
		tests/flows/test_deployments.py tests/flows/test_killed.py tests/flows/test_killed_plan.py tests/flows/test_outage.py tests/flows/test_review.py tests/github tests/judging/test_judge_faults.py \
		tests/receiver tests/testing tests/watching

ledger-tests: $(VENV)/.project  ## many gates of one model at once, some killed; on SQLite, and on PostgreSQL's own programs
	$(BIN)/python tests/registry/ledger_storm.py --gates 32 --kills 10 --rounds 20
	$(BIN)/python tests/registry/ledger_storm.py --gates 32 --kills 10 --rounds 20 --database postgres

mutation-tests: $(VENV)/.project  ## faults put into what decides: do the tests of the decision notice them? half an hour on a quiet machine
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/.mutation cosmic-ray==8.7.0 parso==0.8.7
	OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python tests/mutation/run_mutants.py --tool $(VENV)/.mutation $(ARGS)

benchmarks: $(VENV)/.project  ## measure against lm-evaluation-harness, a naive loop and the dense floor; best on a quiet machine
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--config-settings editable_mode=strict --editable ".[benchmarks]"
	$(BIN)/python -m benchmarks $(ARGS)

error-rates: $(VENV)/.project  ## how often the gate errs, in made worlds, and how long its statistics take; half an hour
	$(BIN)/python -m benchmarks.decisions --update-docs $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.resampling --update-readme

installation-test: $(VENV)/.project  ## what docker/compose.yaml declares, started from packages, from a registry event to the moved alias
	FINETUNE_GATE_INSTALLATION_TESTS=1 $(BIN)/python -m pytest -n 0 --timeout 1800 tests/installation/test_installation.py

image-root: $(VENV)/.project  ## the image's own steps without an engine, and the image tried; as root, some minutes and 5 GB
	$(BIN)/python docker/without_an_engine/build_root.py $(ARGS)

docs: $(VENV)/.project  ## the site of the docs, in build/site
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--config-settings editable_mode=strict --editable ".[docs]"
	$(BIN)/python docs/make_site.py

cli-reference: $(VENV)/.project  ## docs/cli.md, from what the program says of itself
	$(BIN)/python -m finetune_gate.flows.cli.reference docs/cli.md

screenshots: $(VENV)/.project  ## the pictures in docs/images, of the demo: needs chromium
	$(BIN)/python docs/take_pictures.py $(ARGS)

lint: $(VENV)/.project
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.project
	$(BIN)/pyright

architecture: $(VENV)/.project
	$(BIN)/lint-imports

check-all: lint types architecture test

format: $(VENV)/.project
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
