"""Marks of tests that need a compiler or a system."""

import os
import sys

import numba
import pytest

compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="Numba's compiler is off")
fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
ignore_fork_warning = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
linux = pytest.mark.skipif(sys.platform != "linux", reason="uses /proc, or mprotect through ctypes")
posix = pytest.mark.skipif(os.name != "posix", reason="permissions are stated otherwise here")
