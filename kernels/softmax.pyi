# The types of softmax.py, whose public functions are generated from the declaration at its end.

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
    W: Array
    b: Array | None

class Parameters(NamedTuple):
    W: Array
    b: Array | None

@type_check_only
class _Fit(NamedTuple):
    W: Array
    b: Array | None
    losses: Array
    n_iter: int
    converged: bool

class Fit(_Fit):
    message: str
    gradient_norm: float

def loss_and_gradient(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    W: ArrayLike,
    b: ArrayLike | None = None,
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
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[AverageOptions],
) -> float: ...
def gradient(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    out: tuple[Array | float | None, ...] | None = None,
    **options: Unpack[AverageOptions],
) -> Gradient: ...
def update(
    X: ArrayLike,
    y: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    learning_rate: float,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[AverageOptions],
) -> tuple[Array, Array | None]: ...
def sums(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[SumOptions],
) -> Sums: ...
def hessian_vector_product(
    X: ArrayLike,
    y: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None,
    VW: ArrayLike,
    Vb: ArrayLike | None,
    *,
    class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    **options: Unpack[AverageOptions],
) -> Gradient: ...
def average(
    parts: Sums | Iterable[Sums], W: ArrayLike, b: ArrayLike | None = None, *, reg: float = 0.0
) -> tuple[float, Gradient]: ...
def scores(X: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> Array: ...
def probabilities(X: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> Array: ...
def predict(X: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> NDArray[np.int64]: ...
def descend(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    *,
    W: ArrayLike | None = None,
    b: ArrayLike | None = None,
    start: Fit | None = None,
    learning_rate: float | None = None,
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
    W: Any,
    b: Any,
    reg: float = 0.0,
    sample_weight: Any = None,
    want_loss: bool = True,
    want_gradient: bool = True,
) -> tuple[float, Gradient]: ...

# The functions of the declaration.
sums_loop: Any
update_loop: Any
cross_entropy: Any
cross_entropy_product: Any
improbable: Any

def target(y: Array, n: int, k: int) -> Any: ...
def sums_numpy(X: Array, y: Array, s: Array, W: Array, b: Array) -> tuple[Any, ...]: ...
def cross_entropy_numpy(z: Array, y: Array, s: Array) -> tuple[float, Array]: ...
def product_numpy(
    X: Array, y: Array, s: Array, W: Array, b: Array, VW: Array, Vb: Array
) -> tuple[Any, ...]: ...
def cross_entropy_product_numpy(
    z: Array, t: Array, y: Array, s: Array
) -> tuple[Any, Array, Array]: ...
def softmax(z: Array) -> Array: ...
def most_probable(z: Array) -> NDArray[np.int64]: ...
