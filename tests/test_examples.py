"""Each script of examples/ runs, draws a picture, and agrees with a second computation."""

import importlib

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from matplotlib.image import imread
from sklearn.linear_model import LinearRegression, LogisticRegression

from kernels import logistic, two_layer
from tests.helpers.interpreter import ROOT, run_python

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(
    path.stem for path in EXAMPLES.glob("*.py") if path.stem not in ("figures", "poisson")
)
SMALL = {"divide_by_n": {"largest": 256}, "lbfgs": {"N": 3000}, "newton": {"N": 3000}}
SMALL["dask_logistic"] = {"N": 20_000, "D": 10, "rows": 3000}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What a script found and its picture; each runs once."""
    found = {}

    def run(name):
        if name not in found:
            out = tmp_path_factory.mktemp(name)
            found[name] = (
                importlib.import_module(name).main(out=out / "new", **SMALL.get(name, {})),
                out / "new" / f"{name}.png",
            )
        return found[name]

    return run


def test_there_are_twelve():
    assert len(SCRIPTS) == 12


SLOW = {"dask_logistic": pytest.mark.slow}  # it starts two clusters


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in SCRIPTS])
def test_a_picture_is_drawn(name, results):
    picture = imread(results(name)[1])
    assert min(picture.shape[:2]) >= 200
    assert picture[..., :3].std() > 0.05, "something is on it"
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])[:, :3]
    assert (edge == 1).all(), "nothing is cut at its edge"


def test_a_script_runs_from_anywhere(tmp_path):
    done = run_python(EXAMPLES / "squared_features.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "learning_rate=0.1 is too large. The largest that is safe on this data is 0.009187"
        in done.stdout
    )
    assert (tmp_path / "squared_features.png").exists()


def notes_loop(X, y, W, b, steps, reg=1e-3):
    """The loop of the course notes, in NumPy."""
    losses = []
    for _ in range(steps):
        p = np.exp(X @ W + b)
        p /= p.sum(axis=1, keepdims=True)
        losses.append(-np.log(p[range(len(y)), y]).mean() + 0.5 * reg * (W * W).sum())
        p[range(len(y)), y] -= 1
        W, b = W - (X.T @ p / len(y) + reg * W), b - p.mean(axis=0)
    return np.array(losses), W, b


def test_softmax_spiral(results):
    from softmax_spiral import spiral

    found, (X, y) = results("softmax_spiral")[0], spiral()
    losses, W, b = notes_loop(
        X, y, 0.01 * np.random.default_rng(0).normal(size=(2, 3)), np.zeros(3), 200
    )
    # The step 1 is below 2 / curvature here, so errors do not grow: 200 of them, each of a sum of
    # 300 terms.
    assert np.linalg.eigvalsh(np.cov(X.T, bias=True) + 1)[-1] < 4
    tolerance = 200 * 300 * np.finfo(float).eps
    np.testing.assert_allclose(found["losses"], losses, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found["W"], W, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found["b"], b, rtol=0, atol=tolerance)
    assert found["losses"][0] == pytest.approx(np.log(3), abs=0.01)
    assert 0.70 < found["losses"][-1] < 0.80
    assert 0.49 <= found["accuracy"] <= 0.57


def test_two_layer_spiral(results):
    from softmax_spiral import spiral

    found, (X, y) = results("two_layer_spiral")[0], spiral()
    assert found["accuracy"] > 0.97
    assert found["losses"][-1] < 0.3

    def loss(parameters):
        W1, b1, W2, b2 = parameters
        z = anp.maximum(0, X @ W1 + b1) @ W2 + b2
        highest = z.max(axis=1, keepdims=True)
        log_p = z - highest - anp.log(anp.exp(z - highest).sum(axis=1, keepdims=True))
        return -log_p[np.arange(300), y].mean() + 0.5e-3 * ((W1 * W1).sum() + (W2 * W2).sum())

    parameters = list(found["parameters"])
    value, gradient = two_layer.loss_and_gradient(X, y, *parameters, reg=1e-3)
    assert value == pytest.approx(loss(parameters), rel=1e-13)
    assert value == pytest.approx(
        found["losses"][-1], rel=1e-2
    )  # one step on; a rate of 1 still swings a little
    for ours, theirs in zip(gradient, autograd.grad(loss)(parameters), strict=True):
        # Sums of 300 terms of at most |x h w| < 30 each.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=300 * 30 * np.finfo(float).eps)


def test_logistic_descent(results):
    from logistic_descent import data

    found, (X, y) = results("logistic_descent")[0], data()
    for reg in (0.0, 10.0):
        w = found[reg]["w"]
        peer = LogisticRegression(
            C=1 / (reg * len(y)) if reg else np.inf, fit_intercept=False, tol=1e-10, max_iter=1000
        )
        theirs = peer.fit(X, y).coef_[0]
        p = 1 / (1 + np.exp(-X @ w))
        smallest = np.linalg.eigvalsh(X.T @ (X * (p * (1 - p))[:, None]) / len(y))[0] + reg
        # The last step was at most 1e-5, so the gradient 1e-4, and the curvature is smallest or
        # more: half of it, further off.
        assert np.linalg.norm(w - theirs) <= 1e-4 / (smallest / 2)
        pairs = (X[y == 1] @ w)[:, None] - (X[y == -1] @ w)[None, :]
        assert found[reg]["auc"] == pytest.approx(
            np.mean(pairs > 0) + np.mean(pairs == 0) / 2, abs=1e-12
        )
        assert 1 < found[reg]["n_iter"] < 10_000
    np.testing.assert_allclose(
        found["wrong"], -0.1 * logistic.gradient(X, y, np.zeros(2)).w, rtol=1e-15
    )


def test_squared_features(results):
    found = results("squared_features")[0]
    A = np.array([[x, x**2, 1] for x in range(1, 6)], float)
    largest = np.linalg.eigvalsh(A.T @ A / 5)[-1]
    assert found["error"].safe_learning_rate == pytest.approx(0.95 * 2 / largest, rel=1e-3)
    for fit in (found["standardised"], found["safe"]):
        assert fit.converged
        assert 2 * fit.losses[-1] < 1e-10
        assert (np.diff(fit.losses[:1000]) < 0).all()
    exact = np.linalg.solve(A.T @ A, A.T @ A[:, 1])
    np.testing.assert_allclose(exact, [0, 1, 0], atol=1e-10)
    np.testing.assert_allclose([*found["w"], found["b"]], exact, atol=1e-6)


def test_airfoil(results):
    from airfoil import data
    from scipy.stats import norm

    found, (X, y) = results("airfoil")[0], data()
    want = LinearRegression().fit(X, y)
    H = X.T @ X / len(y)
    np.testing.assert_allclose(
        found["fit"].w, want.coef_, rtol=0, atol=1e-10 / 0.5 / np.linalg.eigvalsh(H)[0] + 1e-12
    )
    np.testing.assert_allclose(found["climbed"], found["fit"].w, rtol=0, atol=1e-12)
    assert round(found["r_squared"], 4) == 0.5157 == round(want.score(X, y), 4)
    residual = y - want.predict(X)
    assert found["log_likelihood"] == pytest.approx(
        norm.logpdf(residual, scale=residual.std()).sum(), rel=1e-9
    )
    assert found["fit"].losses[0] == pytest.approx(0.5, rel=1e-12)


def test_softmax_naive(results):
    found = results("softmax_naive")[0]
    X, y = found["X"], found["y"]

    def loss(W):
        z = W @ X
        return (anp.log(anp.exp(z).sum(axis=0)) - z[y, np.arange(len(y))]).mean() + 0.5e-3 * (
            W * W
        ).sum()

    assert found["loss"] == pytest.approx(loss(found["W"]), rel=1e-12)
    assert found["loss"] == pytest.approx(np.log(10), abs=0.01)
    # An average of 1797 terms of at most 1, of which the largest is 0.03 or more.
    assert np.abs(found["dW"]).max() > 0.03
    np.testing.assert_allclose(
        found["dW"], autograd.grad(loss)(found["W"]), rtol=0, atol=1797 * np.finfo(float).eps
    )
    assert set(found["worst"]) == {"python", "numpy", "loop", "tiled"}
    assert max(found["worst"].values()) <= 1797 * np.finfo(float).eps / 0.03
    assert found["accuracy"] > 0.95


def test_divide_by_n(results):
    found = results("divide_by_n")[0]
    # Bisection ends within 20.7 / 2²⁰ of the logarithm; just above the bound 2000 steps are too
    # few to tell.
    np.testing.assert_allclose(found["mean"], found["bound"], rtol=5e-3)
    np.testing.assert_allclose(found["sum"] * found["sizes"], found["mean"], rtol=5e-3)


def test_pipeline(results):
    found = results("pipeline")[0]
    ours, theirs = found["ours"], found["theirs"]
    assert ours.best_params_ == theirs.best_params_
    scores = [search.cv_results_["mean_test_score"] for search in (ours, theirs)]
    # Both end at a gradient of 1e-4, not at the same weights: a wine of 178 may change sides.
    np.testing.assert_allclose(*scores, rtol=0, atol=1 / 178)
    assert set(ours.classes_) == {"Barolo", "Grignolino", "Barbera"}
    assert "column 12: " in found["warning"]
    assert "standardise" in found["warning"]


def test_newton(results):
    found = results("newton")[0]
    X, y = found["X"], found["y"]
    A, reg = np.column_stack([X, np.ones(len(y))]), 1e-6 * np.append(np.ones(40), 0)
    for name in ("trust-ncg", "L-BFGS"):
        flat = found[name]
        gradient = A.T @ (-y / (1 + np.exp(y * (A @ flat)))) / len(y) + reg * flat
        assert np.abs(gradient).max() <= 1e-6, name
    newton, lbfgs = found["passes"]
    assert newton < lbfgs


def test_huber(results):
    found = results("huber")[0]
    A = np.column_stack([found["X"], np.ones(len(found["y"]))])
    w, b = found["descent"][:2]
    for flat in (found["newton"], np.append(w, b)):
        slopes = np.clip(A @ flat - found["y"], -1, 1)
        assert np.abs(A.T @ slopes / len(A)).max() <= 1e-8
    np.testing.assert_allclose(found["newton"], np.append(w, b), rtol=0, atol=1e-6)
    assert abs(w[0] - 2) < 0.2


@pytest.mark.slow
def test_dask_logistic(results, tmp_path):
    from dask_logistic import GTOL, REG, write

    one, two = results("dask_logistic")[0].values()
    assert one.tobytes() == two.tobytes()
    write(tmp_path, **SMALL["dask_logistic"])
    X, y = (np.load(tmp_path / f"{name}.npy").astype(float) for name in "Xy")
    A, reg = np.column_stack([X, np.ones(len(y))]), REG * np.append(np.ones(10), 0)
    # It stops at its gradient of float32, whose parameters and scores of at most 20 are rounded.
    gradient = A.T @ (-y / (1 + np.exp(y * (A @ one)))) / len(y) + reg * one
    assert np.abs(gradient).max() <= GTOL + 20 * 2 * np.finfo(np.float32).eps


def test_lbfgs(results):
    for name, case in results("lbfgs")[0].items():
        X, y, a, b = case["X"], case["y"], case["ours"], case["theirs"]
        A = np.column_stack([X, np.ones(len(y))])
        reg = 1e-3 * np.append(np.ones(X.shape[1]), 0)
        p = 1 / (1 + np.exp(-A @ a))
        for parameters in (a, b):
            gradient = A.T @ (-y / (1 + np.exp(y * (A @ parameters)))) / len(y) + reg * parameters
            assert np.abs(gradient).max() <= 1e-6, name
        # Both gradients are at most 1e-6 in each component; half the curvature at one end bounds
        # that between them.
        smallest = np.linalg.eigvalsh(A.T @ (A * (p * (1 - p))[:, None]) / len(y) + np.diag(reg))[0]
        assert np.linalg.norm(a - b) <= 2e-6 * np.sqrt(A.shape[1]) / (smallest / 2)
