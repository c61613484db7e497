"""Random shapes: the table that `python -m bench --random N` measures in place of the named one.

Problems, dtypes and memory orders of X take turns; the sizes are drawn. Each is log-uniform: every
integer k of its range has the probability log((k + 1) / k), up to a common factor. Sizes whose X,
whose scores or whose work in a call exceed the limits are drawn again, all together. The generator
is Python's, whose `random()` gives the same numbers in every version.
"""

from itertools import cycle, islice, product
from math import floor
from random import Random
from types import ModuleType

from bench.problems import Array, Problem, flop, synthetic
from kernels import linear, logistic, softmax, two_layer

ROWS, FEATURES, CLASSES, HIDDEN = (1, 10**6), (1, 20_000), (2, 1000), (4, 1024)
SIZES = {
    softmax: (ROWS, FEATURES, CLASSES),
    logistic: (ROWS, FEATURES),
    linear: (ROWS, FEATURES),
    two_layer: (ROWS, FEATURES, HIDDEN, CLASSES),
}
NAMES = tuple(module.__name__.rpartition(".")[2] for module in SIZES)
LARGEST_X = 160e6  # bytes
MOST_SCORES = 10**8  # N·K, and N·H: NumPy and the peers hold several such arrays, of up to 800 MB
MOST_WORK = 20e9  # FLOP in a call for loss and gradient: `flop` has the formula
ORDERS = ("C", "F", "C", "C")  # a quarter in Fortran order


def random(N: int, D: int, *layers: int) -> tuple[Array, Array]:
    """The data of a random shape; its name is that of the data set in the table."""
    return synthetic(N, D, *layers)


def draw(
    count: int, seed: int, names: tuple[str, ...], dtypes: tuple[str, ...]
) -> list[tuple[Problem, str]]:
    """So many different cells of the named problems, or of all if there are no names."""
    rng = Random(seed)
    modules = [m for m, name in zip(SIZES, NAMES, strict=True) if not names or name in names]
    cells: dict[tuple[Problem, str], None] = {}  # a set in order
    turns = cycle(product(ORDERS, dtypes, modules))  # the problem changes first, the order last
    for number, (order, dtype, module) in enumerate(islice(turns, count)):
        while len(cells) == number:  # what was drawn before, such as 1×1, is drawn again
            cells[Problem(module, random, sizes(module, dtype, rng), order=order), dtype] = None
    return list(cells)


def sizes(module: ModuleType, dtype: str, rng: Random) -> tuple[int, ...]:
    """The sizes of one shape within the limits."""
    bytes_per_number = 8 if dtype == "float64" else 4
    while True:
        shape = tuple(log_uniform(*ends, rng) for ends in SIZES[module])
        N, D, *widths = shape
        if (
            N * D * bytes_per_number <= LARGEST_X
            and N * max(widths, default=1) <= MOST_SCORES
            and flop(shape) <= MOST_WORK
        ):
            return shape


def log_uniform(low: int, high: int, rng: Random) -> int:
    return min(high, floor(low * ((high + 1) / low) ** rng.random()))
