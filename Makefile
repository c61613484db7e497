# make bench   the environment, the benchmark on real data, the report in .bench/index.html
# make bench-peers  the same with scikit-learn, PyTorch, JAX and oneDAL beside ours, the report in
#              .bench/peers/index.html
# make test    the environment, every test; make test-slow, make test-matrix and make coverage are
#              more of them
# make examples  every script of examples/, the pictures into PICTURES
# make check   lint, types, and the order of imports
# make readme  bench, and its tables and figure into README.md and docs/

PYTHON ?= python3
python = .venv/bin/python

.PHONY: bench bench-peers readme examples test test-slow test-matrix coverage mutants check clean

bench: .venv/bench.installed
	$(python) -m bench

bench-peers: .venv/peers.installed
	$(python) -m bench --out .bench/peers

readme: bench
	$(python) -m bench.report.readme .bench

PICTURES ?= .examples
examples: .venv/examples.installed
	@for script in $(filter-out examples/figures.py,$(wildcard examples/*.py)); do \
		echo "== $$script"; $(python) $$script --out $(PICTURES) || exit 1; done

# In processes beside one another, at most 8; JOBS=0 for one.
JOBS ?= auto
test: .venv/test.installed
	$(python) -m pytest -n $(JOBS) --maxprocesses 8 --dist loadfile --durations=5

test-slow: .venv/test.installed
	$(python) -m pytest -n $(JOBS) --maxprocesses 8 --dist loadfile -m slow --durations=5

# Of what runs in the interpreter; the empty cache makes the code that emits code run too.
coverage: .venv/test.installed
	NUMBA_CACHE_DIR=$$(mktemp -d) $(python) -m pytest --cov --cov-report=term -q $(TESTS)

# Each small change of kernels/, made in place and undone, must fail a test; those that do not are
# listed. Hours, for all of them: MUTANTS='--share 0.1 validate softmax' draws a tenth of those in
# two files.
mutants: .venv/mutants.installed
	$(python) tests/mutants.py $(MUTANTS)

# Every Python that is found (pyenv's too), with the oldest and the newest NumPy and Numba.
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

# One stamp for each extra: installed once, and again when pyproject.toml changes.
.venv/%.installed: pyproject.toml | .venv/bin/python
	$(python) -m pip install --editable '.[$*]'
	@touch $@
