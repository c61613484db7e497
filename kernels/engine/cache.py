"""All private interfaces of Numba that this package uses, for a cache of compiled code on disk.

Numba's own ``cache=True`` keeps machine code after an *imported* helper was edited, raises an error
at import where nothing can be written, never recovers from a truncated file, and never finds a
closure again. Here an entry is one file whose name is a hash of everything that the machine code
depends on, the source of the whole package included, and that of functions from outside, such as
the residual of somebody's own problem. A file that cannot be read is compiled again.
A directory that cannot be written, or that others can write to, is skipped: what is in it is run.
"""

import contextlib
import functools
import hashlib
import importlib
import importlib.resources
import itertools
import operator
import os
import pickle
import secrets
import stat
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np


def _private(module: str, name: str) -> Any:
    """Return an attribute of one of Numba's modules, or None where this Numba has none."""
    try:
        return operator.attrgetter(name)(importlib.import_module(f"numba.{module}"))
    except (ImportError, AttributeError):
        return None


@functools.cache
def _compile_empty_function(target_context: Any) -> None:
    numba.njit(lambda: None)()


# The private interfaces, and what happens where a Numba does not have them.
# Without one of these, or without `Dispatcher._cache`: one RuntimeWarning, and `cache=True` by
# `Dispatcher.enable_caching`; without that one too, no cache.
_NullCache = _private("core.caching", "NullCache")
_magic_tuple = _private("core.codegen", "JITCPUCodegen.magic_tuple")  # describes the processor
_result_codegen = _private("core.compiler", "CompileResult.codegen")
_rebuild = _private("core.compiler", "CompileResult._rebuild")
_reduce = _private("core.compiler", "CompileResult._reduce")
_dumps = _private("core.serialize", "dumps")
_FunctionIdentity = _private("core.bytecode", "FunctionIdentity")
_unique_ids = getattr(_FunctionIdentity, "_unique_ids", None)
# Without this one: an empty function is compiled, which initializes Numba's memory manager too.
_initialize_runtime = _private("core.runtime", "rtsys.initialize") or _compile_empty_function
# Without these: a process forked while another thread compiles may wait forever when it compiles.
_acquire_compiler = _private("core.compiler_lock", "global_compiler_lock.acquire")
_release_compiler = _private("core.compiler_lock", "global_compiler_lock.release")
# Without this one: no entries in the user's cache directory.
_AppDirs = _private("misc.appdirs", "AppDirs")
# Without this one: vectors of 16 bytes, no fused multiply-add.
_get_host_cpu_features = _private("core.codegen", "get_host_cpu_features")
# Without `CompileResult.entry_point`: the dispatcher, which looks at the types in each call.

_NEEDED = {
    "NullCache": _NullCache,
    "JITCPUCodegen.magic_tuple": _magic_tuple,
    "CompileResult.codegen": _result_codegen,
    "CompileResult._rebuild": _rebuild,
    "CompileResult._reduce": _reduce,
    "dumps": _dumps,
    "FunctionIdentity._unique_ids": _unique_ids,
}


def _start_unique_ids() -> None:
    """Give the functions that this process compiles names that no other process gives.

    Numba tells functions of one name, such as the drivers of all problems, apart by a number that
    it counts from 1 in each process. Two that were compiled by two processes can have one name and
    one number, and a third process that loads both would run one of them in place of the other.
    """
    if _unique_ids is not None:
        _FunctionIdentity._unique_ids = itertools.count(secrets.randbits(62))  # noqa: SLF001


_start_unique_ids()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_unique_ids)
    if _acquire_compiler and _release_compiler:
        # A child of a process that compiles would find the lock held by a thread that is not there.
        os.register_at_fork(
            before=_acquire_compiler,
            after_in_parent=_release_compiler,
            after_in_child=_release_compiler,
        )


def host_features() -> str:
    """Return the target's features: Numba's choice, or NUMBA_CPU_NAME and NUMBA_CPU_FEATURES."""
    if numba.config.CPU_FEATURES is not None:
        return str(numba.config.CPU_FEATURES)
    if _get_host_cpu_features is None or numba.config.CPU_NAME not in (None, "host"):
        return ""
    return str(_get_host_cpu_features())


def entry_point(dispatcher: Any, signature: tuple[Any, ...]) -> Callable[..., Any]:
    """Compile for a tuple of Numba types and return what can be called without looking at types."""
    dispatcher.compile(signature)
    result = getattr(dispatcher, "overloads", {}).get(signature)
    entry: Callable[..., Any] = getattr(result, "entry_point", dispatcher)
    return entry


def use_disk_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Make a dispatcher keep the compiled code of its function on disk."""
    missing = [name for name, found in _NEEDED.items() if found is None]
    missing += [] if hasattr(dispatcher, "_cache") else ["Dispatcher._cache"]
    if missing:
        _warn_once(", ".join(missing))
        _use_numba_cache(dispatcher, function)
    else:
        dispatcher._cache = DiskCache(function)  # noqa: SLF001


@functools.cache
def _warn_once(missing: str) -> None:
    warnings.warn(
        f"Numba {numba.__version__} has no {missing}: its own cache is used instead, so every "
        "process compiles some functions again; a newer version of this package may support it",
        RuntimeWarning,
        stacklevel=4,
    )


def _use_numba_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Use ``cache=True``, in a directory named after what Numba does not look at.

    That is the source of the other files, and the settings. Closures are left out: Numba gives them
    another key in every process, so that their entries would never be found and never be deleted.
    """
    if function.__closure__ or not hasattr(dispatcher, "enable_caching"):
        return
    settings = hashlib.sha256(repr(_settings()).encode()).hexdigest()[:16]
    for directory in directories():
        with contextlib.suppress(OSError, RuntimeError):  # Numba's RuntimeError: nowhere to write
            own = directory / f"numba.{source_stamp()}.{settings}"
            for path in (directory, own):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                trust(os.lstat(path))
            if os.access(own, os.W_OK):  # else Numba would look for another directory
                chosen, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(own)
                try:
                    dispatcher.enable_caching()
                finally:
                    numba.config.CACHE_DIR = chosen
                return


def _settings() -> tuple[Any, ...]:
    """Return what machine code depends on beside source, types and processor."""
    names = "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT"
    flags = [getattr(numba.config, name) for name in names]
    return numba.__version__, np.__version__, flags, os.environ.get("KERNELS_VECTOR_BYTES")


@functools.cache
def source_stamp() -> str:
    """Return a hash of every source file of the package: any edit makes every entry obsolete."""
    stamp = hashlib.sha256()
    package = importlib.resources.files(__package__.rpartition(".")[0])
    for path, file in sorted(_sources(package, "")):
        stamp.update(path.encode() + b"\0" + file.read_bytes())
    return stamp.hexdigest()[:12]


def _sources(folder: Any, path: str) -> Iterator[tuple[str, Any]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _sources(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield path + entry.name, entry


def directories() -> list[Path]:
    """Return the directories, best first: NUMBA_CACHE_DIR, or beside the source and the user's."""
    package = Path(__file__).resolve().parents[1]
    user = os.getuid() if os.name == "posix" else 0  # each has a directory in NUMBA_CACHE_DIR
    elsewhere = f"kernels-{user}-{hashlib.sha256(os.fsencode(package)).hexdigest()[:12]}"
    if numba.config.CACHE_DIR:
        return [Path(numba.config.CACHE_DIR) / elsewhere]
    home = Path(_AppDirs(appname="numba", appauthor=False).user_cache_dir if _AppDirs else "~")
    # "~/.cache" for a user without a home
    return [package / "__pycache__", *([home / elsewhere] if home.is_absolute() else [])]


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
    """Return the directories, and what is to be said of each."""
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


_Base: Any = _NullCache or object


class DiskCache(_Base):
    """The part of Numba's cache interface that a dispatcher uses."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        module = function.__module__.rpartition(".")[2]
        python = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
        self.prefix = f"{module}.{function.__qualname__.replace('<locals>.', '')}.{python}."

    @property
    def cache_path(self) -> str:
        return str(directories()[0])

    @functools.cached_property
    def source(self) -> Any:
        """What the code is compiled from, beside the hashed package; None if nothing covers it."""
        try:
            return source_of(self.function)
        except NotCoveredError:
            return None

    def _file_name(self, signature: Any, codegen: Any) -> str:
        depends_on = (str(signature), _magic_tuple(codegen), *_settings(), self.source)
        key = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]
        return f"{self.prefix}{source_stamp()}.{key}.nbc"

    def _directories(self) -> list[Path]:
        return directories() if self.source is not None else []

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        for directory in self._directories():
            try:
                # Machine code needs Numba's memory manager, not its typing tables, whose imports
                # (SciPy's too) take half the time of a first call.
                _initialize_runtime(target_context)
                name = self._file_name(sig, target_context.codegen())
                trust(os.lstat(directory))
                with open(directory / name, "rb") as file:
                    trust(os.fstat(file.fileno()))  # a path may be replaced meanwhile
                    found, payload = file.read().split(b"\n", 1)
                if found == digest(name, payload):
                    return _rebuild(target_context, *pickle.loads(payload))
            except Exception:  # missing, not to be trusted, cut short: compiling is always right
                continue
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        failures = []
        for directory in self._directories():
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                trust(os.lstat(directory))
                for entry in directory.glob(f"{self.prefix}*"):
                    if not entry.name.startswith(f"{self.prefix}{source_stamp()}."):
                        entry.unlink(missing_ok=True)  # of an older source
                name, payload = self._file_name(sig, data.codegen), _dumps(_reduce(data))
                _write(directory / name, digest(name, payload) + b"\n" + payload)
                return
            except Exception as error:  # an OSError, or what a Numba with other interfaces raises
                failures.append(f"{directory}: {getattr(error, 'strerror', None) or error}")
        if failures:
            warnings.warn(
                "compiled code is not kept, so every process will compile for seconds "
                f"({'; '.join(failures)}): set NUMBA_CACHE_DIR to a directory "
                "that you alone can write to",
                RuntimeWarning,
                stacklevel=2,
            )


class NotCoveredError(Exception):
    """Compiled code depends on something of which no key can be made."""


PACKAGE = __package__.rpartition(".")[0]
STABLE = {PACKAGE, "numpy", "numba", "math", "cmath", "operator", "builtins"}  # keyed by version


def source_of(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """Return what compiled code depends on of a function or constant, the same in every process.

    Raises NotCoveredError for what may change without a trace.
    """
    if isinstance(getattr(value, "py_func", value), types.FunctionType):
        return _source_of_function(value, seen)
    if isinstance(value, (tuple, list)):
        return [source_of(part, seen) for part in value]
    if isinstance(value, (int, float, complex, str, bytes, type(None), np.generic, np.dtype)):
        return repr(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()
    is_module = isinstance(value, types.ModuleType)
    module = value.__name__ if is_module else str(getattr(value, "__module__", ""))
    # A Numba type has `name` alone.
    names = (getattr(value, kind, None) for kind in ("__qualname__", "__name__", "name"))
    name = next(filter(None, names), None)
    if module.partition(".")[0] in STABLE and name:
        return module, str(name)
    raise NotCoveredError(str(value))


def _source_of_function(value: Any, seen: tuple[int, ...]) -> Any:
    """Return the same of a function, compiled or not.

    Of one of this package, whose source is hashed as a whole, that is its name and closure; of one
    from outside its code, options, closure and globals, and so on for all that it calls.
    """
    function = getattr(value, "py_func", value)
    if id(function) in seen:
        return "recursive"
    seen = (*seen, id(function))
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    name = function.__module__, function.__qualname__
    if str(function.__globals__.get("__name__")).partition(".")[0] == PACKAGE:
        return name, [source_of(cell, seen) for cell in cells if _is_from_outside(cell)]
    if function is value:  # not compiled: code that Numba replaces, by an overload somewhere
        raise NotCoveredError(name)
    known = [function.__globals__.get(n) for n in sorted(_names(function.__code__))]
    parts = source_of((*cells, *(function.__defaults__ or ()), *known), seen)
    options = sorted((key, str(option)) for key, option in value.targetoptions.items())
    return name, _code(function.__code__), options, parts


def _is_from_outside(value: Any) -> bool:
    """Whether a cell of the package's own closures is more than what its source says."""
    return not isinstance(value, dict) and (
        hasattr(value, "py_func") or isinstance(value, (int, float, str, tuple))
    )


def _names(code: types.CodeType) -> set[str]:
    """Return every name that code may look up in its globals."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _code(code: types.CodeType) -> Any:
    """Return what code does, wherever it stands."""
    constants = [_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return code.co_code.hex(), constants, code.co_names, code.co_varnames


def digest(name: str, payload: bytes) -> bytes:
    """Return the hash that an entry begins with; an entry under another name is invalid."""
    return hashlib.sha256(name.encode() + b"\0" + payload).hexdigest().encode()


def _write(path: Path, data: bytes) -> None:
    """Write all or nothing: no other process sees half of it, a full disk keeps nothing of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # who may enter the directory may read it
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
