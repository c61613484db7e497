"""Arguments at any scale: an answer within the oracle's bound, or a refusal that blames the cause.

The scale of each argument is drawn between the smallest and the largest number of its dtype.
"""

import os
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.helpers import oracle
from tests.helpers.cases import DTYPES, PROBLEMS

Long = np.longdouble
FUNCTIONS = "loss_and_gradient", "loss", "gradient", "update", "sums"
pytestmark = pytest.mark.skipif(
    np.finfo(Long).maxexp <= np.finfo(float).maxexp, reason="long double is no wider here"
)


def scaled(rng: Any, values: Any, dtype: Any) -> Any:
    """Values at one scale, or each at its own, or as they are."""
    values, kind = np.asarray(values, dtype), rng.integers(5)
    if kind < 2:
        return values
    info = np.finfo(dtype)
    lowest, highest = np.log2(float(info.smallest_subnormal)), np.log2(float(info.max)) - 2
    exponents = rng.uniform(lowest, highest, values.shape if kind == 4 else ())
    mantissas = values.astype(float) / max(1.0, np.abs(values).max(initial=0.0))
    return np.asarray(np.ldexp(mantissas, exponents.astype(int)), dtype)


def draw(rng: Any) -> Any:
    """A problem, a variant, and arguments for it."""
    problem = rng.choice(list(PROBLEMS))
    variant = rng.choice(list(PROBLEMS[problem].VARIANTS))
    dtype, N = np.dtype(rng.choice(DTYPES)), int(rng.choice([1, 2, 3, 7, 40]))
    D, H, K = (int(n) for n in rng.integers(1, 4, 3))
    K = K + 1 if problem in ("softmax", "two_layer") else K
    shapes: Any = {
        "softmax": {"W": (D, K), "b": (K,)},
        "two_layer": {"W1": (D, H), "b1": (H,), "W2": (H, K), "b2": (K,)},
    }.get(problem, {"w": (D,), "b": ()})
    arguments: Any = {"X": scaled(rng, rng.normal(size=(N, D)), dtype)}
    if problem == "linear":
        arguments["y"] = scaled(rng, rng.normal(size=N), rng.choice(DTYPES))
    else:
        arguments["y"] = rng.choice([-1, 1], N) if problem == "logistic" else rng.integers(0, K, N)
    for name, shape in shapes.items():
        values = scaled(rng, rng.normal(size=shape), rng.choice(DTYPES))
        arguments[name] = values if shape else float(values)
    if rng.integers(2):
        arguments["sample_weight"] = scaled(rng, rng.uniform(0.1, 2, N), rng.choice(DTYPES))
        if not arguments["sample_weight"].any():
            del arguments["sample_weight"]
    arguments["reg"] = float(abs(scaled(rng, rng.normal(), "f8"))) if rng.integers(2) else 0.0
    return problem, str(variant), list(shapes), arguments


def wrong_answer(
    problem: str, variant: str, names: Any, arguments: Any, function: str, rate: float
):
    """What is wrong with the answer, or with the refusal, of one call; and which it is."""
    call = dict(arguments)
    if function == "sums":
        del call["reg"]
    if function == "update":
        call["learning_rate"] = rate
    dtype, kept = arguments["X"].dtype, {}
    with np.errstate(all="ignore"):
        for name in ("y", *names):
            kept[name] = np.asarray(call[name])
            if kept[name].dtype.kind == "f":
                kept[name] = kept[name].astype(dtype)
    too_large = [name for name, array in kept.items() if not np.isfinite(array).all()]
    try:
        with np.errstate(all="raise"):
            answer = getattr(PROBLEMS[problem], function)(**call, variant=variant)
    except ValueError as error:
        named = re.match(r"(\w+) holds .* too large for float32, the dtype of X", str(error))
        return None if named and named[1] in too_large else f"{error!r}", "refused"
    except FloatingPointError as error:
        said, exact = str(error), expected(problem, names, call, kept, function)
        answerable = all(map(fits, exact, limits(dtype, function)))
        if not too_large and answerable and every_loss_fits(problem, names, call, kept):
            return f"refused: {said}", "refused"
        return blamed(said, call, kept, function), "refused"
    if too_large:
        return f"answered with {too_large} beyond the dtype", "answered"
    for got, part in zip(
        flat(answer, function), expected(problem, names, call, kept, function), strict=True
    ):
        error = np.abs(np.asarray(got, Long) - part.value)
        if not (error <= part.bound).all():
            return f"{got} and not {part.value} ± {part.bound}", "answered"
    return None, "answered"


def flat(answer: Any, function: str) -> Any:
    if function == "loss":
        return [answer]
    if function == "loss_and_gradient":
        return [answer[0], *answer[1]]
    return [answer.loss, answer.weight, *answer.gradient] if function == "sums" else answer


def expected(problem: str, names: Any, call: Any, kept: Any, function: str) -> Any:
    """What the oracle says of each part of the answer."""
    settings = {name: call[name] for name in ("reg", "sample_weight") if name in call}
    parameters = [kept[name] for name in names]
    loss, gradient = oracle.loss_and_gradient(
        problem, call["X"], kept["y"], *parameters, **settings
    )
    if function == "sums":
        s = call.get("sample_weight", np.ones(len(call["X"])))
        weight = np.asarray(s, Long).sum()
        least = Long(5e-324)
        parts = [
            oracle.Bounded(p.value * weight, p.bound * weight + least) for p in (loss, *gradient)
        ]
        bound = 100 * np.finfo(call["X"].dtype).eps * weight + least
        return [parts[0], oracle.Bounded(weight, bound), *parts[1:]]
    if function == "update":
        rate, eps = Long(call["learning_rate"]), np.finfo(call["X"].dtype).eps
        steps = []
        for p, g in zip(parameters, gradient, strict=True):
            value, least = (
                p.astype(Long) - rate * g.value,
                np.finfo(call["X"].dtype).smallest_subnormal,
            )
            size = np.abs(p.astype(Long)) + rate * np.abs(g.value)
            # the rate is rounded to the dtype, which may be to a multiple of its smallest number
            error = rate * g.bound + least * (1 + np.abs(g.value)) + 4 * eps * size
            steps.append(oracle.Bounded(value, error))
        return steps
    return {"loss": [loss], "gradient": gradient}.get(function, [loss, *gradient])


def every_loss_fits(problem: str, names: Any, call: Any, kept: Any) -> bool:
    """Whether float64, in which losses are added, holds that of each sample."""
    parameters, X, y = [kept[name] for name in names], call["X"], kept["y"]
    losses = (
        oracle.loss_and_gradient(problem, X[n : n + 1], y[n : n + 1], *parameters)[0].value
        for n in range(len(X))
    )
    return max(losses) < np.finfo(float).max


def limits(dtype: Any, function: str) -> list[Any]:
    """The largest number that each part of the answer can be."""
    wide = np.finfo(float).max
    of_loss = {"loss": [wide], "loss_and_gradient": [wide], "sums": [wide] * 6}.get(function, [])
    return [*of_loss, *[np.finfo(dtype).max] * 4]


def fits(part: Any, largest: Any) -> bool:
    """Whether a part of the answer is within its limit, whatever the rounding."""
    return bool((np.abs(part.value) + part.bound < largest).all())


def blamed(said: str, call: Any, kept: Any, function: str) -> str | None:
    """Whether the argument that is named is the largest."""
    if said.startswith("the sum of sample_weight is too large"):
        return None if function == "sums" else said
    named = re.search(r"largest \|(\w+)\| is", said)
    sizes = {name: float(np.abs(a).max()) for name, a in {**call, **kept}.items()}
    if named is None or sizes[named[1]] < 1e3:
        return f"blames what is small: {said}"
    return None


def search(rng: Any, draws: int) -> tuple[list[str], Counter[str]]:
    wrong, counts = [], Counter[str]()
    for _ in range(draws):
        problem, variant, names, arguments = draw(rng)
        function = str(rng.choice(FUNCTIONS))
        rate = float(abs(scaled(rng, rng.normal(), "f8")))
        what, kind = wrong_answer(problem, variant, names, arguments, function, rate)
        counts[kind] += 1
        if what:
            wrong.append(f"{problem}.{function}, {variant}, {arguments}, {rate}: {what}")
    return wrong, counts


@pytest.mark.parametrize("seed", range(4))
def test_arguments_of_any_scale(seed):
    wrong, counts = search(np.random.default_rng(seed), 500)
    assert not wrong, "\n".join(wrong[:3])
    assert min(counts["answered"], counts["refused"]) > 50, counts


@pytest.mark.slow
def test_a_hundred_thousand_draws(capsys):
    """SEED=5 in the environment draws others."""
    wrong, counts = search(np.random.default_rng(int(os.environ.get("SEED", "100000"))), 100_000)
    with capsys.disabled():
        print(f"\n{counts['answered']} answered, {counts['refused']} refused, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:3])
