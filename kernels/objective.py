"""`Objective`: loss and gradient as a function of one flat vector, which optimisers take."""

import contextlib
import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numba
import numpy as np
from numpy.typing import ArrayLike

from . import descent, validate
from .arrays import Array, real_array
from .engine.driver import Kernel, key_of
from .engine.pool import POOL
from .engine.reduce import Goal
from .variants import F64, is_moderate

WANTED, ndarray = (True, int(Goal.GRADIENT)), np.ndarray
P = TypeVar("P")  # the named tuple of a problem's parameters


class Objective(Generic[P]):
    """Averaged loss and gradient on data that are checked once, as a function of one flat vector.

    ``f(flat)`` returns ``(loss, gradient)``: a float and a new vector. A vector is float64 and has
    each parameter in C order, in the order of the signature; with ``fit_bias=False`` no bias. Where
    `flat` is not finite or the loss overflows, the loss is infinity and the gradient 0, so that a
    line search tries a shorter step. ``f.hessp(flat, p)`` is the product of the Hessian at `flat`
    and a vector. Threads may call it at the same time. The data are not copied where they need no
    conversion: do not change them while it is in use.

    Attributes
    ----------
    size : int
        The number of elements of a vector.
    """

    def __init__(
        self,
        problem: Any,
        start: tuple[Array, ...],
        fit_bias: bool,
        data: tuple[Any, Any],
        options: tuple[Any, ...],
    ) -> None:
        self.lay_out(problem, start, fit_bias)
        self.data, self.options = data, options
        self.free, self.free_of_products = list[Any](), list[Any]()
        (_, weights), (reg, _, variant, self.threads) = data, options
        compiles = not numba.config.DISABLE_JIT
        tiled = variant == "tiled" and compiles and is_moderate(reg)
        self.tiled = tiled and not (weights and weights.spread)

    def lay_out(self, problem: Any, start: tuple[Array, ...], fit_bias: bool) -> None:
        """Define where each parameter stands in a vector."""
        self.problem, self.variants, self.kind = problem, problem.variants, problem.Parameters
        self.fitted = [fit_bias or k % 2 == 0 for k in range(len(start))]
        self.shapes, self.dtype = [p.shape for p in start], start[0].dtype
        self.begin = self.joined(start)
        self.size, self.shape = self.begin.size, self.begin.shape

    def __call__(self, flat: ArrayLike) -> tuple[float, Array]:
        if type(flat) is not ndarray or flat.dtype is not F64 or flat.shape != self.shape:
            flat = self.vector(flat)
        try:
            buffers = self.free.pop()
        except IndexError:
            buffers = self.buffers()
        vector, arrays, slope, call, plan = buffers
        if self.dtype is F64:
            vector[:] = flat
        else:
            with np.errstate(all="ignore"):
                vector[:] = flat
        if self.variants.scalar_bias:
            call[1] = arrays[0], arrays[1].item()
        invalid: float = True
        if self.tiled:
            loss, _, invalid = POOL.run(plan, call, self.threads)
        answer = self.carefully(self.variants, arrays) if invalid else (loss, slope.astype(F64))
        self.free.append(buffers)
        return answer

    def hessp(self, flat: ArrayLike, p: ArrayLike) -> Array:
        """The product of the Hessian at `flat` and the vector `p`, as a new vector.

        It is 0 where it overflows or is not defined: methods that ask for it end their inner
        iterations then. Raises TypeError for a problem without a second derivative.
        """
        products = self.problem.products
        products.refuse_loops(self.options[2])
        if type(flat) is not ndarray or flat.dtype is not F64 or flat.shape != self.shape:
            flat = self.vector(flat)
        if type(p) is not ndarray or p.dtype is not F64 or p.shape != self.shape:
            p = self.vector(p, "p")
        try:
            buffers = self.free_of_products.pop()
        except IndexError:
            buffers = self.buffers_of_products(products)
        both, arrays, slope, call, plan = buffers
        if self.dtype is F64:
            both[0], both[1] = flat, p
        else:
            with np.errstate(all="ignore"):
                both[0], both[1] = flat, p
        if self.variants.scalar_bias:
            call[1] = products.inputs(arrays)
        invalid: float = True
        if self.tiled:
            _, _, invalid = POOL.run(plan, call, self.threads)
        answer = self.carefully(products, arrays)[1] if invalid else slope.astype(F64)
        self.free_of_products.append(buffers)
        return answer

    def start(self) -> Array:
        """The vector from which `descend` starts: zeros, or drawn weights of a network."""
        return self.begin.copy()

    def pack(self, *parameters: ArrayLike | None) -> Array:
        """The vector of parameters that are given in the order of the signature."""
        names, given = self.kind._fields, list(parameters)
        if len(given) > len(names):
            raise TypeError(
                f"{len(given)} parameters were given, and there are {len(names)}: pass "
                + ", ".join(names)
            )
        given += [None] * (len(names) - len(given))
        absent = self.variants.scalars(tuple(map(np.zeros, self.shapes)))
        for k, fitted in enumerate(self.fitted):
            descent.refuse_bias(given[k], fitted or k % 2 == 0)
            given[k] = given[k] if fitted else absent[k]
        arrays = self.variants.converted(np.empty((0, self.shapes[0][0])), tuple(given))
        for name, array, shape in zip(names, arrays, self.shapes, strict=True):
            if array.shape != shape:
                raise ValueError(
                    f"{name} must have shape {shape}, as the data have features and classes, and "
                    f"has shape {array.shape}"
                )
        return self.joined(arrays)

    def unpack(self, flat: ArrayLike) -> P:
        """The parameters in a vector, or the parts of a gradient, as a named tuple of new arrays.

        The bias is None where there is none; those of a network are zeros then.
        """
        arrays = self.arrays(self.vector(flat))
        absent = self.variants.single_layer and not self.fitted[1]
        found: P = self.kind(*self.variants.values(arrays, (None,) if absent else arrays))
        return found

    # ---- vectors and arrays ----

    def vector(self, flat: ArrayLike, called: str = "flat") -> Array:
        """A copy of a vector, in float64."""
        array = real_array(called, flat)
        if array.shape != self.shape:
            pairs = zip(self.kind._fields, self.fitted, strict=True)
            names = ", ".join(name for name, fits in pairs if fits)
            raise ValueError(
                f"{called} must have shape {self.shape}, all elements of {names}, and has shape "
                f"{array.shape}: pass what start() or pack({names}) of the objective returns"
            )
        return array.astype(F64)

    def arrays(self, vector: Array) -> tuple[Array, ...]:
        """The parameters in a vector, as views; zeros for a bias that is not in it."""
        arrays, end = list[Array](), 0
        for shape, fitted in zip(self.shapes, self.fitted, strict=True):
            begin, end = end, end + fitted * math.prod(shape)
            part = vector[begin:end] if fitted else np.zeros(shape, vector.dtype)
            arrays.append(part.reshape(shape))
        return tuple(arrays)

    def joined(self, arrays: tuple[Array, ...]) -> Array:
        """The vector of arrays."""
        fitted = [a.reshape(-1) for a, fits in zip(arrays, self.fitted, strict=True) if fits]
        return np.concatenate(fitted, dtype=F64)

    def buffers(self) -> tuple[Any, ...]:
        """The memory of a call, in X's dtype: parameters and gradient; the call and its plan."""
        vector, slope = np.empty(self.size, self.dtype), np.empty(self.size, self.dtype)
        arrays = self.arrays(vector)
        call = [self.data[0], arrays, self.arrays(slope), self.options[:2], WANTED]
        return vector, arrays, slope, call, self.plan(self.variants.kernel, call)

    def buffers_of_products(self, products: Any) -> tuple[Any, ...]:
        """The memory of a product, in X's dtype: both vectors, their parts, and the result."""
        both, slope = np.zeros((2, self.size), self.dtype), np.empty(self.size, self.dtype)
        arrays = *self.arrays(both[0]), *self.arrays(both[1])
        call = [self.data[0], products.inputs(arrays), self.arrays(slope), self.options[:2], WANTED]
        return both, arrays, slope, call, self.plan(products.kernel, call)

    def plan(self, kernel: Kernel, call: list[Any]) -> Any:
        """The plan of a call, if the tiled kernel runs it."""
        (X, y, _, rows), out = call[0], call[2]
        return kernel.plan(key_of(X, y), X, rows, out) if self.tiled else None

    def carefully(self, variants: Any, arrays: tuple[Array, ...]) -> tuple[float, Array]:
        """Loss and gradient, or Hessian-vector product, in wider floats where X's overflow."""
        if validate.all_finite(arrays):
            with contextlib.suppress(FloatingPointError), np.errstate(all="ignore"):
                loss, _, out = variants.computed(self.data, arrays, self.options, WANTED)
                return loss, self.joined(out)
        return math.inf, np.zeros(self.size)


class ObjectiveOverBlocks(Objective[P]):
    """An objective on data in blocks.

    ``answer(arrays)`` gives loss and gradient of parameters, and ``product(arrays, vector)`` the
    Hessian there times a vector, of arrays of their shapes.
    """

    def __init__(
        self,
        problem: Any,
        start: tuple[Array, ...],
        fit_bias: bool,
        answer: Callable[[tuple[Array, ...]], tuple[float, tuple[Array, ...]]],
        product: Callable[[tuple[Array, ...], tuple[Array, ...]], tuple[Array, ...]],
    ) -> None:
        self.lay_out(problem, start, fit_bias)
        self.answer, self.product = answer, product

    def __call__(self, flat: ArrayLike) -> tuple[float, Array]:
        with np.errstate(all="ignore"):
            loss, gradient = self.answer(self.parts_of(flat, "flat"))
        return loss, self.joined(gradient)

    def hessp(self, flat: ArrayLike, p: ArrayLike) -> Array:
        with np.errstate(all="ignore"):
            product = self.product(self.parts_of(flat, "flat"), self.parts_of(p, "p"))
        return self.joined(product)

    def parts_of(self, vector: ArrayLike, called: str) -> tuple[Array, ...]:
        """The arrays in a vector, in X's dtype."""
        return self.arrays(self.vector(vector, called).astype(self.dtype))
