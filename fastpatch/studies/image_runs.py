"""What is said and drawn of runs of the patch machine of images, beside the Gaussian null of the same patches."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from .. import theory
from ..analysis.critical_points import critical_points
from ..analysis.figures.style import BLUE, GREY, RED, TIME_LABEL, house_style, new_figure
from ..dictionary import PatchDictionary
from ..errors import InvalidInputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_with_null", "image_report"]


def image_report(dataset: "xr.Dataset", null: "xr.Dataset", dictionary: PatchDictionary, mean: float) -> str:
    """Critical times that the dictionary predicts, those of the runs and of the null, and sample statistics.

    ``mean`` is the images' mean pixel.
    """
    lines = [f"{'predicted critical times (at x = 0)':<40}{'patches':>14}"]
    conditions: tuple[theory.CriticalCondition, ...] = ("score", "eq17", "drift")
    for condition in conditions:
        try:
            shown = f"{theory.critical_time(condition, dictionary=dictionary):14.4g}"
        except InvalidInputError:
            shown = f"{'none':>14}"
        lines.append(f"  {condition:<38}{shown}")
    measured, of_null = critical_points(dataset), critical_points(null)
    lines.append(f"{'measured, median':<40}{'patches':>14}{'interval':>20}{'Gaussian null':>16}")
    for key, point in measured.items():
        interval = "" if np.isnan(point.low) else f"[{point.low:.4g}, {point.high:.4g}]"
        lines.append(f"  {key.replace('_', ' '):<38}{point.time:14.4g}{interval:>20}{of_null[key].time:16.4g}")
    final, of_final = (np.median(one["xi_x"].isel(time=-1)) for one in (dataset, null))
    lines.append(f"{'final xi_x (sites)':<40}{final:14.4g}{'':>20}{of_final:16.4g}")
    pixel, of_pixel = (float(one["final"].mean()) for one in (dataset, null))
    lines.append(f"{'mean pixel':<40}{pixel:14.4g}{f'images: {mean:.4g}':>20}{of_pixel:16.4g}")
    return "\n".join(lines)


def draw_with_null(dataset: "xr.Dataset", null: "xr.Dataset", title: str) -> Figure:
    """xi_x and lambda_0 along the runs (medians, with the quartiles of xi_x) of the patch machine and its null."""
    with house_style():
        figure = new_figure(9.0, 3.6)
        left, right = figure.subplots(1, 2)
        for one, color, label in ((dataset, BLUE, "patches"), (null, RED, "Gaussian null")):
            times = one["time"].to_numpy()
            low, median, high = np.quantile(one["xi_x"].to_numpy(), [0.25, 0.5, 0.75], axis=0)
            left.plot(times, median, color=color, label=label)
            left.fill_between(times, low, high, color=color, alpha=0.2, linewidth=0.0)
            zero = one["mode_derivative"].sel(shell=0).mean("direction").median("trajectory")
            right.plot(times, zero, color=color, label=label)
        right.axhline(0.0, color=GREY, linewidth=0.8)
        left.set(xscale="log", xlabel=TIME_LABEL, ylabel=r"$\xi_x$ (sites)")
        right.set(xscale="log", xlabel=TIME_LABEL, ylabel=r"$\lambda_0$")
        right.set_yscale("symlog", linthresh=0.1)
        for axes in (left, right):
            axes.invert_xaxis()
            axes.legend()
        figure.suptitle(title, fontsize=10.0)
    return figure
