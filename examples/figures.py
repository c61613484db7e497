"""Where an example saves its picture: the folder that --out names, else the current one."""

import argparse
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def new(width: float, height: float, **panels: Any) -> tuple[Figure, Any]:
    """A figure of that many inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # inches; nothing touches the edge
    return figure, figure.subplots(**panels)


def folder() -> Path:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--out", type=Path, default=Path(), help="folder for the picture (default: this one)"
    )
    return parser.parse_args().out


def save(figure: Figure, name: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / name, dpi=80)
    print(f"picture: {out / name}")
