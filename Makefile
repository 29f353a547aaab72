# Each target sets up what it needs: a virtual environment in .venv with the package, torch and the development tools.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
REPO ?= $(PGOLF_CORPUS)

.PHONY: demo browser test check types lint docs docs-site bench corpus run-fixtures clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,train,data]"
	touch $@

demo: $(VENV)/.installed  ## data, two short seeds, their record, its audit, and the audit of a submission that cheats
	$(PY) cli.py demo

browser: $(VENV)/.installed  ## fetch a headless Chromium for the tests of the HTML report, unless there is one
	$(PY) -m tools.get_browser

test: check browser  ## static checks, then every test that needs no corpus
	$(PY) -m pytest -q -n 2

check: lint types  ## style, types, import direction, generated pages
	$(PY) -m tools.gen_docs --check

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

types: $(VENV)/.installed
	$(VENV)/bin/mypy

docs: $(VENV)/.installed  ## write the rule pages from the rules
	$(PY) -m tools.gen_docs

docs-site: docs  ## the pages of docs/ as a site in build/site; a link to a page or heading that is not there ends it
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	$(VENV)/bin/zensical build --strict

corpus: $(VENV)/.installed  ## tests over real submissions: make corpus REPO=path/to/parameter-golf.git
	PGOLF_CORPUS="$(REPO)" $(PY) -m pytest -q -m corpus

run-fixtures: $(VENV)/.installed  ## run every fixture that is a script, and hold source, run and case against each other
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -m torch tests/rules/test_run_fixtures.py

bench: $(VENV)/.installed  ## the corpus table: make bench REPO=path/to/parameter-golf.git
	$(PY) -m bench.corpus --repo "$(REPO)"

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
