"""What is said and drawn of runs of the patch machine of images, beside its Gaussian null and a trained network."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from .. import theory
from ..analysis import log_time_derivative
from ..analysis.critical_points import critical_points
from ..analysis.figures.dynamics import NULL_LINE
from ..analysis.figures.style import BLUE, GREY, PURPLE, RED, TIME_LABEL, house_style, new_figure
from ..analysis.statistics import nan_median
from ..dictionary import PatchDictionary
from ..errors import InvalidInputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MACHINE", "NETWORK", "NULL", "draw_runs", "image_report", "predicted_times"]

MACHINE, NULL, NETWORK = "patches", "Gaussian null", "U-Net"

# Averages over Gaussian patches for the closure of millions of patterns: a minute, and an error of a hundredth.
_LOG2_POINTS = 8


def predicted_times(dictionary: PatchDictionary, shape: tuple[int, int]) -> dict[str, theory.Estimate]:
    """The times at which lambda_0 vanishes by theory, with numerical errors; nan where it does not.

    At x = 0 the ``"score"`` condition, ``"eq17"`` and the ``"drift"``; the drift averaged over white noise; the
    closure. The last two take a minute or two for millions of patterns.
    """
    found: dict[str, theory.Estimate] = {}
    conditions: tuple[theory.CriticalCondition, ...] = ("score", "eq17", "drift")
    for condition in conditions:
        try:
            found[condition] = theory.Estimate(theory.critical_time(condition, dictionary=dictionary), 0.0)
        except InvalidInputError:
            found[condition] = theory.Estimate(math.nan, 0.0)
    for name, of in (("white noise", theory.white_critical_time), ("closure", theory.closure_critical_time)):
        try:
            found[name] = of(dictionary, shape=shape, log2_points=_LOG2_POINTS)
        except InvalidInputError:  # too many patterns, which no tree holds
            found[name] = theory.Estimate(math.nan, 0.0)
    return found


def image_report(
    runs: "Mapping[str, xr.Dataset]", predicted: Mapping[str, theory.Estimate], mean: float, length: float
) -> str:
    """Predicted and measured critical times, and sample statistics, a column each of the ``runs`` (`MACHINE` first).

    ``mean`` and ``length`` are the images' mean pixel and the median xi_x of their sign fields.
    """
    lines = ["lambda_0 = 0 predicted for the patch machine"]
    for name, (time, error) in predicted.items():
        doubt = f" ± {error:.2g}" if error > 0.0 else ""
        lines.append(f"  {name:<28}" + (f"{'none':>10}" if math.isnan(time) else f"{time:10.4g}{doubt}"))
    lines.append(f"{'measured [95 % interval]':<30}" + "".join(f"{name:>26}" for name in runs))
    points = [critical_points(run) for run in runs.values()]
    for key in points[0]:
        cells = []
        for point in (one[key] for one in points):
            interval = "" if math.isnan(point.low) else f" [{point.low:.3g}, {point.high:.3g}]"
            cells.append("none" if math.isnan(point.time) else f"{point.time:.3g}{interval}")
        lines.append(f"  {key.replace('_', ' '):<28}" + "".join(f"{cell:>26}" for cell in cells))
    ends = [run["xi_x"].isel(time=-1).to_numpy() for run in runs.values()]
    quartiles = [np.quantile(end, [0.25, 0.5, 0.75]) for end in ends]
    cells = [f"{middle:.3g} [{low:.3g}, {high:.3g}]" for low, middle, high in quartiles]
    lines.append(
        f"  {'final xi_x, quartiles':<28}" + "".join(f"{cell:>26}" for cell in cells) + f"   images {length:.3g}"
    )
    cells = [f"{float(run['final'].mean()):.3g}" for run in runs.values()]
    lines.append(f"  {'mean pixel':<28}" + "".join(f"{cell:>26}" for cell in cells) + f"   images {mean:.3g}")
    return "\n".join(lines)


def draw_runs(runs: "Mapping[str, xr.Dataset]", predicted: float, title: str) -> Figure:
    """Figure 3 of several runs on the same axes: xi_x, its growth, lambda_0, and xi_eq before lambda_0 vanishes.

    Medians over trajectories, of xi_x with the quartiles; the dashed line is ``predicted``, the closure's zero of the
    patch machine's lambda_0.
    """
    colours = {MACHINE: BLUE, NULL: PURPLE, NETWORK: RED}
    with house_style():
        figure = new_figure(9.5, 6.4)
        panels = figure.subplots(2, 2)
        (lengths, growth), (softening, equilibrium) = panels
        for name, run in runs.items():
            style = {"color": colours[name], "label": name, "linestyle": NULL_LINE if name == NULL else "-"}
            times, xi_x = run["time"].to_numpy(), run["xi_x"].transpose("trajectory", "time").to_numpy()
            low, median, high = np.quantile(xi_x, [0.25, 0.5, 0.75], axis=0)
            lengths.plot(times, median, **style)
            lengths.fill_between(times, low, high, color=colours[name], alpha=0.15, linewidth=0.0)
            growth.plot(times, nan_median(-log_time_derivative(xi_x, times), axis=0), **style)
            modes = run["mode_derivative"].isel(direction=slice(0, 2)).mean("direction").median("trajectory")
            zero = modes.sel(shell=0).to_numpy()
            softening.plot(times, zero, **style)
            locked = np.flatnonzero(zero <= 0.0)
            before = slice(0, locked[0] if locked.size else None)
            xi_eq = run["xi_eq"].transpose("trajectory", "time").to_numpy()
            equilibrium.plot(times[before], nan_median(xi_eq, axis=0)[before], **style)
        softening.axhline(0.0, color=GREY, linewidth=0.8)
        softening.set_yscale("symlog", linthresh=0.1)
        top = [line.get_ydata() for line in equilibrium.get_lines()]
        finite = np.concatenate([values[np.isfinite(values)] for values in map(np.asarray, top)])
        if finite.size:
            # xi_eq diverges where lambda_0 vanishes.
            equilibrium.set_ylim(0.0, max(1.3 * float(np.quantile(finite, 0.97)), 0.1))
        labels = (
            r"$\xi_x$ (sites)",
            r"$d\xi_x/d\log(1/t)$ (sites)",
            r"$\lambda_0$ (1 / time)",
            r"$\xi_\mathrm{eq}$ before locking (sites)",
        )
        first, last = (runs[MACHINE]["time"].to_numpy()[n] for n in (0, -1))
        for axes, label in zip(panels.ravel(), labels, strict=True):
            axes.set(xscale="log", xlabel=TIME_LABEL, ylabel=label, xlim=(first, last))
            if not math.isnan(predicted):
                line = axes.axvline(predicted, color=GREY, linestyle=(0, (4, 3)), linewidth=1.0)
                line.set_label(f"$\\lambda_0 = 0$, predicted (closure): $t$ = {predicted:.3g}")
        handles = lengths.get_legend_handles_labels()[0]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        figure.suptitle(title, fontsize="large")
    return figure
