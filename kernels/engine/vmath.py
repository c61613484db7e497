"""exp, log, sigmoid and log(1 + exp) that LLVM can vectorise: no calls, and selects for branches.

The error is at most 2 units in the last place over the whole range, infinities, zeros and subnormal
numbers included. exp: x = n ln2 + r, a polynomial in r, and 2ⁿ from its exponent bits. log: the
algorithm of FreeBSD's e_log.c (Sun Microsystems, 1993): x = 2ᵏ m, f = m - 1, s = f / (2 + f), and a
polynomial in s². log(1 + e), e at most 1: the same with s = e / (2 + e), and terms from
mpmath.chebyfit of (log(1 + e) / s - 2) / s² in s² on [0, 1/9]; 2 s is written as e - s e, in which
the rounding of s counts for less.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .jit import device_function


def _reinterpret(results):
    """Return a function that casts the bits of a number to the type that `results` maps it to."""

    @intrinsic
    def reinterpret(typingctx, x):
        to = results[x]

        def generate(context, builder, signature, args):
            return builder.bitcast(args[0], context.get_value_type(to))

        return to(x), generate

    return reinterpret


_bits = _reinterpret({types.float32: types.int32, types.float64: types.int64})
_from_bits = _reinterpret({types.int32: types.float32, types.int64: types.float64})


def _polynomial(terms):
    """Return a function that evaluates terms[0] xⁿ + ... + terms[n] by Horner's rule."""

    @intrinsic
    def evaluate(typingctx, x):
        def generate(context, builder, signature, args):
            (x,) = args
            value = ir.Constant(x.type, float(terms[0]))
            for term in terms[1:]:
                value = builder.fmul(value, x, flags=("contract",))
                value = builder.fadd(value, ir.Constant(x.type, float(term)), flags=("contract",))
            return value

        return x(x), generate

    return evaluate


def _functions(real, integer, mantissa, limits, ln2_parts, exp_terms, log_terms, log1p_terms):
    """Return the functions for one float type, with constants of that type to avoid promotion."""
    inline = device_function(fastmath={"contract"}, forceinline=True)
    bias, shift = integer(2 ** (8 * real(0).itemsize - mantissa - 2) - 1), integer(mantissa)
    round_magic = real(1.5 * 2**mantissa)  # adding and subtracting it rounds to an integer
    magic_bits = integer(round_magic.view(integer))
    lowest, highest = map(real, limits)
    ln2_high, ln2_low = map(real, ln2_parts)
    log2e, one, half, two, zero = real(1 / math.log(2)), real(1), real(0.5), real(2), real(0)
    exp_polynomial = _polynomial(list(map(real, exp_terms)))
    log_polynomial = _polynomial(list(map(real, log_terms)))
    log1p_polynomial = _polynomial(list(map(real, log1p_terms)))
    smallest_normal, infinity, nan = np.finfo(real).tiny, real(np.inf), real(np.nan)
    scale, scale_exponent = real(2.0 ** (mantissa + 2)), integer(mantissa + 2)
    one_bits, mantissa_mask = integer(one.view(integer)), integer(2**mantissa - 1)
    # Only the high half of √½'s mantissa: it only has to keep m close to 1.
    root_half = integer(real(math.sqrt(0.5)).view(integer))
    root_half = integer(root_half & ~integer(2 ** (mantissa // 2) - 1))

    @inline
    def power_of_two(n):
        return _from_bits(integer(integer(n + bias) << shift))

    @inline
    def exp(x):
        x = lowest if x < lowest else x
        x = highest if x > highest else x
        shifted = x * log2e + round_magic
        n = integer(_bits(shifted) - magic_bits)
        rounded = shifted - round_magic
        r = (x - rounded * ln2_high) - rounded * ln2_low
        p = one + (r + r * r * exp_polynomial(r))
        first = integer(n >> integer(1))  # 2ⁿ in two factors: n may exceed the range of exponents
        return p * power_of_two(first) * power_of_two(integer(n - first))

    @inline
    def log_of_normal(x, k):
        """Return log(x) + k ln2 for normal x > 0."""
        n = integer(_bits(x) + (one_bits - root_half))
        k = integer(k + integer(integer(n >> shift) - bias))
        f = _from_bits(integer(integer(n & mantissa_mask) + root_half)) - one
        k_real = _from_bits(integer(k + magic_bits)) - round_magic
        s = f / (two + f)
        z = s * s
        hfsq = half * f * f
        return (
            ((s * (hfsq + z * log_polynomial(z)) + k_real * ln2_low) - hfsq) + f + k_real * ln2_high
        )

    @inline
    def log(x):
        small = x < smallest_normal
        y = log_of_normal(x * scale if small else x, -scale_exponent if small else integer(0))
        y = infinity if x == infinity else y
        y = -infinity if x == zero else y
        return y if x >= zero else nan

    @inline
    def log1p_exp_and_sigmoid(x):
        e = exp(-abs(x))  # at most 1 for any x
        s = e / (two + e)
        z = s * s
        log1p = e - s * (e - z * log1p_polynomial(z))
        u = one + e
        reciprocal = one / u
        p = (e if x < zero else one) * reciprocal
        return max(x, zero) + log1p, p - p * ((e - (u - one)) * reciprocal)  # u was rounded

    @inline
    def log1p_exp(x):
        return log1p_exp_and_sigmoid(x)[0]

    @inline
    def sigmoid(x):
        return log1p_exp_and_sigmoid(x)[1]

    return exp, log, sigmoid, log1p_exp, log1p_exp_and_sigmoid


_F64 = _functions(
    np.float64,
    np.int64,
    52,
    (-746.0, 710.0),
    (6.93147180369123816490e-01, 1.90821492927058770002e-10),
    [1 / math.factorial(n) for n in range(13, 1, -1)],
    [
        1.479819860511658591e-01,
        1.531383769920937332e-01,
        1.818357216161805012e-01,
        2.222219843214978396e-01,
        2.857142874366239149e-01,
        3.999999999940941908e-01,
        6.666666666666735130e-01,
    ],
    [
        0.1616404561201962575,
        0.0880073848610457061,
        0.1200107280959961012,
        0.133141442096538568,
        0.153855700649587009,
        0.1818178943613285478,
        0.2222222271742786308,
        0.2857142856710875716,
        0.4000000000001458267,
        0.6666666666666665856,
    ],
)
_F32 = _functions(
    np.float32,
    np.int32,
    23,
    (-104.0, 89.0),
    (6.9313812256e-01, 9.0580006145e-06),
    [  # from expf of Cephes
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ],
    [0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693],
    [0.23224329, 0.21706576, 0.28592358, 0.39999706, 0.66666667],
)


def exp(x: Any) -> Any:
    """Return exp(x)."""
    return np.exp(x)


def log(x: Any) -> Any:
    """Return log(x)."""
    return np.log(x)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x)))


def log1p_exp(x: Any) -> Any:
    """Return log(1 + exp(x))."""
    return np.logaddexp(0, x)


def log1p_exp_and_sigmoid(x: Any) -> Any:
    """Return log1p_exp(x) and sigmoid(x), for the cost of one exp."""
    return log1p_exp(x), sigmoid(x)


def _compile_as(function, position):
    @overload(function, jit_options={"forceinline": True})
    def implement(x):
        implementation = (_F32 if x == types.float32 else _F64)[position]
        return lambda x: implementation(x)


for _position, _function in enumerate((exp, log, sigmoid, log1p_exp, log1p_exp_and_sigmoid)):
    _compile_as(_function, _position)
