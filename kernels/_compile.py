"""`@compiled`: Numba's njit with a cache on disk that is neither stale, nor broken, nor in the way.

Numba's own ``cache=True`` keeps machine code after an *imported* helper was edited, fails at import
where nothing can be written, fails for ever on a truncated file, and never finds a closure again.
Here an entry is one file whose name is a hash of everything that the machine code depends on, the
source of the whole package included. A file that cannot be read is compiled again; a directory that
cannot be written, or that others can write to, is passed over: what is in it would be run.
"""

import contextlib
import functools
import hashlib
import importlib.resources
import os
import pickle
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.extending
from numba import types
from numba.core import compiler, config
from numba.core.caching import NullCache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

if hasattr(os, "register_at_fork"):
    # A child of a process that compiles would find the compiler locked by a thread that it does not have, and wait for ever.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile on the first call with new types, without the interpreter lock, cached on disk."""
    if function is None:
        return functools.partial(compiled, **options)
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if not config.DISABLE_JIT:  # with NUMBA_DISABLE_JIT=1 njit gives the function back
        dispatcher._cache = DiskCache(function)
    return dispatcher


def part(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile what only compiled code calls: no entry from Python, and no cache but that of what it is a part of."""
    if function is None:
        return functools.partial(part, **options)
    return numba.njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile as a part of whatever calls it: LLVM then works on it once, not once for every level of calls."""
    return numba.njit(nogil=True, error_model="numpy", inline="always")(function)


def given(optional: Any, value: Any) -> Any:
    """`value`, or None where `optional` is None; compiled code knows which when it is compiled."""
    return None if optional is None else value


@numba.extending.overload(given)
def _given(optional, value):
    if isinstance(optional, (types.NoneType, types.Omitted)):
        return lambda optional, value: None
    return lambda optional, value: value


@functools.cache
def source_stamp() -> str:
    """Hash of every source file of the package: an edit to any of them makes every entry obsolete."""
    stamp = hashlib.sha256()
    files = [file for file in importlib.resources.files(__package__).iterdir() if file.name.endswith(".py")]
    for file in sorted(files, key=lambda file: file.name):
        stamp.update(file.name.encode() + b"\0" + file.read_bytes())
    return stamp.hexdigest()[:12]


def directories() -> list[Path]:
    """Where entries are looked for, best first: NUMBA_CACHE_DIR, beside the source, the user's cache."""
    package = Path(__file__).resolve().parent
    user = os.getuid() if os.name == "posix" else 0  # a shared NUMBA_CACHE_DIR has a directory for each
    elsewhere = f"kernels-{user}-{hashlib.sha256(os.fsencode(package)).hexdigest()[:12]}"
    if config.CACHE_DIR:
        return [Path(config.CACHE_DIR) / elsewhere]
    home = Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)
    return [
        package / "__pycache__",
        *([home / elsewhere] if home.is_absolute() else []),
    ]  # "~/.cache" for a user without a home


def trust(found: os.stat_result) -> None:
    """Refuse a file or directory whose content, which is run, somebody else may have written.

    Root may write anywhere, and whoever owns the source of this package has code run in any case.
    """
    if os.name != "posix":  # Windows keeps others out of a user's profile by itself
        return
    owners = {0, os.geteuid()}
    with contextlib.suppress(OSError):  # a package in a zip file
        owners.add(os.stat(__file__).st_uid)
    if stat.S_ISLNK(found.st_mode):
        raise PermissionError("it is a symbolic link")
    if found.st_uid not in owners:
        raise PermissionError(f"it belongs to another user (uid {found.st_uid})")
    if found.st_mode & 0o022:
        raise PermissionError(f"others may write to it (mode {stat.filemode(found.st_mode)})")


def cache_state() -> list[tuple[Path, str]]:
    """The directories, and what is to be said of each."""
    return [(directory, _state(directory)) for directory in directories()]


def _state(directory: Path) -> str:
    try:
        trust(os.lstat(directory))
        sizes = [entry.stat().st_size for entry in directory.glob(f"*.{source_stamp()}.*.nbc")]
    except FileNotFoundError:
        return "not there yet"
    except OSError as error:
        return f"not used, {error.strerror or error}"
    kept = f"{len(sizes)} functions, {sum(sizes) / 1e6:.1f} MB"
    return kept if os.access(directory, os.W_OK) else f"{kept}, cannot be written"


class DiskCache(NullCache):
    """The part of Numba's cache interface that a dispatcher uses."""

    def __init__(self, function: Callable[..., Any]) -> None:
        module = function.__module__.rpartition(".")[2]
        python = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
        self.prefix = f"{module}.{function.__qualname__.replace('<locals>.', '')}.{python}."

    @property
    def cache_path(self) -> str:
        return str(directories()[0])

    def _file_name(self, signature: Any, codegen: Any) -> str:
        settings = (config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE, config.BOUNDSCHECK, config.DEBUGINFO_DEFAULT)
        vectors = os.environ.get("KERNELS_VECTOR_BYTES")
        # magic_tuple: the kind of processor, its name and its features
        depends_on = (str(signature), codegen.magic_tuple(), numba.__version__, settings, vectors)
        key = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]
        return f"{self.prefix}{source_stamp()}.{key}.nbc"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        # Machine code needs Numba's memory manager, not its typing tables, whose imports (SciPy's too) take half the time
        # of a first call. Were anything else missing, the symbol would not resolve and the code be compiled.
        rtsys.initialize(target_context)
        name = self._file_name(sig, target_context.codegen())
        for directory in directories():
            try:
                trust(os.lstat(directory))
                with open(directory / name, "rb") as file:
                    trust(os.fstat(file.fileno()))  # and not by its path, which may change hands meanwhile
                    digest, payload = file.read().split(b"\n", 1)
                if digest == _digest(name, payload):
                    return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
            except Exception:  # missing, not to be trusted, cut short: whatever it is, compiling is the cure
                continue
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        name = self._file_name(sig, data.codegen)
        payload = dumps(data._reduce())
        failures = []
        for directory in directories():
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                trust(os.lstat(directory))
                for entry in directory.glob(f"{self.prefix}*"):
                    if not entry.name.startswith(f"{self.prefix}{source_stamp()}."):
                        entry.unlink(missing_ok=True)  # of an older source
                _write(directory / name, _digest(name, payload) + b"\n" + payload)
                return
            except OSError as error:
                failures.append(f"{directory}: {error.strerror or error}")
        warnings.warn(
            f"compiled code is not kept, so every process will compile for seconds ({'; '.join(failures)}): "
            "set NUMBA_CACHE_DIR to a directory that you alone can write to",
            RuntimeWarning,
            stacklevel=2,
        )


def _digest(name: str, payload: bytes) -> bytes:
    """Of the name too: an entry is of no use under another."""
    return hashlib.sha256(name.encode() + b"\0" + payload).hexdigest().encode()


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: no other process sees half of it, and a full disk keeps nothing of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # who may enter the directory may read it
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
