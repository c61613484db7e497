"""Descent: every step is the oracle's, on any path; it stops where it says; it can be continued."""

import copy
import itertools
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import oracle
import pytest
from cases import DTYPES, PROBLEMS, VARIANTS, random_batch
from sklearn.linear_model import LogisticRegression

from kernels import ConvergenceWarning, linear, logistic, softmax, two_layer

SMALL, LARGE = (40, 3, 4, 5), (40_003, 3, 4, 5)  # the loop compiled; shared by threads
fixed = {"tol": 0, "learning_rate": 0.2, "reg": 0.01}


def data(problem, shape=SMALL, dtype=np.float64, seed=0):
    return random_batch(problem, np.random.default_rng(seed), shape, dtype)


def start_of(problem, batch):
    return dict(zip(PROBLEMS[problem].Parameters._fields, batch[2:], strict=True))


def descend(problem, batch, **settings):
    return PROBLEMS[problem].descend(
        *batch[:2], **(settings if "start" in settings else start_of(problem, batch) | settings)
    )


def parameters_of(fit):
    return [p for p in fit[: -5 if len(fit) > 5 else -3] if p is not None]


def bits(fit):
    return [np.asarray(part).tobytes() for part in fit if part is not None]


@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_every_step_is_the_oracle_s(problem, variant, dtype, weighted):
    """θ - η g: g errs by at most its bound, product and difference by eps/2 of their size."""
    batch, eps = data(problem, dtype=dtype), np.finfo(dtype).eps
    s = np.random.default_rng(1).uniform(0.1, 3, SMALL[0]).astype(dtype) if weighted else None
    settings = {**fixed, "learning_rate_decay": 0.9, "sample_weight": s, "variant": variant}
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
def test_continued_it_is_one_longer_descent(problem, batch_size, dtype):
    """Bit for bit, in the middle of an epoch too."""
    batch = data(problem, dtype=dtype)
    settings = {**fixed, "batch_size": batch_size, "learning_rate_decay": 0.99, "rng": 3}
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
    """Whatever the number of threads, and whether anybody watches or not."""
    batch = data(problem, shape)
    settings = {
        **fixed,
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
def test_layouts_and_inputs_left_alone(layout):
    for problem in PROBLEMS:
        batch = data(problem)
        X = layout(batch[0])
        copies = [np.array(part) for part in (X, *batch[1:])]
        fit = descend(problem, (X, *batch[1:]), **fixed, max_iter=9)
        for got, want in zip(
            parameters_of(fit),
            parameters_of(descend(problem, batch, **fixed, max_iter=9)),
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


def test_not_converged_is_a_warning_with_the_last_step():
    X, y, *_ = data("linear")
    with pytest.warns(
        ConvergenceWarning,
        match=r"not converged after 3 iterations: the last step had length ([\d.]+)",
    ) as seen:
        fit = linear.descend(X, y, learning_rate=0.1, max_iter=3)
    assert not fit.converged
    before = linear.descend(X, y, learning_rate=0.1, max_iter=2, tol=0)  # no tolerance, no warning
    step = np.linalg.norm(np.append(fit.w - before.w, fit.b - before.b))
    assert f"length {step:.3g}," in str(seen[0].message)
    assert seen[0].filename == __file__


@pytest.mark.parametrize("variant", ["tiled", "numpy"])
@pytest.mark.parametrize("batch_size", [None, 8])
def test_a_callback_stops_it_where_it_looks(batch_size, variant):
    for problem in PROBLEMS:
        batch, seen = data(problem), []
        settings = {**fixed, "batch_size": batch_size, "variant": variant}

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


# ---- batches ----


def test_an_epoch_uses_every_sample_once_in_a_new_order():
    """X is an identity matrix: a sample's weight moves when it is used and not otherwise."""
    N, used = 10, []
    X, y = np.eye(N), np.ones(N)

    def callback(iteration, loss, params):
        used.append(params.w)
        return iteration == 4

    linear.descend(X, y, learning_rate=0.1, batch_size=3, fit_bias=False, callback=callback)
    assert [(w != 0).sum() for w in used] == [0, 3, 6, 9, 10]
    np.testing.assert_allclose(
        np.sort(used[-1]),
        [0.1 / 3] * 9 + [0.1],
        rtol=1e-15,
        err_msg="the last batch is the one left over",
    )
    first = [
        linear.descend(
            X,
            np.arange(N),
            learning_rate=0.1,
            batch_size=1,
            fit_bias=False,
            max_iter=20,
            tol=0,
            rng=r,
        ).losses
        for r in range(5)
    ]
    for losses in first:
        assert sorted(losses[:10].tolist()) == (np.arange(N) ** 2 / 2).tolist()
        assert losses[:10].argsort().tolist() != losses[10:].argsort().tolist()
    assert len({losses.tobytes() for losses in first}) == 5


def test_a_batch_is_the_gradient_of_its_samples_and_decay_is_by_epoch():
    """Four steps by hand: X is one-hot, so the losses tell what one epoch used."""
    X, y = np.eye(4), np.array([1.0, 2.0, 3.0, 4.0])
    settings = {"batch_size": 1, "learning_rate_decay": 0.5, "fit_bias": False, "tol": 0}
    fit = linear.descend(X, y, learning_rate=0.5, **settings, max_iter=8)
    np.testing.assert_allclose(
        fit.w, y * (1 - 0.5 * 0.75), rtol=1e-15
    )  # a half of the way, then a quarter of the rest
    whole = linear.descend(X, y, learning_rate=0.5, **settings | {"batch_size": 4}, max_iter=2)
    np.testing.assert_allclose(whole.w, y * (1 - (1 - 0.5 / 4) * (1 - 0.25 / 4)), rtol=1e-15)


def test_samples_of_no_weight_are_left_out():
    X, y, *_ = data("logistic", (30, 3, 1, 1))
    s = np.random.default_rng(0).integers(0, 3, 30).astype(float)
    assert (s == 0).sum() > 3
    settings = {"learning_rate": 0.2, "batch_size": 4, "max_iter": 60, "tol": 0}
    with_zeros = logistic.descend(X, y, sample_weight=s, **settings)
    without = logistic.descend(X[s > 0], y[s > 0], sample_weight=s[s > 0], **settings)
    assert bits(with_zeros) == bits(without)


def test_batches_converge_by_every_step_of_an_epoch():
    """Data that a plane fits: no batch pulls elsewhere, and the steps become short for good."""
    X = np.random.default_rng(0).normal(size=(50, 3))
    y = X @ [1.0, -2.0, 3.0] + 1
    fit = linear.descend(X, y, learning_rate=0.1, batch_size=10, tol=1e-6)
    assert fit.converged
    assert fit.n_iter % 5 == 0
    assert np.abs(np.append(fit.w, fit.b) - [1, -2, 3, 1]).max() < 1e-4
    # One batch without error is no reason to stop: three of four samples are fitted already.
    X, y = np.eye(4), np.array([0.0, 0.0, 0.0, 5.0])
    fit = linear.descend(X, y, learning_rate=0.5, batch_size=1, fit_bias=False, tol=1e-9)
    assert fit.w[3] == pytest.approx(5)
    with pytest.warns(ConvergenceWarning, match="the longest step of an epoch had length"):
        linear.descend(X, y, learning_rate=0.5, batch_size=1, fit_bias=False, max_iter=9)


# ---- the rest ----


def test_starts():
    X, y = data("softmax")[:2]
    zero = softmax.descend(X, y, **fixed, max_iter=1)
    assert zero.losses[0] == pytest.approx(np.log(4), rel=1e-14)
    assert bits(zero) == bits(
        softmax.descend(X, y, W=np.zeros((3, 4)), b=np.zeros(4), **fixed, max_iter=1)
    )
    assert softmax.descend(X, y, W=np.zeros((3, 6)), **fixed, max_iter=1).b.shape == (6,)
    assert softmax.descend(X, y, fit_bias=False, **fixed, max_iter=1).b is None
    settings = {**fixed, "max_iter": 1, "hidden": 7}
    net = two_layer.descend(X, y, **settings, rng=1)
    assert net.W1.shape == (3, 7)
    assert net.W2.shape == (7, 4)
    same = two_layer.descend(X, y, **settings, rng=1)
    other = two_layer.descend(X, y, **settings, rng=2)
    assert bits(net) == bits(same) != bits(other)
    wide = []
    two_layer.descend(
        X,
        y,
        **settings | {"hidden": 500},
        std=3.0,
        callback=lambda i, loss, p: wide.append(p) or True,
    )
    for W in (wide[0].W1, wide[0].W2):  # of 1500 numbers and more: within 5 standard errors
        assert np.std(W) == pytest.approx(3, rel=0.1)
        assert abs(np.mean(W)) < 0.4
    assert not wide[0].b1.any()
    for given in ({"W1": np.ones((3, 5))}, {"W2": np.ones((5, 6))}):  # the sizes of the rest follow
        made = two_layer.descend(X, y, **fixed, max_iter=1, **given)
        assert made.b1.shape == (5,) == made.W1.shape[1:] == made.W2.shape[:1]
        assert made.b2.shape == made.W2.shape[1:] == (6 if "W2" in given else 4,)
    held = two_layer.descend(X, y, **fixed, max_iter=9, fit_bias=False)
    assert not held.b1.any()
    assert not held.b2.any()
    assert held.W1.any()


def test_accuracies_after_each_epoch():
    X, y, *_ = data("two_layer", (60, 3, 4, 5))
    validation, settings = (X[40:], y[40:]), {**fixed, "hidden": 8, "std": 0.5, "batch_size": 10}
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
        two_layer.descend(X, y, **fixed, hidden=8, validation=(X[:2], [0, 4]), max_iter=1)


def test_progress_is_shown_when_asked_for(capsys, monkeypatch):
    X, y, *_ = data("linear")
    linear.descend(X, y, **fixed, max_iter=1500)
    assert capsys.readouterr().err == ""
    fit = linear.descend(X, y, **fixed, max_iter=1500, progress=True)
    shown = capsys.readouterr().err
    assert "1500/1500" in shown
    assert f"loss={fit.losses[-1]:.3g}"[:9] in shown
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"progress=True needs tqdm: pip install"):
        linear.descend(X, y, **fixed, progress=True)


def test_results_can_be_pickled():
    for problem in PROBLEMS:
        fit = descend(problem, data(problem), **fixed, max_iter=3)
        for again in (pickle.loads(pickle.dumps(fit)), copy.copy(fit), copy.deepcopy(fit)):
            assert type(again) is PROBLEMS[problem].Fit
            assert bits(again) == bits(fit)
            assert again.message == fit.message != ""


HISTORY = "losses", "n_iter", "converged"
FIELDS = {
    "softmax": ("W", "b", *HISTORY),
    "logistic": ("w", "b", *HISTORY),
    "linear": ("w", "b", *HISTORY),
    "two_layer": ("W1", "b1", "W2", "b2", *HISTORY, "train_accuracy", "validation_accuracy"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_fields_of_a_result(problem):
    """It unpacks into what it always did; the message is no field."""
    fit = descend(problem, data(problem), **fixed, max_iter=3)
    assert isinstance(fit, tuple)
    assert fit._fields == FIELDS[problem]
    assert list(fit._asdict()) == list(FIELDS[problem])
    assert len(fit) == len(FIELDS[problem])
    for part, name in zip(fit, FIELDS[problem], strict=True):
        assert part is getattr(fit, name)
    assert "message" not in repr(fit)
    assert (len(fit.losses), fit.n_iter, fit.converged) == (3, 3, False)


@pytest.mark.parametrize("variant", ["tiled", "numpy"])
@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_message_says_why_it_ended(problem, batch_size, variant):
    batch, step = data(problem), r"length \d[\d.e+-]*"
    settings = {"learning_rate": 0.1, "reg": 0.3, "batch_size": batch_size, "variant": variant}
    which = "last step" if batch_size is None else "longest step of an epoch"
    for tolerance, limit in (({"tol": 1.0}, "tol=1"), ({"tol": 0, "rtol": 2.0}, "rtol=2 ·")):
        fit = descend(problem, batch, **settings, **tolerance)
        assert fit.converged
        says = rf"converged after {fit.n_iter} iterations: the {which} had {step}, at most {limit}"
        assert re.match(says, fit.message), fit.message
    with pytest.warns(ConvergenceWarning) as warned:
        fit = descend(problem, batch, **settings, tol=1e-12, max_iter=11)
    assert not fit.converged
    says = f"not converged after 11 iterations: the {which} had {step}, above the tolerance"
    assert re.match(f"max_iter reached: {says}", fit.message), fit.message
    assert str(warned[0].message).startswith(fit.message.removeprefix("max_iter reached: "))
    fit = descend(problem, batch, **settings, tol=0, max_iter=11)  # no tolerance, no warning
    assert fit.message.startswith("max_iter reached: ")
    fit = descend(problem, batch, **settings, tol=0, callback=lambda i, loss, params: i == 6)
    assert fit.message == "stopped by the callback at iteration 6"
    rest = {"start": fit, **settings, "tol": 0}
    assert descend(problem, batch, **rest, max_iter=4).message.startswith("max_iter reached: ")
    stopped = descend(problem, batch, **rest, callback=lambda *seen: True)
    assert stopped.message == "stopped by the callback at iteration 6"


REFUSED = {
    "learning_rate_0": (
        {"learning_rate": 0},
        ValueError,
        "learning_rate is 0, with which nothing moves",
    ),
    "learning_rate_nan": ({"learning_rate": float("nan")}, ValueError, "learning_rate is nan"),
    "learning_rate_string": (
        {"learning_rate": "0.1"},
        TypeError,
        "learning_rate must be one real number",
    ),
    "decay_0": (
        {"learning_rate_decay": 0.0},
        ValueError,
        "learning_rate_decay is 0.0: after each epoch",
    ),
    "decay_grows": ({"learning_rate_decay": 1.1}, ValueError, "learning_rate_decay is 1.1"),
    "reg": ({"reg": -1}, ValueError, "reg is -1"),
    "tol": ({"tol": -1e-3}, ValueError, "tol is -0.001"),
    "rtol": ({"rtol": float("inf")}, ValueError, "rtol is inf"),
    "max_iter_0": ({"max_iter": 0}, ValueError, "max_iter is 0: pass at least 1"),
    "max_iter_float": (
        {"max_iter": 1e4},
        TypeError,
        "max_iter must be a whole number and is 10000.0",
    ),
    "batch_size_0": (
        {"batch_size": 0},
        ValueError,
        "batch_size is 0: pass at least 1 and at most 40",
    ),
    "batch_size_large": (
        {"batch_size": 41},
        ValueError,
        "batch_size is 41: .* at most 40, the number of samples",
    ),
    "batch_size_bool": ({"batch_size": True}, TypeError, "batch_size must be a whole number"),
    "rng_none": ({"rng": None}, TypeError, "rng is None: pass a whole number"),
    "rng_negative": ({"rng": -1}, TypeError, "rng is -1"),
    "callback": ({"callback": 3}, TypeError, "callback is 3: pass a function"),
    "variant": ({"variant": "fast"}, ValueError, "variant 'fast' is not known"),
    "threads": ({"threads": 0}, ValueError, "threads is 0"),
    "X_nan": ({"X": np.full((40, 3), np.nan)}, ValueError, "X holds nan at row 0, column 0"),
    "y_short": ({"y": [1]}, ValueError, "y has 1 values and X has 40 rows"),
    "sample_weight": ({"sample_weight": -np.ones(40)}, ValueError, r"sample_weight\[0\] is -1.0"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_refusals(problem, case):
    wrong, error, sentence = REFUSED[case]
    X, y, *_ = data(problem)
    with pytest.raises(error, match=sentence):
        PROBLEMS[problem].descend(**{"X": X, "y": y, "learning_rate": 0.1} | wrong)


def test_refusals_of_starts():
    X, y, W, b = data("softmax")
    fit = softmax.descend(X, y, **fixed, max_iter=1)
    for settings, error, sentence in (
        ({"start": fit, "W": W}, ValueError, "start and W or b were both given"),
        ({"start": W}, TypeError, "start must be what descend returned, with W, b"),
        ({"W": W[:2]}, ValueError, "W must have shape"),
        ({"b": b, "W": W, "fit_bias": False}, ValueError, "fit_bias is False"),
        ({"W": W[:, :2]}, ValueError, "there are 2 classes"),
    ):
        with pytest.raises(error, match=sentence):
            softmax.descend(X, y, learning_rate=0.1, **settings)
    with pytest.raises(ValueError, match=r"y\[0\] is -1"):
        softmax.descend(X, np.where(y > 1, 1, -1), W=None, learning_rate=0.1) if y[
            0
        ] <= 1 else softmax.descend(X, np.where(y > 1, -1, 1), learning_rate=0.1)
    with pytest.raises(
        ValueError, match="the highest label in y is 1000000000, with 40 samples: renumber"
    ):
        softmax.descend(X, np.where(y > 1, 10**9, 0), learning_rate=0.1)
    for settings in (
        {"hidden": 0},
        {"std": -1},
        {"validation": (X[:, :2], y)},
        {"validation": (X, y + 9)},
    ):
        with pytest.raises(ValueError, match=r"hidden is 0|std is -1|W1 must have|labels must be"):
            two_layer.descend(X, y, learning_rate=0.1, max_iter=1, tol=0, **settings)
    X[0] = 1e300
    with pytest.raises(FloatingPointError, match="too large for float64"):
        linear.descend(X, y, w=[1e300, 0, 0], learning_rate=0.1)


PROGRAM = """
import numba, numpy as np, warnings
from cases import PROBLEMS, random_batch
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
        path = os.pathsep.join([os.path.dirname(__file__), os.getcwd()])
        environment = {**os.environ, "PYTHONPATH": path, **more}
        program = PROGRAM if more else PROGRAM.replace("assert", "assert not")
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return [np.array(line.split(), float) for line in done.stdout.splitlines()], done.stderr

    (interpreted, error), (compiled, _) = run(NUMBA_DISABLE_JIT="1"), run()
    assert len(interpreted) == len(compiled) == 8, error
    for a, b in zip(interpreted, compiled, strict=True):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=5 * 16 * 10 * np.finfo(float).eps
        )  # 5 steps of sums of at most 16 terms
