"""The paper's Figure 3: correlation length, its growth, and the softening of the modes along a reverse run."""

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..log_time import log_time_derivative
from ..statistics import nan_median
from .style import BLUE, GREY, RED, TIME_LABEL, house_style, new_figure

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_dynamics"]


def draw_dynamics(dataset: "xr.Dataset", title: str | None = None) -> Figure:
    """Three panels from a result with ``xi_x``, ``xi_eq`` and ``mode_derivative`` over ``time``.

    Left: xi_x of every trajectory (blue) and its median (black), with xi_eq rescaled to the same height (dashed red).
    Middle: d xi_x / d log(1/t), smoothed. Right: |lambda| per shell, the median over trajectories and directions, the
    median over shells (black) and the zero mode (dashed). The dashed vertical line is ``attrs["critical_time"]``.
    """
    times = dataset["time"].to_numpy()
    t_c = dataset.attrs.get("critical_time")
    with house_style():
        figure = new_figure(11.0, 3.7)
        left, middle, right = figure.subplots(1, 3)
        _draw_lengths(left, times, dataset["xi_x"].to_numpy(), dataset["xi_eq"].to_numpy())
        _draw_growth(middle, times, dataset["xi_x"].to_numpy())
        _draw_modes(right, times, dataset)
        for axes in (left, middle, right):
            axes.set_xscale("log")
            axes.set_xlim(times[0], times[-1])
            axes.set_xlabel(TIME_LABEL)
        if t_c is not None:
            for axes in (middle, right, left):
                line = axes.axvline(t_c, color=GREY, linestyle=(0, (4, 3)), linewidth=1.0, zorder=1)
            line.set_label(f"predicted $t_c$ = {t_c:.3g}")
        handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside lower center", ncols=6)
        if title:
            figure.suptitle(title, fontsize=10.0)
    return figure


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


def _draw_growth(axes: Axes, times: NDArray[Any], xi_x: NDArray[Any]) -> None:
    growth = -log_time_derivative(xi_x, times)
    axes.plot(times, growth.T, color=BLUE, alpha=0.35, linewidth=0.9)
    axes.plot(times, -log_time_derivative(np.median(xi_x, axis=0), times), color="black")
    axes.set_ylabel(r"$d\xi_x / d\log(1/t)$ (sites)")
    axes.set_title("Growth of the correlation length")


def _draw_modes(axes: Axes, times: NDArray[Any], dataset: "xr.Dataset") -> None:
    shells = dataset["shell"].to_numpy()
    along_axes = dataset["mode_derivative"].to_numpy()[..., :2]
    magnitude = np.median(np.abs(along_axes.mean(axis=-1)), axis=0)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(len(shells) - 1, 1)))
    moving = [(n, curve) for n, curve in zip(shells, magnitude.T, strict=True) if n != 0]
    for colour, (n, curve) in zip(colours, moving, strict=False):
        axes.plot(times, curve, color=colour, linewidth=1.0, label=rf"$|\lambda_{{{n}}}|$")
    axes.plot(times, np.median(magnitude, axis=1), color="black", linewidth=1.6, label=r"$|\lambda|$, median over $n$")
    for index in np.flatnonzero(shells == 0):
        axes.plot(
            times, magnitude[:, index], color="black", linestyle=(0, (4, 2)), linewidth=1.2, label=r"$|\lambda_0|$"
        )
    axes.set_yscale("log")
    axes.set_ylabel(r"$|\lambda_n|$ (1 / time)")
    axes.set_title("Softening of the modes")
