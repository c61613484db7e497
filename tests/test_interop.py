"""Arrays and tables of other libraries, as far as these are installed, and the recipes of the docs.

What a library holds gives the answer of the same numbers in NumPy; where it can lend its memory no
copy of X is made; what is refused is named, with advice that works.
"""

import contextlib
import decimal
import doctest
import re

import numpy as np
import pandas as pd
import pytest

from kernels import linear, logistic, softmax, two_layer, validate
from tests.helpers.advice import advised
from tests.helpers.interpreter import ROOT, run_program

rng = np.random.default_rng(0)
N, D, K, H = 60, 4, 3, 5
X, S = rng.normal(size=(N, D)), rng.uniform(0.5, 2, N)
LABELS = rng.integers(0, K, N)
TARGETS = {
    linear: rng.normal(size=N),
    logistic: np.where(LABELS > 0, 1, -1),
    softmax: LABELS,
    two_layer: LABELS,
}
STARTS = {
    linear: {"w": rng.normal(size=D)},
    logistic: {"w": rng.normal(size=D)},
    softmax: {"W": rng.normal(size=(D, K)), "b": rng.normal(size=K)},
    two_layer: {
        "W1": rng.normal(size=(D, H)),
        "b1": rng.normal(size=H),
        "W2": rng.normal(size=(H, K)),
        "b2": rng.normal(size=K),
    },
}
OTHERS = ("torch", "jax", "polars", "pyarrow", "zarr", "pandas")


class DLPack:
    """Only what the protocol asks for."""

    def __init__(self, a):
        self.a = a

    def __dlpack__(self, **options):
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()


def polars_form(pl, a):
    return pl.DataFrame(a) if a.ndim == 2 else pl.Series(a)


def pyarrow_form(pa, a):
    if a.ndim == 1:
        return pa.array(a)
    return pa.table({str(d): column for d, column in enumerate(a.T)})


def record_batch(pa, a):
    return pa.array(a) if a.ndim == 1 else pyarrow_form(pa, a).to_batches()[0]


def pandas_on_arrow(pa, a):
    frame = pd.DataFrame(a) if a.ndim == 2 else pd.Series(a)
    return frame.convert_dtypes(dtype_backend="pyarrow")


# name: (library, (library, array) -> the array in its form)
FORMS = {
    "torch": ("torch", lambda torch, a: torch.from_numpy(a.copy())),
    "torch, transposed": ("torch", lambda torch, a: torch.from_numpy(a.T.copy()).t()),
    "jax": ("jax", lambda jax, a: jax.numpy.asarray(a)),
    "polars": ("polars", polars_form),
    "polars, in chunks": (
        "polars",
        lambda pl, a: pl.concat(
            [polars_form(pl, part) for part in np.array_split(a, 2)], rechunk=False
        ),
    ),
    "pyarrow": ("pyarrow", pyarrow_form),
    "pyarrow, a record batch": ("pyarrow", record_batch),
    "pyarrow, a tensor": ("pyarrow", lambda pa, a: pa.Tensor.from_numpy(a)),
    "pyarrow, in chunks": (
        "pyarrow",
        lambda pa, a: (
            pa.chunked_array(np.array_split(a, 2)) if a.ndim == 1 else pyarrow_form(pa, a)
        ),
    ),
    "zarr": ("zarr", lambda zarr, a: zarr.array(a)),
    "pandas on pyarrow": ("pyarrow", pandas_on_arrow),
    "dlpack": ("numpy", lambda np, a: DLPack(a.copy())),
}


@contextlib.contextmanager
def float64_in_jax(library):
    """JAX makes float32 of float64, unless told otherwise."""
    if library != "jax":
        yield
        return
    config = pytest.importorskip("jax").config
    before = config.jax_enable_x64
    config.update("jax_enable_x64", True)
    yield
    config.update("jax_enable_x64", before)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("problem", STARTS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", FORMS)
def test_every_argument(name, problem, dtype):
    """X, y, weights and parameters; nothing is modified."""
    library, form = FORMS[name]
    module = pytest.importorskip(library)
    arrays = {"X": X, "sample_weight": S, **STARTS[problem]}
    arrays = {key: a.astype(dtype) for key, a in arrays.items()} | {"y": TARGETS[problem]}
    with float64_in_jax(library):
        passed = {key: form(module, a) for key, a in arrays.items()}
        loss, gradient = problem.loss_and_gradient(**passed)
        after = {key: a.a if name == "dlpack" else np.asarray(a) for key, a in passed.items()}
    known_loss, known = problem.loss_and_gradient(**arrays)
    tolerance = 64 * np.finfo(dtype).eps  # sums in another order, where the layout is Fortran's
    assert np.isclose(loss, known_loss, rtol=tolerance, atol=0)
    for found, right in zip(gradient, known, strict=True):
        if right is not None:
            assert found.dtype == right.dtype
            assert np.allclose(found, right, rtol=tolerance, atol=tolerance)
    for key, a in arrays.items():
        np.testing.assert_array_equal(after[key], a)


def address(a):
    return a.__array_interface__["data"][0]


# name: (library, (library, array) -> (the array in its form, the address of its memory))
LENT = {
    "torch": ("torch", lambda torch, a: (t := torch.from_numpy(a.copy()), t.data_ptr())),
    "torch, every other row": (
        "torch",
        lambda torch, a: (t := torch.from_numpy(np.repeat(a, 2, 0))[::2], t.data_ptr()),
    ),
    "jax": ("jax", lambda jax, a: (t := jax.numpy.array(a), t.unsafe_buffer_pointer())),
    "polars": (
        "polars",
        lambda pl, a: (t := pl.DataFrame(np.asfortranarray(a)), address(t.to_numpy())),
    ),
    "polars, vectors": ("polars", lambda pl, a: (pl.Series(a), address(a))),
    "pyarrow": ("pyarrow", lambda pa, a: (pa.Tensor.from_numpy(a), address(a))),
    "pandas": ("pandas", lambda pd, a: (t := pd.DataFrame(a), address(t.to_numpy()))),
    "dlpack": ("numpy", lambda np, a: (DLPack(a), address(a))),
    "a memory map": ("numpy", lambda np, a: (memoryview(a), address(a))),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", LENT)
def test_X_is_not_copied(name, dtype):
    library, form = LENT[name]
    module = pytest.importorskip(library)
    with float64_in_jax(library):
        passed, pointer = form(module, X.astype(dtype))
        found = validate.samples(passed)
    assert address(found) == pointer
    np.testing.assert_array_equal(found, X.astype(dtype))


def test_columns_may_have_any_name():
    """Those of methods that tell a masked array or a tensor, too."""
    frame = pd.DataFrame(X, columns=["filled", "toarray", "detach", "todense"])
    assert np.array_equal(linear.gradient(frame, X[:, 0], np.ones(D)).w.shape, (D,))


# ---- what is refused ----

NAMES = np.array(["blue", "green", "red"])[LABELS]
DAYS = LABELS.astype(np.int32)
VECTORS = [list(row) for row in X]
# name: (library, argument, library -> what is passed, part of the message)
REFUSED = {
    "torch, a gradient": (
        "torch",
        "X",
        lambda torch: torch.from_numpy(X).requires_grad_(),
        "requires grad",
    ),
    "torch, a parameter": (
        "torch",
        "W",
        lambda torch: torch.nn.Parameter(torch.from_numpy(STARTS[softmax]["W"])),
        "W cannot be read.*requires grad",
    ),
    "torch, a list of numbers": (
        "torch",
        "W",
        lambda torch: list(torch.from_numpy(STARTS[softmax]["W"]).requires_grad_()),
        r"row.detach\(\)",
    ),
    "torch, bfloat16": (
        "torch",
        "X",
        lambda torch: torch.from_numpy(X).bfloat16(),
        "BFloat16",
    ),
    "torch, float8": (
        "torch",
        "X",
        lambda torch: torch.from_numpy(X).to(torch.float8_e4m3fn),
        r"float\(\)",
    ),
    "torch, sparse": ("torch", "X", lambda torch: torch.from_numpy(X).to_sparse(), "to_dense"),
    "torch, complex": ("torch", "X", lambda torch: torch.from_numpy(X + 0j), "is complex"),
    "torch, a column": (
        "torch",
        "y",
        lambda torch: torch.from_numpy(LABELS)[:, None],
        r"\(60, 1\)",
    ),
    "jax, bfloat16": ("jax", "X", lambda jax: jax.numpy.asarray(X, "bfloat16"), "dtype bfloat16"),
    "polars, text": ("polars", "y", lambda pl: pl.Series(NAMES), "y holds '"),
    "polars, categories": (
        "polars",
        "y",
        lambda pl: pl.Series(NAMES, dtype=pl.Categorical),
        "y holds '",
    ),
    "polars, a lazy frame": ("polars", "X", lambda pl: pl.DataFrame(X).lazy(), "not computed yet"),
    "polars, dates beside numbers": (
        "polars",
        "X",
        lambda pl: pl.DataFrame(
            {str(d): X[:, d] for d in range(D - 1)} | {"day": pl.Series(DAYS).cast(pl.Date)}
        ),
        r"dates or times in column 'day' \(Date\)",
    ),
    "polars, decimals": (
        "polars",
        "X",
        lambda pl: pl.DataFrame(X.round(3)).cast(pl.Decimal(20, 10)),
        "astype",
    ),
    "polars, vectors": ("polars", "X", lambda pl: pl.Series(VECTORS), "at position 0"),
    "polars, a frame of vectors": (
        "polars",
        "X",
        lambda pl: pl.DataFrame({"a": pl.Series(VECTORS)}),
        "at row 0, column 0",
    ),
    "polars, a frame of one column": ("polars", "y", lambda pl: pl.DataFrame({"y": LABELS}), "y"),
    "pyarrow, text": ("pyarrow", "y", lambda pa: pa.array(NAMES), "y holds '"),
    "pyarrow, a dictionary": (
        "pyarrow",
        "y",
        lambda pa: pa.array(NAMES).dictionary_encode(),
        "y holds '",
    ),
    "pyarrow, vectors": ("pyarrow", "X", lambda pa: pa.array(VECTORS), "at position 0"),
    "pyarrow, vectors of fixed length": (
        "pyarrow",
        "X",
        lambda pa: pa.array(VECTORS, pa.list_(pa.float64(), D)),
        "at position 0",
    ),
    "pandas, vectors": ("pandas", "X", lambda pd: pd.Series(VECTORS), "at position 0"),
    "pandas, vectors in a frame": (
        "pandas",
        "X",
        lambda pd: pd.DataFrame({"a": [np.array(row) for row in VECTORS]}),
        "a numpy.ndarray at row 0, column 0",
    ),
    "scipy, sparse": (
        "scipy.sparse",
        "X",
        lambda sparse: sparse.csr_array(X),
        "a sparse matrix",
    ),
    "jax, sparse": (
        "jax.experimental.sparse",
        "X",
        lambda sparse: sparse.BCOO.fromdense(X),
        "a sparse matrix",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_advice(name):
    """What the message says to pass is passed, and gives the answer of the numbers meant."""
    library, argument, form, sentence = REFUSED[name]
    value = form(pytest.importorskip(library))
    arguments = {"X": X, "y": LABELS, **STARTS[softmax]}
    numbers = np.column_stack([X[:, :-1], DAYS]) if "dates" in name else X
    known = softmax.loss(**arguments | {"X": numbers})
    with pytest.raises((TypeError, ValueError), match=sentence) as raised:
        softmax.loss(**arguments | {argument: value})
    message = str(raised.value)
    assert message.startswith(argument), message
    assert "\n" not in message
    ((_, instead),) = advised(message, {"np": np, argument: value})
    found = softmax.loss(**arguments | {argument: instead})
    assert np.isclose(found, known, rtol=0.2 if "float8" in name else 1e-2), message


def columns(*values):
    return {"a": [1.0, 2.0, 3.0], "b": list(values)}


@pytest.mark.parametrize("library", ["polars", "pyarrow", "pandas"])
@pytest.mark.parametrize("values", [(1.0, None, 2.0), (1, None, 2), (True, None, False)], ids=str)
def test_a_gap_is_named(library, values):
    """By row and column, in floats, integers and bools; in a sample of weight 0 it is absent."""
    module = pytest.importorskip(library)
    make = module.table if library == "pyarrow" else module.DataFrame
    y, w = [0, 1, 2], [0.5, -1.0]
    with pytest.raises(ValueError, match=r"X holds nan at row 1, column 1: .* impute"):
        linear.gradient(make(columns(*values)), y, w)
    present = linear.gradient([[1, values[0]], [3, values[2]]], [0, 2], w).w
    weighted = linear.gradient(make(columns(*values)), y, w, sample_weight=[1, 0, 1]).w
    assert np.array_equal(present, weighted)
    series = module.array if library == "pyarrow" else module.Series
    with pytest.raises(ValueError, match=r"y(\[1\] is| holds) nan( at position 1)?: "):
        softmax.gradient(X[:3], series(list(values)), np.ones((D, 2)))
    with pytest.raises(ValueError, match="sample_weight holds nan at position 1: "):
        linear.gradient(X[:3], y, np.ones(D), sample_weight=series(list(values)))


@pytest.mark.parametrize("library", ["polars", "pyarrow", "pandas"])
def test_a_label_that_is_missing_among_names_is_named(library):
    module = pytest.importorskip(library)
    series = module.array if library == "pyarrow" else module.Series
    with pytest.raises(TypeError, match=r"y holds (None|nan).* at position 1: .*correct or drop"):
        softmax.gradient(X[:3], series(["red", None, "blue"]), np.ones((D, 2)))


@pytest.mark.parametrize("library", ["polars", "pyarrow", "pandas"])
def test_text_in_X_is_named(library):
    module = pytest.importorskip(library)
    make = module.table if library == "pyarrow" else module.DataFrame
    encoder = "X.to_dummies" if library == "polars" else "pandas.get_dummies"
    with pytest.raises(TypeError, match=rf"X holds 'u' \(str\) at row 0, column 1: .*{encoder}"):
        linear.gradient(make(columns("u", "v", "u")), [0, 1, 2], [0.5, -1.0])


def test_decimals_of_arrow():
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match=r"pass np.asarray\(X\).astype\(float\)"):
        linear.gradient(pa.table({"a": [decimal.Decimal("0.5")]}), [1], [1])


# ---- recipes ----

PREFACE, *SECTIONS = re.split(r"^## ", (ROOT / "docs" / "interop.md").read_text(), flags=re.M)
SECTIONS = {text.partition("\n")[0]: text for text in SECTIONS}


def run_section(title):
    """Run the code of a section of docs/interop.md as doctest does; gives its variables."""
    text, variables = SECTIONS[title], {}
    for library in re.findall(r"^>>> import (\w+)", text, re.M):
        pytest.importorskip(library)
    for part in (PREFACE, text):
        test = doctest.DocTestParser().get_doctest(part, variables, title, "interop.md", 0)
        written = []
        found = doctest.DocTestRunner().run(test, out=written.append, clear_globs=False)
        assert found.attempted
        assert not found.failed, "".join(written)
        variables = test.globs
    return variables


@pytest.mark.parametrize("title", SECTIONS)
def test_section(title):
    run_section(title)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_function_of_torch(dtype):
    """Values and gradients are those of PyTorch's own loss, under another function, too."""
    torch = pytest.importorskip("torch")
    loss_of, real = run_section("PyTorch")["SoftmaxLoss"].apply, getattr(torch, dtype)
    data, labels = torch.from_numpy(X).to(real), torch.from_numpy(LABELS)
    ours, theirs = (
        [torch.from_numpy(p).to(real).requires_grad_() for p in STARTS[softmax].values()]
        for _ in range(2)
    )
    found = loss_of(data, labels, *ours, 0.3)
    W, b = theirs
    known = torch.nn.functional.cross_entropy(data @ W + b, labels) + 0.15 * (W * W).sum()
    assert found.dtype == real
    assert torch.isclose(found, known)
    (3 * found**2).backward()
    (3 * known**2).backward()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"with respect to X: pass X.detach\(\)"):
        loss_of(data.requires_grad_(), labels, *ours, 0.3)
    loss = loss_of(data.detach(), labels, *ours, 0.3)
    with pytest.raises(ValueError, match="no second derivative"):
        torch.autograd.grad(loss, ours, create_graph=True)


def test_the_function_of_jax():
    """Under jit, vmap and another function, against JAX's own; W is large enough to be waited for.

    A second derivative is an error, not a wrong number.
    """
    jax = pytest.importorskip("jax")
    averaged_loss = run_section("JAX")["averaged_loss"]
    data, labels, W = X @ rng.normal(size=(D, 300)), LABELS, rng.normal(size=(300, 200)) / 100
    b = np.zeros(200)
    with float64_in_jax("jax"):
        ours = averaged_loss(data, labels, reg=0.3)

        def theirs(W, b):
            p = jax.nn.log_softmax(data @ W + b)[np.arange(N), labels]
            return -p.mean() + 0.15 * (W * W).sum()

        found, known = (
            jax.jit(jax.value_and_grad(lambda W, b, f=f: f(W, b) ** 2, argnums=(0, 1)))(W, b)
            for f in (ours, theirs)
        )
        assert found[0].dtype == np.float64
        assert np.isclose(found[0], known[0])
        for slope, right in zip(found[1], known[1], strict=True):
            assert np.allclose(slope, right)
        many = np.stack([W, 2 * W])
        several = jax.vmap(jax.grad(ours), (0, None))(many, b)
        assert np.allclose(several[1], jax.grad(theirs)(2 * W, b))
        slope = jax.grad(ours)
        with pytest.raises(Exception, match="JVP"):
            jax.grad(lambda W: slope(W, b).sum())(W)
        with pytest.raises(Exception, match="W holds nan at row 0, column 0"):
            ours(np.full_like(W, np.nan), b)


def test_a_tracer_of_jax_is_named():
    jax = pytest.importorskip("jax")
    sentence = "W cannot be read.*a tracer of JAX has no value yet.*jax.pure_callback"
    with pytest.raises(ValueError, match=sentence):
        jax.jit(lambda W: softmax.loss(X, LABELS, W))(STARTS[softmax]["W"])


def test_none_of_them_is_imported():
    program = f"import sys, kernels; print(*({set(OTHERS)} & {{*sys.modules}}))"
    done = run_program(program)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
