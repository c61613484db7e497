"""Conversions in compiled code: NumPy's numbers, no warning, and a count of what is lost."""

import warnings

import numpy as np
import pytest

from kernels.engine.casts import converted
from tests.helpers.marks import compiled

pytestmark = compiled
SPECIAL = [0.0, -0.0, 1.5, -3.0, np.nan, np.inf, -np.inf, 1e300, 1e-300, 2.0**53, 2.0**60, 1e19]


@pytest.mark.parametrize(("source", "dtype"), [("f4", "f8"), ("f8", "f4")])
@pytest.mark.parametrize("shape", [(12,), (3, 4), (0,), ()])
def test_to_the_other_float(source, dtype, shape):
    with np.errstate(over="ignore"):
        numbers = np.array(SPECIAL, source)
        want = numbers.astype(dtype)
    size = int(np.prod(shape))
    numbers, want = numbers[:size].reshape(shape), want[:size].reshape(shape)
    numbers.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got, lost = converted(numbers, np.dtype(dtype))
    assert got.dtype == dtype
    assert got.shape == shape
    assert got.tobytes() == want.tobytes()
    assert lost == np.count_nonzero((want == 0) & (numbers != 0))


@pytest.mark.parametrize("source", ["f4", "f8"])
def test_to_whole_numbers(source):
    with np.errstate(over="ignore"):
        numbers = np.array(SPECIAL, source)
    got, lost = converted(numbers, np.dtype(np.int64))
    kept = [0, 1, 3, 9]
    assert got.dtype == np.int64
    assert got[kept].tolist() == [0, 0, -3, 2**53]
    whole = [x in (0, -3, 2.0**53) for x in numbers.tolist()]
    assert lost == len(numbers) - sum(whole)
