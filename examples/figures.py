"""Helpers of the examples: create a figure, and save it in the folder given by --out."""

import argparse
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def new(width: float, height: float, **panels: Any) -> tuple[Figure, Any]:
    """A figure of that size in inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # inches of margin
    return figure, figure.subplots(**panels)


def folder() -> Path:
    """The folder given on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--out", type=Path, default=Path(), help="folder for the figure (default: the current one)"
    )
    return parser.parse_args().out


def save(figure: Figure, name: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / name, dpi=80)
    print(f"picture: {out / name}")
