"""Hessian-vector products: how their computation differs from that of a gradient.

The driver is that of a gradient with twice the scores, X [W V]; see `engine.tile_pass`. The arrays
are those of the parameters and, after them, those of the vector: what is averaged and penalised has
the shapes of the latter.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from .arrays import Array
from .engine.driver import Kernel, driver_types, make_driver, run_shared
from .engine.reduce import Goal
from .engine.tile_pass import pointwise_product
from .variants import F64, Variants

WANTED = False, Goal.GRADIENT


class Products(Variants):
    """The validated path of a problem's Hessian-vector products.

    `second_derivative` is compiled: of one sample or, where there are several scores, of a tile;
    `product` is the vectorised function, made here where each score has a loss of its own.
    """

    def __init__(
        self,
        variants: Variants,
        second_derivative: Callable[..., Any],
        product: Callable[..., Any] | None,
    ) -> None:
        shapes = variants.shapes
        self.shapes = shapes | {f"V{name}": axes for name, axes in shapes.items()}
        self.target, self.label = variants.target, variants.label
        self.single_layer, self.scalar_bias = variants.single_layer, variants.scalar_bias
        of_tile = second_derivative
        if self.scalar_bias or product is None:
            of_tile = pointwise_product(second_derivative)
            product = product or vectorised(second_derivative)
        driver = make_driver(of_tile, not self.single_layer, False, directional=True)
        dimensions = [2 - k % 2 for k in range(len(shapes))]
        self.kernel, self.sums_kernel = (
            Kernel(driver, driver_types(dimensions, self.label, out))
            for out in (None, numba.types.float64)
        )
        tiled = product if numba.config.DISABLE_JIT else self.tiled
        self.sums = {"numpy": product, "tiled": tiled}

    def scalars(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arrays as the variants take and return them: a bias that is one number is a float."""
        if not self.scalar_bias:
            return arrays
        return tuple(float(a[0]) if k % 2 else a for k, a in enumerate(arrays))

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

    def run_tiled(self, batch: Any, arrays: Any, options: Any, wanted: Any, out: Any = None) -> Any:
        """Loss, weight and product by the compiled driver; a loss of nan for invalid arguments."""
        summing = wanted[1] == Goal.SUMS
        if out is None:
            dtype = F64 if summing else batch[0].dtype
            out = tuple(np.empty(p.shape, dtype) for p in arrays[len(arrays) // 2 :])
        call, copies = self.call_of(batch, out, options[:2], wanted[1])
        for copy, array in zip(copies, arrays, strict=True):
            copy[...] = array
        kernel = self.sums_kernel if summing else self.kernel
        loss, weight, invalid = run_shared(kernel, call, options[3])
        return np.nan if invalid >= 1 else loss, weight, out

    def call_of(
        self, batch: Any, out: tuple[Array, ...], settings: Any, goal: Any = Goal.GRADIENT
    ) -> Any:
        """Arguments of the driver, and places for copies of the parameters and of the vector.

        They are in its parameters [W V] and [b Vb]; weights of one score are a column for it.
        """
        written = tuple(
            part if k % 2 else part.reshape(len(part), -1) for k, part in enumerate(out)
        )
        dtype = batch[0].dtype
        stacked = tuple(np.zeros((*p.shape[:-1], 2 * p.shape[-1]), dtype) for p in written)
        halves = zip(*(np.split(both, 2, axis=-1) for both in stacked), strict=True)  # views
        copies = [h.reshape(p.shape) for half in halves for h, p in zip(half, out, strict=True)]
        return [batch, stacked, written, settings, (False, int(goal))], copies


def vectorised(second_derivative: Callable[..., Any]) -> Callable[..., Any]:
    """The vectorised product where each score has a loss, from a function of one sample."""
    of_samples = getattr(second_derivative, "py_func", second_derivative)

    def product(X: Any, y: Any, s: Any, w: Any, b: Any, Vw: Any, Vb: Any) -> Any:
        z = X @ w + b
        r = (s * (of_samples(z, y) * (X @ Vw + Vb)).T).T
        return 0 * z.min() + 0 * z.max(), s.sum(dtype=float), X.T @ r, r.sum(axis=0)

    return product
