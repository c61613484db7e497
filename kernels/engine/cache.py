"""A cache of compiled code on disk, and all private interfaces of Numba that this package uses.

Numba's own ``cache=True`` keeps machine code after an *imported* helper was edited, raises an error
at import if no directory is writable, never recovers from a truncated file, and never finds a
closure again. Here an entry is one file, named by a hash of everything that the machine code
depends on: the source of the whole package, and the code of functions from outside, such as the
residual of a user's own problem. A function whose file cannot be read is compiled again.
A directory that another user owns or can write to is not used, because the code in it is executed.
A read-only directory is read.
"""

import contextlib
import functools
import gc
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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np

EXTERNAL = llvmlite.binding.Linkage.external


def _private(module: str, name: str) -> Any:
    """Return an attribute of one of Numba's modules, or None if this version lacks it."""
    try:
        return operator.attrgetter(name)(importlib.import_module(f"numba.{module}"))
    except (ImportError, AttributeError):
        return None


@functools.cache
def _compile_empty_function(target_context: Any) -> None:
    numba.njit(lambda: None)()


# The private interfaces, and the fallback for versions of Numba that lack them.
# Without one of these, or without `Dispatcher._cache`: one RuntimeWarning, and `cache=True` through
# `Dispatcher.enable_caching`; without that method too, no cache.
_NullCache = _private("core.caching", "NullCache")
_magic_tuple = _private("core.codegen", "JITCPUCodegen.magic_tuple")  # describes the processor
_result_codegen = _private("core.compiler", "CompileResult.codegen")
_rebuild = _private("core.compiler", "CompileResult._rebuild")
_reduce = _private("core.compiler", "CompileResult._reduce")
_dumps = _private("core.serialize", "dumps")
_FunctionIdentity = _private("core.bytecode", "FunctionIdentity")
_unique_ids = getattr(_FunctionIdentity, "_unique_ids", None)
# Without this one: an empty function is compiled, which initialises Numba's memory manager too.
_initialize_runtime = _private("core.runtime", "rtsys.initialize") or _compile_empty_function
# Without these: a process forked while another thread compiles may deadlock when it compiles.
_acquire_compiler = _private("core.compiler_lock", "global_compiler_lock.acquire")
_release_compiler = _private("core.compiler_lock", "global_compiler_lock.release")
# Without one of these: every function has machine code of its own, which takes twice as long.
_JITCodeLibrary = _private("core.codegen", "JITCodeLibrary")
_lookup_environment = _private("core.environment", "lookup_environment")
_global_compiler_lock = _private("core.compiler_lock", "global_compiler_lock")
# Without this one: no entries in the user's cache directory.
_AppDirs = _private("misc.appdirs", "AppDirs")
# Without this one: vectors of 16 bytes.
_get_host_cpu_features = _private("core.codegen", "get_host_cpu_features")
# Without `CompileResult.entry_point`: the dispatcher, which checks the types in each call.

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
    """Make the symbols of the functions that this process compiles unique among all processes.

    Numba distinguishes functions of the same name, such as the drivers of all problems, by a number
    counted from 1 in each process. Two functions compiled by two processes can share both name and
    number, and a third process that loads both would run one of them in place of the other.
    """
    if _unique_ids is not None:
        _FunctionIdentity._unique_ids = itertools.count(secrets.randbits(62))  # noqa: SLF001


_start_unique_ids()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_unique_ids)
    if _acquire_compiler and _release_compiler:
        # Otherwise a child may inherit the lock from a compiling thread that does not exist in it.
        os.register_at_fork(
            before=_acquire_compiler,
            after_in_parent=_release_compiler,
            after_in_child=_release_compiler,
        )


def host_features() -> str:
    """Return NUMBA_CPU_FEATURES if that is set, else the host's features.

    The result is empty if NUMBA_CPU_NAME names a processor and NUMBA_CPU_FEATURES is not set.
    """
    if numba.config.CPU_FEATURES is not None:
        return str(numba.config.CPU_FEATURES)
    if _get_host_cpu_features is None or numba.config.CPU_NAME not in (None, "host"):
        return ""
    return str(_get_host_cpu_features())


_Library: Any = _JITCodeLibrary or object


class PartialLibrary(_Library):
    """The code of a function, of which Numba finishes only what Python calls.

    Other functions are linked into their callers. To optimise each of them at every level of calls,
    and to make machine code of it, takes most of the time of a compilation.
    """

    @functools.cached_property
    def is_part(self) -> bool:
        """Whether this is the code of a function that has no wrapper for Python."""
        functions = (f for f in self._final_module.functions if not f.is_declaration)
        own = [f.name for f in functions if f.linkage == EXTERNAL]  # none, if read as machine code
        return bool(own) and not any(name.startswith("_ZN7cpython") for name in own)

    def _optimize_final_module(self) -> None:
        if not self.is_part:
            super()._optimize_final_module()

    def _finalize_final_module(self) -> None:
        if self.is_part:
            self._finalized = True
            return
        super()._finalize_final_module()
        for variable in self._final_module.global_variables:  # those of the parts
            if (environment := _lookup_environment(variable.name)) is not None:
                self._codegen.set_env(variable.name, environment)

    @property
    def codegen(self) -> Any:
        """What sets the function's environment, which a part does not have yet."""
        return self if self.is_part else self._codegen

    def set_env(self, name: str, environment: Any) -> None:
        """Leave that to the library which the part is linked into."""

    def serialize_using_object_code(self) -> Any:
        """Return what is kept on disk."""
        if self.is_part:
            return self.serialize_using_bitcode()
        return super().serialize_using_object_code()


def compile_in_parts(dispatcher: Any) -> None:
    """Make a dispatcher compile the functions without wrappers that it calls as parts of its own.

    So does a caller's compiled code, when it calls this one.
    """
    compile_one = dispatcher.compile

    def compile_with_parts(signature: Any) -> Any:
        with partial_libraries(dispatcher):
            return compile_one(signature)

    dispatcher.compile = compile_with_parts


@contextlib.contextmanager
def partial_libraries(dispatcher: Any) -> Iterator[None]:
    """Compile functions without wrappers as parts of their callers."""
    context: Any = getattr(dispatcher, "targetctx", None)
    if None in (_JITCodeLibrary, _lookup_environment, _global_compiler_lock, context):
        yield
        return
    codegen = context.codegen()
    with _global_compiler_lock:
        collects = gc.isenabled()  # not while another thread compiles
        before = codegen._library_class  # noqa: SLF001
        codegen._library_class = PartialLibrary  # noqa: SLF001
        gc.disable()  # collections look at all that the compiler has in use: a tenth of the time
        try:
            yield
        finally:
            if collects:
                gc.enable()
            codegen._library_class = before  # noqa: SLF001


def entry_point(dispatcher: Any, signature: tuple[Any, ...]) -> Callable[..., Any]:
    """Compile for a tuple of Numba types; return a callable that skips type dispatch."""
    dispatcher.compile(signature)
    result = getattr(dispatcher, "overloads", {}).get(signature)
    entry: Callable[..., Any] = getattr(result, "entry_point", dispatcher)
    return entry


def use_disk_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Make a dispatcher save the compiled code of its function on disk."""
    missing = [name for name, found in _NEEDED.items() if found is None]
    missing += [] if hasattr(dispatcher, "_cache") else ["Dispatcher._cache"]
    if missing:
        _warn_once(", ".join(missing))
        _use_numba_cache(dispatcher, function)
    else:
        dispatcher._cache = DiskCache(function, dispatcher.targetoptions)  # noqa: SLF001


@functools.cache
def _warn_once(missing: str) -> None:
    warnings.warn(
        f"Numba {numba.__version__} has no {missing}: its own cache is used instead, so every "
        "process compiles some functions again; a newer version of this package may support it",
        RuntimeWarning,
        stacklevel=4,
    )


def _use_numba_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Use ``cache=True``, in a directory named after what Numba's cache key omits.

    The name contains a hash of the package's source and one of the settings. Closures are not
    cached: their key differs in every process, so that entries would never be found or deleted.
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
    """Return the settings that machine code depends on, besides source, types and processor."""
    names = "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT"
    flags = [getattr(numba.config, name) for name in names]
    return numba.__version__, np.__version__, flags, os.environ.get("KERNELS_VECTOR_BYTES")


@functools.cache
def source_stamp() -> str:
    """Return a hash of all source files of the package: any edit makes every entry obsolete."""
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
    """Return the cache directories, in order of preference.

    One in NUMBA_CACHE_DIR if that is set, else one beside the source and one in the user's cache.
    """
    package = Path(__file__).resolve().parents[1]
    user = os.getuid() if os.name == "posix" else 0  # one directory per user
    elsewhere = f"kernels-{user}-{hashlib.sha256(os.fsencode(package)).hexdigest()[:12]}"
    if numba.config.CACHE_DIR:
        return [Path(numba.config.CACHE_DIR) / elsewhere]
    home = Path(_AppDirs(appname="numba", appauthor=False).user_cache_dir if _AppDirs else "~")
    # A user without a home directory has an unexpanded "~".
    return [package / "__pycache__", *([home / elsewhere] if home.is_absolute() else [])]


def trust(found: os.stat_result) -> None:
    """Refuse a file or directory that another user may have written, because its code is executed.

    Root can write anywhere, and the owner of this package's source can run code in any case.
    """
    if os.name != "posix":  # Windows protects a user's profile from other users
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
    """Return the cache directories, each with a description of its state."""
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
    """A cache on disk, with the part of Numba's cache interface that a dispatcher uses."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.function, self.is_part = function, options.get("no_cpython_wrapper", False)
        module = function.__module__.rpartition(".")[2]
        python = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
        self.prefix = f"{module}.{function.__qualname__.replace('<locals>.', '')}.{python}."

    @property
    def cache_path(self) -> str:
        return str(directories()[0])

    @functools.cached_property
    def source(self) -> Any:
        """The key of the source outside the package, or None if the function cannot be cached."""
        try:
            return source_of(self.function)
        except NotCoveredError:
            return None

    def _file_name(self, signature: Any, codegen: Any) -> str:
        code = self.source, self.is_part
        depends_on = (str(signature), _magic_tuple(codegen), *_settings(), *code)
        key = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]
        return f"{self.prefix}{source_stamp()}.{key}.nbc"

    def _directories(self) -> list[Path]:
        return directories() if self.source is not None else []

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        for directory in self._directories():
            try:
                # Machine code needs Numba's memory manager but not its typing tables, whose imports
                # (SciPy among them) take half the time of a first call.
                _initialize_runtime(target_context)
                name = self._file_name(sig, target_context.codegen())
                trust(os.lstat(directory))
                with open(directory / name, "rb") as file:
                    trust(os.fstat(file.fileno()))  # the path may have been replaced since
                    found, payload = file.read().split(b"\n", 1)
                if found == digest(name, payload):
                    return _rebuild(target_context, *pickle.loads(payload))
            except Exception:  # missing, untrusted or truncated: compile again
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
                        entry.unlink(missing_ok=True)  # from an older source
                name, payload = self._file_name(sig, data.codegen), _dumps(_reduce(data))
                _write(directory / name, digest(name, payload) + b"\n" + payload)
                return
            except Exception as error:  # an OSError, or any error from an incompatible Numba
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
    """Raised if compiled code depends on something that cannot be hashed."""


PACKAGE = __package__.rpartition(".")[0]
# Modules whose versions are part of the key.
STABLE = {PACKAGE, "numpy", "numba", "math", "cmath", "operator", "builtins"}


def source_of(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """Return a key of a function or constant that compiled code uses, equal in every process.

    Raises NotCoveredError for anything that may change without changing the key.
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
    # A Numba type has only `name`.
    names = (getattr(value, kind, None) for kind in ("__qualname__", "__name__", "name"))
    name = next(filter(None, names), None)
    if module.partition(".")[0] in STABLE and name:
        return module, str(name)
    raise NotCoveredError(str(value))


def _source_of_function(value: Any, seen: tuple[int, ...]) -> Any:
    """Return the key of a function, compiled or not.

    The key of a function of this package, whose source is hashed as a whole, is its name and
    closure. That of a function from outside is its name, code, options, closure, defaults and
    globals, and so on for all functions that it calls.
    """
    function = getattr(value, "py_func", value)
    if id(function) in seen:
        return "recursive"
    seen = (*seen, id(function))
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    name = function.__module__, function.__qualname__
    if str(function.__globals__.get("__name__")).partition(".")[0] == PACKAGE:
        return name, [source_of(cell, seen) for cell in cells if _is_from_outside(cell)]
    if function is value:  # not compiled: Numba replaces it by an overload, which is not known here
        raise NotCoveredError(name)
    known = [function.__globals__.get(n) for n in sorted(_names(function.__code__))]
    parts = source_of((*cells, *(function.__defaults__ or ()), *known), seen)
    options = sorted((key, str(option)) for key, option in value.targetoptions.items())
    return name, _code(function.__code__), options, parts


def _is_from_outside(value: Any) -> bool:
    """Return whether a cell of a closure of the package may hold what its source does not fix."""
    return not isinstance(value, dict) and (
        hasattr(value, "py_func") or isinstance(value, (int, float, str, tuple))
    )


def _names(code: types.CodeType) -> set[str]:
    """Return all names that code may look up in its globals."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _code(code: types.CodeType) -> Any:
    """Return the content of code, without file name and line numbers."""
    constants = [_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return code.co_code.hex(), constants, code.co_names, code.co_varnames


def digest(name: str, payload: bytes) -> bytes:
    """Return the hash at the start of an entry, which a renamed entry does not match."""
    return hashlib.sha256(name.encode() + b"\0" + payload).hexdigest().encode()


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically: no other process sees part of it, and an error leaves no file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # readable by all who can enter the directory
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
