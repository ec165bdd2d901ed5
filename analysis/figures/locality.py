"""The local response of a network along a run: dispersion, receptive field, departure from equivariance."""

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .style import BLUE, GREY, RED, TIME_LABEL, frame, house_style, legends_below, new_figure, run_axis, shown_level

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_locality"]

_REACH = 10  # sites shown around an impulse


def draw_locality(dataset: "xr.Dataset", title: str | None = None) -> Figure:
    r"""Four panels from the variables of `fastpatch.neural.measure_locality`.

    Top left: :math:`\sigma^2\lambda(k, t)`, the mean over trajectories and over wave vectors of equal length, one curve
    a time. Top middle: radii that hold 90 and 95 % of the squared response, and the radius of a disc of as many
    sites as participate; medians over trajectories, which are shown faintly. Top right: off-diagonal share and shift
    defect. Bottom: the root mean squared response to a pixel by its displacement, each on its own scale.
    """
    times = dataset["snapshot_time"].to_numpy()
    with house_style():
        figure = new_figure(11.0, 6.0)
        top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=[2.8, 1.0]))
        left, middle, right = top.subplots(1, 3)
        colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, len(times)))
        _draw_dispersion(left, dataset, colours)
        _draw_radii(middle, dataset)
        _draw_defects(right, dataset)
        for axes in (middle, right):
            run_axis(axes, times, TIME_LABEL)
        legends_below([left, middle, right], (4, 1, 1))
        response = np.sqrt(dataset["response_power"].mean("trajectory").to_numpy())
        rows, columns = (size // 2 for size in response.shape[-2:])
        reach = min(_REACH, rows, columns)
        panels = np.atleast_1d(bottom.subplots(1, len(times)))
        for axes, t, image, colour in zip(panels, times, response, colours, strict=True):
            shown = image[rows - reach : rows + reach + 1, columns - reach : columns + reach + 1]
            axes.imshow(shown, cmap="magma", vmin=0.0, interpolation="nearest")
            axes.set_title(f"$t$ = {shown_level(t)}", fontsize="small", color=colour)
            frame(axes)
        bottom.suptitle(
            rf"R.m.s. response of the data term to the pixels around, $\pm${reach} sites", fontsize="medium"
        )
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


def _draw_dispersion(axes: Axes, dataset: "xr.Dataset", colours: NDArray[Any]) -> None:
    times = dataset["snapshot_time"].to_numpy()
    mean = dataset["dispersion"].mean("trajectory").to_numpy()
    k, curves = _by_wave_number(dataset["ky"].to_numpy(), dataset["kx"].to_numpy(), mean)
    axes.axhline(0.0, color=GREY, linewidth=1.0)
    for t, sigma2, curve, colour in zip(times, dataset["sigma2"].to_numpy(), curves, colours, strict=True):
        axes.plot(k, sigma2 * curve, color=colour, linewidth=1.1, label=f"$t$ = {shown_level(t)}")
    axes.set_xlim(0.0, np.pi)
    axes.set_xlabel("wave number $|k|$ (radians / site)")
    axes.set_ylabel(r"$\sigma^2\lambda(k, t)$")
    axes.set_title("Local dispersion (below zero: grows)")


def _by_wave_number(ky: NDArray[Any], kx: NDArray[Any], maps: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Means over rings |k| = 0, k_min, 2 k_min, ... up to pi, each half a k_min wide to either side."""
    smallest = 2.0 * np.pi / min(len(ky), len(kx))
    ring = np.rint(np.hypot(ky[:, None], kx) / smallest).astype(np.intp).ravel()
    count = min(len(ky), len(kx)) // 2 + 1
    sums = np.stack([np.bincount(ring, weights=one.ravel())[:count] for one in maps])
    return smallest * np.arange(count), sums / np.bincount(ring)[:count]


def _draw_radii(axes: Axes, dataset: "xr.Dataset") -> None:
    times = dataset["snapshot_time"].to_numpy()
    radii = dataset["receptive_radius"]
    disc = np.sqrt(dataset["receptive_sites"].to_numpy() / np.pi)
    curves = [(radii.sel(share=share).to_numpy(), f"{100 * share:.0f} % of the response") for share in radii["share"]]
    curves.append((disc, "disc of the participating sites"))
    for (values, label), colour in zip(curves, (BLUE, "black", RED), strict=False):
        axes.plot(times, values.T, color=colour, alpha=0.15, linewidth=0.7)
        axes.plot(times, np.median(values, axis=0), color=colour, marker=".", label=label)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("radius (sites)")
    axes.set_title("Effective receptive field")


def _draw_defects(axes: Axes, dataset: "xr.Dataset") -> None:
    times = dataset["snapshot_time"].to_numpy()
    for name, label, colour in (
        ("off_diagonal_share", "off-diagonal share of the Jacobian", BLUE),
        ("shift_defect", "shift defect of the posterior mean", RED),
    ):
        values = dataset[name].to_numpy()
        axes.plot(times, values.T, color=colour, alpha=0.15, linewidth=0.7)
        axes.plot(times, np.median(values, axis=0), color=colour, marker=".", label=label)
    axes.set_ylim(0.0, max(1.0, 1.05 * float(axes.dataLim.y1)))
    axes.set_ylabel("departure from translation equivariance")
    axes.set_title("Equivariance (0: exact)")
