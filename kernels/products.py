"""Hessian-vector products: how their computation differs from that of a gradient.

The driver is that of a gradient with twice the scores, those of the parameters and those in the
direction of the vector; see `engine.tile_pass`. Arrays are those of the parameters and, after them,
those of the vector: what is averaged and penalised has the shapes of the latter.
"""

import functools
from collections.abc import Callable
from typing import Any

from . import validate
from .engine.reduce import Goal
from .engine.tile_pass import constant_product, pointwise_product
from .variants import Computation, Variants

WANTED = False, Goal.GRADIENT


class Products(Computation):
    """The validated path of a problem's Hessian-vector products.

    `second_derivative` is compiled: of one sample or, where there are several scores, of a tile;
    `product` is the vectorised function, made here where each score has a loss of its own. With a
    number as `second_derivative` the parameters do not matter: the driver is that of a gradient at
    the vector.
    """

    def __init__(
        self,
        variants: Variants,
        second_derivative: Callable[..., Any] | float,
        product: Callable[..., Any] | None,
    ) -> None:
        super().__init__(variants.shapes, variants.target)
        self.shapes |= {f"V{name}": axes for name, axes in variants.shapes.items()}
        if callable(second_derivative):
            self.first, halves = 0, 2  # the first of the arrays that the driver takes
            residual = second_derivative
            if self.scalar_bias or product is None:
                residual = pointwise_product(second_derivative, self.signs)
        else:
            self.first, halves = len(self.dimensions), 1
            residual = constant_product(second_derivative)
        self.make_kernels(residual, halves)
        self.ready_parameters = functools.partial(ready_pair, self.ready_parameters, self.first)
        product = product or vectorised(second_derivative)
        self.sums = {"numpy": product, "tiled": product}

    def scalars(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arrays as the variants take and return them: a bias that is one number is a float."""
        if not self.scalar_bias:
            return arrays
        return tuple(float(a[0]) if k % 2 else a for k, a in enumerate(arrays))

    def inputs(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arrays as the compiled driver takes them."""
        if self.scalar_bias:
            w, b, Vw, Vb = arrays
            arrays = w, b.item(), Vw, Vb.item()
        return arrays[self.first :]

    def validated(self, data: Any, parameters: Any, options: Any, wanted: Any = WANTED) -> Any:
        """Loss (of no meaning), weight and product for any arguments, or an error."""
        self.refuse_loops(options[2])
        half, names = len(parameters) // 2, list(self.shapes)
        at, of = names[half - 1], names[-1]
        if self.single_layer and (parameters[half - 1] is None) != (parameters[-1] is None):
            given, absent = (at, of) if parameters[-1] is None else (of, at)
            raise ValueError(
                f"{given} is given and {absent} is None: pass both, or None for both if there is "
                "no bias"
            )
        loss, weight, out = super().validated(data, parameters, options, wanted)
        return loss, weight, out[-half:]  # of no samples there are zeros for the parameters, too

    def refuse_loops(self, variant: Any) -> None:
        """Raise an error for the variants that are lessons about the gradient."""
        if variant in ("python", "loop"):
            raise ValueError(
                f"variant {variant!r} has no Hessian-vector product: pass variant='tiled' or "
                "variant='numpy'"
            )


def ready_pair(
    ready: Callable[..., Any], first: int, parameters: Any, dtype: Any, of_out: Any
) -> Any:
    """The parameters and the vector as the driver takes them, and new arrays for the product."""
    half = len(parameters) // 2
    if (parameters[half - 1] is None) != (parameters[-1] is None):
        raise TypeError
    arrays, _ = ready(parameters[:half], dtype, of_out)
    vector, out = ready(parameters[half:], dtype, of_out)
    # The driver may not see the parameters.
    if first and not (arrays[0].shape == vector[0].shape and validate.all_finite(arrays)):
        raise TypeError
    return (*arrays, *vector)[first:], out


def vectorised(second_derivative: Callable[..., Any] | float) -> Callable[..., Any]:
    """The vectorised product where each score has a loss, from a function of one sample."""
    of_samples = getattr(second_derivative, "py_func", second_derivative)

    def product(X: Any, y: Any, s: Any, w: Any, b: Any, Vw: Any, Vb: Any) -> Any:
        curvature, check = second_derivative, 0.0
        if callable(of_samples):
            z = X @ w + b
            curvature, check = of_samples(z, y), 0 * z.min() + 0 * z.max()
        r = (s * (curvature * (X @ Vw + Vb)).T).T
        return check, s.sum(dtype=float), X.T @ r, r.sum(axis=0)

    return product
