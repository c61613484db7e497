# The types of two_layer.py, whose public functions are generated from the declaration at its end.

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, type_check_only

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack  # built into type checkers; never imported

from .arrays import Array
from .blocks import Blocks
from .descent.settings import Options
from .objective import Objective
from .problem import Problem
from .sums import AverageOptions, ClassWeight, SumOptions, Sums

PROBLEM: Problem
VARIANTS: dict[str, Callable[..., Any]]

class Gradient(NamedTuple):
    W1: Array
    b1: Array
    W2: Array
    b2: Array

class Parameters(NamedTuple):
    W1: Array
    b1: Array
    W2: Array
    b2: Array

@type_check_only
class _Fit(NamedTuple):
    W1: Array
    b1: Array
    W2: Array
    b2: Array
    losses: Array
    n_iter: int
    converged: bool
    train_accuracy: Array
    validation_accuracy: Array

class Fit(_Fit):
    message: str
    gradient_norm: float

def loss_and_gradient(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    variant: str = "tiled",
    threads: int | None = None,
    out: tuple[Array | float | None, ...] | None = None,
) -> tuple[float, Gradient]: ...
def loss(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[AverageOptions],
) -> float: ...
def gradient(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    out: tuple[Array | float | None, ...] | None = None,
    **options: Unpack[AverageOptions],
) -> Gradient: ...
def update(
    X: ArrayLike,
    y: ArrayLike,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    learning_rate: float,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[AverageOptions],
) -> tuple[Array, Array, Array, Array]: ...
def sums(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[SumOptions],
) -> Sums: ...
def hessian_vector_product(
    X: ArrayLike,
    y: ArrayLike,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    VW1: ArrayLike,
    Vb1: ArrayLike,
    VW2: ArrayLike,
    Vb2: ArrayLike,
    *,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[AverageOptions],
) -> Gradient: ...
def average(
    parts: Sums | Iterable[Sums],
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    *,
    reg: float = 0.0,
) -> tuple[float, Gradient]: ...
def scores(X: ArrayLike, W1: ArrayLike, b1: ArrayLike, W2: ArrayLike, b2: ArrayLike) -> Array: ...
def probabilities(
    X: ArrayLike, W1: ArrayLike, b1: ArrayLike, W2: ArrayLike, b2: ArrayLike
) -> Array: ...
def predict(
    X: ArrayLike, W1: ArrayLike, b1: ArrayLike, W2: ArrayLike, b2: ArrayLike
) -> NDArray[np.int64]: ...
def descend(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    *,
    hidden: int = 100,
    std: float = 0.01,
    W1: ArrayLike | None = None,
    b1: ArrayLike | None = None,
    W2: ArrayLike | None = None,
    b2: ArrayLike | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    start: Fit | None = None,
    learning_rate: float,
    callback: Callable[[int, float, Parameters], Any] | None = None,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[Options],
) -> Fit: ...
def objective(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    *,
    classes: int | None = None,
    hidden: int = 100,
    std: float = 0.01,
    rng: int | np.random.Generator | np.random.SeedSequence | None = 0,
    fit_bias: bool = True,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[AverageOptions],
) -> Objective[Parameters]: ...

# For a caller's own compiled code: Numba infers the types of these.
loss_and_gradient_loop: Any
loss_loop: Any
gradient_loop: Any
loss_and_gradient_tiled: Any
loss_tiled: Any
gradient_tiled: Any

def loss_and_gradient_numpy(
    X: Any,
    y: Any,
    W1: Any,
    b1: Any,
    W2: Any,
    b2: Any,
    reg: float = 0.0,
    sample_weight: Any = None,
    want_loss: bool = True,
    want_gradient: bool = True,
) -> tuple[float, Gradient]: ...

# The functions of the declaration.
sums_loop: Any
update_loop: Any

def sums_numpy(
    X: Array, y: Array, s: Array, W1: Array, b1: Array, W2: Array, b2: Array
) -> tuple[Any, ...]: ...
def product_numpy(
    X: Array, y: Array, s: Array, W1: Array, b1: Array, W2: Array, b2: Array, *vector: Array
) -> tuple[Any, ...]: ...
def forward_numpy(X: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> tuple[Array, Array]: ...
def scores_numpy(X: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Array: ...
