"""`engine/average.py` holds the only division by the weight of samples."""

import ast

from tests.helpers.packages import SOURCE

WEIGHTS = {"weight", "weights", "total_weight", "sample_weight", "s", "n_samples", "N", "total"}
SAMPLES = {"X", "y", "s", "rows", "weights", "sample_weight", "losses"}


def is_weight(node):
    """Whether an expression is the weight of samples, or a product of it with something else."""
    if isinstance(node, ast.Name):
        return node.id in WEIGHTS
    if isinstance(node, ast.Attribute):
        return node.attr in WEIGHTS - {"s", "N"}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return is_weight(node.left) or is_weight(node.right)
    if isinstance(node, ast.Subscript):  # X.shape[0], sums[1]
        shape = node.value
        first = isinstance(node.slice, ast.Constant) and node.slice.value == 0
        of_samples = isinstance(shape, ast.Attribute) and shape.attr == "shape"
        return first and of_samples and is_samples(shape.value)
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name == "len":
            return is_samples(node.args[0])
        if name == "sum":
            return is_samples(node.func.value if isinstance(node.func, ast.Attribute) else node)
        if name in ("float", "float32", "float64", "asarray"):
            return any(map(is_weight, node.args))
    return False


def is_samples(node):
    return isinstance(node, ast.Name) and node.id in SAMPLES


def divisions_by_a_weight(source):
    """Every division whose divisor is the weight of samples, as text."""
    for node in ast.walk(ast.parse(source)):
        divisor = None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            divisor = node.right
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
            divisor = node.value
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("divide", "true_divide") and len(node.args) > 1:
                divisor = node.args[1]
            elif (name == "average" and isinstance(node.func, ast.Attribute)) or name == "mean":
                # np.average(losses), r.mean(axis=0): the division that one does not see
                of = node.func.value if isinstance(node.func, ast.Attribute) else node.args[0]
                of = node.args[0] if isinstance(of, ast.Name) and of.id == "np" else of
                divisor = ast.Name("N") if is_samples(of) else None
        if divisor is not None and is_weight(divisor):
            yield ast.unparse(node)


def test_the_rule_that_finds_divisions():
    found = [
        "dW / N",
        "dW /= weight",
        "loss / float(total)",
        "g / len(X)",
        "g / X.shape[0]",
        "g / s.sum()",
        "g / sample_weight.sum(dtype=float)",
        "g * (1 / N)",
        "g / (2 * N)",
        "np.divide(dW, N)",
        "losses.mean()",
        "np.mean(losses)",
        "np.average(losses)",
        "dW / sums.weight",
    ]
    for source in found:
        assert list(divisions_by_a_weight(source)), source
    for source in ("p / Z", "x / (N - 1)", "N // 2", "N / 2", "average(a, N, 0.0, 0.0)", "s / Z"):
        assert not list(divisions_by_a_weight(source)), source


def test_the_only_division_by_the_weight_of_samples():
    """One place in the code answers why a gradient is divided by the size of the batch.

    Looked for is `/`, `/=`, `np.divide`, and a mean of what there is one of for each sample. A
    divisor counts if it is a name that a weight of samples has here (`weight`, `N`, `total`, ...),
    the length or the sum of an array of one value for each sample (`len(X)`, `s.sum()`,
    `X.shape[0]`), any of these converted (`float(weight)`), or a product with one of them
    (`2 * N`). A difference such as `N - 1` does not: the bound on the learning rate of batches has
    one, in a ratio of numbers of samples. Nor does `//`, which splits work into chunks. The
    estimators turn scikit-learn's penalty, that of a sum, into that of an average.
    """
    hits = [
        (path.relative_to(SOURCE).as_posix(), division)
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "estimators.py"
        for division in divisions_by_a_weight(path.read_text(encoding="utf-8"))
    ]
    assert hits == [("engine/average.py", "total / weight")]
