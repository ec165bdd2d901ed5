"""The paper's Figure 5: the model's patterns, and snapshots of one reverse trajectory."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from .style import frame, house_style, new_figure

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_snapshots"]

_MOST_PATTERNS = 20


def draw_snapshots(dataset: "xr.Dataset", trajectory: int = 0) -> Figure:
    """The dictionary or prototypes (top; the first 20) and the snapshots of one trajectory, given by its position.

    Fields share one grey scale from -2 to 2; what lies outside is cut off.
    """
    name = next((name for name in ("pattern", "prototype") if name in dataset), None)
    patterns = dataset[name].to_numpy()[:_MOST_PATTERNS] if name else np.empty((0, 1, 1))
    weights = dataset["prior" if name == "pattern" else "weight"].to_numpy() if name else np.empty(0)
    snapshots = dataset["snapshot"].isel(trajectory=trajectory).to_numpy()
    times = dataset["snapshot_time"].to_numpy()
    with house_style():
        figure = new_figure(10.0, 3.0)
        top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=[1.0, 2.6]))
        if len(patterns):
            for axes, pattern, weight in zip(
                np.atleast_1d(top.subplots(1, len(patterns))), patterns, weights, strict=False
            ):
                axes.imshow(pattern, cmap="gray", vmin=-1.2, vmax=1.2)
                axes.set_title(f"{weight:.3g}", fontsize="x-small", pad=2.0)
                frame(axes)
            top.suptitle(f"{name}s and their prior probability", fontsize="medium")
        if len(snapshots):
            panels = np.atleast_1d(bottom.subplots(1, len(snapshots)))
            for axes, field, t in zip(panels, snapshots, times, strict=True):
                image = axes.imshow(field, cmap="gray", vmin=-2.0, vmax=2.0, interpolation="nearest")
                axes.set_title(f"$t$ = {t:.3g}")
                frame(axes)
            bottom.colorbar(image, ax=panels.tolist(), label="field $x$", extend="both", pad=0.01)
    return figure
