"""exp, log, sigmoid and log(1 + exp) that LLVM can vectorise: no calls, no branches, only selects.

Each is right to 2 units in the last place over its whole range, infinities, zeros and subnormal numbers included.
exp: x = n ln2 + r, a polynomial in r, and 2ⁿ put into the exponent's bits. log: the algorithm of FreeBSD's
e_log.c (Sun Microsystems, 1993): x = 2ᵏ m, s = f / (2 + f) with f = m - 1, and a polynomial in s².
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from kernels._compile import part


@intrinsic
def _bits(typingctx, x):
    """The bits of a float as an integer of its width."""
    integer = types.int32 if x == types.float32 else types.int64

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(integer))

    return integer(x), generate


@intrinsic
def _from_bits(typingctx, n):
    real = types.float32 if n == types.int32 else types.float64

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(real))

    return real(n), generate


def _polynomial(terms):
    """terms[0] xⁿ + ... + terms[n], by Horner's rule."""

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


def _functions(real, integer, mantissa, limits, ln2_parts, exp_terms, log_terms):
    """The functions for one float type; every constant is of that type, so nothing is promoted."""
    inline = part(fastmath={"contract"}, forceinline=True)
    bias, shift = integer(2 ** (8 * real(0).itemsize - mantissa - 2) - 1), integer(mantissa)
    magic = real(1.5 * 2**mantissa)  # added and subtracted, it rounds to a whole number
    magic_bits = integer(magic.view(integer))
    lowest, highest = map(real, limits)
    ln2_high, ln2_low = map(real, ln2_parts)
    log2e, one, half, two, zero = real(1 / math.log(2)), real(1), real(0.5), real(2), real(0)
    exp_polynomial, log_polynomial = _polynomial(list(map(real, exp_terms))), _polynomial(list(map(real, log_terms)))
    smallest, scale_up, scaled_by = np.finfo(real).tiny, real(2.0 ** (mantissa + 2)), integer(mantissa + 2)
    infinity, nan = real(np.inf), real(np.nan)
    root_half = integer(real(math.sqrt(0.5)).view(integer))
    one_bits, mantissa_mask = integer(one.view(integer)), integer(2**mantissa - 1)
    # the low half of the mantissa of √½ does not matter: only that m lies close to 1
    root_half = integer(root_half & ~integer(2 ** (mantissa // 2) - 1))

    @inline
    def power_of_two(n):
        return _from_bits(integer(integer(n + bias) << shift))

    @inline
    def exp(x):
        x = lowest if x < lowest else x
        x = highest if x > highest else x
        shifted = x * log2e + magic
        n = integer(_bits(shifted) - magic_bits)
        whole = shifted - magic
        r = (x - whole * ln2_high) - whole * ln2_low
        p = one + (r + r * r * exp_polynomial(r))
        first = integer(n >> integer(1))  # 2ⁿ in two steps: n may be beyond the range of exponents
        return p * power_of_two(first) * power_of_two(integer(n - first))

    @inline
    def log_of_normal(x, k):
        """log(x) + k ln2 for normal x > 0"""
        n = integer(_bits(x) + (one_bits - root_half))
        k = integer(k + integer(integer(n >> shift) - bias))
        f = _from_bits(integer(integer(n & mantissa_mask) + root_half)) - one
        k_real = _from_bits(integer(k + magic_bits)) - magic
        s = f / (two + f)
        z = s * s
        squared = half * f * f
        return ((s * (squared + z * log_polynomial(z)) + k_real * ln2_low) - squared) + f + k_real * ln2_high

    @inline
    def log(x):
        small = x < smallest
        y = log_of_normal(x * scale_up if small else x, -scaled_by if small else integer(0))
        y = infinity if x == infinity else y
        y = -infinity if x == zero else y
        return y if x >= zero else nan

    @inline
    def log1p_exp_and_sigmoid(x):
        e = exp(-abs(x))  # at most 1, whatever x
        u = one + e
        reciprocal = one / u
        lost = (e - (u - one)) * reciprocal  # what 1 + e rounds off, put back in both
        p = (e if x < zero else one) * reciprocal
        return max(x, zero) + (log_of_normal(u, integer(0)) + lost), p - p * lost

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
)
_F32 = _functions(
    np.float32,
    np.int32,
    23,
    (-104.0, 89.0),
    (6.9313812256e-01, 9.0580006145e-06),
    [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1],  # Cephes, expf
    [0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693],
)


def exp(x: Any) -> Any:
    """exp(x)"""
    return np.exp(x)


def log(x: Any) -> Any:
    """log(x)"""
    return np.log(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))"""
    return np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x)))


def log1p_exp(x: Any) -> Any:
    """log(1 + exp(x))"""
    return np.logaddexp(0, x)


def log1p_exp_and_sigmoid(x: Any) -> Any:
    """Both, for the price of one exp."""
    return log1p_exp(x), sigmoid(x)


def _compile_as(function, position):
    @overload(function, jit_options={"forceinline": True})
    def choose(x):
        implementation = (_F32 if x == types.float32 else _F64)[position]
        return lambda x: implementation(x)


for _position, _function in enumerate((exp, log, sigmoid, log1p_exp, log1p_exp_and_sigmoid)):
    _compile_as(_function, _position)
