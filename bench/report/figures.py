"""The figures of a report, drawn with matplotlib.

Every contestant has its own marker and colour, and most have their own line style and hatch; in the
figure of random shapes every problem has its own marker and colour. The
colours are those of Okabe and Ito, distinguishable with colour-deficient vision, and three more.
"""

import io
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.measure.plan import BASELINE
from bench.report.claims import times
from bench.report.distribution import distributions
from bench.report.results import SUBJECT, Cell, Results


class Style(NamedTuple):
    color: str
    marker: str
    line: Any
    hatch: str


STYLES = {
    "python": Style("#7f7f7f", "x", (0, (1, 1)), "...."),
    BASELINE: Style("#000000", "o", "-", ""),
    "numpy": Style("#7a4b1f", "<", (0, (5, 2, 1, 2)), "||||"),
    "loop": Style("#e69f00", "^", "--", "////"),
    "tiled": Style("#0072b2", "s", "-", ""),
    "scikit-learn": Style("#009e73", "D", "-.", "\\\\\\\\"),
    "PyTorch": Style("#d55e00", "v", (0, (3, 1, 1, 1)), "xxxx"),
    "PyTorch compiled": Style("#cc79a7", "P", (0, (5, 1)), "++++"),
    "JAX": Style("#56b4e9", "*", (0, (3, 1, 1, 1, 1, 1)), "oooo"),
    "oneDAL": Style("#b8a800", "h", (0, (4, 2)), "----"),
    "softmax": Style("#0072b2", "s", "-", ""),
    "logistic": Style("#e69f00", "^", "-", ""),
    "linear": Style("#009e73", "D", "-", ""),
    "two_layer": Style("#d55e00", "v", "-", ""),
}
OTHER = Style("#999999", "d", "-", "")  # any other variant
SETTINGS: Any = {
    "font.size": 9,
    "axes.grid": True,
    "axes.grid.which": "major",
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "kernels",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
Picture = Callable[[], Figure]


def style(contestant: str) -> Style:
    return STYLES.get(contestant, OTHER)


def panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def legend(figure: Figure, contestants: Iterable[str], line: bool = False) -> None:
    """Draw the legend above the panels."""
    handles = [
        Line2D([], [], color=s.color, marker=s.marker, linestyle=s.line if line else "", label=name)
        for name in contestants
        for s in [style(name)]
    ]
    figure.legend(
        handles=handles, loc="outside upper center", ncols=min(5, len(handles)), frameon=False
    )


def plain(axis: Any) -> None:
    """Label an axis 0.1, 1, 10 instead of powers of ten, with 2 and 5 if the range is short."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5) if high / low < 60 else (1,)))
    axis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(mpl.ticker.NullFormatter())


def dtypes(cells: list[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.dtype for cell in cells))


def sweep(results: Results, problem: str) -> Figure:
    """Samples per second against the batch size, one curve for each contestant."""
    cells = [cell for cell in results.sweep if cell.problem == problem]
    figure, axes = panels(len(dtypes(cells)), 5.6, 3.8)
    for ax, dtype in zip(axes, dtypes(cells), strict=True):
        mine = [cell for cell in cells if cell.dtype == dtype]
        for name in results.contestants:
            points = [
                (cell.shape[0], cell.timings[name].time) for cell in mine if name in cell.timings
            ]
            if points:
                N = np.array([n for n, _ in points])
                speed = np.array(
                    [
                        N / [getattr(time, end) for _, time in points]
                        for end in ("median", "high", "low")
                    ]
                )
                s = style(name)
                error = np.abs(speed[1:] - speed[0])
                ax.errorbar(
                    N,
                    speed[0],
                    error,
                    color=s.color,
                    marker=s.marker,
                    linestyle=s.line,
                    capsize=2,
                    markersize=5,
                )
        widths = "×".join(map(str, mine[0].shape[1:]))
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="samples in the batch, N",
            title=f"{problem}, N×{widths}, {dtype}",
        )
    axes[0].set_ylabel("samples per second")
    legend(figure, shown(results, cells), line=True)
    return figure


def roofline(results: Results, problem: str) -> Figure:
    """GFLOP/s of every contestant in every cell, under the limits of memory and arithmetic."""
    cells = [cell for cell in results.table if cell.problem == problem]
    sizes = list(dict.fromkeys((cell.data, cell.size) for cell in cells))
    figure, axes = panels(len(dtypes(cells)), 4.9, 5.2 + 0.16 * len(sizes))
    read = results.ceilings["read"].median
    for ax, dtype in zip(axes, dtypes(cells), strict=True):
        peak = results.ceilings[dtype].median
        mine = [cell for cell in cells if cell.dtype == dtype]
        intensity = [cell.flop / cell.bytes for cell in mine]
        x = np.geomspace(min(*intensity, peak / read) / 2, max(*intensity, peak / read) * 2, 200)
        ax.plot(x, np.minimum(peak, x * read) / 1e9, color="black", linewidth=1.5)
        ax.text(x[-1], peak / 1e9 * 1.1, f"{peak / 1e9:.0f} GFLOP/s", ha="right", va="bottom")
        ax.annotate(
            f"{read / 1e9:.0f} GB/s",
            (x[0], x[0] * read / 1e9),
            (8, -8),
            textcoords="offset points",
            va="top",
        )
        for cell in mine:
            for name in cell.contestants:
                s, speed = style(name), cell.flop / cell.timings[name].time.median / 1e9
                ax.plot(
                    cell.flop / cell.bytes,
                    speed,
                    marker=s.marker,
                    color=s.color,
                    linestyle="",
                    markersize=5,
                )
                numbered(
                    ax, (cell.flop / cell.bytes, speed), 1 + sizes.index((cell.data, cell.size))
                )
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="FLOP per byte of X and y",
            title=f"{problem}, {dtype}",
        )
        ax.margins(y=0.12)
        plain(ax.xaxis)
        plain(ax.yaxis)
    axes[0].set_ylabel("GFLOP/s")
    legend(figure, shown(results, cells))
    key(figure, sizes)
    return figure


def shown(results: Results, cells: list[Cell]) -> list[str]:
    """The contestants that were timed in any of the cells."""
    return [name for name in results.contestants if any(name in cell.timings for cell in cells)]


def numbered(ax: Axes, point: tuple[float, float], number: int) -> None:
    """Write a cell's number beside its point: odd ones right, even ones left, to avoid overlap."""
    side, align = (4, "left") if number % 2 else (-4, "right")
    ax.annotate(
        str(number), point, (side, 0), textcoords="offset points", fontsize=7, va="center", ha=align
    )


def key(figure: Figure, sizes: list[tuple[str, str]]) -> None:
    """Write the legend of the numbers beside the points."""
    text = "\n".join(f"{number} {data} {size}" for number, (data, size) in enumerate(sizes, 1))
    figure.supxlabel(text, x=0.02, ha="left", fontsize=7.5, linespacing=1.4)


def bars(results: Results, problem: str) -> Figure:
    """Speed relative to bare NumPy, with intervals; the noise of each cell is shaded."""
    cells = [cell for cell in results.table if cell.problem == problem]
    names = [name for name in results.contestants if name != BASELINE]
    rows = sum(len(cell.contestants) - 1 + 0.8 for cell in cells)
    figure = Figure(figsize=(7.6, 1.2 + 0.2 * rows), layout="constrained")
    ax = figure.subplots()
    y, ticks, labels = 0.0, [], []
    for cell in cells:
        top = y
        for name in names:
            found = cell.ratio(name)
            if found is None:
                continue
            s = style(name)
            ax.barh(
                y,
                found.median - 1,
                left=1,
                height=0.8,
                color=s.color,
                hatch=s.hatch,
                edgecolor="white",
                label=name,
            )
            if found.sure:
                ends = [[found.median - found.low], [found.high - found.median]]
                ax.errorbar(found.median, y, xerr=ends, color="black", capsize=2, linewidth=1)
            ahead = found.median >= 1
            where, side = (found.high, 4) if ahead else (found.low, -4)
            ax.annotate(
                times(found), (where, y), (side, 0), textcoords="offset points",
                ha="left" if ahead else "right", va="center", fontsize=7,
            )  # fmt: skip
            y += 1
        ax.fill_betweenx(
            [top - 0.5, y - 0.5], 1 / cell.noise, cell.noise, color="#cccccc", zorder=0, linewidth=0
        )
        ticks.append((top + y - 1) / 2)
        labels.append(f"{cell.data} {cell.size}\n{cell.dtype}")
        y += 0.8
    ax.axvline(1, color="black", linewidth=1)
    ax.set(
        xscale="log",
        yticks=ticks,
        yticklabels=labels,
        xlabel=f"times as fast as {BASELINE}",
        title=problem,
    )
    ax.margins(x=0.2, y=0.01)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    plain(ax.xaxis)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=4, frameon=False
    )
    return figure


def accuracy(results: Results, problem: str) -> Figure:
    """The error relative to long double against the speed."""
    cells = [cell for cell in results.table if cell.problem == problem]
    sizes = list(dict.fromkeys((cell.data, cell.size) for cell in cells))
    figure, axes = panels(len(dtypes(cells)), 4.9, 3.8 + 0.16 * len(sizes))
    for ax, dtype in zip(axes, dtypes(cells), strict=True):
        for cell in cells:
            for name in cell.contestants if cell.dtype == dtype else ():
                found, error = cell.ratio(name), cell.timings[name].error
                if found and error is not None:
                    s, error = style(name), max(error, 0.01)
                    ax.plot(
                        found.median,
                        error,
                        marker=s.marker,
                        color=s.color,
                        linestyle="",
                        markersize=5,
                    )
                    numbered(ax, (found.median, error), 1 + sizes.index((cell.data, cell.size)))
        ax.set(
            xscale="log",
            yscale="log",
            xlabel=f"times as fast as {BASELINE}",
            title=f"{problem}, {dtype}",
        )
        ax.margins(0.08)
        plain(ax.xaxis)
        plain(ax.yaxis)
    axes[0].set_ylabel("largest error, in units of rounding")
    legend(figure, shown(results, cells))
    key(figure, sizes)
    return figure


def overview(results: Results) -> Figure:
    """Speed relative to bare NumPy in all cells, without the much slower interpreted loop."""
    cells = results.table
    names = [name for name in results.contestants if name not in ("python", BASELINE)]
    rows = list(dict.fromkeys((cell.problem, cell.data, cell.size) for cell in cells))
    figure = Figure(
        figsize=(4.6 * len(dtypes(cells)) + 1, 1.4 + 0.26 * len(rows)), layout="constrained"
    )
    axes = figure.subplots(1, len(dtypes(cells)), squeeze=False, sharex=True, sharey=True)[0]
    for ax, dtype in zip(axes, dtypes(cells), strict=True):
        for cell in cells if rows else ():
            y = rows.index((cell.problem, cell.data, cell.size))
            for number, name in enumerate(names if cell.dtype == dtype else ()):
                found = cell.ratio(name)
                if found:
                    s = style(name)
                    ends = [[found.median - found.low], [found.high - found.median]]
                    at = y + 0.12 * (number - (len(names) - 1) / 2)
                    ax.errorbar(
                        found.median,
                        at,
                        xerr=ends,
                        color=s.color,
                        marker=s.marker,
                        capsize=2,
                        markersize=5,
                    )
        ax.axvline(1, color="black", linewidth=1)
        ax.set(xscale="log", xlabel=f"times as fast as {BASELINE}", title=dtype)
        plain(ax.xaxis)
    axes[0].set_yticks(range(len(rows)), [" ".join(row) for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    legend(figure, names)
    return figure


def random_shapes(results: Results) -> Figure:
    """The ratio of every random shape against the work in a call."""
    found = distributions(results)
    figure, axes = panels(len(found), 5.6, 4.2)
    for ax, one in zip(axes, found, strict=True):
        for ratio, _, cell in one.shapes:
            s = style(cell.problem)
            ax.plot(cell.flop, ratio.median, s.marker, color=s.color, markersize=5, alpha=0.8)
        ax.axhline(1, color="black", linewidth=1)
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="work in a call, FLOP",
            title=f"{SUBJECT} against {one.other}",
        )
        plain(ax.yaxis)
    axes[0].set_ylabel("times as fast")
    legend(figure, results.problems)
    return figure


def all_of(results: Results) -> dict[str, tuple[str, Picture]]:
    """Name, title and drawing function of each figure for which there are data."""
    found: dict[str, tuple[str, Picture]] = {}
    compared = {
        cell.problem
        for cell in results.table
        if any(cell.ratio(name) for name in cell.contestants if name != BASELINE)
    }
    if results.random:
        title = "Every random shape: times as fast against the work in a call"
        return {"random": (title, partial(random_shapes, results))} if compared else {}
    if compared:
        found["overview"] = f"Every cell: times as fast as {BASELINE}", partial(overview, results)
    for problem in results.problems:
        if any(cell.problem == problem for cell in results.sweep):
            found[f"{problem}-sweep"] = (
                f"{problem}: speed against batch size",
                partial(sweep, results, problem),
            )
        if any(cell.problem == problem for cell in results.table):
            found[f"{problem}-roofline"] = (
                f"{problem}: speed against arithmetic intensity, with the limits of the machine",
                partial(roofline, results, problem),
            )
        if problem in compared:
            found[f"{problem}-ratios"] = (
                f"{problem}: times as fast as {BASELINE}",
                partial(bars, results, problem),
            )
            found[f"{problem}-accuracy"] = (
                f"{problem}: error beside speed",
                partial(accuracy, results, problem),
            )
    return found


def rendered(picture: Picture) -> dict[str, bytes]:
    """A figure as SVG and as PNG."""
    files = {}
    with mpl.rc_context(SETTINGS):
        figure = picture()
        for kind, metadata in ("svg", {"Date": None}), ("png", {}):
            file = io.BytesIO()
            figure.savefig(file, format=kind, dpi=130, metadata=metadata)
            files[kind] = file.getvalue()
    return files
