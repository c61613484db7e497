"""The problems, variants, dtypes, shapes and memory layouts that tests run over, and batches."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from kernels import Sums, linear, logistic, softmax, two_layer

PROBLEMS = {"softmax": softmax, "logistic": logistic, "linear": linear, "two_layer": two_layer}
VARIANTS = [
    (problem, variant) for problem, module in PROBLEMS.items() for variant in module.VARIANTS
]
DTYPES = ["float32", "float64"]
EXTREMES = [1e3, 1e9, 1e20]  # sizes of scores at which exp overflows or underflows
# N, D, K, H: one of everything, tall, wide, and sizes around those of vectors and tiles
SHAPES = [
    (1, 1, 2, 1),
    (1, 7, 3, 2),
    (2, 1, 2, 3),
    (5, 4, 3, 10),
    (17, 9, 10, 8),
    (33, 64, 7, 5),
    (130, 3, 4, 16),
    (257, 16, 2, 9),
]


def random_batch(
    problem: str,
    rng: np.random.Generator,
    shape: tuple[int, int, int, int],
    dtype: Any = np.float64,
) -> tuple[Any, ...]:
    """X, y and parameters of moderate scores."""
    N, D, K, H = shape
    X = rng.normal(size=(N, D)).astype(dtype)

    def weights(*size: int) -> Any:
        return (rng.normal(size=size) / np.sqrt(size[0])).astype(dtype)

    if problem == "softmax":
        return X, rng.integers(0, K, N), weights(D, K), weights(K)
    if problem == "two_layer":
        return X, rng.integers(0, K, N), weights(D, H), weights(H), weights(H, K), weights(K)
    y = rng.choice([-1, 1], N) if problem == "logistic" else rng.normal(size=N).astype(dtype)
    return X, y, weights(D), float(dtype_number(rng, dtype))


def case_of(
    problem: str,
    seed: int = 0,
    shape: tuple[int, int, int, int] = (60, 3, 4, 5),
    dtype: Any = np.float64,
    bias: bool = True,
) -> tuple[Any, ...]:
    """A random batch of 60 samples unless told otherwise, with a bias or None."""
    batch = random_batch(problem, np.random.default_rng(seed), shape, dtype)
    return batch if bias else without_bias(problem, batch)


def large_batch(problem: str, seed: int = 1, dtype: Any = np.float64) -> tuple[Any, ...]:
    """Enough samples for several threads, chunks and tiles."""
    return case_of(problem, seed, (40_003, 7, 5, 6), dtype)


def named(problem: str, batch: tuple[Any, ...]) -> dict[str, Any]:
    """The parts of a batch by the names of the arguments."""
    return dict(zip(["X", "y", *PROBLEMS[problem].Parameters._fields], batch, strict=True))


def sums_of(
    problem: str, batch: tuple[Any, ...], cuts: Any, s: Any = None, **options: Any
) -> Iterator[Sums]:
    """The sums of each block of rows between two cuts."""
    X, y, *parameters = batch
    for a, b in zip([0, *cuts], [*cuts, len(X)], strict=True):
        weights = None if s is None else s[a:b]
        yield PROBLEMS[problem].sums(X[a:b], y[a:b], *parameters, sample_weight=weights, **options)


def dtype_number(rng: np.random.Generator, dtype: Any) -> Any:
    return np.dtype(dtype).type(rng.normal())


def without_bias(problem: str, batch: tuple[Any, ...]) -> tuple[Any, ...]:
    return batch if problem == "two_layer" else (*batch[:3], None)


def as_memmap(X: Any, path: Any) -> Any:
    X.tofile(path)
    return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)


def spread(X: Any, step: int) -> Any:
    """X as a view of every |step|-th element of a larger array; a negative step runs backwards."""
    larger = np.full((len(X) * abs(step), X.shape[1] * abs(step)), np.nan, X.dtype)
    view = larger[::step, ::step]
    view[:] = X
    return view


def read_only(X: Any) -> Any:
    X = X.copy()
    X.flags.writeable = False
    return X


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "sliced": lambda X: spread(X, 2),
    "rows_sliced": lambda X: np.repeat(X, 3, axis=0)[::3],
    "columns_sliced": lambda X: np.pad(X, ((0, 0), (1, 2)))[:, 1:-2],
    "negative_stride": lambda X: spread(X, -1),
    "read_only": read_only,
    "memory_mapped": None,  # needs a path: see `as_memmap`
}
