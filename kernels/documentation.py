"""The docstrings of the public functions, from one template each.

What differs between problems is filled in: the docstring of a problem's module, which has its
formula, references and examples, and the names and axes of its parameters.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from .validate import CLASSES as LABELS

AXES = {"D": "features", "H": "hidden units", "K": "classes"}
DATA = """
Parameters
----------
X : array_like, shape (N, D)
    Samples. float32 or float64, in which the arithmetic runs; float16 becomes float32, integers and
    bools float64. Any memory order, never modified.{blocks}
y : array_like, shape (N,){y_columns}
    {y}
{parameters}"""
BLOCKS = """
    A `kernels.Blocks`, with y None, for data that are read a block at a time."""
REG = """
reg : float, default 0.0
    Strength of the penalty {penalty}."""
OPTIONS = """
sample_weight : array_like, shape (N,), optional
    Non-negative weights s_n, of which only the ratios matter in an average; None for 1 each. A
    sample of weight 0 is absent: its row of X and its y are not looked at.{class_weight}{smoothing}
variant : {{"python", "numpy", "loop", "tiled"}}
    Which implementation computes it; all give the same up to rounding.
threads : int, optional
    At most how many threads the tiled variant uses; None for what `kernels.set_threads` says. The
    result has the same bits for any number.
"""
OUT = """\
out : Gradient, optional
    Arrays that the gradient is written into, as NumPy's `out`: an earlier result for the same
    shapes, or a tuple of arrays in C order and X's dtype. A bias that is None or one number is
    returned, not written. After an error their content is undefined.
"""
GRADIENT = """
Returns
-------
loss : float
gradient : Gradient
    Named tuple ``({names})`` of arrays in the dtype of {dtype}{optional}.
"""
RAISES = """
Raises
------
ValueError
    For a nan or infinity, a shape or length that does not fit, an empty batch, negative or all-zero
    weights, an unknown variant{refused}.
TypeError
    For complex numbers, strings, objects, sparse or masked arrays.
FloatingPointError
    For finite input with a result too large for its dtype. Where only a number on the way is, the
    result is computed again in wider floats.
"""
TEMPLATES = {
    "loss_and_gradient": "Averaged loss and gradient. {title}\n\n{formula}\n"
    + (DATA + REG + OPTIONS + OUT + GRADIENT.replace("{dtype}", "X") + RAISES)
    + "{sources}{examples}\n",
    "loss": """\
The averaged loss alone; parameters and errors are those of `loss_and_gradient`.
""",
    "gradient": """\
The averaged gradient alone, without the cost of the loss; otherwise as `loss_and_gradient`.
""",
    "update": """\
One step of gradient descent: each parameter minus `learning_rate` times its averaged gradient.

Takes what `loss_and_gradient` takes, and `learning_rate`, finite and not negative. Because the
gradient is an average, the same rate suits any batch size.

Returns
-------
{names} : the new parameters{optional}.
""",
    "sums": """\
Sums over the samples of a block, neither averaged nor penalised.

The `average` of the sums of all blocks of data is their `loss_and_gradient`, to rounding. A block
may be empty, and all its weights may be 0. Each chunk of samples is summed in X's dtype and
converted to float64 once.
"""
    + (DATA + OPTIONS)
    + """
Returns
-------
Sums
    Named tuple ``(loss, weight, gradient)``; the gradient is in float64. Add two with ``+``.
"""
    + RAISES,
    "hessian_vector_product": """\
The Hessian of the averaged loss times a vector: exact, in one pass over X.

::

    H v = Σ s_n (∂²ℓ_n/∂θ²) v / Σ s_n + reg v        (of a bias without reg v)

with the second derivatives at the parameters, and without ever forming a Hessian.{operator}

Parameters
----------
X, y, {names}, reg, {weights}, threads
    As for `loss_and_gradient`.{bias}
{vector}variant : "tiled" or "numpy"
    Which implementation computes it.

Returns
-------
Gradient
    The product: named tuple ``({names})`` of new arrays in the dtype of X{optional}.

Raises
------
ValueError, TypeError, FloatingPointError
    As `loss_and_gradient`.
{pearlmutter}""",
    "average": """\
Averaged loss and gradient from sums: divided by the weight once, and penalised.

::

    loss     = Σ s_n ℓ_n / Σ s_n + {penalty}
    gradient = Σ s_n ∂ℓ_n/∂θ / Σ s_n + reg θ        (of a bias without reg θ)

Parameters
----------
parts : Sums or iterable of Sums
    What `sums` gave for one block, or for each of many. Neighbours are added in order, as a binary
    counter does it: of n blocks from a generator, log2 n are held at a time, and the bits of the
    result depend on the blocks alone.
{parameters}"""
    + REG
    + "\n"
    + GRADIENT.replace("{dtype}", "the parameters")
    + """
Raises
------
ValueError
    For no sums, a total weight of 0, parameters of other shapes than those of the sums.
TypeError
    For what is not the sums of this problem.
""",
    "scores": "The scores of each sample, shape {shape}; errors are those of `gradient`.\n",
    "probabilities": "{probabilities}\n",
    "predict": "{predict}\n",
    "descend": """\
Gradient descent until the gradient is small.

::

    θ ← θ - η ∂loss/∂θ   for each parameter θ,       η = learning_rate · learning_rate_decay^epoch

with the averaged gradient of `loss_and_gradient` on all samples, or on `batch_size` of them at a
time.

Parameters
----------
X, y, reg, {weights}, variant, threads
    As for `loss_and_gradient`. Data in blocks are read once, then once in each iteration; they need
    a learning rate, and take no `batch_size`{no_validation}.
{start}
start : Fit, optional
    Instead, a result to continue from: with the same settings the result is what one longer call
    gives, `losses` and `n_iter` included.
fit_bias : bool, default True
    False for scores without a bias; of a network, to leave the biases as they are.
learning_rate : float{rate_optional}
    Length of the first step, in gradients. Because the gradient is an average it need not depend
    on N.{rate}
learning_rate_decay : float, default 1.0
    Factor on the learning rate after each epoch, at most 1. Without batches each iteration is an
    epoch.
batch_size : int, optional
    Samples per iteration, at most all; None for all. In each epoch every sample is used once, in a
    new order; the last batch of an epoch may be smaller. Samples of weight 0 are left out.
rng : int, numpy.random.Generator or SeedSequence, or None, default 0
    Seeds the orders; None for another seed each time. The same seed gives the same bits, for any
    number of threads.
max_iter : int, default 10000
    Maximum number of iterations of this call.
gtol : float, optional
    Converged when no component of the gradient, penalty included, is larger: with batches, of the
    gradient on all samples after an epoch. 1e-5 if no tolerance is given and there are no batches.
tol, rtol : float, optional
    Converged when the Euclidean length of a step, over all parameters, is at most `tol`, or at most
    `rtol` times that of the new parameters; with batches, of every step of an epoch. A step can
    be short because the rate is. Of the three tolerances those that are given count, and 0 is never
    met: ``tol=0`` alone gives a fixed number of iterations.
callback : callable, optional
    ``callback(iteration, loss, params)``, before each step: iterations are counted from 0 and
    `params` is a named tuple of copies, of which `loss` is the loss. A true return value stops
    there.
progress : bool, default False
    Show a bar while it runs; needs tqdm.

Returns
-------
Fit
    Named tuple ``({fields})``. `losses` is float64, one an iteration (with batches, that of the
    batch), of the parameters before the step; no step follows the last loss where `gtol` was met.
    Its attributes `gradient_norm`, the largest component of the gradient at these parameters on all
    samples, and `message`, why it ended, are not part of the tuple.

Raises
------
kernels.DivergenceError
    If the loss becomes infinite or nan, or keeps growing: it has risen ten times in a row, to more
    than ten times its first value, or been above twice that value a hundred times in a row (with
    batches: its mean over each epoch). Names the largest learning rate that is safe. Of a network
    none is known beforehand: there it is the first of learning_rate / 2, / 4, ... that lowers the
    loss in a trial of at most 500 iterations.
ValueError, TypeError, FloatingPointError
    As `loss_and_gradient`, and for settings that make no sense{single_class}.

Warns
-----
kernels.ConvergenceWarning
    If `max_iter` iterations met none of the tolerances; the message says why: scales of the
    features, a small rate, classes that are separable, the condition of the data, or rounding.

Notes
-----
Where the samples of an iteration times the number of parameters are at most 262144, the tiled
variant runs the whole loop compiled. The path depends on nothing else, and neither a callback nor
the number of threads changes a bit. Batches are lists of row numbers: no sample is copied for one.
{examples}
""",
    "objective": """\
Averaged loss and gradient as a function of one flat vector, for SciPy and other optimisers.

::

    f = {module}.objective(X, y, reg=0.1)
    found = scipy.optimize.minimize(f, f.start(), jac=True, method="L-BFGS-B")
    {names} = f.unpack(found.x)

The data are checked once, here. Where the loss overflows, it is infinity and the gradient 0.

Parameters
----------
X, y, reg, {weights}, variant, threads
    As for `loss_and_gradient`. Data in blocks are read once, then once in each call.
{sizes}fit_bias : bool, default True
    False for {absent}, which the vector does not hold then.

Returns
-------
Objective
    ``f(flat)`` returns the loss and a new gradient, both float64. `f.start()` is the vector from
    which `descend` starts, `f.pack({names})` that of given parameters, `f.unpack(flat)` the
    parameters in a vector, and `f.size` its length: each parameter in C order, in this order.

Raises
------
ValueError, TypeError
    As `loss_and_gradient`{one_class}.
""",
}
CLASSES = """\
classes : int, optional
    The number of classes; one more than the highest label in y, or the columns of y, if not given.
"""
NETWORK = """\
hidden : int, default 100
    Number of hidden units.
std : float, default 0.01
    Standard deviation of the weights to start from, drawn from a normal distribution by `rng`.
rng : int, numpy.random.Generator or SeedSequence, or None, default 0
    Seeds the weights to start from; None for another seed each time.
"""
CLASS_WEIGHT = """
class_weight : dict, array_like of shape (K,), or "balanced", optional
    Weights of the classes, by label (1 for a label that is not in a dict) or in their order, which
    multiply those of their samples. "balanced" is 1 over the total weight of the samples of a
    class; `sums`, which has one block of them, refuses it."""
R_OPERATOR = "\nOf a network it is computed by the R-operator."
PEARLMUTTER = """
References
----------
Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6(1), 1994.
"""
NO_BIAS = " `b` and `Vb` are None for scores without a bias."
UNLABELLED = " Not with y of probabilities."
SMOOTHING = """
label_smoothing : float, default 0.0
    The share ε, in 0..1, of each target that is spread over the classes: t becomes
    (1 - ε) t + ε / K. The weight of a class is that of the label."""
RATE = " None for the largest that is safe on this data."
SINGLE_CLASS = """, or for labels
    of a single class where no weights to start from are given"""
ZEROS = """\
{names} : array_like, optional
    Where to start; zeros if not given, with a class for each label up to the highest in y."""
DRAWN = """\
hidden : int, default 100
    Number of hidden units, where no weights say.
std : float, default 0.01
    Standard deviation of the weights to start from, drawn from a normal distribution by `rng`.
{names} : array_like, optional
    Where to start; weights that are not given are drawn, biases are zeros.
validation : tuple of X and y, optional
    Samples to measure the accuracy on after each epoch, beside that on all of X. Of probabilities
    the most probable class counts."""


def docstrings(problem: Any) -> dict[str, str]:
    """The docstring of each public function, by its name."""
    shapes, target = problem.variants.shapes, problem.variants.target
    (title, _, formula), names = problem.doc.partition("\n\n"), ", ".join(shapes)
    formula, _, examples = formula.partition("\nExamples\n")
    formula, _, sources = formula.partition("\nReferences\n")
    weights = "‖² + ‖".join(list(shapes)[::2])
    norms = f"(‖{weights}‖²)" if problem.network else f"‖{weights}‖²"
    smoothed, or_columns = target is LABELS, " or (N, K)" * bool(problem.several)
    parts = {
        "title": title,
        "formula": formula.rstrip(),
        "sources": f"\nReferences\n{sources}" if sources else "",
        "examples": f"\nExamples\n{examples}".rstrip() if examples else "",
        "y": target.meaning,
        "y_columns": " or (N, K)" * smoothed + or_columns,
        "refused": f", {target.refused}" if target.refused else "",
        "parameters": "\n".join(described(shapes, problem.several is not None)),
        "penalty": f"½ reg {norms}",
        "operator": R_OPERATOR * problem.network,
        "pearlmutter": PEARLMUTTER * problem.network,
        "bias": "" if problem.network else NO_BIAS,
        "vector": part_of_vector(shapes),
        "names": names,
        "optional": "" if problem.network else "; `b` is None where no bias was given",
        "shape": "(N, K)" if len(list(shapes.values())[-1]) else "(N,)" + or_columns,
        "module": problem.name,
        "blocks": BLOCKS,
        "no_validation": " and no `validation`" * problem.network,
        "class_weight": "" if target.remedy is None else CLASS_WEIGHT + UNLABELLED * smoothed,
        "smoothing": SMOOTHING * smoothed,
        "weights": "sample_weight"
        + ", class_weight" * (target.remedy is not None)
        + ", label_smoothing" * smoothed,
        "sizes": CLASSES * bool(list(shapes.values())[-1]) + NETWORK * problem.network,
        "absent": "biases of 0" if problem.network else "no bias",
        "probabilities": own_doc(problem.probabilities_of),
        "predict": own_doc(problem.predictions_of or problem.scores_of)
        or "The predictions of each sample, made from its scores.",
        "start": (DRAWN if problem.network else ZEROS).format(names=names),
        "fields": ", ".join(problem.Fit._fields),
        "rate_optional": ", optional" if problem.model.curvature is not None else "",
        "rate": RATE if problem.model.curvature is not None else "",
        "one_class": "" if target.remedy is None else ", and for labels of a single class",
        "single_class": "" if target.remedy is None else SINGLE_CLASS,
    }
    return {name: template.format(**parts) for name, template in TEMPLATES.items()}


def own_doc(function: Any) -> str | None:
    """The docstring of a Python function; None for a ufunc such as np.exp."""
    return function.__doc__ if inspect.isfunction(function) else None


def part_of_vector(shapes: Mapping[str, str]) -> str:
    """The lines of the docstring about the vector of a Hessian-vector product."""
    names, last = ", ".join(f"V{name}" for name in shapes), list(shapes)[-1]
    kind = "array_like" if shapes[last] else "array_like and float"
    return f"{names} : {kind}\n    The vector v, in parts of the shapes of {', '.join(shapes)}.\n"


def shape_of(axes: str) -> str:
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


def described(shapes: Mapping[str, str], several: bool) -> list[str]:
    """The lines of the docstring about each parameter, which has an axis more with `several`."""
    lines = []
    for i, (name, axes) in enumerate(shapes.items()):
        optional = ", optional" if i == 1 and len(shapes) == 2 else ""
        kind = f"array_like, shape {shape_of(axes)}" if axes else "float"
        if several:
            kind += f" or {'' if axes else 'array_like, shape '}{shape_of(axes + 'K')}"
        what = f"Weights, {' × '.join(AXES[axis] for axis in axes)}."
        if i % 2:
            what = "Bias; None for none. Not penalised." if optional else "Bias. Not penalised."
        lines += [f"{name} : {kind}{optional}", f"    {what}"]
    return lines
