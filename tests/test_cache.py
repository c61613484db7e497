"""Compiled code on disk: found again, never stale, never in the way, never somebody else's.

Each test runs new processes, with a copy of the package, or with a package of one kernel and the
same `engine/cache.py` and `engine/jit.py`.
"""

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import kernels
from kernels.engine import cache as engine_cache

PROGRAM = """
import numpy as np
from kernels import softmax
dW, db = softmax.gradient([[1.0, 2.0]], [0], np.zeros((2, 2)), np.zeros(2), variant="loop")
print(dW.ravel().tolist(), sum(softmax.sums_loop.stats.cache_hits.values()))
"""
RIGHT = "[-0.5, 0.5, -1.0, 1.0]"
CACHED = "softmax.sums_loop.*.nbc"


@pytest.fixture
def install(tmp_path):
    copy = tmp_path / "site" / "kernels"
    shutil.copytree(
        Path(kernels.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    return copy


def start(install, program=PROGRAM, **environment):
    """A new process that imports the copy."""
    home = install.parent.parent / "home"
    home.mkdir(exist_ok=True)
    other = (
        "NUMBA_",
        "XDG_",
        *(["COVERAGE_"] if "setuid" in program else []),
    )  # that user cannot write what coverage counts
    keep = {name: value for name, value in os.environ.items() if not name.startswith(other)}
    environment = {**keep, "PYTHONPATH": str(install.parent), "HOME": str(home), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        cwd=install.parent,
        stdout=-1,
        stderr=-1,
        text=True,
    )


def output(process):
    """What it printed, and what it warned of."""
    printed, warned = process.communicate()
    assert process.returncode == 0, warned
    return printed.strip(), warned


def run(install, program=PROGRAM, **environment):
    return output(start(install, program, **environment))[0]


def entries(directory):
    return sorted(directory.rglob(CACHED))


def forbid(directory):
    """A file where the directory would be: nobody, root included, can write into it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.write_text("not a directory")


def test_a_second_process_compiles_nothing(install):
    assert run(install) == f"{RIGHT} 0"
    assert run(install) == f"{RIGHT} 1"
    assert len(entries(install / "__pycache__")) == 1


@pytest.mark.parametrize("file", ["validate.py", "engine/vectors.py"])
def test_an_edit_of_any_file_is_noticed(install, file):
    run(install)
    (old,) = entries(install)
    (install / file).write_text((install / file).read_text() + "\n# edited\n")
    assert run(install) == f"{RIGHT} 0"
    (new,) = entries(install)
    assert new != old, "the old entry has gone"


DESCENTS = """
from kernels import linear, logistic
X, y = [[0.0, 0.2], [0.4, 0.6], [0.8, 1.0]], [1, -1, 1]
for problem in ({}):
    print(problem.descend(X, y, learning_rate=0.1, max_iter=50, tol=0).w.tolist())
"""


def test_what_two_processes_compiled_is_not_mixed_up_in_a_third(install):
    """Numba would number functions of one name alike, and link one in place of the other."""
    linear, logistic = (run(install, DESCENTS.format(f"{n},")) for n in ("linear", "logistic"))
    assert linear != logistic
    assert run(install, DESCENTS.format("linear, logistic")) == f"{linear}\n{logistic}"
    assert run(install, DESCENTS.format("logistic, linear")) == f"{logistic}\n{linear}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_gives_other_names_than_its_parent(install):
    """Both may compile, and a third process load what they kept."""
    program = """if True:
        import os, kernels
        from numba.core.bytecode import FunctionIdentity
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, str(next(FunctionIdentity._unique_ids)).encode())
            os._exit(0)
        print(abs(int(os.read(read, 99)) - next(FunctionIdentity._unique_ids)) > 10**6)
    """
    assert run(install, program) == "True"


def test_an_edit_of_the_formula_changes_the_result(install):
    run(install)
    source = install / "softmax.py"
    source.write_text(source.read_text().replace("t = k == y[n]", "t = 2 * (k == y[n])"))
    assert run(install) == "[-1.5, 0.5, -3.0, 1.0] 0"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:100],
        lambda data: b"",
        lambda data: data[:-1] + b"?",
        lambda data: b"\n" + data,
    ],
)
def test_a_damaged_entry_is_replaced(install, damage):
    run(install)
    (entry,) = entries(install)
    entry.write_bytes(damage(entry.read_bytes()))
    assert run(install) == f"{RIGHT} 0"
    assert run(install) == f"{RIGHT} 1"


def test_a_read_only_install_uses_the_cache_of_the_user(install):
    forbid(install / "__pycache__")
    assert run(install) == f"{RIGHT} 0"
    assert run(install) == f"{RIGHT} 1"
    assert entries(install.parent.parent / "home")


def test_nowhere_to_write(install, tmp_path):
    forbid(install / "__pycache__")
    forbid(tmp_path / "no_home")
    for _ in range(2):
        assert run(install, HOME=str(tmp_path / "no_home")) == f"{RIGHT} 0"


def test_the_directory_of_numba_is_respected(install, tmp_path):
    chosen = tmp_path / "chosen"
    assert run(install, NUMBA_CACHE_DIR=str(chosen)) == f"{RIGHT} 0"
    assert run(install, NUMBA_CACHE_DIR=str(chosen)) == f"{RIGHT} 1"
    assert entries(chosen)
    assert not entries(install)


def test_another_target_gets_code_of_its_own(install):
    run(install)
    assert run(install, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="") == f"{RIGHT} 0"
    assert run(install) == f"{RIGHT} 1"


# ---- a package of one kernel ----

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
posix = pytest.mark.skipif(os.name != "posix", reason="who may write is said otherwise here")
root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can be two users"
)


@pytest.fixture
def tiny():
    """In a directory that every user can enter."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        os.chmod(directory, 0o755)
        package = Path(directory, "site", "tiny")
        (package / "engine").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "kernel.py").write_text(TINY)
        for file in ("__init__.py", "cache.py", "jit.py"):
            shutil.copy(Path(engine_cache.__file__).with_name(file), package / "engine")
        yield package


def cached(directory):
    return sorted(directory.rglob("*.nbc"))


@posix
def test_what_is_made_is_private(tiny):
    """Also where the umask would let everybody write."""
    cache = tiny.parent / "cache"
    assert run(tiny, "import os; os.umask(0)\n" + USE, NUMBA_CACHE_DIR=str(cache)) == "8 0"
    (entry,) = cached(cache)
    assert entry.parent.stat().st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o022 == 0
    assert [*entry.parent.iterdir()] == [entry], "nothing else is left"


class Attack:
    """Its pickle is a program."""

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
    """Without this the test could pass because the attack is none."""


HARMS = [as_it_was, everybody_may_write, the_group_may_write, everybody_may_write_the_entry, a_link]
HARMS += [pytest.param(harm, marks=root) for harm in (of_another_user, entry_of_another_user)]


@posix
@pytest.mark.parametrize("harm", HARMS)
def test_what_others_could_have_written_is_not_run(tiny, harm):
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
def test_what_is_trusted(tmp_path):
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
    """As a umask of 002 makes it: the cache of the user serves, without a word."""
    (tiny / "__pycache__").mkdir()
    (tiny / "__pycache__").chmod(0o775)
    assert output(start(tiny, USE)) == ("8 0", "")
    assert run(tiny, USE) == "8 1"
    assert not cached(tiny)


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
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
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
