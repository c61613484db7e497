"""Compiled code that others could have written is not loaded, and a cache that cannot be written is
at most a warning.

Each test runs new processes with a package of one kernel and the same `engine/cache.py` and
`engine/jit.py`.
"""

import contextlib
import os
import pickle
import subprocess
import tempfile
from pathlib import Path

import pytest

from kernels.engine import cache as engine_cache
from tests.helpers.marks import ignore_fork_warning, posix
from tests.helpers.packages import cached, output, run, small_package, start

TINY = """
from tiny.engine.jit import jit

@jit
def twice(x):
    return 2 * x
"""
USE = """
from tiny.kernel import twice
print(twice(4), sum(twice.stats.cache_hits.values()))
"""
root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can be two users"
)


@pytest.fixture
def tiny():
    """A package of one kernel, in a directory that every user can enter."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        os.chmod(directory, 0o755)
        yield small_package(Path(directory), kernel=TINY)


@posix
def test_entries_can_be_written_by_their_owner_only(tiny):
    """Also where the umask would let everybody write."""
    cache = tiny.parent / "cache"
    assert run(tiny, "import os; os.umask(0)\n" + USE, NUMBA_CACHE_DIR=str(cache)) == "8 0"
    (entry,) = cached(cache)
    assert entry.parent.stat().st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o022 == 0
    assert [*entry.parent.iterdir()] == [entry], "nothing else is left"


class Attack:
    """An object that opens a file for writing when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def everybody_may_write(directory, entry):
    directory.chmod(0o777)


def the_group_may_write(directory, entry):
    directory.chmod(0o770)


def everybody_may_write_the_entry(directory, entry):
    entry.chmod(0o666)


def a_link(directory, entry):
    directory.rename(directory.with_name("elsewhere"))
    directory.symlink_to(directory.with_name("elsewhere"))


def of_another_user(directory, entry):
    os.chown(directory, 54321, -1)


def entry_of_another_user(directory, entry):
    os.chown(entry, 54321, -1)


def as_it_was(directory, entry):
    """No change: here the attack must succeed, or the other cases would show nothing."""


HARMS = [as_it_was, everybody_may_write, the_group_may_write, everybody_may_write_the_entry, a_link]
HARMS += [pytest.param(harm, marks=root) for harm in (of_another_user, entry_of_another_user)]


@posix
@pytest.mark.parametrize("harm", HARMS)
def test_an_entry_that_others_can_write_is_not_loaded(tiny, harm):
    cache, marker = tiny.parent / "cache", tiny.parent / "marker"
    run(tiny, USE, NUMBA_CACHE_DIR=str(cache))
    (entry,) = cached(cache)
    attack = pickle.dumps(Attack(marker))
    entry.write_bytes(engine_cache.digest(entry.name, attack) + b"\n" + attack)
    harm(entry.parent, entry)
    printed, warned = output(start(tiny, USE, NUMBA_CACHE_DIR=str(cache)))
    assert printed == "8 0"
    assert marker.exists() == (harm is as_it_was)
    refused = harm not in (
        as_it_was,
        everybody_may_write_the_entry,
        entry_of_another_user,
    )  # a file alone is replaced
    assert ("RuntimeWarning: compiled code is not kept" in warned) == refused, warned
    assert ("it is a symbolic link" in warned) == (harm is a_link)


@posix
def test_trust_needs_that_nobody_else_can_write(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for mode, trusted in [
        (0o600, True),
        (0o755, True),
        (0o620, False),
        (0o602, False),
        (0o666, False),
    ]:
        file.chmod(mode)
        with (
            contextlib.nullcontext()
            if trusted
            else pytest.raises(PermissionError, match="others may write to it")
        ):
            engine_cache.trust(os.lstat(file))
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(PermissionError, match="symbolic link"):
        engine_cache.trust(os.lstat(tmp_path / "link"))
    somebody = max(os.geteuid(), os.stat(engine_cache.__file__).st_uid) + 1
    with pytest.raises(PermissionError, match=rf"another user \(uid {somebody}\)"):
        engine_cache.trust(os.stat_result((0o100600, 0, 0, 1, somebody, 0, 0, 0, 0, 0)))


@posix
def test_a_shared_directory_beside_the_source_is_passed_over(tiny):
    """As a umask of 002 makes it: the cache of the user is used, without a warning."""
    (tiny / "__pycache__").mkdir()
    (tiny / "__pycache__").chmod(0o775)
    assert output(start(tiny, USE)) == ("8 0", "")
    assert run(tiny, USE) == "8 1"
    assert not cached(tiny)


def assert_only_warned(process, cache):
    printed, warned = output(process)
    assert printed == "8 0"
    assert warned.count("RuntimeWarning: compiled code is not kept") == 1, warned
    assert "NUMBA_CACHE_DIR" in warned
    assert not [file for file in cache.rglob("*") if file.is_file()], "half an entry is left"


@posix
def test_a_disk_that_fills_up(tiny):
    """A limit to the size of files, which fails as a full disk does: in the middle of writing."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    cache = tiny.parent / "cache"
    assert_only_warned(
        start(tiny, limit + USE, NUMBA_CACHE_DIR=str(cache), PYTHONDONTWRITEBYTECODE="1"), cache
    )


@root
def test_a_full_disk(tiny):
    cache = tiny.parent / "cache"
    cache.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", cache], capture_output=True, check=False
    ).returncode:
        pytest.skip("may not mount")
    try:
        with contextlib.suppress(OSError), open(cache / "filler", "wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        printed, warned = output(start(tiny, USE, NUMBA_CACHE_DIR=str(cache)))
        assert printed == "8 0"
        assert "RuntimeWarning: compiled code is not kept" in warned
        assert not cached(cache)
    finally:
        subprocess.run(["umount", cache], check=True)


def as_user(uid, program):
    """Numba is imported by root: the interpreter itself may be where other users cannot go."""
    warm_up = "import os, numba; numba.njit(lambda x: x)(1)\n"
    return f"{warm_up}os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n{program}"


@root
def test_two_users(tiny):
    """One install, and one NUMBA_CACHE_DIR, as /tmp is.

    Each user has, and finds again, an entry that the other cannot write.
    """
    cache = tiny.parent / "cache"
    cache.mkdir()
    cache.chmod(0o1777)
    for hits in (0, 1):
        for uid in (54321, 54322):
            assert output(start(tiny, as_user(uid, USE), NUMBA_CACHE_DIR=str(cache))) == (
                f"8 {hits}",
                "",
            )
    assert sorted(entry.stat().st_uid for entry in cached(cache)) == [54321, 54322]


@root
def test_a_user_reads_what_the_owner_of_the_install_compiled(tiny):
    (tiny / "__pycache__").mkdir(mode=0o755)  # as pip makes it
    run(tiny, USE)
    assert len(cached(tiny)) == 1
    assert output(start(tiny, as_user(54321, USE))) == ("8 1", "")


@root
def test_a_user_without_a_home(tiny):
    """Unknown to the system, as in a container: nothing is written into the current directory."""
    tiny.parent.chmod(0o777)
    program = as_user(54321, "os.environ.pop('HOME')\n" + USE)
    printed, warned = output(start(tiny, program))
    assert printed == "8 0"
    assert "RuntimeWarning: compiled code is not kept" in warned
    assert [path.name for path in tiny.parent.iterdir()] == ["tiny"]


MANY = """
import os, numba, shutil, sys, traceback
numba.njit(lambda x: 3 * x)(1)  # what every compilation needs, once and not in every child
from tiny.kernel import twice
for _ in range(20):
    shutil.rmtree(os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)
    ready, go = os.pipe()
    children = []
    for _ in range(8):
        if not (child := os.fork()):
            os.close(go)
            os.read(ready, 1)  # until all are there
            try:
                assert twice(4) == 8
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        children.append(child)
    os.close(go)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    os.close(ready)
print("none failed")
"""


@posix
@ignore_fork_warning
def test_eight_processes_at_once_twenty_times(tiny):
    cache = tiny.parent / "cache"
    assert output(start(tiny, MANY, NUMBA_CACHE_DIR=str(cache))) == ("none failed", "")
    (entry,) = cached(cache)
    assert [*entry.parent.iterdir()] == [entry], "nothing else is left"
    assert run(tiny, USE, NUMBA_CACHE_DIR=str(cache)) == "8 1"


@pytest.mark.slow
def test_eight_interpreters_at_once_twenty_times(tiny):
    for turn in range(20):
        cache = tiny.parent / f"cache_{turn}"
        processes = [start(tiny, USE, NUMBA_CACHE_DIR=str(cache)) for _ in range(8)]
        for printed, warned in map(output, processes):
            assert printed in ("8 0", "8 1")
            assert warned == ""
        assert len(cached(cache)) == 1


def test_an_entry_under_another_name_is_not_used(tiny):
    """Code for another processor that came under the name of this one's would not be run."""
    cache = tiny.parent / "cache"
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    run(tiny, USE, NUMBA_CACHE_DIR=str(cache), **other)
    (foreign,) = cached(cache)
    run(tiny, USE, NUMBA_CACHE_DIR=str(cache))
    (own,) = set(cached(cache)) - {foreign}
    own.write_bytes(foreign.read_bytes())
    assert run(tiny, USE, NUMBA_CACHE_DIR=str(cache)) == "8 0"
    assert run(tiny, USE, NUMBA_CACHE_DIR=str(cache)) == "8 1"
    assert run(tiny, USE, NUMBA_CACHE_DIR=str(cache), **other) == "8 1"
