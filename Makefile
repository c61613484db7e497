# make bench   the environment, the benchmark on real data, the report in .bench/index.html
# make test    the environment, every test
# make check   lint and types;   make readme   bench, and its table and figure into README.md

PYTHON ?= python3
python = .venv/bin/python

.PHONY: bench test check readme clean

bench: .venv/bench.installed
	$(python) -m bench

readme: bench
	$(python) -m bench.readme .bench

test: .venv/test.installed
	$(python) -m pytest --durations=5

check: .venv/dev.installed
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy

clean:
	rm -rf .venv .bench

.venv/bin/python:
	$(PYTHON) -m venv .venv

# One stamp for each extra: installed once, and again when pyproject.toml changes.
.venv/%.installed: pyproject.toml | .venv/bin/python
	$(python) -m pip install --editable '.[$*]'
	@touch $@
