# Every target is complete on a machine that has only Python >= 3.11 and make: it sets up .venv first.

PYTHON ?= python3
VENV := .venv
BASELINE := bench/baseline.json
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test test-all bench bench-check bench-baseline bench-gpu roofline lint docs clean

run: $(VENV)/.run  ## the paper's patch experiment, into runs/patch
	$(BIN)/fastpatch patch

test: $(VENV)/.test  ## the default tests, by two processes: some minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: $(VENV)/.test  ## the long tests too
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or not slow"

bench: $(VENV)/.bench  ## the benchmarks, the comparison with other frameworks and the README's plot, half an hour
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.peers
	$(BIN)/python -m bench.plot

bench-check: $(VENV)/.test  ## fail where a benchmark has become slower than the baseline allows; SKIPPED on another machine
	$(BIN)/python -m bench.check --baseline $(BASELINE)

bench-baseline: $(VENV)/.test  ## record a baseline on an otherwise idle machine; BASELINE=FILE for one of your own
	$(BIN)/python -m bench.baseline --output $(BASELINE)

bench-gpu: $(VENV)/.test  ## check the CUDA backend on this machine's GPU and time it, 8 minutes at most
	$(BIN)/python -m bench.gpu

roofline: $(VENV)/.test  ## what this machine could do, and how far the step is from it
	$(BIN)/python -m bench.roofline

lint: $(VENV)/.lint  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs  ## the site, into docs/_build/html: every example runs, and a warning is an error
	$(BIN)/sphinx-build --jobs 2 --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11; set PYTHON to a newer one, as in: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[explore,neural,diffusers,sweep,test]"
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.test
	$(PIP) --editable ".[explore,neural,diffusers,sweep,test,peers]" || echo "JAX could not be installed; the comparison goes without it."
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[docs]"
	@touch $@ $(VENV)/.run

$(VENV)/.lint: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[explore,neural,diffusers,sweep,test,lint]"
	@touch $@ $(VENV)/.run $(VENV)/.test

clean:  ## everything that can be made again
	rm -rf docs/_build docs/gallery docs/jupyter_execute docs/reference/*.rst
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
