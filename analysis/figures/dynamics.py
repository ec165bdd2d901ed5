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
from .style import BLUE, GREY, PURPLE, RED, TIME_LABEL, house_style, new_figure

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["RunVariable", "draw_dynamics", "draw_panels", "draw_shells", "shell_curves"]

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


def draw_dynamics(dataset: "xr.Dataset", title: str | None = None, *, null: "xr.Dataset | None" = None) -> Figure:
    r"""Three panels from a result with ``xi_x``, ``xi_eq`` and ``mode_derivative`` over ``time``, see `draw_panels`.

    The dashed vertical line is the predicted ``attrs["critical_time"]``, the solid one the measured zero of lambda_0
    with its 95 % interval. ``null`` holds the same curves of a Gaussian field without trajectories, as
    `fastpatch.theory.gaussian_null` gives them: xi_x, its growth and ``|lambda_0|`` are drawn in purple.
    """
    predicted = dataset.attrs.get("critical_time")
    with house_style():
        figure = new_figure(11.0, 3.7)
        panels = figure.subplots(1, 3).tolist()
        draw_panels(panels, dataset, _TIME)
        if null is not None:
            _draw_null(panels, null)
        measured = _zero(dataset, _TIME)
        for axes in panels:
            if not math.isnan(measured.time):
                line = axes.axvline(measured.time, color=GREY, linewidth=1.0, zorder=1)
                if not math.isnan(measured.low):
                    axes.axvspan(measured.low, measured.high, color=GREY, alpha=0.15, linewidth=0.0, zorder=0)
                line.set_label(rf"$\lambda_0 = 0$, measured: $t$ = {measured.time:.3g}")
            if predicted is not None:
                line = axes.axvline(predicted, color=GREY, linestyle=(0, (4, 3)), linewidth=1.0, zorder=1)
                line.set_label(f"predicted $t_c$ = {predicted:.3g}")
        if panels[1].get_legend_handles_labels()[0]:
            panels[1].legend(loc="upper right")
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
    mode (dashed, on top). NaN counts as missing.
    """
    left, middle, right = panels
    values = dataset[along.dim].to_numpy()
    xi_x = dataset["xi_x"].transpose("trajectory", along.dim).to_numpy().astype(np.float64)
    xi_eq = dataset["xi_eq"].transpose("trajectory", along.dim).to_numpy().astype(np.float64)
    _draw_lengths(left, values, xi_x, np.where(values < _zero(dataset, along).time, np.nan, xi_eq))
    _draw_growth(middle, values, xi_x, along)
    _draw_modes(right, values, dataset, along)
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(values[0], values[-1])
        axes.set_xlabel(along.label)


def _draw_null(panels: list[Axes], null: "xr.Dataset") -> None:
    """What a Gaussian field of matched second moments shows of each panel, without a transition."""
    times, xi_x = null["time"].to_numpy(), null["xi_x"].to_numpy()
    zero_mode = null["mode_derivative"].sel(shell=0).mean("direction").to_numpy()
    curves = (xi_x, -log_time_derivative(xi_x, times), np.abs(zero_mode))
    for axes, curve in zip(panels, curves, strict=True):
        limits = axes.get_ylim()
        axes.plot(times, curve, color=PURPLE, linestyle=(0, (1, 1.2)), linewidth=1.6, label="Gaussian null")
        if axes is not panels[1]:
            axes.set_ylim(limits)


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
        handles = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    else:
        handles = axes.get_legend_handles_labels()[0]
    axes.legend(handles=handles, loc="lower right")


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
    axes.legend(ncols=2, loc="upper left")


def shell_curves(dataset: "xr.Dataset") -> tuple[NDArray[Any], NDArray[Any]]:
    """The shells n, and ``mode_derivative`` averaged over axis directions and channels, (trajectory, time, shell)."""
    derivatives = dataset["mode_derivative"].isel(direction=slice(0, 2))
    over = [dim for dim in derivatives.dims if dim in ("channel", "direction")]
    return dataset["shell"].to_numpy(), derivatives.mean(over, skipna=False).to_numpy().astype(np.float64)


def draw_shells(
    axes: Axes, times: NDArray[Any], shells: NDArray[Any], curves: NDArray[Any], label: Callable[[int], str]
) -> None:
    """Curves (n_times, n_shells): from dark to light with growing n, the zero mode dashed in black."""
    colours = iter(mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(int(np.count_nonzero(shells)), 1))))
    for n, curve in zip(shells.tolist(), curves.T, strict=True):
        if n != 0:
            axes.plot(times, curve, color=next(colours), linewidth=1.0, label=label(n))
    for curve in curves.T[shells == 0]:
        axes.plot(times, curve, color="black", linestyle=(0, (4, 2)), linewidth=1.4, label=label(0), zorder=3)
