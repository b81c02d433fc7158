# make study     set up, and run the whole study on the embedded synthetic database
# make test      set up, and run the fast tests, in less than 3 minutes
# make test-all  set up, and run all tests; ECG_TEST_DATA names the folder with the real databases
# make lint      set up, and check style, types, imports between packages
# make evaluate-models  set up, and measure the pretrained models on the test records, in minutes;
#                ARGS="--raw-dir ../mitdb --noise-dir ../nstdb" for databases that you have
PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c requirements.txt

.PHONY: study test test-all lint evaluate-models format clean

study: .venv/study
	$(PY) study.py run

# A file's tests share fixtures: --dist loadfile runs them in one process.
# A process that replaces a crashed one would run the test that crashed again, up to eight times or for ever.
PYTEST := $(PY) -m pytest -n 2 --dist loadfile --max-worker-restart 0

test: .venv/dev
	$(PYTEST) -m "not slow and not real_data" --timeout 20 --hypothesis-profile fast $(ARGS)

test-all: .venv/dev
	$(PYTEST) --timeout 300 --hypothesis-profile ci $(ARGS)

lint: .venv/dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

evaluate-models: .venv/study
	$(PY) study.py evaluate $(ARGS)

format: .venv/dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

.venv/study: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Python 3.11 to 3.13 is required; choose one with make PYTHON=...")'
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PIP) -e ".[study]"
	touch $@

.venv/dev: .venv/study
	$(PIP) -e ".[study,formats,optuna,tensorboard,dev]"
	touch $@

# The other backends of Keras. PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu takes torch without CUDA, which is
# several GB smaller. The extras are named again, so that pip keeps to their limits.
.venv/backends: .venv/dev
	$(PIP) -e ".[study,formats,optuna,tensorboard,dev]" torch jax
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
