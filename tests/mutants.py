"""Mutation testing: change kernels/ in one small place at a time, list what no test notices.

    python tests/mutants.py [--share 0.2] [module ...]

The changes are mutmut's, one for each place, made by Cosmic Ray in the files themselves and undone.
An interrupted change stays: run it in a clone.

A change that does no harm survives, as these do:
  reshape(-2) for reshape(-1), shape[+1] for shape[-1] of a matrix   the same to NumPy
  s / y for s * y where y is -1 or +1, a weight of 2 for every sample   the same number
  a gradient that asks for the loss too, a row of scratch or an empty counter more, blocks of 2**15
  rows for 2**16, a wait in Python for one in compiled code, another place to prefetch   the same
  answer, a little later
  len(text) <= 40 for < 40   which name an error quotes whole
"""

import argparse
import json
import random
import shlex
import subprocess
import sys
from pathlib import Path

from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import WorkerOutcome, WorkResult

ARITHMETIC = "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul Pow_Mul"
COMPARISON = "Eq_NotEq NotEq_Eq Lt_LtE LtE_Lt Gt_GtE GtE_Gt Is_IsNot IsNot_Is"
OTHERS = """
AddNot ExceptionReplacer NumberReplacer ReplaceAndWithOr ReplaceBreakWithContinue
ReplaceContinueWithBreak ReplaceFalseWithTrue ReplaceOrWithAnd ReplaceTrueWithFalse
ReplaceUnaryOperator_Delete_Not ReplaceUnaryOperator_USub_UAdd ZeroIterationForLoop"""
OPERATORS = {
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in ARITHMETIC.split()),
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in COMPARISON.split()),
    *(f"core/{name}" for name in OTHERS.split()),
}

# Machine code of the unchanged package serves where only the interpreter sees the change (of a
# loop, it runs the source too).
KEEP = """import sys, pytest
from kernels.engine import cache
cache.source_stamp = lambda: 'kept'
sys.exit(pytest.main(sys.argv[1:]))"""
# In the files of the problems; and files of which only the compiler sees nearly all.
ONLY_COMPILED = {"cross_entropy", "log_loss", "squared_error", "update_loop"}
PASSES = ["engine/tile_pass", "engine/feature_pass", "engine/parameter_pass"]
PRODUCTS = ["engine/gemm", "engine/gemv", "engine/pack", "engine/summation", "engine/vectors"]
TILED = [*PASSES, "engine/driver", "engine/reduce", *PRODUCTS]
THREADS = ["engine/atomics", "engine/team"]
COMPILED = {*TILED, *THREADS, "engine/average", "engine/casts", "engine/raw", "engine/vmath"}
COMPILED |= {"signature", "descent/loop"}

PROBLEMS = ["softmax", "logistic", "linear", "two_layer"]
DESCENT = [f"descent/test_{file}" for file in ("loop", "rates", "results", "settings", "start")]
DESCENT.append("descent/test_descend")
CHECKS = ["problem", "sums", "validate", "variants"]
ANSWERS = ["test_variants_overflow", "test_variants", "test_problem", "test_validate"]
ARGUMENTS = [*ANSWERS, "test_validate_arguments"]
CACHE = [f"engine/test_cache{part}" for part in ("_fallback", "", "_trust", "_problems")]
BRIEF = "not border and not however_far and not ten_thousand"
TESTS = {  # the tests that are to notice, those first that take little, and which of them
    **dict.fromkeys(CHECKS, ([*ARGUMENTS, "test_sums"], BRIEF)),
    **{
        problem: (
            [f"test_{problem}", *ARGUMENTS, *DESCENT],
            f"({problem} or starts or validation) and not border",
        )
        for problem in PROBLEMS
    },
    **{
        f"{problem}:compiled": ([f"test_{problem}", *ANSWERS], f"{problem} and not border")
        for problem in PROBLEMS
    },
    "signature": (["test_signature", "engine/test_raw", "test_variants"], "not border"),
    "threads": (["test_threads"], ""),
    **{
        f"descent/{file}": (DESCENT, "")
        for file in ("descend", "loop", "rates", "results", "settings", "start")
    },
    "engine/pool": (
        ["engine/test_pool", "engine/test_team", "test_threads", "test_processes"],
        "",
    ),
    **dict.fromkeys(THREADS, (["engine/test_team", "engine/test_pool"], "")),
    "engine/casts": (["engine/test_casts", "test_variants_casts"], ""),
    "engine/cache": ([*CACHE, "test_versions"], ""),
    "engine/vmath": (["engine/test_vmath"], ""),
    **{
        file: (
            [
                "engine/test_gemm",
                *ANSWERS,
                "engine/test_tile_pass",
                "engine/test_parameter_pass",
                "engine/test_feature_pass",
                "test_threads",
            ],
            "(logistic or softmax or thread or driver or products_of or tile_pass) and not border",
        )
        for file in TILED
    },
    "engine/average": ([*ANSWERS, "test_sums"], "not border"),
    "engine/raw": (["engine/test_raw", *ANSWERS], "not border"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "modules",
        nargs="*",
        default=TESTS,
        help="files of kernels/, `softmax:compiled` for the compiled part; all if none is named",
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the changes, drawn at random")
    parser.add_argument("--out", type=Path, default=Path(".bench/mutants"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    killed = tried = 0
    for module in arguments.modules:
        outcomes = session(module, arguments.share, arguments.out)
        killed, tried = killed + sum(outcomes), tried + len(outcomes)
    print(f"{killed} of {tried} changes noticed, {killed / max(1, tried):.1%}")


def session(module: str, share: float, out: Path) -> list[bool]:
    """Whether the tests noticed, for each change that was tried."""
    file, _, part = module.partition(":")
    compiled = bool(part) or file in COMPILED
    files, which = TESTS[module]
    run = [
        sys.executable,
        *(["-m", "pytest"] if compiled else ["-c", KEEP]),
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        which,
    ]
    command = shlex.join(
        [
            "env",
            f"NUMBA_CACHE_DIR={out / 'cache'}",
            *run,
            *(f"tests/{file}.py" for file in files),
        ]
    )
    name = module.replace("/", ".")
    config, database = out / f"{name}.toml", out / f"{name}.sqlite"
    config.write_text(
        "[cosmic-ray]\n"
        f'module-path = "kernels/{file}.py"\n'
        "timeout = 300.0\n"
        "excluded-modules = []\n"
        f"test-command = {json.dumps(command)}\n"
        'distributor.name = "local"\n'
    )
    if subprocess.run(command, shell=True, check=False).returncode:  # also compiles what is kept
        raise SystemExit(f"the tests of {module} fail without any change")
    cosmic_ray = [sys.executable, "-m", "cosmic_ray.cli"]
    subprocess.run([*cosmic_ray, "init", "--force", config, database], check=True)
    draw = random.Random(0)
    with use_db(str(database)) as db:
        for item in sorted(db.work_items, key=lambda item: str(item.mutations)):
            (change,) = item.mutations
            wanted = change.operator_name in OPERATORS and (
                file not in PROBLEMS or (change.definition_name in ONLY_COMPILED) == compiled
            )
            if not wanted or draw.random() >= share:
                db.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED))
    subprocess.run([*cosmic_ray, "exec", config, database], check=True)
    with use_db(str(database)) as db:
        results = [
            (item, result)
            for item, result in db.completed_work_items
            if result.worker_outcome == WorkerOutcome.NORMAL
        ]
    for _, result in results:
        if not result.is_killed:
            print(result.diff)
    print(f"{module}: {sum(result.is_killed for _, result in results)} of {len(results)} noticed")
    return [result.is_killed for _, result in results]


if __name__ == "__main__":
    main()
