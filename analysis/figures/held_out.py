"""The denoising loss of networks by noise level, and each beside the first."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..statistics import standard_error
from .style import SIGMA_LABEL, house_style, new_figure, run_axis

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_held_out", "loss_curves"]

_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def loss_curves(dataset: "xr.Dataset") -> dict[tuple[str, str], NDArray[np.float64]]:
    """(sigma, image) of every network and condition of `fastpatch.neural.held_out_loss` that has a loss."""
    loss = dataset["loss"].transpose("network", "condition", "sigma", "image").to_numpy()
    named = {
        (str(network), str(condition)): loss[i, j]
        for i, network in enumerate(dataset["network"].to_numpy())
        for j, condition in enumerate(dataset["condition"].to_numpy())
    }
    return {name: values for name, values in named.items() if not np.isnan(values).all()}


def draw_held_out(dataset: "xr.Dataset", title: str | None = None) -> Figure:
    """Left the loss, the mean over images with its standard error; right its ratio to the first network's.

    Colours tell networks, lines whether the class is known. The ratio's band is the standard error of the mean
    difference on the same noisy images, so that it is much narrower than those on the left would suggest.
    """
    curves = loss_curves(dataset)
    sigma = dataset["sigma"].to_numpy()
    networks = [str(name) for name in dataset["network"].to_numpy()]
    with house_style():
        figure = new_figure(9.0, 3.8)
        left, right = figure.subplots(1, 2)
        first = {condition: curves.get((networks[0], condition)) for condition in ("none", "class")}
        for (network, condition), values in curves.items():
            look: dict[str, Any] = {
                "color": _COLOURS[networks.index(network) % len(_COLOURS)],
                "linestyle": "-" if condition == "none" else (0, (4, 2)),
            }
            label = network if not _has_classes(curves) else f"{network}, {_WORDS[condition]}"
            _band(left, sigma, values.mean(axis=1), standard_error(values, axis=1), {**look, "label": label})
            other = first[condition]
            if other is not None:
                ratio = values.mean(axis=1) / other.mean(axis=1)
                _band(right, sigma, ratio, standard_error(values - other, axis=1) / other.mean(axis=1), look)
        left.set_yscale("log")
        left.set_ylabel(r"$E\,|\varepsilon - \hat\varepsilon|^2$ a pixel, held-out images")
        left.legend(frameon=False, fontsize=8.0)
        right.set_ylabel(f"ratio to {networks[0]}")
        for axes in (left, right):
            run_axis(axes, sigma, SIGMA_LABEL)
        if title:
            figure.suptitle(title, fontsize=10.0)
    return figure


_WORDS = {"none": "without label", "class": "with its class"}


def _has_classes(curves: dict[tuple[str, str], Any]) -> bool:
    return any(condition == "class" for _, condition in curves)


def _band(
    axes: Any, x: NDArray[np.float64], y: NDArray[np.float64], error: NDArray[np.float64], look: dict[str, Any]
) -> None:
    axes.plot(x, y, linewidth=1.4, **look)
    axes.fill_between(x, y - error, y + error, color=look["color"], alpha=0.2, linewidth=0.0)
