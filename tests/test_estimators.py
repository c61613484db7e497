"""The estimators: scikit-learn's own checks of the interface, and its coefficients."""

import math
import pickle
import warnings

import numpy as np
import pytest
import sklearn.exceptions
import sklearn.linear_model
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import kernels
from kernels.estimators import ConvergenceWarning, LogisticRegression, Ridge
from tests.helpers.advice import advised
from tests.helpers.interpreter import run_python

SEED = 0
ESTIMATORS = [LogisticRegression(), LogisticRegression(tol=1e-8), Ridge()]
ESTIMATORS.append(LogisticRegression(solver="newton-cg"))


@pytest.mark.filterwarnings("ignore")  # of fits that are stopped early
@parametrize_with_checks(ESTIMATORS)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


# ---- coefficients ----


def standardised(loaded):
    X, y = loaded
    X = X[:, X.std(axis=0) > 0]
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def synthetic(N, D, K, condition=1.0):
    """Classes that overlap, of features whose covariance has this condition number."""
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(N, D)) @ np.linalg.qr(rng.normal(size=(D, D)))[0]
    X *= np.geomspace(1, 1 / math.sqrt(condition), D)
    z = X @ rng.normal(size=(D, K)) + rng.gumbel(size=(N, K))
    return X, np.array([chr(97 + k) for k in range(K)])[z.argmax(axis=1)]


def weights(N):
    return np.random.default_rng(SEED).integers(0, 4, N)


SETS = {
    "two classes": (synthetic(300, 5, 2), {}),
    "breast cancer": (standardised(load_breast_cancer(return_X_y=True)), {}),
    "iris": (load_iris(return_X_y=True), {}),
    "wine": (standardised(load_wine(return_X_y=True)), {}),
    "digits": (standardised(load_digits(return_X_y=True)), {"C": 0.01}),
    "26 letters": (synthetic(2000, 16, 26), {"C": 0.1}),
    "weights": (synthetic(300, 5, 4), {"weights": True}),
    "balanced": (synthetic(300, 5, 4), {"class_weight": "balanced", "weights": True}),
    "classes by label": (synthetic(300, 5, 2), {"class_weight": {"a": 3.0, "b": 0.5}}),
    "no intercept": (synthetic(300, 5, 3), {"fit_intercept": False}),
    "ill-conditioned": (synthetic(500, 8, 3, 1e6), {}),
    "almost no penalty": (synthetic(500, 4, 2), {"C": math.inf}),
}


@pytest.mark.filterwarnings("ignore::kernels.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
@pytest.mark.parametrize("name", SETS)
def test_coefficients_are_those_of_scikit_learn(name, solver):
    (X, y), options = SETS[name]
    options, s = dict(options), None
    if options.pop("weights", False):
        s = weights(len(y))
    # Coefficients err by at most |gradient| / λ: the Hessian of iris has a λ of 2.6e-4.
    tol = 1e-9 if solver == "lbfgs" else 1e-11
    ours = LogisticRegression(**options, tol=tol, max_iter=10_000, solver=solver).fit(X, y, s)
    theirs = sklearn.linear_model.LogisticRegression(
        **options, tol=1e-12, max_iter=1000, solver="newton-cholesky"
    ).fit(X, y, s)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-6)
    b, other = ours.intercept_, theirs.intercept_
    # Of several classes a number added to all biases changes nothing.
    shift = np.mean(b - other) * (len(b) > 1)
    np.testing.assert_allclose(b - shift, other, rtol=0, atol=1e-6)
    assert ours.classes_.tolist() == theirs.classes_.tolist()
    assert (ours.predict(X) == theirs.predict(X)).all()
    for method in ("predict_proba", "predict_log_proba", "decision_function"):
        one, two = getattr(ours, method)(X), getattr(theirs, method)(X)
        one = one - shift * (method == "decision_function")
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-4)
    assert ours.score(X, y) == theirs.score(X, y)
    # Rounding of a loss near 1 hides gradients below the root of its spacing.
    assert ours.gradient_norm_ <= math.sqrt(np.finfo(float).eps)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 100.0])
def test_ridge_is_that_of_scikit_learn(alpha, bias, weighted):
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(200, 6)) * [1, 2, 3, 0.5, 1, 1] + 1
    y = 1000 * (X @ rng.normal(size=6) + rng.normal(size=200) + 3)
    s = weights(200) if weighted else None
    ours = Ridge(alpha, fit_intercept=bias, tol=1e-8).fit(X, y, s)
    theirs = sklearn.linear_model.Ridge(alpha, fit_intercept=bias).fit(X, y, s)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-3)
    assert ours.score(X, y, s) == pytest.approx(theirs.score(X, y, s), rel=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_ridge_of_several_targets(bias):
    """coef_ is (K, D), and (D,) of one target that is a column."""
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(200, 6)) + 1
    y, s = X @ rng.normal(size=(6, 3)) + rng.normal(size=(200, 3)) + 3, weights(200)
    for targets in (y, y[:, :1]):
        ours = Ridge(2.0, fit_intercept=bias, tol=1e-9).fit(X, targets, s)
        theirs = sklearn.linear_model.Ridge(2.0, fit_intercept=bias).fit(X, targets, s)
        for name in ("coef_", "intercept_"):
            mine, other = np.ravel(getattr(ours, name)), np.ravel(getattr(theirs, name))
            np.testing.assert_allclose(mine, other, atol=1e-6)
        # Older versions of scikit-learn keep the column.
        assert ours.coef_.shape == ((3, 6) if targets.shape[1] == 3 else (6,))
        found, expected = ours.predict(X), theirs.predict(X)
        np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-5)
        assert ours.score(X, targets, s) == pytest.approx(theirs.score(X, targets, s), rel=1e-6)


@pytest.mark.parametrize("estimator", [LogisticRegression(), Ridge()])
def test_float32_is_kept(estimator):
    X, y = standardised(load_breast_cancer(return_X_y=True))
    single, double = (clone(estimator).fit(X.astype(t), y) for t in (np.float32, np.float64))
    assert single.coef_.dtype == np.float32
    assert double.coef_.dtype == np.float64
    np.testing.assert_allclose(single.coef_, double.coef_, rtol=0, atol=5e-2)
    assert single.predict(X.astype(np.float32)).dtype in (np.float32, y.dtype)
    if hasattr(single, "predict_proba"):
        assert single.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_probabilities_keep_their_digits():
    """Of a class that is all but certain, too."""
    fitted = LogisticRegression(C=1e6).fit([[-1.0], [-0.1], [0.1], [1.0]], [0, 1, 0, 1])
    X = [[-2000.0], [-50.0], [50.0], [2000.0]]
    p, log_p = fitted.predict_proba(X), fitted.predict_log_proba(X)
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-12, atol=1e-300)
    z = fitted.decision_function(X)
    np.testing.assert_allclose(log_p[:, 1], -np.logaddexp(0, -z), rtol=1e-14, atol=1e-16)


# ---- in scikit-learn's company ----


@pytest.mark.parametrize("estimator", [LogisticRegression(C=0.5), Ridge(2.0)])
def test_clone_and_pickle_to_another_process(estimator, tmp_path):
    X, y = load_iris(return_X_y=True)
    assert clone(estimator).get_params() == estimator.get_params()
    fitted = estimator.fit(X, y)
    (tmp_path / "fitted").write_bytes(pickle.dumps((fitted, X, fitted.predict(X))))
    program = "import pickle; e, X, p = pickle.load(open('fitted', 'rb')); "
    program += "print((e.predict(X) == p).all())"
    assert run_python("-c", program, cwd=tmp_path).stdout.strip() == "True"


def test_a_grid_search_in_two_processes():
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    pipeline.set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.01, 1.0]}, n_jobs=2, cv=3)
    search.fit(X, names)
    assert search.best_params_ == {"logisticregression__C": 1.0}
    assert search.best_score_ > 0.9
    last = search.best_estimator_[-1]
    assert last.feature_names_in_.tolist() == X.columns.tolist()
    assert last.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names"):
        last.predict(X.rename(columns={X.columns[0]: "other"}))


def test_warm_start():
    X, y = synthetic(300, 5, 3)
    once = LogisticRegression(tol=1e-6).fit(X, y)
    warm = LogisticRegression(tol=1e-6, warm_start=True).fit(X, y)
    assert warm.n_iter_ == once.n_iter_ > 5
    assert warm.fit(X, y).n_iter_ == 0
    np.testing.assert_array_equal(warm.coef_, once.coef_)
    assert warm.fit(X[:, :3], y).coef_.shape == (3, 3)  # from zeros: another shape
    two = np.where(y == "a", "a", "b")
    assert warm.fit(X, two).coef_.shape == (1, 5)
    assert warm.fit(X, two).n_iter_ == 0
    assert once.fit(X, y).n_iter_ > 5


def test_threads_do_not_change_a_bit():
    X, y = synthetic(20_000, 20, 3)
    one, two = (LogisticRegression(threads=n).fit(X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.coef_, two.coef_)


def test_the_package_does_not_import_it():
    program = "import sys, kernels; print(*({'sklearn', 'scipy.optimize'} & {*sys.modules}))"
    assert run_python("-c", program).stdout.strip() == ""


# ---- warnings and errors ----


def test_it_says_why_it_did_not_converge():
    X, y = synthetic(300, 5, 2)
    with pytest.warns(
        ConvergenceWarning,
        match="not converged after 3 iterations: .* above 1e-06; raise max_iter$",
    ):
        fitted = LogisticRegression(tol=1e-6, max_iter=3).fit(X, y)
    assert fitted.gradient_norm_ > 1e-6
    scaled = X * [1, 1, 1e4, 1, 1]
    with pytest.warns(ConvergenceWarning, match=r"scales differ .*column 2: ") as seen:
        LogisticRegression(max_iter=10).fit(scaled, y)
    assert seen[0].filename == __file__
    ((name, advice),) = advised(str(seen[0].message), {"X": scaled, "np": np})
    assert name == "X"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression(max_iter=20).fit(advice, y)
    with pytest.warns(ConvergenceWarning, match="classify every sample correctly.*smaller C"):
        LogisticRegression(C=1e9, tol=1e-12, max_iter=20).fit(X, X[:, 0] > 0)
    with pytest.warns(ConvergenceWarning, match="scales differ"):
        Ridge(max_iter=2).fit(scaled, X[:, 0])
    with pytest.warns(ConvergenceWarning, match="nearly follow from others.*a larger alpha"):
        Ridge(1e-9, max_iter=2).fit(np.c_[X, X[:, 0] + 1e-4 * X[:, 1] ** 2], X[:, 0] ** 3)
    with pytest.warns(
        ConvergenceWarning, match="rounding in float32 .*np.float64.* as X, or pass a larger tol"
    ):
        LogisticRegression(tol=1e-12, max_iter=1000).fit(X.astype(np.float32), y)


@pytest.mark.parametrize(
    "base", [kernels.ConvergenceWarning, sklearn.exceptions.ConvergenceWarning]
)
def test_filters_of_either_library_have_the_warning(base):
    assert issubclass(ConvergenceWarning, base)


def test_errors():
    X, y = load_iris(return_X_y=True)
    for options, error, sentence in (
        ({"C": 0.0}, ValueError, "C is 0"),
        ({"C": -1.0}, ValueError, "C is -1"),
        ({"tol": -1.0}, ValueError, "tol is -1"),
        ({"max_iter": 0}, ValueError, "max_iter is 0"),
        ({"solver": "sag"}, ValueError, "solver 'sag' is not known: pass solver='lbfgs'"),
        ({"threads": 0}, ValueError, "threads is 0"),
        ({"class_weight": "even"}, ValueError, "class_weight"),
    ):
        with pytest.raises(error, match=sentence):
            LogisticRegression(**options).fit(X, y)
    with pytest.raises(ValueError, match="y contains only one class"):
        LogisticRegression().fit(X, np.zeros(150))
    with pytest.raises(ValueError, match=r"sample_weight\[0\] is -1"):
        LogisticRegression().fit(X, y, -np.ones(150))
    with pytest.raises(ValueError, match="alpha is -1"):
        Ridge(-1.0).fit(X, y)
    with pytest.raises(FloatingPointError, match="the loss overflows where the fit starts"):
        Ridge().fit(X, 1e200 * y)
    with pytest.raises(TypeError, match="dense"):
        LogisticRegression().fit(csr_matrix(X), y)
