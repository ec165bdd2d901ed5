"""Correlation length, its growth, and the softening of the modes along a reverse run: the panels of Figs. 1 and 3."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..growth import log_time_derivative
from ..statistics import nan_median
from .style import BLUE, GREY, RED, TIME_LABEL, house_style, new_figure

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["RunVariable", "draw_dynamics", "draw_legend", "draw_panels", "draw_shells", "shell_curves"]


@dataclass(frozen=True)
class RunVariable:
    """What decreases along a run: its dimension in the dataset, symbol in TeX, axis label, and the unit of rates."""

    dim: str
    symbol: str
    label: str
    rate: str


_TIME = RunVariable("time", "t", TIME_LABEL, "1 / time")


def draw_dynamics(dataset: "xr.Dataset", title: str | None = None) -> Figure:
    """Three panels from a result with ``xi_x``, ``xi_eq`` and ``mode_derivative`` over ``time``, see `draw_panels`.

    The dashed vertical line is ``attrs["critical_time"]``.
    """
    t_c = dataset.attrs.get("critical_time")
    with house_style():
        figure = new_figure(11.0, 3.7)
        panels = figure.subplots(1, 3).tolist()
        draw_panels(panels, dataset, _TIME)
        if t_c is not None:
            for axes in panels:
                line = axes.axvline(t_c, color=GREY, linestyle=(0, (4, 3)), linewidth=1.0, zorder=1)
            line.set_label(f"predicted $t_c$ = {t_c:.3g}")
        draw_legend(figure, panels)
        if title:
            figure.suptitle(title, fontsize=10.0)
    return figure


def draw_panels(panels: list[Axes], dataset: "xr.Dataset", along: RunVariable) -> None:
    """Three panels from ``xi_x``, ``xi_eq`` and ``mode_derivative`` over the dimension of ``along``.

    Left: xi_x of every trajectory (blue) and its median (black), with xi_eq rescaled to the same height (dashed red).
    Middle: -d xi_x / d log t, smoothed. Right: |lambda| per shell, the median over trajectories of the mean over the
    two axis directions (and channels), the median over shells (black) and the zero mode (dashed).
    """
    left, middle, right = panels
    values = dataset[along.dim].to_numpy()
    xi_x = dataset["xi_x"].to_numpy()
    _draw_lengths(left, values, xi_x, dataset["xi_eq"].to_numpy())
    _draw_growth(middle, values, xi_x, along)
    _draw_modes(right, values, dataset, along)
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(values[0], values[-1])
        axes.set_xlabel(along.label)


def draw_legend(figure: Any, panels: list[Axes]) -> None:
    """One legend below the panels of `draw_panels`, for what is labelled on the first and the last."""
    handles = [handle for axes in (panels[0], panels[-1]) for handle in axes.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=6)


def _draw_lengths(axes: Axes, times: NDArray[Any], xi_x: NDArray[Any], xi_eq: NDArray[Any]) -> None:
    axes.plot(times, xi_x.T, color=BLUE, alpha=0.35, linewidth=0.9)
    axes.plot([], [], color=BLUE, alpha=0.6, label=r"$\xi_x$, each trajectory")
    median = np.median(xi_x, axis=0)
    axes.plot(times, median, color="black", label=r"$\xi_x$, median")
    equilibrium = nan_median(xi_eq, axis=0)
    # xi_eq diverges where lambda_0 vanishes: the height is set by all but the highest hundredth of the curve.
    present = equilibrium[np.isfinite(equilibrium)]
    height = float(np.quantile(present, 0.99)) if present.size else 0.0
    top = 1.15 * float(xi_x.max())
    if height > 0.0 and top > 0.0:
        factor = float(median.max()) / height
        axes.plot(times, factor * xi_eq.T, color=RED, alpha=0.15, linewidth=0.7)
        axes.plot(
            times, factor * equilibrium, color=RED, linestyle=(0, (4, 2)),
            label=rf"$\xi_{{\mathrm{{eq}}}}$, median $\times$ {factor:.2g}",
        )  # fmt: skip
    axes.set_ylim(0.0, max(top, 1e-3))
    axes.set_ylabel("correlation length (sites)")
    axes.set_title("Correlation length")


def _draw_growth(axes: Axes, times: NDArray[Any], xi_x: NDArray[Any], along: RunVariable) -> None:
    growth = -log_time_derivative(xi_x, times)
    axes.plot(times, growth.T, color=BLUE, alpha=0.35, linewidth=0.9)
    axes.plot(times, -log_time_derivative(np.median(xi_x, axis=0), times), color="black")
    axes.set_ylabel(rf"$d\xi_x / d\log(1/{along.symbol})$ (sites)")
    axes.set_title("Growth of the correlation length")


def _draw_modes(axes: Axes, times: NDArray[Any], dataset: "xr.Dataset", along: RunVariable) -> None:
    shells, curves = shell_curves(dataset)
    magnitude = np.median(np.abs(curves), axis=0)
    draw_shells(axes, times, shells, magnitude, lambda n: rf"$|\lambda_{{{n}}}|$")
    axes.plot(times, np.median(magnitude, axis=1), color="black", linewidth=1.6, label=r"$|\lambda|$, median over $n$")
    axes.set_yscale("log")
    axes.set_ylabel(rf"$|\lambda_n|$ ({along.rate})")
    axes.set_title("Softening of the modes")


def shell_curves(dataset: "xr.Dataset") -> tuple[NDArray[Any], NDArray[Any]]:
    """The shells n, and ``mode_derivative`` averaged over axis directions and channels, (trajectory, time, shell)."""
    derivatives = dataset["mode_derivative"].isel(direction=slice(0, 2))
    over = [dim for dim in derivatives.dims if dim in ("channel", "direction")]
    return dataset["shell"].to_numpy(), derivatives.mean(over).to_numpy()


def draw_shells(
    axes: Axes, times: NDArray[Any], shells: NDArray[Any], curves: NDArray[Any], label: Callable[[int], str]
) -> None:
    """Curves (n_times, n_shells): from dark to light with growing n, the zero mode dashed in black."""
    colours = iter(mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(int(np.count_nonzero(shells)), 1))))
    for n, curve in zip(shells.tolist(), curves.T, strict=True):
        if n != 0:
            axes.plot(times, curve, color=next(colours), linewidth=1.0, label=label(n))
    for curve in curves.T[shells == 0]:
        axes.plot(times, curve, color="black", linestyle=(0, (4, 2)), linewidth=1.2, label=label(0))
