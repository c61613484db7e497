"""`show_versions` prints the versions, the threads, the vectors and the state of the cache."""

import os
import sys

import numba
import numpy as np

import kernels
from kernels.engine import cache, pool, vectors


def said(capsys):
    return {
        line.split(":")[0]: line.split(":", 1)[1].strip()
        for line in capsys.readouterr().out.splitlines()
    }


def test_show_versions(capsys, monkeypatch):
    monkeypatch.setenv("KERNELS_NUM_THREADS", "3")
    kernels.show_versions()
    facts = said(capsys)
    assert facts["NumPy"] == np.__version__
    assert facts["Numba"].startswith(numba.__version__)
    assert facts["Python"].startswith(sys.version.split()[0])
    assert facts["vectors"].startswith(f"{8 * vectors.VECTOR_BYTES} bits")
    assert facts["threads"].startswith(f"3 of the {pool.cpus()} CPUs")
    assert cache.source_stamp() in facts["source"]
    assert facts["environment"]


def test_the_state_of_the_cache(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def state():
        kernels.show_versions()
        return said(capsys)["cache"]

    (directory,) = cache.directories()
    assert state() == f"{directory}: not there yet"
    directory.mkdir(mode=0o700)
    (directory / f"softmax.tiled.py311.{cache.source_stamp()}.0123.nbc").write_bytes(
        bytes(2_000_000)
    )
    (directory / "softmax.tiled.py311.an_older_stamp.0123.nbc").write_bytes(bytes(2_000_000))
    assert state() == f"{directory}: 1 functions, 2.0 MB"
    if os.name == "posix":
        directory.chmod(0o777)
        assert state() == f"{directory}: not used, others may write to it (mode drwxrwxrwx)"
