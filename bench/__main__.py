"""`python -m bench` measures and writes a report; `python -m bench compare A B` compares two."""

import argparse
import os
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import draw
from bench.measure.plan import BASELINE, Plan, UsageError
from bench.measure.run import Records, revision, run
from bench.peers import PEERS
from bench.problems import DTYPES, PROBLEMS
from bench.report import page
from kernels.engine.pool import cpus


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    preset = root.add_mutually_exclusive_group()
    preset.add_argument(
        "--quick",
        action="store_const",
        dest="preset",
        const="quick",
        help="a few small cells, about a minute",
    )
    preset.add_argument(
        "--full",
        action="store_const",
        dest="preset",
        const="full",
        help="every cell, an hour or more",
    )
    root.set_defaults(preset="default", command=measure)
    root.add_argument(
        "--random",
        type=int,
        metavar="N",
        help="instead of the table N shapes in all, drawn at random, the problems in rotation",
    )
    root.add_argument(
        "--seed",
        type=int,
        metavar="S",
        help="seed of the random shapes (default: the first digits of the commit)",
    )
    root.add_argument(
        "--problems",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only these problems (softmax) or rows of the table (softmax-digits-1797x64x10)",
    )
    root.add_argument(
        "--dtypes", nargs="+", default=DTYPES, metavar="DTYPE", help="only these (float64 float32)"
    )
    root.add_argument(
        "--variants",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"only these variants, and {BASELINE}, the baseline of all ratios",
    )
    root.add_argument(
        "--peers",
        nargs="*",
        metavar="NAME",
        help="only these libraries, or none (default: all that are installed)",
    )
    root.add_argument(
        "--threads",
        type=int,
        default=cpus(),
        help="threads of BLAS, of the tiled variant and of the peers (default: one per CPU)",
    )
    root.add_argument(
        "--out",
        type=Path,
        default=Path(".bench"),
        metavar="DIR",
        help="directory of the report (default: .bench)",
    )
    commands = root.add_subparsers(metavar="compare")
    compare = commands.add_parser(
        "compare", help="compare two reports; exit status 1 if B is slower than A beyond the noise"
    )
    compare.add_argument("a", type=Path, metavar="A")
    compare.add_argument("b", type=Path, metavar="B")
    compare.set_defaults(command=comparison)
    return root


def accepted(option: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise UsageError(
                f"{option} {name}: there is no such thing; choose from {', '.join(known)}"
            )
    return tuple(name for name in known if name in names)


def is_random(arguments: argparse.Namespace) -> bool:
    """Whether random shapes are to be measured; raise UsageError if the options contradict that."""
    if arguments.random is None:
        if arguments.seed is not None:
            raise UsageError(
                f"--seed {arguments.seed}: it is the seed of random shapes, and there are none; "
                "add --random N or leave --seed out"
            )
        return False
    if arguments.random < 1:
        raise UsageError(
            f"--random {arguments.random}: it is the number of shapes to draw; choose 1 or more"
        )
    if arguments.variants:
        raise UsageError(
            "--variants with --random: of our variants only tiled is timed on random shapes; "
            "leave --variants out"
        )
    return True


def plan(arguments: argparse.Namespace) -> Plan:
    at_random = is_random(arguments)
    names = [problem.name for problem in PROBLEMS] + [str(problem) for problem in PROBLEMS]
    rows = list(draw.NAMES if at_random else dict.fromkeys(names))
    variants = list(dict.fromkeys(variant for problem in PROBLEMS for variant in problem.variants))
    if at_random:
        variants = ["tiled"]
    peers = accepted("--peers", arguments.peers or (), list(PEERS))
    for name in peers:
        if not PEERS[name].installed():
            raise UsageError(
                f"--peers {name}: it is not installed; install it "
                f"(pip install {PEERS[name].distribution}) or leave it out"
            )
    if not 1 <= arguments.threads <= cpus():
        raise UsageError(
            f"--threads {arguments.threads}: this process may use {cpus()} CPUs; "
            f"choose from 1 to {cpus()}"
        )
    return Plan(
        preset=arguments.preset,
        problems=accepted("--problems", arguments.problems, rows),
        dtypes=accepted("--dtypes", arguments.dtypes, DTYPES),
        variants=accepted("--variants", arguments.variants or variants, variants),
        peers=peers
        if arguments.peers is not None
        else tuple(name for name in PEERS if PEERS[name].installed()),
        threads=arguments.threads,
        seed=random.randrange(10**6),
        shapes=arguments.random or 0,
        draw_seed=int(revision()[:8], 16) if arguments.seed is None else arguments.seed,
    )


def measure(arguments: argparse.Namespace) -> int:
    chosen = plan(arguments)
    records = Records(arguments.out, chosen, shlex.join(["python", "-m", "bench", *sys.argv[1:]]))
    chosen = records.plan
    # Some libraries take their number of threads from the CPU affinity alone.
    if hasattr(os, "sched_setaffinity") and chosen.threads < cpus():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.threads])
    if records.resumed:
        print(f"{arguments.out} holds an unfinished run of the same plan: resumed", file=sys.stderr)
    ended = run(records)
    if not records.of("passed"):
        raise UsageError("stopped before anything was measured: there is no report")
    print(page.write(records, arguments.out))
    if not ended:
        print(
            "Interrupted: the report is of what was done. The same command resumes the run.",
            file=sys.stderr,
        )
        return 130
    return 1 if records.of("failed") else 0


def comparison(arguments: argparse.Namespace) -> int:
    from bench.report import compare

    return compare.show(arguments.a, arguments.b)


def main() -> int:
    arguments = parser().parse_args()
    try:
        return int(arguments.command(arguments))
    except UsageError as error:
        print(f"python -m bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
