# make study   sets up and runs the whole study on the embedded synthetic database
# make test    sets up and runs the tests
# make lint    sets up and checks style and types
# make figures sets up and measures the headline figures of the bundles that come with the project, in minutes;
#              ARGS="--raw-dir ../mitdb --noise-dir ../nstdb" where the databases are there already
PYTHON ?= python3
PY := .venv/bin/python

.PHONY: study test lint figures format clean

study: .venv/study
	$(PY) study.py run

test: .venv/dev
	$(PY) -m pytest

lint: .venv/dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

figures: .venv/study
	$(PY) -m benchmarks.figures $(ARGS)

format: .venv/dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

.venv/study: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Python 3.11 to 3.13 is needed; make PYTHON=... names one")'
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt .venv/study
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
