# Development commands. All but clean first install what they need into .venv.
#
# make bench        run the benchmark, write the report .bench/index.html
# make bench-peers  the same with PyTorch, JAX and oneDAL too, report in .bench/peers/index.html
# make random       the same on 100 shapes drawn at random, report in .bench/random/index.html
# make readme       make bench and random, then update the tables and figures of README.md and docs/
# make test         run the tests that are not marked slow
# make test-slow    run those that are
# make test-matrix  run the tests with several versions of Python, NumPy and Numba
# make coverage     measure line and branch coverage
# make mutants      mutation testing of kernels/
# make examples     run every script of examples/, write the figures to PICTURES
# make check        lint, check types and the layering of imports
# make clean        remove .venv, .bench, .examples and .tox

PYTHON ?= python3
python = .venv/bin/python

.PHONY: bench bench-peers random readme examples test test-slow test-matrix coverage mutants check clean

bench: .venv/bench.installed
	$(python) -m bench

bench-peers: .venv/peers.installed
	$(python) -m bench --out .bench/peers

random: .venv/bench.installed
	$(python) -m bench --random 100 --out .bench/random

readme: bench random
	$(python) -m bench.report.readme .bench
	$(python) -m bench.report.readme .bench/random

PICTURES ?= .examples
examples: .venv/examples.installed
	@for script in $(filter-out examples/figures.py,$(wildcard examples/*.py)); do \
		echo "== $$script"; $(python) $$script --out $(PICTURES) || exit 1; done

# In parallel, in at most 8 processes; JOBS=0 for a single process. A process that dies or hangs ends
# the run: it would repeat the same test.
JOBS ?= auto
parallel = -n $(JOBS) --maxprocesses 8 --max-worker-restart 0 --dist loadfile
test: .venv/test.installed
	$(python) -m pytest $(parallel) --durations=5

test-slow: .venv/test.installed
	$(python) -m pytest $(parallel) -m slow --durations=5

# Counts code that the interpreter runs. An empty cache makes the code generators run too.
coverage: .venv/test.installed
	NUMBA_CACHE_DIR=$$(mktemp -d) $(python) -m pytest --cov --cov-report=term -q $(TESTS)

# Makes small changes to kernels/ in place, undoes each, and lists those that no test detects. All of
# them take hours; MUTANTS='--share 0.1 validate softmax' samples a tenth of those in two files.
mutants: .venv/mutants.installed
	$(python) tests/mutants.py $(MUTANTS)

# Every Python found (pyenv's too) with the oldest and the newest NumPy and Numba.
# MATRIX='-e py310-oldest' runs one.
test-matrix: .venv/matrix.installed
	PATH="$$PATH:$$(printf '%s:' "$$(pyenv root 2>/dev/null)"/versions/*/bin)" .venv/bin/tox run $(MATRIX)

STUBS = kernels.softmax kernels.logistic kernels.linear kernels.two_layer
check: .venv/dev.installed
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(python) -m mypy.stubtest --concise --ignore-disjoint-bases $(STUBS)
	.venv/bin/lint-imports --no-cache

clean:
	rm -rf .venv .bench .examples .tox

.venv/bin/python:
	$(PYTHON) -m venv .venv

# One stamp file for each extra: installed again when pyproject.toml changes.
.venv/%.installed: pyproject.toml | .venv/bin/python
	$(python) -m pip install --editable '.[$*]'
	@touch $@
