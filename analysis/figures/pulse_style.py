"""What the figures of a guidance pulse share: the names of its metrics, a curve with its interval, an axis."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["GREEN", "METRICS", "ORANGE", "draw_band", "pulse_axis"]

GREEN, ORANGE = "#009E73", "#D98200"
METRICS = {"logit": "target logit", "probability": "target probability"}


def draw_band(
    axes: Axes, x: NDArray[Any], at: "xr.Dataset", name: str, colour: str, label: str, linestyle: Any = "-"
) -> None:
    """A curve with the band between its bounds."""
    axes.fill_between(
        x, at[f"{name}_low"].to_numpy(), at[f"{name}_high"].to_numpy(), color=colour, alpha=0.12, linewidth=0.0
    )
    axes.plot(x, at[name].to_numpy(), color=colour, linestyle=linestyle, label=label)


def pulse_axis(axes: Axes, levels: ArrayLike) -> None:
    """A logarithmic axis of noise levels in the order of a run, with room for the markers at both ends."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(1.1 * np.max(levels), np.min(levels) / 1.1)
