"""exp, log, sigmoid and log(1 + exp): at most 2 ulp from mpmath, over their whole range."""

import mpmath
import numba
import numpy as np
import pytest

from kernels.engine import vmath
from tests.helpers.cases import DTYPES

EXACT = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "log1p_exp": lambda x: mpmath.log1p(mpmath.exp(x)),
}
INF, NAN = np.inf, np.nan
SPECIAL = {
    "exp": {0.0: 1, INF: INF, -INF: 0, -1000.0: 0, 1000.0: INF, NAN: NAN},
    "log": {1.0: 0, 0.0: -INF, INF: INF, -1.0: NAN, -INF: NAN, NAN: NAN},
    "sigmoid": {0.0: 0.5, INF: 1, -INF: 0, NAN: NAN},
    "log1p_exp": {INF: INF, -INF: 0, -1000.0: 0, NAN: NAN},
}


def over(name):
    function = getattr(vmath, name)

    @numba.njit(error_model="numpy")
    def loop(x):
        y = np.empty_like(x)
        for i in range(x.size):
            y[i] = function(x[i])
        return y

    return loop


LOOPS = {name: over(name) for name in EXACT}


def arguments(name, dtype):
    """Random numbers over the whole range, dense where the functions are curved, and the edges."""
    rng, info = np.random.default_rng(1), np.finfo(dtype)
    low, high = (-745.0, 709.7) if dtype == "float64" else (-103.9, 88.7)
    if name == "log":
        powers = 2.0 ** rng.uniform(info.minexp - info.nmant + 1, info.maxexp, 3000)
        x = np.concatenate(
            [
                powers,
                1 + rng.normal(size=1500) * 1e-2,
                rng.uniform(0.5, 2, 1500),
                [info.tiny, info.max],
            ]
        )
        return x.astype(dtype)[x.astype(dtype) > 0]
    edges = [low, high, 0.5, -0.5, *(np.log(2) * np.arange(-20, 20) / 2)]
    tiny = rng.normal(size=500) * 10.0 ** rng.uniform(-30, -5, 500)
    return np.concatenate(
        [rng.uniform(low, high, 3000), rng.normal(size=3000), tiny, edges]
    ).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_units_in_the_last_place(name, dtype, capsys):
    x = arguments(name, dtype)
    got, info = LOOPS[name](x), np.finfo(dtype)
    errors = []
    with mpmath.workprec(200):
        for argument, value in zip(x, got, strict=True):
            exact = EXACT[name](mpmath.mpf(float(argument)))
            # a unit in the last place of the exact result; below the smallest normal number, its
            exponent = max(
                int(mpmath.floor(mpmath.log(abs(exact), 2))) if exact else info.minexp, info.minexp
            )
            errors.append(
                float(
                    abs(mpmath.mpf(float(value)) - exact) / mpmath.ldexp(1, exponent - info.nmant)
                )
            )
    with capsys.disabled():
        largest, median = max(errors), np.median(errors)
        print(f"\n{name:>10} {dtype}: largest {largest:.2f} ulp, median {median:.2f}", end=" ")
    assert got.dtype == dtype
    assert max(errors) <= 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name, dtype):
    x = np.array(list(SPECIAL[name]), dtype)
    np.testing.assert_array_equal(LOOPS[name](x), np.array(list(SPECIAL[name].values()), dtype))
