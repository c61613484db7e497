"""Estimators with scikit-learn's interface: logistic and ridge regression, fitted by SciPy.

They need the extra `estimators`; ``import kernels`` does not import them.
"""

import functools
import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning as SklearnConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import ThreadpoolController

from . import descent, linear, logistic, softmax, validate
from .arrays import Array
from .objective import Objective

DTYPES = [np.float64, np.float32]
# SciPy's Newton-CG takes a curvature p·Hp below 7e-16 for none, whatever the units of the loss.
NEWTON_SCALE = 2.0**20
SEPARATED = (
    "the coefficients classify every sample correctly, and only the penalty keeps larger ones from "
    "a lower loss: pass a smaller C"
)


@functools.cache
def blas() -> Any:
    """The BLAS libraries of NumPy and SciPy, which takes long to find."""
    return ThreadpoolController()


class ConvergenceWarning(descent.ConvergenceWarning, SklearnConvergenceWarning):
    """A fit has not converged, and why; a filter for kernels' or scikit-learn's warning has it."""


class Fitted(BaseEstimator):
    """What both estimators share: the minimisation, its warning, and the check of new samples."""

    coef_: Array
    intercept_: Any
    n_iter_: Array
    gradient_norm_: float

    def minimised(self, f: Objective[Any], start: Array, gtol: float, solver: str = "lbfgs") -> Any:
        """The parameters that the solver finds; sets `n_iter_` and `gradient_norm_`."""
        max_iter = validate.whole_number("max_iter", self.max_iter, 1)
        if not math.isfinite(f(start)[0]):
            raise FloatingPointError(
                "the loss overflows where the fit starts: scale the features and the targets"
            )
        # Neither a small gain nor a short step ends a fit: they say little about the gradient.
        options: dict[str, Any] = {"maxiter": max_iter, "maxfun": 50 * max_iter, "maxls": 50}
        options |= {"gtol": gtol, "ftol": 0}
        # The solvers' own matrices are tiny: with threads, BLAS takes longer than the gradient.
        with blas().limit(limits=1, user_api="blas"):
            if solver == "newton-cg":
                found = newton_cg(f, start, gtol, max_iter)
            else:
                found = minimize(f, start, jac=True, method="L-BFGS-B", options=options)
        self.n_iter_ = np.array([found.nit])
        self.gradient_norm_ = float(np.abs(f(found.x)[1]).max())
        return f.unpack(found.x)

    def warn_unless_converged(self, gtol: float, reasons: Callable[[], list[str]]) -> None:
        """Warn if the gradient is larger than `gtol`, with what in the data may be the reason."""
        if self.gradient_norm_ <= gtol:
            return
        (n_iter,), dtype = self.n_iter_, self.coef_.dtype
        why = "; ".join(filter(None, reasons())) or "raise max_iter"
        if n_iter < self.max_iter:
            wider = "pass np.asarray(X, dtype=np.float64) as X, or " if dtype == np.float32 else ""
            why = (
                f"rounding in {dtype} keeps it from becoming smaller: {wider}pass a larger tol; "
                + why.removesuffix("raise max_iter").removesuffix("; ")
            )
        warnings.warn(
            f"not converged after {n_iter} iterations: the largest component of the gradient is "
            f"{self.gradient_norm_:.3g}, above {gtol:.3g}; {why}",
            ConvergenceWarning,
            stacklevel=3,  # whoever called fit
        )

    def samples(self, X: ArrayLike) -> Array:
        """New samples, with as many features as those of the fit."""
        check_is_fitted(self)
        data: Array = validate_data(self, X, dtype=DTYPES, reset=False)
        return data


def newton_cg(f: Objective[Any], start: Array, gtol: float, max_iter: int) -> Any:
    """The result of SciPy's Newton-CG, stopped where no component of the gradient exceeds gtol."""

    def stop_if_converged(flat: Array) -> None:
        if np.abs(f(flat)[1]).max() <= gtol:
            raise StopIteration

    return minimize(
        lambda flat: tuple(NEWTON_SCALE * part for part in f(flat)),
        start,
        jac=True,
        hessp=lambda flat, p: NEWTON_SCALE * f.hessp(flat, p),
        method="Newton-CG",
        callback=stop_if_converged,
        options={"maxiter": max_iter, "xtol": sys.float_info.min},
    )


class LogisticRegression(ClassifierMixin, Fitted):
    """Logistic regression of two or more classes, with an L2 penalty.

    ::

        minimise  C Σ s_n ℓ_n + ½ ‖coef‖²

    as `sklearn.linear_model.LogisticRegression` does, in this package's terms the averaged loss of
    `kernels.logistic` or, with more than two classes, `kernels.softmax` at reg = 1 / (C Σ s_n).

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the penalty; infinity for none.
    fit_intercept : bool, default True
        Whether there is a bias, which is not penalised.
    tol : float, default 1e-4
        Converged when no component of the gradient of the averaged loss is larger.
    max_iter : int, default 100
        Maximum number of iterations.
    class_weight : dict or "balanced", optional
        Weights of the classes by label, which multiply the weights of the samples.
    warm_start : bool, default False
        Whether `fit` starts from the coefficients of the fit before, if they are of its shape.
    solver : {"lbfgs", "newton-cg"}
        SciPy's L-BFGS-B, or its Newton-CG with exact Hessian-vector products, which needs fewer
        passes over X where the problem is ill-conditioned.
    threads : int, optional
        At most how many threads a gradient uses; None for what `kernels.set_threads` says.

    Attributes
    ----------
    coef_ : ndarray, shape (1, D) or (K, D)
        Coefficients, in the dtype of X: float32 stays float32.
    intercept_ : ndarray, shape (1,) or (K,)
        Biases; zeros without `fit_intercept`.
    classes_ : ndarray, shape (K,)
        The labels.
    n_iter_ : ndarray, shape (1,)
        The number of iterations.
    gradient_norm_ : float
        The largest component of the gradient at the result.
    n_features_in_, feature_names_in_
        The number of features, and their names if X had names.

    Examples
    --------
    >>> fitted = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], ["a", "b", "a", "b"])
    >>> fitted.predict([[0.0], [3.0]]).tolist(), fitted.coef_.round(3).tolist()
    (['a', 'b'], [[0.453]])
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-4,
        max_iter: int = 100,
        class_weight: Any = None,
        warm_start: bool = False,
        solver: str = "lbfgs",
        threads: int | None = None,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.solver = solver
        self.threads = threads

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "LogisticRegression":
        """Fit to samples X, shape (N, D), with labels y of any kind."""
        if self.solver not in ("lbfgs", "newton-cg"):
            raise ValueError(
                f"solver {self.solver!r} is not known: pass solver='lbfgs' or solver='newton-cg'"
            )
        data, labels = validate_data(self, X, y, dtype=DTYPES)
        check_classification_targets(labels)
        classes, index = np.unique(labels, return_inverse=True)
        K, tol = len(classes), validate.not_negative("tol", self.tol)
        if K < 2:
            raise ValueError(
                f"y contains only one class, {classes[0]!r}, of which nothing can be learned: "
                "pass samples of two classes at least"
            )
        s, total = self.weights(data, labels, sample_weight, classes, index)
        if math.inf != self.C and validate.not_negative("C", self.C) == 0:
            raise ValueError("C is 0, with which no loss counts: pass a float such as C=1.0")
        module: Any = logistic if K == 2 else softmax
        index, more = (2 * index - 1, {}) if K == 2 else (index, {"classes": K})
        reg = 1 / (self.C * total)
        weighted = {"sample_weight": s, "reg": reg, "threads": self.threads}
        f = module.objective(data, index, fit_bias=self.fit_intercept, **weighted, **more)
        W, b = self.minimised(f, self.start(f, classes), tol, self.solver)
        self.classes_, self.coef_ = classes, np.atleast_2d(W.T).astype(data.dtype)
        self.intercept_ = np.zeros(len(self.coef_), data.dtype)
        if b is not None:
            self.intercept_[:] = b

        def reasons() -> list[str]:
            rows = f.data[0][3] if s is not None and not s.all() else slice(None)
            separated = descent.separated(module.scores(data[rows], W, b), index[rows])
            known = self.fit_intercept, module.PROBLEM.model.curvature, reg
            return [
                SEPARATED * separated,
                descent.features_advice(f.data[0], *known, "a smaller C"),
            ]

        self.warn_unless_converged(tol, reasons)
        return self

    def start(self, f: Any, classes: Array) -> Array:
        """Where the fit starts: with `warm_start` the result before, if it is of the same shape."""
        if self.warm_start and np.array_equal(getattr(self, "classes_", []), classes):
            W, b = self.coef_.T, self.intercept_
            W, b = (W[:, 0], float(b[0])) if len(classes) == 2 else (W, b)
            if np.shape(W) == f.unpack(f.start())[0].shape:
                return f.pack(W, b if self.fit_intercept else None)
        return f.start()

    def weights(
        self, data: Array, y: Array, sample_weight: Any, classes: Array, index: Array
    ) -> tuple[Array | None, float]:
        """The weights of the samples times those of their classes, or None; and their sum."""
        given = validate.weights(sample_weight, data)
        if given is None and self.class_weight is None:
            return None, float(len(data))
        s = np.ones(len(data)) if given is None else given.given.astype(np.float64)
        if self.class_weight is not None:
            factors = compute_class_weight(self.class_weight, classes=classes, y=y, sample_weight=s)
            s = s * factors[index]
        return s, float(s.sum())

    def decision_function(self, X: ArrayLike) -> Array:
        """The scores, shape (N, K); of two classes those of the second, shape (N,)."""
        data = self.samples(X)
        if len(self.classes_) == 2:
            return logistic.scores(data, self.coef_[0], float(self.intercept_[0]))
        return softmax.scores(data, self.coef_.T, self.intercept_)

    def predict(self, X: ArrayLike) -> Array:
        """The most probable label of each sample, shape (N,)."""
        z = self.decision_function(X)
        labels: Array = self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]
        return labels

    def predict_proba(self, X: ArrayLike) -> Array:
        """The probabilities of the classes, shape (N, K), in the order of `classes_`."""
        return softmax.softmax(self.all_scores(X))

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """The logarithms of the probabilities, finite where a probability is 0 to rounding."""
        z = self.all_scores(X)
        z -= z.max(axis=1, keepdims=True)
        z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
        return z

    def all_scores(self, X: ArrayLike) -> Array:
        """The scores of all classes; of two, 0 is that of the first."""
        z = self.decision_function(X)
        return np.stack([np.zeros_like(z), z], axis=1) if z.ndim == 1 else z


class Ridge(MultiOutputMixin, RegressorMixin, Fitted):
    """Linear regression with an L2 penalty, of one target or several.

    ::

        minimise  Σ s_n (y_n - x_n·coef - intercept)² + alpha ‖coef‖²

    as `sklearn.linear_model.Ridge` does, in this package's terms the averaged loss of
    `kernels.linear` at reg = alpha / Σ s_n.

    Parameters
    ----------
    alpha : float, default 1.0
        Strength of the penalty.
    fit_intercept : bool, default True
        Whether there is a bias, which is not penalised.
    tol : float, optional
        Converged when no component of the gradient is larger than `tol` times the largest at
        coefficients of zero, so that the units of y do not matter. None for 1e-6, or 1e-4 where X
        is float32, whose rounding allows no less.
    max_iter : int, default 1000
        Maximum number of iterations.
    threads : int, optional
        At most how many threads a gradient uses; None for what `kernels.set_threads` says.

    Attributes
    ----------
    coef_ : ndarray, shape (D,) or (K, D)
        Coefficients, in the dtype of X: float32 stays float32.
    intercept_ : float or ndarray, shape (K,)
        The bias; 0 without `fit_intercept`.
    n_iter_ : ndarray, shape (1,)
        The number of iterations.
    gradient_norm_ : float
        The largest component of the gradient of the averaged loss at the result.
    n_features_in_, feature_names_in_
        The number of features, and their names if X had names.

    Examples
    --------
    >>> fitted = Ridge(alpha=0.0).fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> fitted.coef_.round(3).tolist(), round(fitted.intercept_, 3)
    ([2.0], 1.0)
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        tol: float | None = None,
        max_iter: int = 1000,
        threads: int | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.threads = threads

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> "Ridge":
        """Fit to samples X, shape (N, D), with targets y, shape (N,) or (N, K)."""
        data, targets = validate_data(self, X, y, dtype=DTYPES, y_numeric=True, multi_output=True)
        targets = targets.ravel() if targets.shape[1:] == (1,) else targets
        given = validate.weights(sample_weight, data)
        total = len(data) if given is None else float(given.given.sum(dtype=np.float64))
        reg = validate.not_negative("alpha", self.alpha) / total
        s, tol = None if given is None else given.given, self.tol
        if tol is None:
            tol = 1e-4 if data.dtype == np.float32 else 1e-6
        f: Any = linear.objective(
            data,
            targets,
            fit_bias=self.fit_intercept,
            reg=reg,
            sample_weight=s,
            threads=self.threads,
        )
        gtol = validate.not_negative("tol", tol) * float(np.abs(f(f.start())[1]).max())
        w, b = self.minimised(f, f.start(), gtol)
        self.coef_, self.intercept_ = w.T.astype(data.dtype), 0.0 if b is None else b

        def reasons() -> list[str]:
            return [
                descent.features_advice(f.data[0], self.fit_intercept, 1.0, reg, "a larger alpha")
            ]

        self.warn_unless_converged(gtol, reasons)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """The targets of samples, shape (N,) or (N, K)."""
        X = self.samples(X)
        b = np.broadcast_to(self.intercept_, self.coef_.shape[:-1])
        return linear.predict(X, self.coef_.T, b)
