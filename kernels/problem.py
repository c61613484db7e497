"""The public functions of every problem, made from its declaration.

A public function has the problem's own signature (see `signature`) and calls `answer`. Arguments
that need a cast at most (`Variants.ready`) go straight to the compiled driver; all others, and
those that the driver finds invalid, are converted or refused by `Variants.validated`.
"""

import contextlib
import dataclasses
import functools
import importlib
import math
import sys
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from . import descent, validate
from .arrays import as_array, describe, real_array
from .blocks import Blocks, refuse_beside_blocks, sums_of_block, survey
from .documentation import docstrings
from .engine.driver import SAMPLES, driver_types
from .engine.pool import POOL
from .engine.raw import averaged, serial_call
from .engine.reduce import Goal
from .objective import Objective, ObjectiveOverBlocks
from .products import Products
from .signature import public_function, raw_functions
from .sums import Sums, add_in_tree
from .variants import ALL_ROWS, F32, F64, NO_WEIGHTS, Variants

TUPLES = {
    "Gradient": "A gradient, each part of its parameter's shape; None for a bias that is None.",
    "Parameters": "What is fitted; None for a bias where there is none.",
    "Fit": """What `descend` found, and how.

    `losses` has one loss an iteration, of the parameters before its step. `gradient_norm` is the
    largest component of the gradient at the parameters, and `message` says why it ended. Accuracies
    are those after each epoch, where a validation set was given.
    """,
}
LARGEST = sys.float_info.max
LIGHT, HEAVY = validate.LIGHT, validate.HEAVY


def linear_scores(X: Any, W: Any, b: Any) -> Any:
    """The predictions of each sample, which are its scores X W + b."""
    z = X @ W
    z += b
    return z


def is_table(value: Any) -> bool:
    """Whether something array-like has two dimensions."""
    with contextlib.suppress(Exception):  # what is no array is refused elsewhere
        return len(np.shape(value)) == 2
    return False


def named_in(module: str, name: str) -> "Problem":
    """Unpickle a problem, which must be a variable of the module."""
    for value in vars(importlib.import_module(module)).values():
        if isinstance(value, Problem) and value.name == name:
            return value
    raise AttributeError(
        f"{module} has no Problem named {name!r}, which was pickled, or a result of which: "
        "assign it to a variable of that module"
    )


def restored(problem: "Problem", kind: str, values: tuple[Any, ...]) -> Any:
    """Unpickle a named tuple of a problem."""
    return problem.public[kind](*values)


class Problem:
    """A gradient, declared: its public functions are attributes, and `public` has them by name.

    They are `loss_and_gradient`, `loss`, `gradient`, `update`, `sums`, `average`, `scores`,
    `predict`, `descend`, `objective` and, with a `second_derivative`, `hessian_vector_product`,
    with the same checks, variants, threads and messages as those of `kernels.logistic`; see
    docs/adding-a-problem.md. Provisional: declarations may need more later.

    Parameters
    ----------
    name : str
        For messages.
    parameters : mapping of str to str
        Names and axes: weights and a bias, which may be None, as in ``{"w": "D", "b": ""}`` with
        one score a sample and ``{"W": "DK", "b": "K"}`` with K, or those of two layers.
    y : callable, optional
        ``y(array)`` raises a ValueError if the targets, one real number a sample, make no sense; a
        `Target` of `kernels.validate` for other kinds.
    loop, numpy : callable
        ``(X, y, s, *parameters)`` to ``(Σ s ℓ, Σ s, Σ s ∂ℓ/∂θ, ...)``, compiled by `numba.njit` and
        vectorised. The bias is zeros where the caller gave none. `numpy` is also called with long
        double arrays, where numbers leave float64.
    residual : callable
        Compiled, of one sample: ``(z, y)`` to ``(ℓ, ∂ℓ/∂z)``; where there are several scores, of a
        tile of samples, see `engine.tile_pass`.
    curvature : float, optional
        A bound on ∂²ℓ/∂z², from which `descend` knows the largest safe learning rate; None if there
        is none, or where the scores are not linear in the parameters.
    second_derivative : callable or float, optional
        Compiled, of one sample: ``(z, y)`` to ∂²ℓ/∂z², for Hessian-vector products; a number where
        it is the same for all. It is also called with arrays, uncompiled: write ``(a < b) * c`` in
        place of a branch. Where there are several scores, of a tile of samples, see
        `engine.tile_pass`.
    product : callable, optional
        ``(X, y, s, *parameters, *vector)`` to ``(check, Σ s, Σ s (∂²ℓ/∂θ²) v, ...)``, vectorised,
        where the check is 0, or nan if a score overflowed; needed where there are several scores.
    scores : callable, optional
        ``(X, *parameters)`` to the scores, X W + b by default.
    probabilities, predict : callable, optional
        Scores to probabilities, and to predictions, which are the scores by default.
    doc : str
        The formula: what the docstrings begin with.
    several : Variants, optional
        The same for y of shape (N, K), with parameters of the same names and one axis more.

    Raises
    ------
    TypeError
        If `loop`, `residual` or `second_derivative` is not compiled by Numba, or the last cannot be
        called with arrays.
    ValueError
        For parameters of other axes, and for several scores with only one of `second_derivative`
        and `product`.
    """

    VARIANTS: dict[str, Callable[..., Any]]
    loss_and_gradient: Callable[..., tuple[float, Any]]
    loss: Callable[..., float]
    gradient: Callable[..., Any]
    update: Callable[..., tuple[Any, ...]]
    sums: Callable[..., Sums]
    average: Callable[..., tuple[float, Any]]
    scores: Callable[..., NDArray[Any]]
    predict: Callable[..., NDArray[Any]]
    descend: Callable[..., Any]
    objective: Callable[..., Objective[Any]]
    hessian_vector_product: Callable[..., Any]

    def __init__(  # noqa: PLR0913
        self,
        name: str,
        *,
        parameters: Mapping[str, str],
        y: validate.Target | Callable[[NDArray[Any]], Any] = validate.REAL,
        loop: Callable[..., Any],
        numpy: Callable[..., Any],
        residual: Callable[..., Any],
        curvature: float | None = None,
        second_derivative: Callable[..., Any] | float | None = None,
        product: Callable[..., Any] | None = None,
        scores: Callable[..., Any] = linear_scores,
        probabilities: Callable[..., Any] | None = None,
        predict: Callable[..., Any] | None = None,
        doc: str = "",
        several: Variants | None = None,
    ) -> None:
        validate.declaration(parameters, {"loop": loop, "residual": residual})
        validate.second_derivative(parameters, second_derivative, product)
        self.name, self.doc, self.scores_of = name, doc, scores
        self.module = sys._getframe(1).f_globals["__name__"]  # noqa: SLF001  # as namedtuple does
        target = y if isinstance(y, validate.Target) else validate.targets_checked_by(y)
        self.second_derivative, self.product = second_derivative, product
        self.probabilities_of, self.predictions_of = probabilities, predict
        self.network = len(parameters) == 4
        self.measured = ("train_accuracy", "validation_accuracy") if self.network else ()
        history = "losses", "n_iter", "converged", *self.measured
        self.Gradient = self.tuple_type("Gradient", parameters)
        self.Parameters = self.tuple_type("Parameters", parameters)
        self.Fit = self.tuple_type("Fit", (*parameters, *history))
        self.take(Variants(parameters, target, loop, numpy, residual), curvature)
        self.public: dict[str, Any] = {}
        self.several: Problem | None = None
        if several is not None:
            copy = object.__new__(Problem)  # copy.copy would look for the variable, as pickle does
            vars(copy).update(vars(self))
            copy.take(several, curvature)
            self.several = copy
        self.public["VARIANTS"] = self.variants.sums
        self.public |= {kind.__name__: kind for kind in (self.Gradient, self.Parameters, self.Fit)}
        self.define_functions()

    def take(self, variants: Variants, curvature: float | None) -> None:
        """Set the variants, and what descent needs of them."""
        self.variants, target = variants, variants.target
        dimensions = [max(d, 1) for d in self.variants.dimensions]
        types = driver_types(dimensions, self.variants.label)
        driver, scalar = self.variants.kernel.functions[SAMPLES], self.variants.scalar_bias
        loop_of_descent = descent.compiled_loop(
            driver, self.module, scalar, lambda real, kind: types(real, kind)[:2]
        )
        self.model = descent.Model(
            curvature,
            loop_of_descent,
            self.followed,
            self.named,
            self.refuse_start,
            None if target.remedy is None else self.scores_of_arrays,
        )

    def tuple_type(self, name: str, fields: Iterable[str]) -> Any:
        """A named tuple defined in the problem's module; that of `Fit` has further attributes."""
        base = namedtuple(name, list(fields), module=self.module)  # type: ignore[misc]
        members: dict[str, Any] = {"__module__": self.module, "__doc__": TUPLES[name]}
        members |= (
            {"message": "", "gradient_norm": math.nan} if name == "Fit" else {"__slots__": ()}
        )
        members["__reduce__"] = lambda values: (
            restored,
            (self, name, tuple(values)),
            getattr(values, "__dict__", None),
        )
        return type(name, (base,), members)

    def __reduce__(self) -> Any:
        return named_in, (self.module, self.name)

    def __repr__(self) -> str:
        return f"<Problem {self.name!r} of {self.module}>"

    def of(self, y: Any, parameters: Any) -> "Problem":
        """This problem, or `several` if y has columns (of several targets, or with such weights).

        y is None where there is none, and the weights decide.
        """
        if self.several is None:
            return self
        tables = [np.shape(a) if is_table(a) else None for a in (y, parameters[0])]
        several = tables[1] if y is None else tables[0] and (tables[1] or tables[0][1] > 1)
        if several and parameters[0] is not None and not tables[1]:
            raise ValueError(
                f"y has shape {tables[0]}, several targets, and {next(iter(self.variants.shapes))} "
                f"the weights of one: pass {as_array('y', y)}[:, 0], or weights of shape (D, K)"
            )
        return self.several if several else self

    # ---- the fast path ----

    def answering(
        self, want_loss: bool, goal: Goal, finish: Callable[..., Any], product: bool = False
    ) -> Any:
        """The body of a public function; `finish` turns loss, weight and output into its result."""
        variants: Any = self.products if product else self.variants
        wanted = want_loss, int(goal)
        ready, values, check_ready = variants.ready, variants.values, variants.target.check_ready
        several = self.several.answering(want_loss, goal, finish, product) if self.several else None
        summing, stepping = goal == Goal.SUMS, goal == Goal.STEP
        kernel, of_out = (variants.sums_kernel, F64) if summing else (variants.kernel, None)
        compiled, over_blocks = not numba.config.DISABLE_JIT, goal != Goal.STEP and not product

        def answer(  # noqa: PLR0913
            X, y, parameters, s, class_weight, smoothing, reg, variant, threads, rate=0.0, out=None
        ):
            if (
                class_weight is None
                and type(smoothing) is float
                and 0.0 <= smoothing <= 1.0
                and compiled
                and type(variant) is str  # an array of one string would compare equal, too
                and variant == "tiled"
                and (type(reg) is float or type(reg) is int)
                and 0 <= reg <= HEAVY
                and (threads is None or (type(threads) is int and threads > 0))
                and (not stepping or (type(rate) is float and 0 <= rate <= LARGEST))
                and (found := ready(X, y, parameters, s, smoothing, of_out)) is not None
            ):
                key, batch, inputs, into = found
                x, taken, weights, _ = batch
                if check_ready is not None:
                    check_ready(taken if s is None else taken[weights != 0])
                if out is not None:
                    into = variants.written_into(out, into, (*batch, *inputs, y))
                call = batch, inputs, into, (reg, rate), wanted
                plan = kernel.plan(key, x, ALL_ROWS, into)
                loss, weight, invalid = POOL.run(plan, call, threads)
                if not invalid and (s is None or LIGHT <= weight <= HEAVY):
                    return finish(loss, weight, values(into, parameters))
            options = reg, rate, variant, threads
            weights = s, class_weight, smoothing
            if several is not None and self.of(y, parameters) is not self:
                return several(X, y, parameters, *weights, reg, variant, threads, rate, out)
            with np.errstate(all="ignore"):
                data = X, y, *weights
                if isinstance(X, Blocks) and over_blocks:
                    loss, weight, found = self.computed_over(data, parameters, options, goal)
                else:
                    loss, weight, found = variants.validated(data, parameters, options, wanted)
                if out is not None:
                    found = variants.copied_into(out, found, (X, y, s, *parameters))
                return finish(loss, weight, values(found, parameters) if found else None)

        return answer

    # ---- data in blocks ----

    def summed(
        self, data: Any, parameters: Any, variant: Any, threads: Any, sums: Any = None
    ) -> Sums:
        """The sums of all blocks, as the public `sums` or another function gives those of one."""
        blocks, y, s, class_weight, smoothing = data
        refuse_beside_blocks(y, s)
        options = {"variant": variant, "threads": blocks.threads if threads is None else threads}
        if self.variants.target.remedy is not None:
            options["class_weight"] = class_weight
        if self.variants.target is validate.CLASSES:
            options["label_smoothing"] = smoothing
        sums = sums or self.public["sums"]
        call = functools.partial(sums_of_block, sums, parameters, options)
        total: Sums | None = blocks.total(call)
        if total is None:
            raise ValueError("X has no blocks, and the average of nothing is not defined")
        return total

    def computed_over(self, data: Any, parameters: Any, options: Any, goal: Goal) -> Any:
        """Loss, weight and sums or gradient of all blocks, as `Variants.validated` gives them."""
        reg, _, variant, threads = options
        total = self.summed(data, parameters, variant, threads)
        loss, gradient = total.loss, total.gradient
        if goal != Goal.SUMS:
            loss, gradient = self.averaging(total, parameters, reg)
        arrays = tuple(np.atleast_1d(0.0 if part is None else part) for part in gradient)
        return loss, total.weight, arrays

    def averaged_over(self, data: Any, settings: descent.Settings, arrays: Any) -> Any:
        """Loss and gradient of all blocks, for a descent or an objective."""
        options = settings.reg, 0.0, settings.variant, settings.threads
        call = data, self.variants.scalars(arrays), options, Goal.GRADIENT
        loss, _, gradient = self.computed_over(*call)
        return loss, gradient

    def followed_over(self, data: Any, settings: descent.Settings, arrays: Any) -> Any:
        """The same, but infinity and 0 where they overflow."""
        if validate.all_finite(arrays):
            with contextlib.suppress(FloatingPointError):
                return self.averaged_over(data, settings, arrays)
        return math.inf, tuple(map(np.zeros_like, arrays))

    def multiplied_over(
        self, data: Any, settings: descent.Settings, arrays: Any, vector: Any
    ) -> Any:
        """The Hessian-vector product of all blocks; 0 where it overflows."""
        self.products.refuse_loops(settings.variant)
        if validate.all_finite((*arrays, *vector)):
            both = *self.variants.scalars(arrays), *self.variants.scalars(vector)
            call = data, both, settings.variant, settings.threads, self.product_sums
            with contextlib.suppress(FloatingPointError):
                _, weight, sums = self.summed(*call)
                totals = 0.0, weight, *map(np.atleast_1d, sums)
                _, means = averaged(totals, settings.reg, vector)
                product = tuple(map(np.asarray, means, [vector[0].dtype] * len(means)))
                if validate.all_finite(product):
                    return product
        return tuple(map(np.zeros_like, vector))

    def product_sums(
        self,
        X: Any,
        y: Any,
        *parameters: Any,
        sample_weight: Any,
        variant: str,
        threads: int | None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
    ) -> Sums:
        """The sums for a Hessian-vector product, whose vector comes after the parameters."""
        data = X, y, sample_weight, class_weight, label_smoothing
        options, wanted = (0.0, 0.0, variant, threads), (False, Goal.SUMS)
        products = self.of(y, parameters).products
        with np.errstate(all="ignore"):
            _, weight, out = products.validated(data, parameters, options, wanted)
        return Sums(0.0, weight, self.Gradient(*products.values(out, parameters)))

    def refuse_over_blocks(self, settings: descent.Settings, validation: Any) -> None:
        """Refuse what a descent over blocks cannot do."""
        if settings.learning_rate is None:
            raise ValueError(
                "learning_rate is None, and for data in blocks no safe rate is computed: pass a "
                "float such as learning_rate=0.1, or pass what objective returns to "
                "scipy.optimize.minimize, which needs no rate"
            )
        for name, value in (("batch_size", settings.batch_size), ("validation", validation)):
            if value is not None:
                raise ValueError(
                    f"{name} was given and X is Blocks, of which each iteration reads all: "
                    f"pass {name}=None"
                )

    def model_over(self, data: Any) -> descent.Model:
        """What a descent over blocks uses."""
        return dataclasses.replace(
            self.model,
            curvature=None,
            loop=None,
            compute=lambda _, arrays, settings, *__: self.followed_over(data, settings, arrays),
            check=lambda _, arrays, settings: self.averaged_over(data, settings, arrays),
        )

    def surveyed(self, data: Any, given: Any, sizes: Any, or_else: str) -> Any:
        """What `prepared` gives, of data in blocks: a row of zeros stands for their samples."""
        refuse_beside_blocks(*data[1:3])
        targets = [p.variants.target for p in (self, self.several) if p]
        found = data[0].total(functools.partial(survey, targets))
        if found is None or found.samples == 0:
            raise ValueError(
                "X has no sample of positive weight in any block, and the average of nothing is "
                "not defined: pass blocks with at least one"
            )
        labels, (samples, features, columns) = found.labels, found[:3]
        if columns:
            labels = np.broadcast_to(0.0, (samples, columns))
        problem = self.of(labels, given)
        variants, target = problem.variants, problem.variants.target
        axes, X = tuple(variants.shapes.values()), np.zeros((1, features), found.dtype)
        started = descent.initial(axes, given, (samples, features), labels, sizes, or_else)
        arrays = variants.converted(X, started)
        if target.remedy is not None and not columns:
            try:
                target.check(labels, X, len(arrays[-1]), "y", "y")
            except ValueError as error:
                known = np.array2string(labels, threshold=10, separator=", ")
                raise ValueError(f"y of all blocks holds {known}, and {error}") from error
            if sizes[0] is None and all(p is None for p in given):
                descent.refuse_single_class(labels, or_else)
        y = np.zeros(1, target.dtype or X.dtype)
        return problem, ((X, y, NO_WEIGHTS[X.itemsize], ALL_ROWS), None), arrays

    # ---- the public products, average, predictions and descent ----

    @functools.cached_property
    def products(self) -> Products:
        """What computes Hessian-vector products, made when they are first needed."""
        if self.second_derivative is None:
            raise TypeError(
                f"{self.name} has no second derivative, of which Hessian-vector products are made: "
                "pass second_derivative= to kernels.Problem"
            )
        return Products(self.variants, self.second_derivative, self.product)

    @functools.cached_property
    def multiplying(self) -> Any:
        """The body of `hessian_vector_product`."""
        gradient = functools.partial(tuple.__new__, self.Gradient)
        return self.answering(False, Goal.GRADIENT, lambda _, __, out: gradient(out), product=True)

    def multiplied(self, *arguments: Any) -> Any:
        """The result of `hessian_vector_product`."""
        return self.multiplying(*arguments)

    def averaging(self, parts: Any, parameters: tuple[Any, ...], reg: float) -> Any:
        """Loss and gradient from the sums of blocks."""
        if isinstance(parts, Sums) or not isinstance(parts, Iterable):
            parts = [parts]
        total, reg = add_in_tree(map(self.own, parts)), validate.not_negative("reg", reg)
        variants = self.of(None, parameters).variants
        if total is None:
            raise ValueError(
                "parts is empty, and the average of nothing is not defined: "
                "pass the sums of at least one block"
            )
        gradient, wide = total.gradient, False
        for name, summed, parameter in zip(gradient._fields, gradient, parameters, strict=True):
            array = None if parameter is None else real_array(name, parameter)
            shapes = [None if a is None else np.shape(a) for a in (array, summed)]
            if shapes[0] != shapes[1]:
                is_one, is_other = map(validate.describe_shape, shapes)
                raise ValueError(
                    f"{name} is {is_one} and its gradient in the sums {is_other}: "
                    "pass the parameters that the sums were made with"
                )
            wide = wide or (array is not None and array.ndim > 0 and array.dtype != F32)
        dtype: Any = F64 if wide else F32
        arrays = variants.converted(np.empty((0, len(gradient[0])), dtype), parameters)
        if not 0 < total.weight < math.inf:
            raise ValueError(
                f"the total weight of the sums is {total.weight:g}, by which nothing can be "
                "divided: pass sums of at least one sample of positive weight"
            )
        sums = [np.zeros(1) if g is None else np.atleast_1d(g) for g in gradient]
        with np.errstate(all="ignore"):
            in_float64 = tuple(p.astype(F64) for p in arrays)
            loss, means = averaged((total.loss, total.weight, *sums), reg, in_float64)
            means = tuple(mean.astype(dtype) for mean in means)
        if not validate.all_finite((loss, *means)):
            raise FloatingPointError(
                f"the average is too large for {dtype}: pass the parameters as float64, or scale "
                "the features that were summed"
            )
        return loss, self.Gradient(*variants.values(means, parameters))

    def own(self, part: Any) -> Sums:
        """The argument if it is sums of this problem; otherwise raise an error."""
        if isinstance(part, Sums) and isinstance(part.gradient, self.Gradient):
            return part
        raise TypeError(
            f"parts holds {describe(part)}, which is not the sums of {self.name}: "
            f"pass what {self.name}.sums gave"
        )

    def scored(self, X: Any, parameters: tuple[Any, ...], finish: Any = None) -> Any:
        """The scores of samples, passed through `finish` if that is given."""
        with np.errstate(all="ignore"):
            z = self.scores_at_once(X, parameters)
            dtype = X.dtype if z is not None else None
            if z is None:
                z, dtype = self.of(None, parameters).scores_in_range(X, parameters, finish is None)
            z = z if finish is None else finish(z)
            return z.astype(dtype, copy=False) if z.dtype.kind == "f" else z

    def scores_at_once(self, X: Any, parameters: tuple[Any, ...]) -> Any:
        """The scores, if nothing needs conversion and all are finite; else None."""
        if type(X) is not np.ndarray or not (X.dtype is F64 or X.dtype is F32) or X.ndim != 2:
            return None
        try:
            arrays, _ = self.variants.ready_parameters(parameters, X.dtype, X.dtype)
        except Exception:  # of what was passed: the other path meets it again
            return None
        if not X.size or not self.variants.fit_together(X, arrays):
            return None
        z = self.scores_of(X, *arrays)
        # A hidden layer can hide an infinity. A sum that only overflows takes the other path, too.
        finite = math.isfinite(z.sum()) and (not self.network or math.isfinite(X.sum()))
        return z if finite else None

    def scores_in_range(self, X: Any, parameters: tuple[Any, ...], to_return: bool) -> Any:
        """The scores, in wider floats where X's dtype cannot hold them, and X's dtype."""
        X = validate.samples(X, empty=True)
        if self.network:
            validate.finite("X", X)
        arrays = self.variants.converted(X, parameters)
        z = self.scores_of_arrays(X, arrays)
        if not validate.all_finite((z,)):
            validate.finite("X", X)
            wide = F64 if X.dtype == F32 else np.dtype(np.longdouble)
            z = self.scores_of_arrays(X.astype(wide), tuple(p.astype(wide) for p in arrays))
            named = {"X": X, **dict(zip(self.variants.shapes, arrays, strict=True))}
            holds = validate.all_finite((z,))
            if not holds or (to_return and not validate.all_finite((z.astype(X.dtype),))):
                raise validate.too_large(X.dtype, named, holds and X.dtype == F32)
        return z, X.dtype

    def followed(
        self, batch: Any, arrays: Any, settings: Any, goal: Goal, rate: float = 0.0, out: Any = None
    ) -> Any:
        """Loss, and what `goal` says, for a descent, without validation; may write into `out`."""
        options = settings.reg, rate, settings.variant, settings.threads
        loss, _, found = self.variants.run(batch, arrays, options, (True, goal), out)
        return loss, found

    def named(self, arrays: Any, fit_bias: bool) -> Any:
        """Arrays as the public named tuple of parameters."""
        absent = not (fit_bias or self.network)
        return self.Parameters(*self.variants.values(arrays, (None,) if absent else arrays))

    def refuse_start(self, batch: Any, arrays: Any, settings: Any) -> None:
        """Raise an error if the loss or the gradient at these parameters overflows."""
        X, _, s, _ = batch
        options = settings.reg, 0.0, settings.variant, settings.threads
        with np.errstate(all="ignore"):
            weights = validate.weights(s if len(s) else None, X)
            self.variants.computed((batch, weights), arrays, options, (True, Goal.GRADIENT))

    def scores_of_arrays(self, X: Any, arrays: Any) -> Any:
        return self.scores_of(X, *self.variants.scalars(arrays))

    def descending(
        self, data: Any, parameters: Any, start: Any, settings: descent.Settings, network: Any
    ) -> Any:
        """The result of `descend`; `network` holds hidden, std and validation of two layers."""
        with np.errstate(all="ignore"):
            parameters = descent.continued(start, self.Parameters._fields, parameters)
            variant = validate.variant(settings.variant, self.variants.sums)
            settings = dataclasses.replace(
                settings, rng=descent.seed_from(settings.rng), variant=variant
            )
            if not self.network:
                descent.refuse_bias(parameters[1], settings.fit_bias)
            hidden, std, validation = network
            over_blocks = isinstance(data[0], Blocks)
            if over_blocks:
                self.refuse_over_blocks(settings, validation)
            problem, (batch, _), arrays = self.prepared(
                data, parameters, (None, hidden, std, settings.rng), ", or weights to start from"
            )
            model = problem.model_over(data) if over_blocks else problem.model
            measure = None if validation is None else self.accuracies(batch, validation, arrays)
            losses = np.empty(0) if start is None else start.losses
        found = descent.run(model, batch, arrays, settings, losses, measure)
        before = [getattr(start, name, []) for name in self.measured]
        measures = np.array([*zip(*before, strict=True), *found.measures]).reshape(-1, 2).T
        history = found.losses, found.n_iter, found.converged
        fit = self.Fit(*found.parameters, *history, *(measures if self.network else ()))
        fit.message, fit.gradient_norm = found.message, found.gradient_norm
        return fit

    def prepared(self, data: Any, given: Any, sizes: Any, or_else: str) -> Any:
        """The problem, see `of`, the validated batch and weights, and parameters to start from.

        `sizes` has classes, hidden, std and seed for parameters that are not `given`; `or_else`
        completes the advice on labels that do not say how many classes there are.
        """
        if isinstance(data[0], Blocks):
            return self.surveyed(data, given, sizes, or_else)
        problem, X = self.of(data[1], given), validate.samples(data[0])
        variants, axes = problem.variants, problem.variants.shapes
        y, weights = variants.target.array(data[1], X), validate.weights(data[2], X)
        counted = y if weights is None or weights.rows is None else y[weights.rows]
        started = descent.initial(tuple(axes.values()), given, X.shape, counted, sizes, or_else)
        arrays = variants.converted(X, started)
        batch, weights = variants.batch((X, *data[1:]), arrays)
        new = sizes[0] is None and all(p is None for p in given)
        if variants.target.remedy is not None and new:
            descent.refuse_single_class(y[batch[3]] if len(batch[3]) else y, or_else)
        return problem, (batch, weights), arrays

    def optimised(self, data: Any, options: Any, fit_bias: bool, sizes: Any) -> Any:
        """The result of `objective`; `sizes` has classes, hidden, std and rng."""
        (reg, variant, threads), (*numbers, rng) = options, sizes
        variant = validate.variant(variant, self.variants.sums)
        options = validate.not_negative("reg", reg), 0.0, variant, validate.threads(threads)
        sizes, given = (*numbers, descent.seed_from(rng)), (None,) * len(self.variants.shapes)
        or_else = ", or classes= with their number" if self.variants.dimensions[-1] else ""
        with np.errstate(all="ignore"):
            problem, checked, start = self.prepared(data, given, sizes, or_else)
            validate.finite("X", checked[0][0], checked[0][3] if len(checked[0][3]) else None)
        if isinstance(data[0], Blocks):
            settings = descent.Settings(reg=options[0], variant=variant, threads=options[3])
            answer, product = (
                functools.partial(over, data, settings)
                for over in (problem.followed_over, problem.multiplied_over)
            )
            return ObjectiveOverBlocks(problem, start, fit_bias, answer, product)
        return Objective(problem, start, fit_bias, checked, options)

    def accuracies(self, batch: Any, validation: Any, arrays: Any) -> Callable[..., Any]:
        """A function of the parameters that returns the accuracy on both data sets."""
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            what = describe(validation)
            raise TypeError(f"validation is {what}: pass a tuple of X and y")
        X = validate.samples(validation[0], name="validation X")
        validate.finite("validation X", X)
        if X.shape[1] != batch[0].shape[1]:
            raise ValueError(
                f"validation X has {X.shape[1]} columns and X has {batch[0].shape[1]}: "
                "pass samples of the same features"
            )
        y = self.variants.target.checked(validation[1], X, len(arrays[-1]), name="validation y")
        rows = batch[3] if len(batch[3]) else slice(None)
        known, y = validate.label_of_each(batch[1])[rows], validate.label_of_each(y)
        sets = (batch[0][rows], known), (X, y)

        def accuracy(X: Any, y: Any, parameters: Any) -> float:
            try:
                return float((self.public["predict"](X, *parameters) == y).mean())
            except FloatingPointError:  # the descent diverges, which is reported elsewhere
                return math.nan

        return lambda *parameters: [accuracy(X, y, parameters) for X, y in sets]

    # ---- the definitions ----

    def define_functions(self) -> None:
        """Make the public functions, as attributes and in `public`."""
        Gradient, array = self.Gradient, NDArray[Any]
        gradient = functools.partial(tuple.__new__, Gradient)
        answers = {  # whether the loss is wanted, what else, and the answer made of both
            "loss_and_gradient": (True, Goal.GRADIENT, lambda loss, _, out: (loss, gradient(out))),
            "loss": (True, Goal.NOTHING, lambda loss, _, out: loss),
            "gradient": (False, Goal.GRADIENT, lambda _, __, out: gradient(out)),
            "update": (False, Goal.STEP, lambda _, __, out: out),
            "sums": (True, Goal.SUMS, lambda loss, weight, out: Sums(loss, weight, gradient(out))),
        }
        calls = {name: self.answering(*answer) for name, answer in answers.items()}
        calls |= {"average": self.averaging, "scores": self.scored, "descend": self.descending}
        calls["objective"] = self.optimised
        if self.second_derivative is not None:
            calls["hessian_vector_product"] = self.multiplied
        predicted, probable = self.predictions_of, self.probabilities_of
        calls["predict"] = lambda X, p: self.scored(X, p, predicted)
        if probable:
            calls["probabilities"] = lambda X, p: self.scored(X, p, probable)
        both = tuple[float, Gradient]  # type: ignore[valid-type]
        returns = {"loss_and_gradient": both, "loss": float, "gradient": Gradient, "average": both}
        returns |= {"update": tuple[Any, ...], "sums": Sums, "descend": self.Fit}
        returns |= {"objective": Objective, "hessian_vector_product": Gradient}
        shapes, docs = self.variants.shapes, docstrings(self)
        for name, call in calls.items():
            kind = returns.get(name, array)
            function = public_function(name, self, kind, call)
            function.__doc__ = docs[name]
            self.public[name] = function
        sums = self.variants.sums
        raw = {"loop": sums["loop"], "numpy": sums["numpy"]}
        raw["tiled"] = serial_call(**self.variants.kernel.functions)
        for variant, call in raw.items():
            self.public |= raw_functions(self.module, shapes, variant, Gradient, call)
        for name, function in self.public.items():
            setattr(self, name, function)
