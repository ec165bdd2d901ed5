"""The README's plot: cost per site and step against lattice size, fastpatch and its peers."""

import argparse
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.console import BenchmarkError, run_main
from bench.machine import machine_title
from bench.results import latest
from bench.suite import ROOT
from fastpatch.analysis.figures.style import BLUE, house_style, new_figure, save_figure
from fastpatch.atomic import writable_directory

__all__ = ["draw_cost"]

# Okabe and Ito's colours; fastpatch is the thick line.
_LOOKS: dict[str, dict[str, Any]] = {
    "fastpatch": {"color": BLUE, "marker": "o", "linewidth": 2.4, "zorder": 5},
    "JAX, unrolled": {"color": "#D55E00", "marker": "s"},
    "JAX, conv": {"color": "#D55E00", "marker": "s", "linestyle": "--", "markerfacecolor": "white"},
    "torch.compile, unrolled": {"color": "#009E73", "marker": "^"},
    "torch.compile": {"color": "#009E73", "marker": "^", "linestyle": "--", "markerfacecolor": "white"},
    "torch eager": {"color": "#CC79A7", "marker": "v"},
    "NumPy, matrix product": {"color": "#444444", "marker": "D"},
    "NumPy, shifts": {"color": "#444444", "marker": "D", "linestyle": "--", "markerfacecolor": "white"},
}


def draw_cost(section: dict[str, Any]) -> Figure:
    """One panel a number of threads; the shortest call of each contender, its state one square lattice.

    ``section`` is what `bench.peers` stored. Raises `BenchmarkError` if it holds no single-lattice rows.
    """
    rows = [row for row in section["content"] if row["trajectories"] == 1]
    counts = sorted({row["threads"] for row in rows})
    if not counts:
        raise BenchmarkError("the comparison holds no single lattice; expected rows with one trajectory")
    sides = sorted({row["side"] for row in rows})
    with house_style():
        figure = new_figure(max(8.8, 4.4 * len(counts)), 4.2)
        panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
        for axes, threads in zip(panels, counts, strict=True):
            _draw_panel(axes, [row for row in rows if row["threads"] == threads])
            axes.set_title({1: "one thread", 2: "two threads"}.get(threads, f"{threads} threads"))
            axes.set_xticks(sides, [str(side) for side in sides])
            axes.minorticks_off()
            axes.set_xlabel("lattice side $L$")
        panels[0].set_ylabel("nanoseconds per site and step")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        figure.suptitle(
            "One step of the patch machine: noise included, float32, 18 patterns; shortest of alternating calls\n"
            f"{machine_title(section['machine']['kind'])}, {section['machine']['cores']} cores, {section['date']}",
            fontsize=9.5,
        )
    return figure


def _draw_panel(axes: Axes, rows: list[dict[str, Any]]) -> None:
    for name, look in _LOOKS.items():
        points = sorted((row["side"], row["minimum_ns"]) for row in rows if row["name"] == name)
        if points:
            axes.plot(*zip(*points, strict=True), label=name, markersize=4.5, **look)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.plot", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "cost-per-site.png")
    options = parser.parse_args()
    figure = draw_cost(latest("peers"))
    writable_directory(options.output.parent)
    save_figure(figure, options.output)
    print(f"written to {options.output}")


if __name__ == "__main__":
    run_main(main)
