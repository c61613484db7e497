"""Programs that a test starts are not pytest-xdist's: the benchmark refuses to time under it."""

import os

os.environ.pop("PYTEST_XDIST_WORKER", None)
