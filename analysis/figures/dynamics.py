"""Correlation length, its growth, and the softening of the modes along a reverse run: the panels of Figs. 1 and 3."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..critical_interval import CriticalPoint
from ..critical_points import zero_mode_crossing
from ..growth import log_time_derivative
from ..statistics import nan_median, nan_quantile
from .style import BLUE, GREY, PURPLE, RED, TIME_LABEL, house_style, legends_below, new_figure, run_axis

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "LEGEND_COLUMNS",
    "NULL_LINE",
    "RunVariable",
    "draw_dynamics",
    "draw_null",
    "draw_panels",
    "draw_shells",
    "shell_curves",
]

# Every curve of a Gaussian null is dotted.
NULL_LINE: Any = (0, (1, 1.2))

# Of the legends below the three panels.
LEGEND_COLUMNS = (1, 1, 2)

# Rates below are not shown of a null, whose lambda_0 vanishes.
_LEAST_SHOWN = 1e-2

# Of so few trajectories each is drawn; of more, their quartiles.
_FEW = 3


@dataclass(frozen=True)
class RunVariable:
    """What decreases along a run: its dimension in the dataset, symbol in TeX, axis label, and the unit of rates."""

    dim: str
    symbol: str
    label: str
    rate: str


_TIME = RunVariable("time", "t", TIME_LABEL, "1 / time")


def draw_dynamics(
    dataset: "xr.Dataset",
    title: str | None = None,
    *,
    null: "xr.Dataset | None" = None,
    predicted: float | None = None,
) -> Figure:
    r"""Three panels from a result with ``xi_x``, ``xi_eq`` and ``mode_derivative`` over ``time``, see `draw_panels`.

    The solid vertical line is the measured zero of lambda_0 with its 95 % interval, the dashed one ``predicted``, what
    the Gaussian closure gives for it. The thin dash-dotted one is ``attrs["critical_time"]``: that of the score, which
    is another condition (of a Gaussian model, the exact zero of lambda_0). ``null`` holds the same curves of a Gaussian
    field without trajectories, as `fastpatch.theory.gaussian_null` gives them: xi_x, its growth and ``|lambda_0|`` are
    drawn in purple.
    """
    condition = r"$\lambda_0 = 0$, exact" if "data_spectrum" in dataset else "condition of the score"
    lines = (
        (predicted, r"$\lambda_0 = 0$, predicted (closure)", (0, (4, 3)), 1.2),
        (dataset.attrs.get("critical_time"), condition, (0, (7, 2, 1.5, 2)), 0.7),
    )
    with house_style():
        figure = new_figure(11.0, 4.2)
        panels = figure.subplots(1, 3).tolist()
        draw_panels(panels, dataset, _TIME)
        if null is not None:
            zero_mode = null["mode_derivative"].sel(shell=0).mean("direction").to_numpy()
            draw_null(panels, null["time"].to_numpy(), null["xi_x"].to_numpy()[None], zero_mode)
        measured = _zero(dataset, _TIME)
        for axes in panels:
            if not math.isnan(measured.time):
                line = axes.axvline(measured.time, color=GREY, linewidth=1.0, zorder=1)
                if not math.isnan(measured.low):
                    axes.axvspan(measured.low, measured.high, color=GREY, alpha=0.15, linewidth=0.0, zorder=0)
                line.set_label(rf"$\lambda_0 = 0$, measured: $t$ = {measured.time:.3g}")
            for time, label, style, width in lines:
                if time is not None and not math.isnan(time):
                    line = axes.axvline(time, color=GREY, linestyle=style, linewidth=width, zorder=1)
                    line.set_label(f"{label}: $t$ = {time:.3g}")
        legends_below(panels, LEGEND_COLUMNS)
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


def draw_panels(panels: list[Axes], dataset: "xr.Dataset", along: RunVariable) -> None:
    """Three panels from ``xi_x``, ``xi_eq`` and ``mode_derivative`` over the dimension of ``along``.

    Left: xi_x, and on an axis of its own xi_eq (orange), which is left out where it means nothing: where fewer than
    half of the trajectories have a value, and beyond the first zero of the median lambda_0, where the pattern has
    locked. Middle: -d xi_x / d log t, smoothed. Both are medians over trajectories with bands from quartile to
    quartile, or all trajectories if there are no more than three. Right: |lambda| per shell, the median over
    trajectories of the mean over the two axis directions (and channels), the median over shells (grey) and the zero
    mode (dashed, on top). NaN counts as missing. Their legends are for the caller, by `legends_below`.
    """
    left, middle, right = panels
    values = dataset[along.dim].to_numpy()
    xi_x = dataset["xi_x"].transpose("trajectory", along.dim).to_numpy().astype(np.float64)
    xi_eq = dataset["xi_eq"].transpose("trajectory", along.dim).to_numpy().astype(np.float64)
    _draw_lengths(left, values, xi_x, np.where(values < _zero(dataset, along).time, np.nan, xi_eq))
    _draw_growth(middle, values, xi_x, along)
    _draw_modes(right, values, dataset, along)
    for axes in panels:
        run_axis(axes, values, along.label)


def draw_null(panels: list[Axes], values: NDArray[Any], xi_x: NDArray[Any], zero_mode: NDArray[Any]) -> None:
    """What Gaussian fields of matched second moments show of each panel of `draw_panels`, without a transition.

    ``xi_x`` (trajectory, n) is drawn as its median, like its growth; ``zero_mode`` (n) is lambda_0.
    """
    growth = nan_median(-log_time_derivative(xi_x, values), axis=0)
    curves = (nan_median(xi_x, axis=0), growth, np.abs(zero_mode))
    for axes, curve in zip(panels, curves, strict=True):
        limits = axes.get_ylim()
        axes.plot(values, curve, color=PURPLE, linestyle=NULL_LINE, linewidth=1.6, label="Gaussian null")
        # Room for the null's curve, but not for all the depth of a zero on a logarithmic axis.
        if axes is panels[0]:
            axes.set_ylim(limits[0], max(limits[1], 1.05 * float(np.nanmax(curve, initial=0.0))))
        elif axes is panels[2]:
            axes.set_ylim(min(limits[0], max(float(np.nanmin(curve, initial=limits[1])), _LEAST_SHOWN)), limits[1])


def _zero(dataset: "xr.Dataset", along: RunVariable) -> CriticalPoint:
    shells, curves = shell_curves(dataset)
    zero_mode = curves[..., shells == 0]
    if zero_mode.shape[-1] == 0 or curves.shape[1] < 2:
        return CriticalPoint(math.nan, math.nan, math.nan, math.nan)
    return zero_mode_crossing(dataset[along.dim].to_numpy(), zero_mode[..., 0], n_resamples=200)


def _draw_lengths(axes: Axes, times: NDArray[Any], xi_x: NDArray[Any], xi_eq: NDArray[Any]) -> None:
    _draw_band(axes, times, xi_x, "black", BLUE, r"$\xi_x$")
    top = 1.15 * float(np.nanmax(xi_x, initial=0.0))
    axes.set_ylim(0.0, max(top, 1e-3))
    axes.set_ylabel(r"correlation length $\xi_x$ (sites)")
    axes.set_title("Correlation length")
    enough = 2 * np.count_nonzero(~np.isnan(xi_eq), axis=0) >= len(xi_eq)
    shown = np.where(enough, xi_eq, np.nan)
    median = nan_median(shown, axis=0)
    present = median[np.isfinite(median)]
    if present.size and present.max() > 0.0:
        right = axes.twinx()
        _draw_band(right, times, shown, RED, RED, r"$\xi_{\mathrm{eq}}$ (right)", linestyle=(0, (4, 2)))
        # xi_eq diverges where lambda_0 vanishes: the height is set by all but the highest hundredth of the curve.
        right.set_ylim(0.0, 1.15 * float(np.quantile(present, 0.99)))
        right.set_ylabel(r"$\xi_{\mathrm{eq}}$ before locking (sites)", color=RED)
        right.tick_params(axis="y", colors=RED)
        right.grid(visible=False)
        right.spines["right"].set(visible=True, color=RED)


def _draw_growth(axes: Axes, times: NDArray[Any], xi_x: NDArray[Any], along: RunVariable) -> None:
    _draw_band(axes, times, -log_time_derivative(xi_x, times), "black", BLUE, None)
    axes.set_ylabel(rf"$d\xi_x / d\log(1/{along.symbol})$ (sites)")
    axes.set_title("Growth of the correlation length")


def _draw_band(
    axes: Axes, times: NDArray[Any], curves: NDArray[Any], colour: str, band: str, name: str | None, **line: Any
) -> None:
    """Median and quartiles of (n_trajectories, n_times), or each trajectory and the median of a few."""
    if len(curves) > _FEW:
        low, high = (nan_quantile(curves, share, 0) for share in (0.25, 0.75))
        label = None if name is None else f"{name}, quartiles"
        axes.fill_between(times, low, high, color=band, alpha=0.25, linewidth=0.0, label=label)
    elif len(curves) > 1:
        drawn = axes.plot(times, curves.T, color=band, alpha=0.45, linewidth=0.9)
        drawn[0].set_label("" if name is None else f"{name}, each trajectory")
    label = None if name is None else f"{name}, median" if len(curves) > 1 else name
    axes.plot(times, nan_median(curves, axis=0), color=colour, label=label, **line)


def _draw_modes(axes: Axes, times: NDArray[Any], dataset: "xr.Dataset", along: RunVariable) -> None:
    shells, curves = shell_curves(dataset)
    magnitude = nan_median(np.abs(curves), axis=0)
    typical = nan_median(magnitude, axis=1)
    axes.plot(times, typical, color=GREY, linewidth=2.6, alpha=0.7, label="median over $n$")
    draw_shells(axes, times, shells, magnitude, lambda n: rf"$|\lambda_{{{n}}}|$")
    axes.set_yscale("log")
    axes.set_ylabel(rf"$|\lambda_n|$ ({along.rate})")
    axes.set_title("Softening of the modes")


def shell_curves(dataset: "xr.Dataset", name: str = "mode_derivative") -> tuple[NDArray[Any], NDArray[Any]]:
    """The shells n, and a variable ``name`` averaged over axis directions and channels, (trajectory, time, shell)."""
    derivatives = dataset[name].isel(direction=slice(0, 2))
    over = [dim for dim in derivatives.dims if dim in ("channel", "direction")]
    return dataset["shell"].to_numpy(), derivatives.mean(over, skipna=False).to_numpy().astype(np.float64)


def draw_shells(
    axes: Axes,
    times: NDArray[Any],
    shells: NDArray[Any],
    curves: NDArray[Any],
    label: Callable[[int], str],
    linestyle: Any = None,
) -> None:
    """Curves (n_times, n_shells): from dark to light with growing n, the zero mode in black, dashed by default."""
    line = "-" if linestyle is None else linestyle
    colours = iter(mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(int(np.count_nonzero(shells)), 1))))
    for n, curve in zip(shells.tolist(), curves.T, strict=True):
        if n != 0:
            axes.plot(times, curve, color=next(colours), linestyle=line, linewidth=1.0, label=label(n))
    for curve in curves.T[shells == 0]:
        dashes = (0, (4, 2)) if linestyle is None else linestyle
        axes.plot(times, curve, color="black", linestyle=dashes, linewidth=1.4, label=label(0), zorder=3)
