"""What the tests run over: the problems, and random batches of any shape for them."""

from typing import Any

import numpy as np

from kernels import linear, logistic, softmax, two_layer

PROBLEMS = {"softmax": softmax, "logistic": logistic, "linear": linear, "two_layer": two_layer}
VARIANTS = [
    (problem, variant) for problem, module in PROBLEMS.items() for variant in module.VARIANTS
]
DTYPES = ["float32", "float64"]
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
    "memory_mapped": None,  # needs a path: the fixture `laid_out` makes it
}
