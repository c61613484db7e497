"""The start of a descent: an earlier result, given parameters, or new ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import validate


def continued(start: Any, names: Sequence[str], given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The parameters of the result `start`; without one, those that were given by name."""
    if start is None:
        return given
    if any(p is not None for p in given):
        raise ValueError(
            f"start and {' or '.join(names)} were both given: pass the result to continue from, "
            "or parameters, not both"
        )
    if not all(hasattr(start, name) for name in (*names, "losses", "n_iter")):
        raise TypeError(
            f"start must be what descend returned, with {', '.join(names)}, "
            f"and is a {type(start).__name__}"
        )
    return tuple(getattr(start, name) for name in names)


def refuse_bias(b: Any, fit_bias: bool) -> None:
    """Raise an error if a model without a bias was given one."""
    if b is not None and not fit_bias:
        raise ValueError("a bias b was given and fit_bias is False: leave one of them out")


def initial(
    axes: Sequence[str], given: Sequence[Any], shape: Any, y: Any, of_new: Any, or_else: str
) -> tuple[Any, ...]:
    """The parameters that were given, unchecked, and new ones of float64 in place of None.

    `axes` has the letters of each parameter's shape, as in ``("DH", "H", "HK", "K")``: D features,
    H hidden units and K classes, as the weights that were given say, else those of `of_new`, which
    is (classes, hidden, std, seed), or the labels, of which y has each that occurs; `shape` is that
    of X. New weights are drawn from a normal distribution of standard deviation `std`; new biases
    are 0. `or_else` ends the advice on labels.
    """
    (asked, hidden, std, seed), sizes = of_new, {"D": shape[1]}
    for letters, weight in zip(axes[::2], given[::2], strict=True):
        if np.ndim(weight):
            sizes = {letters[0]: np.shape(weight)[0], letters[-1]: np.shape(weight)[-1]} | sizes
    missing = {a for letters, p in zip(axes, given, strict=True) if p is None for a in letters}
    if "H" in missing - set(sizes):
        sizes["H"] = validate.whole_number("hidden", hidden, 1)
    if "K" in missing - set(sizes):
        sizes["K"] = classes(y, shape[0], or_else) if asked is None else enough(asked, y)
    parameters, rng, std = (
        list(given),
        np.random.default_rng(seed),
        validate.not_negative("std", std),
    )
    for k, letters in enumerate(axes):
        if given[k] is None:
            shape = tuple(sizes[a] for a in letters)
            parameters[k] = np.zeros(shape) if k % 2 or std == 0 else rng.normal(0, std, shape)
    return tuple(parameters)


def classes(y: Any, N: int, or_else: str) -> int:
    """One more than the highest label, which `validate.labels` checks, or the columns of y."""
    if y.ndim == 2:
        return int(y.shape[1])
    highest = y.max()
    if np.isfinite(highest) and highest >= N:
        raise ValueError(
            f"the highest label in y is {highest}, with {N} samples: pass np.unique(y, "
            f"return_inverse=True)[1], which numbers the classes{or_else}"
        )
    return int(highest) + 1 if highest > 0 and np.isfinite(highest) else 1


def enough(classes: Any, y: Any) -> int:
    """A number of classes that was given, unless y has others."""
    number = validate.whole_number("classes", classes, 1)
    if y.ndim == 2:
        if number != y.shape[1]:
            raise ValueError(
                f"classes is {number} and y has {y.shape[1]} columns, one for each class: "
                f"pass classes={y.shape[1]}"
            )
        return number
    highest = y.max()
    if number <= highest < np.inf:
        raise ValueError(
            f"classes is {number} and the highest label in y is {highest:g}: pass "
            f"classes={int(highest) + 1}, or np.unique(y, return_inverse=True)[1] as y, which "
            "numbers the classes"
        )
    return number


def refuse_single_class(y: Any, or_else: str) -> None:
    """Raise an error if all samples have the same label."""
    if (y == y[0]).all() and (y.ndim == 1 or y[0].max() == 1):
        label = y[0] if y.ndim == 1 else y[0].argmax()
        raise ValueError(
            f"y holds a single class, {label:g}, of which nothing can be learned: pass samples of "
            f"two classes at least{or_else}"
        )
