"""How the functions are called: names and defaults, help, errors and keywords.

The public functions are made from a declaration. They must look as if they were written out, with
the signatures that they have had since the first edition, which stand here as a table.
"""

import inspect
import itertools
import pickle
import pydoc
import re
import typing

import numpy as np
import pytest

import kernels
from tests.helpers.cases import (
    PROBLEMS,
    named,
    random_batch,
)

DATA = "reg=0.0, sample_weight=None, {class_weight}variant='tiled', threads=None"
SETTINGS = (
    "start=None, fit_bias=True, learning_rate{rate}, learning_rate_decay=1.0, reg=0.0, "
    "sample_weight=None, {class_weight}batch_size=None, rng=0, max_iter=10000, gtol=None, "
    "tol=None, rtol=None, "
    "callback=None, progress=False, variant='tiled', threads=None"
)
PUBLIC = {
    "loss_and_gradient": "X, y, {given}, *, " + DATA + ", out=None",
    "loss": "X, y, {given}, *, " + DATA,
    "gradient": "X, y, {given}, *, " + DATA + ", out=None",
    "update": "X, y, {given}, *, learning_rate, " + DATA,
    "scores": "X, {given}",
    "probabilities": "X, {given}",
    "predict": "X, {given}",
    "descend": "X, y, *, {start}, " + SETTINGS,
    # Of the second edition:
    "sums": "X, y, {given}, *, sample_weight=None, {class_weight}variant='tiled', threads=None",
    "average": "parts, {given}, *, reg=0.0",
    # Of the third:
    "objective": "X, y, *, {sizes}fit_bias=True, " + DATA,
    "hessian_vector_product": "X, y, {names}, {vector}, *, " + DATA,
}
RAW = {
    "loss_and_gradient": "X, y, {names}, reg=0.0, sample_weight=None, want_loss=True, "
    "want_gradient=True",
    "loss": "X, y, {names}, reg=0.0, sample_weight=None",
    "gradient": "X, y, {names}, reg=0.0, sample_weight=None",
}
RAW_FUNCTIONS = [(name, variant) for name in RAW for variant in ("loop", "tiled")]
RAW_FUNCTIONS.append(("loss_and_gradient", "numpy"))
PARAMETERS = {
    "softmax": {
        "rate": "=None",
        "given": "W, b=None",
        "names": "W, b",
        "vector": "VW, Vb",
        "start": "W=None, b=None",
        "sizes": "classes=None, ",
    },
    "logistic": {
        "rate": "=None",
        "given": "w, b=None",
        "names": "w, b",
        "vector": "Vw, Vb",
        "start": "w=None, b=None",
        "sizes": "",
    },
    "linear": {
        "rate": "=None",
        "given": "w, b=None",
        "names": "w, b",
        "vector": "Vw, Vb",
        "start": "w=None, b=None",
        "sizes": "",
    },
    "two_layer": {
        "rate": "",
        "given": "W1, b1, W2, b2",
        "names": "W1, b1, W2, b2",
        "vector": "VW1, Vb1, VW2, Vb2",
        "start": "hidden=100, std=0.01, W1=None, b1=None, W2=None, b2=None, validation=None",
        "sizes": "classes=None, hidden=100, std=0.01, rng=0, ",
    },
}
ABSENT = {("linear", "probabilities")}
FUNCTIONS = [(p, name) for p in PROBLEMS for name in PUBLIC if (p, name) not in ABSENT]
# What `help` had a section for.
SECTIONS = {
    "loss_and_gradient": {"Parameters", "Returns", "Raises", "References", "Examples"},
    "update": {"Returns"},
    "descend": {"Parameters", "Returns", "Raises", "Warns", "Notes"},
    "sums": {"Parameters", "Returns", "Raises"},
    "average": {"Parameters", "Returns", "Raises"},
    "objective": {"Parameters", "Returns", "Raises"},
    "hessian_vector_product": {"Parameters", "Returns", "Raises"},
}


def signature_of(text):
    """The signature that stands in a table."""
    return inspect.signature(eval(f"lambda {text}: None"))


def plain(function):
    """A signature without annotations. Those of two functions are equal if their names, kinds and
    defaults are; the order counts of what can be passed by position."""
    signature = inspect.signature(getattr(function, "py_func", function))
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return signature.replace(parameters=bare, return_annotation=signature.empty)


def sections(doc):
    lines = doc.splitlines()
    pairs = itertools.pairwise(lines)
    return {line for line, below in pairs if below and set(below) == {"-"}}


def arguments_of(problem, name):
    """Every argument of a function, by keyword, and none of them its default."""
    module, rng = PROBLEMS[problem], np.random.default_rng(40)
    X, y, *parameters = random_batch(problem, rng, (40, 3, 4, 5))
    passed = named(problem, (X, y, *parameters))
    of_parameters = {name: passed[name] for name in module.Parameters._fields}
    options = {"reg": 0.1, "sample_weight": rng.uniform(0.5, 2, 40), "threads": 2}
    options |= {"variant": "numpy"}
    if problem != "linear":
        options["class_weight"] = [2.0, 1.0] if problem == "logistic" else {0: 2.0, 3: 0.5}
    if problem in ("softmax", "two_layer"):
        options["label_smoothing"] = 0.1
    if name in ("scores", "probabilities", "predict"):
        return {"X": X, **of_parameters}
    if name == "average":
        return {"parts": [module.sums(X, y, *parameters)], **of_parameters, "reg": 0.1}
    if name == "objective":
        sizes = {"classes": 6, "hidden": 5, "std": 0.5, "rng": 3}
        taken = inspect.signature(module.objective).parameters
        sizes = {key: value for key, value in sizes.items() if key in taken}
        return {"X": X, "y": y, **sizes, "fit_bias": False, **options}
    if name == "hessian_vector_product":
        vector = {f"V{p}": of_parameters[p] for p in of_parameters}
        return {"X": X, "y": y, **of_parameters, **vector, **options}
    arguments = {**passed, **options}
    if name in ("loss_and_gradient", "gradient"):
        arguments["out"] = tuple(np.empty_like(p) for p in parameters)
    if name == "sums":
        del arguments["reg"]
    if name == "update":
        arguments["learning_rate"] = 0.1
    if name == "descend":
        arguments |= {"learning_rate": 0.1, "learning_rate_decay": 0.9, "batch_size": 7, "rng": 3}
        arguments |= {
            "max_iter": 9,
            "gtol": None,
            "tol": 0.0,
            "rtol": 1e-12,
            "progress": False,
            "start": None,
        }
        arguments |= {"callback": lambda *seen: False, "fit_bias": True}
        if problem == "two_layer":
            arguments |= {"hidden": 5, "std": 0.5, "validation": (X[:9], y[:9])}
    return arguments


def numbers(answer):
    """All numbers of an answer, in order."""
    if answer is None:
        return []
    if isinstance(answer, kernels.Objective):
        return numbers(answer(answer.start()))
    if isinstance(answer, tuple):
        return [number for part in answer for number in numbers(part)]
    return np.ravel(answer).tolist()


# ---- names, kinds and defaults ----


@pytest.mark.parametrize(("problem", "name"), FUNCTIONS)
def test_the_signature(problem, name):
    function = getattr(PROBLEMS[problem], name)
    class_weight = "" if problem == "linear" else "class_weight=None, "
    class_weight += "label_smoothing=0.0, " if problem in ("softmax", "two_layer") else ""
    want = signature_of(PUBLIC[name].format(**PARAMETERS[problem], class_weight=class_weight))
    assert plain(function) == want
    for argument, p in plain(function).parameters.items():
        assert type(p.default) is type(want.parameters[argument].default)  # 0 equals 0.0


@pytest.mark.parametrize(("name", "variant"), RAW_FUNCTIONS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_signature_of_a_raw_function(problem, name, variant):
    function = getattr(PROBLEMS[problem], f"{name}_{variant}")
    want = signature_of(RAW[name].format(**PARAMETERS[problem]))
    assert plain(function) == want
    assert list(plain(function).parameters) == list(want.parameters)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_else_a_module_has(problem):
    module, names = PROBLEMS[problem], PARAMETERS[problem]["names"].split(", ")
    assert list(module.VARIANTS) == ["python", "numpy", "loop", "tiled"]
    history = ["losses", "n_iter", "converged"]
    if problem == "two_layer":
        history += ["train_accuracy", "validation_accuracy"]
    for kind, fields in (("Gradient", []), ("Parameters", []), ("Fit", history)):
        made = getattr(module, kind)
        assert issubclass(made, tuple)
        assert list(made._fields) == names + fields
        assert (made.__module__, made.__name__, made.__qualname__) == (module.__name__, kind, kind)
        assert made.__doc__
    assert ("probabilities" in dir(module)) == (problem != "linear")


def test_the_functions_of_the_package():
    assert plain(kernels.set_threads) == signature_of("n")
    assert plain(kernels.show_versions) == signature_of("")
    assert plain(kernels.Sums) == signature_of("loss, weight, gradient")
    error = plain(kernels.DivergenceError).parameters
    assert list(error) == ["message", "iteration", "losses", "safe_learning_rate"]


# ---- help ----


@pytest.mark.parametrize(("problem", "name"), FUNCTIONS)
def test_help(problem, name):
    module = PROBLEMS[problem]
    function = getattr(module, name)
    doc = inspect.getdoc(function)
    assert SECTIONS.get(name, set()) <= sections(doc)
    said = doc
    if "Parameters" not in sections(doc):
        said += inspect.getdoc(module.loss_and_gradient)
    for argument in inspect.signature(function).parameters:
        assert re.search(rf"\b{argument}\b", said), argument
        assert argument in function.__annotations__
    assert "return" in function.__annotations__
    assert typing.get_type_hints(function)
    assert not re.search(r"[{}]", doc.replace('{"python", "numpy", "loop", "tiled"}', ""))
    shown = pydoc.plain(pydoc.render_doc(function))
    assert f"{name}(" in shown
    assert doc.splitlines()[0] in shown


@pytest.mark.parametrize(("problem", "name"), FUNCTIONS)
def test_it_looks_as_if_it_were_written_out(problem, name):
    module = PROBLEMS[problem]
    function = getattr(module, name)
    assert (function.__module__, function.__name__) == (module.__name__, name)
    assert function.__qualname__ == name
    assert inspect.isfunction(function)
    assert inspect.getsource(function).startswith(f"def {name}(")
    assert pickle.loads(pickle.dumps(function)) is function


# ---- errors and keywords ----


@pytest.mark.parametrize(("problem", "name"), FUNCTIONS)
def test_wrong_and_missing_keywords(problem, name):
    """Python's own errors, which name the function and the argument."""
    function, arguments = getattr(PROBLEMS[problem], name), arguments_of(problem, name)
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword .*'regg'"):
        function(**arguments, regg=0.1)
    required = [
        p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty
    ]
    assert required
    for missing in required:
        rest = {key: value for key, value in arguments.items() if key != missing}
        with pytest.raises(TypeError, match=rf"^{name}\(\) missing 1 required .*: '{missing}'$"):
            function(**rest)
    with pytest.raises(TypeError, match=rf"^{name}\(\) takes "):
        function(*arguments.values(), *range(30))
    first = next(iter(arguments))
    with pytest.raises(TypeError, match=rf"^{name}\(\) got multiple values for .*'{first}'"):
        function(arguments[first], **arguments)


@pytest.mark.filterwarnings("ignore::kernels.ConvergenceWarning")
@pytest.mark.parametrize(("problem", "name"), FUNCTIONS)
def test_every_argument_by_keyword(problem, name):
    """In any order; what may be passed by position means the same there."""
    function, arguments = getattr(PROBLEMS[problem], name), arguments_of(problem, name)
    parameters = inspect.signature(function).parameters
    assert set(arguments) == set(parameters)
    by_keyword = numbers(function(**dict(reversed(arguments.items()))))
    assert by_keyword
    by_position = [p.name for p in parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    rest = {key: value for key, value in arguments.items() if key not in by_position}
    positional = [arguments[key] for key in by_position]
    assert numbers(function(*positional, **rest)) == by_keyword
    for key in set(parameters) - set(by_position):
        with pytest.raises(TypeError, match="positional"):
            function(*positional, arguments[key])


DEFAULTS = {
    "b": None,
    "reg": 0.0,
    "sample_weight": None,
    "class_weight": None,
    "label_smoothing": 0.0,
    "variant": "tiled",
    "threads": None,
}
DEFAULTS |= {"want_loss": True, "want_gradient": True}
DEFAULTS |= {
    "start": None,
    "fit_bias": True,
    "learning_rate_decay": 1.0,
    "batch_size": None,
    "rng": 0,
    "max_iter": 10_000,
}
DEFAULTS |= {"gtol": None, "tol": None, "rtol": None, "callback": None, "progress": False}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_defaults(problem):
    """Every function means the same by an argument that is left out."""
    module = PROBLEMS[problem]
    public = [module.loss_and_gradient, module.loss, module.gradient, module.update, module.descend]
    public += [module.sums, module.average, module.objective, module.hessian_vector_product]
    raw = [
        getattr(module, f"{what}_{variant}")
        for what in ("loss_and_gradient", "loss", "gradient")
        for variant in ("loop", "tiled")
    ]
    raw.append(module.loss_and_gradient_numpy)
    for function in (*public, *raw, *module.VARIANTS.values()):
        signature = inspect.signature(getattr(function, "py_func", function))
        for name, argument in signature.parameters.items():
            if argument.default is not argument.empty and name in DEFAULTS:
                assert (name, argument.default) == (name, DEFAULTS[name]), function
