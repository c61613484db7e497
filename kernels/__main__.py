"""``python -m kernels`` prints the versions for a bug report and checks every kernel.

``python -m kernels --compile`` fills the cache of compiled code, for an image or a shared folder.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from . import linear, logistic, show_versions, softmax, two_layer
from .engine.cache import cache_state

N, D, K, H = 2003, 9, 5, 6
PROBLEMS = {"softmax": softmax, "logistic": logistic, "linear": linear, "two_layer": two_layer}


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(prog="python -m kernels", description="Check every kernel.")
    parser.add_argument(
        "--compile", action="store_true", help="instead, fill the cache of compiled code"
    )
    if parser.parse_args(arguments).compile:
        return compile_all()
    show_versions()
    print(
        "\nLargest error of a gradient, as a part of what rounding may do to it; "
        "seconds, in which an empty cache compiles:"
    )
    worst = max(
        [check(problem, dtype) for problem in PROBLEMS for dtype in (np.float64, np.float32)]
    )
    print(
        "every kernel is right"
        if worst <= 1
        else "A KERNEL IS WRONG: please report all of the above"
    )
    return int(not worst <= 1)  # nan is wrong too


def compile_all() -> int:
    """Compile what the public functions of every problem run, in both dtypes, with a bar."""
    steps, begun = list(compilations()), time.perf_counter()
    for _, compile_one in progress(steps):
        compile_one()
    took = time.perf_counter() - begun
    print(f"{len(steps)} functions, compiled or found in {took:.0f} s, in the cache:")
    for directory, state in cache_state():
        print(f"{directory}: {state}")
    return 0


def progress(steps: list[tuple[str, Callable[[], Any]]]) -> Iterator[tuple[str, Any]]:
    """The steps, with a bar of tqdm if that is installed, else a line for each."""
    try:
        from tqdm import tqdm
    except ImportError:
        for n, (name, step) in enumerate(steps, 1):
            print(f"{n:3} of {len(steps)}  {name}", flush=True)
            yield name, step
        return
    with tqdm(steps, unit="function") as bar:
        for name, step in bar:
            bar.set_postfix_str(name)
            yield name, step


def compilations() -> Iterator[tuple[str, Callable[[], Any]]]:
    """What there is to compile: names, and functions that compile it or find it in the cache."""
    for name, module in PROBLEMS.items():
        problem = module.PROBLEM
        tables = {"gradient": problem.variants.kernel, "sums": problem.variants.sums_kernel}
        tables |= {"descent": problem.model.loop, "product": problem.products.kernel}
        for dtype in np.float64, np.float32:
            label, size = f"{name} {np.dtype(dtype).name}", np.dtype(dtype).itemsize
            for what, table in tables.items():
                for divided in table.functions:
                    place = size, divided
                    yield f"{label} {what}, by {divided}", partial(table.__getitem__, place)
            batch = example(name, dtype)
            yield f"{label} loop", partial(module.gradient, *batch, variant="loop")


def check(problem: str, dtype: Any) -> float:
    """Print and return the largest error of the variants, compared with NumPy in float64."""
    module, batch = PROBLEMS[problem], example(problem, dtype)
    X, *rest = batch
    exact = module.gradient(
        *(
            np.asarray(part, float) if np.asarray(part).dtype.kind == "f" else part
            for part in batch
        ),
        variant="numpy",
    )
    # The average of N terms of about max(1, |X|), added one after another, errs by about √N eps
    # times their size; ten times that is allowed.
    allowed = 10 * np.sqrt(N) * np.finfo(dtype).eps * max(1.0, np.abs(X).max())
    errors, start = {}, time.perf_counter()
    y, *parameters = rest
    for variant, sums in module.VARIANTS.items():
        # A public function would replace what is not finite by the result in wider floats.
        parts = sums(X, y, np.ones(N, dtype), *parameters)
        if not all(np.isfinite(part).all() for part in parts):
            errors[variant] = np.nan
            continue
        gradients = [module.gradient(x, *rest, variant=variant) for x in (X, np.asfortranarray(X))]
        errors[variant] = (
            max(
                float(np.abs(a - b).max()) for g in gradients for a, b in zip(g, exact, strict=True)
            )
            / allowed
        )
    took = time.perf_counter() - start
    print(
        f"{problem:10}{np.dtype(dtype).name:9}",
        *(f"{name} {error:<8.2g}" for name, error in errors.items()),
        f"{took:6.2f} s",
    )
    return float(np.max(list(errors.values())))


def example(problem: str, dtype: Any) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)).astype(dtype)
    y: dict[str, Any] = {
        "logistic": rng.choice([-1, 1], N).astype(dtype),
        "linear": rng.normal(size=N).astype(dtype),
    }
    sizes: list[Any] = {"softmax": [(D, K), K], "two_layer": [(D, H), H, (H, K), K]}.get(
        problem, [D, ()]
    )
    return (
        X,
        y.get(problem, rng.integers(0, K, N)),
        *(rng.normal(size=size, scale=0.5).astype(dtype) if size else 0.5 for size in sizes),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
