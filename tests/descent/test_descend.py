"""`descend`: each step is within the oracle's bounds, the bits are reproducible, and it stops and
continues as documented.
"""

import itertools
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from kernels import linear, logistic, softmax, two_layer
from tests.helpers import oracle
from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS, random_batch
from tests.helpers.comparison import bits
from tests.helpers.descents import FIXED, LARGE, SMALL, data, descend
from tests.helpers.interpreter import run_program


def parameters_of(fit):
    return [p for p in fit[: -5 if len(fit) > 5 else -3] if p is not None]


@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_every_step_is_within_the_oracles_bounds(problem, variant, dtype, weighted):
    """θ - η g: g errs by at most its bound, product and difference by eps/2 of their size."""
    batch, eps = data(problem, dtype=dtype), np.finfo(dtype).eps
    s = np.random.default_rng(1).uniform(0.1, 3, SMALL[0]).astype(dtype) if weighted else None
    settings = {**FIXED, "learning_rate_decay": 0.9, "sample_weight": s, "variant": variant}
    path = []
    descend(
        problem,
        batch,
        **settings,
        max_iter=7,
        callback=lambda i, loss, params: path.append((i, loss, params)),
    )
    assert [i for i, _, _ in path] == list(range(7))
    for (i, loss, old), (_, _, new) in itertools.pairwise(path):
        expected_loss, gradient = oracle.loss_and_gradient(
            problem, *batch[:2], *old, reg=0.01, sample_weight=s
        )
        assert abs(loss - expected_loss.value) <= expected_loss.bound
        for before, after, g in zip(old, new, gradient, strict=True):
            rate = 0.2 * 0.9**i
            want = before - rate * g.value
            error = rate * g.bound + 2 * eps * (np.abs(rate * g.value) + np.abs(want))
            assert (np.abs(after - want) <= error).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_continued_descent_is_one_longer_descent(problem, batch_size, dtype):
    """Bit for bit, in the middle of an epoch too."""
    batch = data(problem, dtype=dtype)
    settings = {**FIXED, "batch_size": batch_size, "learning_rate_decay": 0.99, "rng": 3}
    whole = descend(problem, batch, **settings, max_iter=50)
    part = descend(problem, batch, **settings, max_iter=23)
    rest = descend(problem, batch, **settings, max_iter=27, start=part)
    assert rest.n_iter == 50 == len(rest.losses)
    assert bits(rest) == bits(whole)
    assert bits(part) == bits(descend(problem, batch, **settings, max_iter=23)), (
        "the start is left as it is"
    )


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("batch_size", [None, 0.4])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_same_seed_same_bits(problem, batch_size, shape):
    """For any number of threads, with and without a callback."""
    batch = data(problem, shape)
    settings = {
        **FIXED,
        "batch_size": batch_size and int(batch_size * shape[0]),
        "max_iter": 12,
        "rng": 5,
    }
    one = descend(problem, batch, **settings, threads=1)
    for threads in (2, 3, 8, None):
        assert bits(descend(problem, batch, **settings, threads=threads)) == bits(one)
    assert bits(descend(problem, batch, **settings, callback=lambda *seen: False)) == bits(one)
    if batch_size:
        generator = [np.random.default_rng(7) for _ in range(2)]
        settings.pop("rng")
        fits = [descend(problem, batch, **settings, rng=g) for g in generator]
        assert bits(fits[0]) == bits(fits[1]) != bits(one)


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda X: np.repeat(X, 2, axis=1)[:, ::2], lambda X: X[::-1][::-1]],
)
def test_layouts_of_X_and_unmodified_inputs(layout):
    for problem in PROBLEMS:
        batch = data(problem)
        X = layout(batch[0])
        copies = [np.array(part) for part in (X, *batch[1:])]
        fit = descend(problem, (X, *batch[1:]), **FIXED, max_iter=9)
        for got, want in zip(
            parameters_of(fit),
            parameters_of(descend(problem, batch, **FIXED, max_iter=9)),
            strict=True,
        ):
            # another order of the D + N terms of each sum, at each of 9 steps
            np.testing.assert_allclose(got, want, rtol=0, atol=9 * 43 * np.finfo(float).eps * 10)
        assert all(
            np.array_equal(part, copy) for part, copy in zip((X, *batch[1:]), copies, strict=True)
        )


# ---- where it ends ----


def test_linear_ends_at_the_normal_equations():
    """A short step is a short gradient, |g| ≤ tol / η: θ is within |g| / smallest eigenvalue."""
    X, y, *_ = data("linear", (60, 4, 1, 1))
    s = np.random.default_rng(1).uniform(0, 2, 60)
    for fit_bias, reg in ((True, 0.0), (False, 0.0), (True, 0.3)):
        A = np.column_stack([X, np.ones(60)]) if fit_bias else X
        H = A.T @ (A * s[:, None]) / s.sum() + reg * np.diag([1.0] * 4 + [0.0] * fit_bias)
        want = np.linalg.solve(H, A.T @ (s * y) / s.sum())
        fit = linear.descend(
            X, y, learning_rate=0.3, reg=reg, sample_weight=s, fit_bias=fit_bias, tol=1e-10
        )
        assert fit.converged
        assert (fit.b is None) == (not fit_bias)
        got = np.append(fit.w, fit.b) if fit_bias else fit.w
        assert np.linalg.norm(got - want) <= 1e-10 / 0.3 / np.linalg.eigvalsh(H)[0] + 1e-13


@pytest.mark.parametrize("reg", [0.05, 10.0])
def test_classifiers_end_where_scikit_learn_does(reg):
    """Without a bias the loss is reg-convex: each end is within |gradient| / reg of the minimum."""
    X, y, *_ = data("softmax", (80, 3, 3, 1))
    for labels in (y, y > 0):
        peer = LogisticRegression(
            C=1 / (reg * len(X)), fit_intercept=False, tol=1e-10, max_iter=10_000
        ).fit(X, labels)
        settings = {"learning_rate": 0.1, "reg": reg, "fit_bias": False, "tol": 1e-10}
        if labels is y:
            fit = softmax.descend(X, y, **settings)
            got, theirs = fit.W, peer.coef_.T
            norm = np.linalg.norm(softmax.gradient(X, y, theirs, reg=reg).W)
        else:
            fit = logistic.descend(X, 2 * labels - 1, **settings)
            got, theirs = fit.w, peer.coef_[0]
            norm = np.linalg.norm(logistic.gradient(X, 2 * labels - 1, theirs, reg=reg).w)
        assert fit.converged
        assert norm < 1e-6
        assert np.linalg.norm(got - theirs) <= (1e-10 / 0.1 + norm) / reg + 1e-13


@pytest.mark.parametrize("variant", ["tiled", "numpy"])
@pytest.mark.parametrize(("tol", "rtol"), [(1e-3, 0), (0, 1e-3), (1e-4, 2e-3), (1e-2, 1e-9)])
def test_it_stops_at_the_first_short_step(tol, rtol, variant):
    for problem in PROBLEMS:
        batch, path = data(problem), []
        settings = {"learning_rate": 0.1, "reg": 0.3, "tol": tol, "rtol": rtol, "variant": variant}
        descend(
            problem,
            batch,
            **settings | {"tol": 0, "rtol": 0},
            max_iter=1500,
            callback=lambda *seen, to=path: to.append(seen),
        )
        path = [np.concatenate([np.ravel(p) for p in params]) for _, _, params in path]
        lengths = np.array([np.linalg.norm(new - old) for old, new in itertools.pairwise(path)])
        limits = np.maximum(tol, rtol * np.array([np.linalg.norm(new) for new in path[1:]]))
        fit = descend(problem, batch, **settings, max_iter=1500)
        assert fit.converged
        assert fit.n_iter == np.flatnonzero(lengths <= limits)[0] + 1
        assert len(fit.losses) == fit.n_iter


@pytest.mark.parametrize("variant", ["tiled", "numpy"])
@pytest.mark.parametrize("batch_size", [None, 8])
def test_a_callback_stops_at_the_parameters_that_it_was_shown(batch_size, variant):
    for problem in PROBLEMS:
        batch, seen = data(problem), []
        settings = {**FIXED, "batch_size": batch_size, "variant": variant}

        def callback(iteration, loss, params, seen=seen):
            seen.append((loss, params))
            return iteration == 11

        fit = descend(problem, batch, **settings, callback=callback)
        assert fit.n_iter == len(fit.losses) == 11
        assert not fit.converged
        assert [loss for loss, _ in seen[:-1]] == fit.losses.tolist()
        assert bits(fit[: len(seen[-1][1])]) == bits(seen[-1][1]), (
            "the parameters that it was shown last"
        )
        again = descend(problem, batch, **settings, max_iter=40)
        assert bits(descend(problem, batch, **settings, max_iter=29, start=fit)) == bits(again)
        if batch_size is None:
            assert seen[5][0] == pytest.approx(
                PROBLEMS[problem].loss(*batch[:2], *seen[5][1], reg=0.01), rel=1e-13
            )


# ---- the rest ----


def test_accuracies_after_each_epoch():
    X, y, *_ = data("two_layer", (60, 3, 4, 5))
    validation, settings = (X[40:], y[40:]), {**FIXED, "hidden": 8, "std": 0.5, "batch_size": 10}
    fit = two_layer.descend(X[:40], y[:40], **settings, validation=validation, max_iter=22)
    assert len(fit.train_accuracy) == len(fit.validation_accuracy) == 5
    for epoch in range(5):
        part = two_layer.descend(X[:40], y[:40], **settings, max_iter=4 * (epoch + 1))
        assert len(part.train_accuracy) == 0
        assert fit.train_accuracy[epoch] == np.mean(two_layer.predict(X[:40], *part[:4]) == y[:40])
        assert fit.validation_accuracy[epoch] == np.mean(
            two_layer.predict(X[40:], *part[:4]) == y[40:]
        )
    part = two_layer.descend(X[:40], y[:40], **settings, validation=validation, max_iter=9)
    assert bits(
        two_layer.descend(
            X[:40], y[:40], **settings, validation=validation, max_iter=13, start=part
        )
    ) == bits(fit)


def test_a_label_of_the_validation_set_that_is_no_class():
    X, y, *_ = data("two_layer", (60, 3, 4, 5))
    with pytest.raises(ValueError, match=r"y\[1\] is 4 and there are 4 classes"):
        two_layer.descend(X, y, **FIXED, hidden=8, validation=(X[:2], [0, 4]), max_iter=1)


def test_progress_is_shown_when_asked_for(capsys, monkeypatch):
    X, y, *_ = data("linear")
    linear.descend(X, y, **FIXED, max_iter=1500)
    assert capsys.readouterr().err == ""
    fit = linear.descend(X, y, **FIXED, max_iter=1500, progress=True)
    shown = capsys.readouterr().err
    assert "1500/1500" in shown
    assert f"loss={fit.losses[-1]:.3g}"[:9] in shown
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"progress=True needs tqdm: pip install"):
        linear.descend(X, y, **FIXED, progress=True)


PROGRAM = """
import numba, numpy as np, warnings
from tests.helpers.cases import PROBLEMS, random_batch
assert numba.config.DISABLE_JIT
for problem, module in PROBLEMS.items():
    X, y, *start = random_batch(problem, np.random.default_rng(0), (12, 3, 4, 5))
    names = dict(zip(module.Parameters._fields, start))
    for batch_size in None, 5:
        settings = {"learning_rate": 0.1, "max_iter": 5, "tol": 0, "batch_size": batch_size}
        fit = module.descend(X, y, **names, **settings)
        print(*np.concatenate([np.ravel(p) for p in fit[:2]]))
"""


def test_without_the_compiler():
    def run(**more):
        done = run_program(PROGRAM if more else PROGRAM.replace("assert", "assert not"), **more)
        return [np.array(line.split(), float) for line in done.stdout.splitlines()], done.stderr

    (interpreted, error), (compiled, _) = run(NUMBA_DISABLE_JIT="1"), run()
    assert len(interpreted) == len(compiled) == 8, error
    for a, b in zip(interpreted, compiled, strict=True):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=5 * 16 * 10 * np.finfo(float).eps
        )  # 5 steps of sums of at most 16 terms


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_descent_with_weights_at_any_scale(problem, dtype):
    module, rng = PROBLEMS[problem], np.random.default_rng(5)
    X, y, *_ = random_batch(problem, rng, (30, 3, 4, 5), dtype)
    s = rng.integers(1, 9, 30).astype(float)
    fits = [
        module.descend(X, y, learning_rate=0.01, max_iter=5, tol=0, sample_weight=weights)
        for weights in (s, np.ldexp(s, -300), np.ldexp(s, 900))
    ]
    for fit in fits[1:]:
        assert np.array_equal(fits[0].losses, fit.losses)
