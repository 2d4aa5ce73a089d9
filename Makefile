# Two commands: `make demo` tries clipsearch, `make test` checks it. Both make .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint types layers cover clean assets

demo: $(VENV)/.installed  ## index the bundled catalogue and search it
	$(BIN)/clipsearch demo

test: $(VENV)/.installed-dev lint types layers  ## every check and every test
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

cover: $(VENV)/.installed-dev  ## coverage of the library, in the terminal
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,heic]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) dist build .coverage* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
