# The types of linear.py, whose public functions are generated from the declaration at its end.

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, type_check_only

from numpy.typing import ArrayLike
from typing_extensions import Unpack  # built into type checkers; never imported

from .arrays import Array
from .blocks import Blocks
from .descent.settings import Options
from .objective import Objective
from .problem import Problem
from .sums import AverageOptions, SumOptions, Sums

PROBLEM: Problem
VARIANTS: dict[str, Callable[..., Any]]

class Gradient(NamedTuple):
    w: Array
    b: float | Any | None  # an array with several targets

class Parameters(NamedTuple):
    w: Array
    b: float | Any | None  # an array with several targets

@type_check_only
class _Fit(NamedTuple):
    w: Array
    b: float | Any | None  # an array with several targets
    losses: Array
    n_iter: int
    converged: bool

class Fit(_Fit):
    message: str
    gradient_norm: float

def loss_and_gradient(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    reg: float = 0.0,
    sample_weight: ArrayLike | None = None,
    variant: str = "tiled",
    threads: int | None = None,
    out: tuple[Array | float | None, ...] | None = None,
) -> tuple[float, Gradient]: ...
def loss(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    w: ArrayLike,
    b: ArrayLike | None = None,
    **options: Unpack[AverageOptions],
) -> float: ...
def gradient(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    out: tuple[Array | float | None, ...] | None = None,
    **options: Unpack[AverageOptions],
) -> Gradient: ...
def update(
    X: ArrayLike,
    y: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    learning_rate: float,
    **options: Unpack[AverageOptions],
) -> tuple[Array, float | Any | None]: ...
def sums(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    w: ArrayLike,
    b: ArrayLike | None = None,
    **options: Unpack[SumOptions],
) -> Sums: ...
def hessian_vector_product(
    X: ArrayLike,
    y: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None,
    Vw: ArrayLike,
    Vb: ArrayLike | None,
    **options: Unpack[AverageOptions],
) -> Gradient: ...
def average(
    parts: Sums | Iterable[Sums], w: ArrayLike, b: ArrayLike | None = None, *, reg: float = 0.0
) -> tuple[float, Gradient]: ...
def scores(X: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> Array: ...
def predict(X: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> Array: ...
def descend(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    *,
    w: ArrayLike | None = None,
    b: ArrayLike | None = None,
    start: Fit | None = None,
    learning_rate: float | None = None,
    callback: Callable[[int, float, Parameters], Any] | None = None,
    **options: Unpack[Options],
) -> Fit: ...
def objective(
    X: ArrayLike | Blocks,
    y: ArrayLike | None,
    *,
    fit_bias: bool = True,
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
    w: Any,
    b: Any,
    reg: float = 0.0,
    sample_weight: Any = None,
    want_loss: bool = True,
    want_gradient: bool = True,
) -> tuple[float, Gradient]: ...

# The functions of the declaration.
sums_loop: Any
sums_loop_of_several: Any
update_loop: Any
squared_error: Any

def sums_numpy(X: Array, y: Array, s: Array, w: Array, b: Any) -> tuple[Any, ...]: ...
