"""Samples of a trained network: a grid of them, their denoising, and their statistics beside the data's."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .image_wall import draw_image_wall
from .style import BLUE, GREY, RED, house_style, new_figure, shown_level

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_denoising", "draw_fidelity", "draw_samples"]

_MOST_ROWS, _MOST_NEIGHBOURS = 4, 12


def draw_samples(dataset: "xr.Dataset", title: str | None = None) -> Figure:
    """All ``final`` images, from -1 to 1, in a near-square grid or in rows by ``class_label``, as many of each."""
    fields = dataset["final"].to_numpy()
    classes = dataset["class_label"].to_numpy() if "class_label" in dataset else None
    columns = int(np.ceil(np.sqrt(len(fields)))) if classes is None else int(np.unique_counts(classes).counts.max())
    rows = -(-len(fields) // columns)
    wall = np.full((rows * columns, *fields.shape[1:]), np.nan)
    wall[: len(fields)] = fields
    with house_style():
        side = max(0.62, 4.4 / columns)  # wide enough for the title
        figure = new_figure(side * columns + (0.0 if classes is None else 0.6), side * rows + 0.3)
        labels = [] if classes is None else [f"class {index}" for index in classes[::columns]]
        draw_image_wall(figure.subplots(), wall.reshape(rows, columns, *fields.shape[1:]), row_labels=labels)
        if title:
            figure.suptitle(title, fontsize="medium")
    return figure


def draw_denoising(dataset: "xr.Dataset", title: str | None = None) -> Figure:
    """The ``snapshot`` fields of the first trajectories, a row each, from noise (left) to image, from -2 to 2."""
    fields = dataset["snapshot"].to_numpy()[:_MOST_ROWS]
    times = dataset["snapshot_time"].to_numpy()
    with house_style():
        figure = new_figure(0.95 * len(times) + 0.1, 0.95 * len(fields) + 0.55)
        labels = [f"$t$ = {shown_level(t)}" for t in times]
        draw_image_wall(figure.subplots(), fields, limit=2.0, column_labels=labels)
        figure.suptitle(title or "Denoising, reverse run from left to right", fontsize="medium")
    return figure


def draw_fidelity(dataset: "xr.Dataset") -> Figure:
    """Statistics of samples beside held-out data, from the variables of `fastpatch.neural.compare_with_data`.

    Top: samples, each above the training image nearest to it. Bottom: mean pixel, correlation C(r), and the distance
    to the nearest training image, where samples to the left of the data would have been memorised.
    """
    samples = dataset["final"].to_numpy()[:_MOST_NEIGHBOURS]
    nearest = dataset["nearest"].to_numpy()[:_MOST_NEIGHBOURS]
    with house_style():
        figure = new_figure(9.6, 4.9)
        top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=[1.0, 1.5]))
        draw_image_wall(top.subplots(), np.stack([samples, nearest]))
        top.suptitle("Samples, and below each the training image nearest to it", fontsize="medium")
        left, middle, right = bottom.subplots(1, 3)
        _histograms(left, dataset["sample_mean"].to_numpy(), dataset["reference_mean"].to_numpy())
        left.set_xlabel("mean pixel of an image")
        middle.plot(dataset["reference_correlation"].to_numpy(), color=GREY, label="held-out data")
        middle.plot(dataset["sample_correlation"].to_numpy(), color=BLUE, label="samples")
        middle.set_xlabel("distance $r$ (sites)")
        middle.set_ylabel("correlation $C(r)$")
        _histograms(right, dataset["sample_to_train"].to_numpy(), dataset["reference_to_train"].to_numpy())
        right.axvline(float(dataset["sample_to_test"].median()), color=RED, linestyle=(0, (4, 2)))
        right.set_xlabel("distance to the nearest training image")
        right.set_ylim(top=1.45 * right.get_ylim()[1])
        right.legend(["held-out data", "samples", "samples to the test set, median"], loc="upper right")
        left.xaxis.set_major_locator(MaxNLocator(5))
        middle.legend()
    return figure


def _histograms(axes: Axes, samples: NDArray[Any], reference: NDArray[Any]) -> None:
    """Both distributions on common bins, as densities."""
    both = np.concatenate([samples, reference])
    edges = np.linspace(both.min(), both.max(), 21).tolist()
    axes.hist(reference, bins=edges, density=True, color=GREY, alpha=0.45, label="held-out data")
    axes.hist(samples, bins=edges, density=True, histtype="step", color=BLUE, linewidth=1.4, label="samples")
    axes.set_ylabel("density")
