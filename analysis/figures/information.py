"""Decided information over the noise levels: of the image, of its class, by wavelength, and the window."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from ..information import DecidedInformation
from .style import GREY, PURPLE, SIGMA_LABEL, house_style, new_figure, run_axis

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_information"]

_SHELLS = 8


def draw_information(
    dataset: "xr.Dataset",
    information: DecidedInformation | None = None,
    title: str | None = None,
    *,
    window: bool = True,
) -> Figure:
    """The rates of `fastpatch.neural.probes.information`, and the interval of ``information``, if it is given.

    Its window is shaded, unless that is refused (``window=False``).
    Left the image's and the class's rate per unit of log sigma, each over its largest value, and on data the class's
    as a difference of losses, on the scale of the other form; right the class's, or without classes the image's, by
    wavelength.
    """
    rates = {name: dataset[f"{name}_rate"] for name in ("total", "class") if f"{name}_rate" in dataset}
    sigma = dataset[rates["total"].dims[-1]].to_numpy()
    by_shell = dataset[f"{'class' if 'class' in rates else 'total'}_rate_by_shell"].to_numpy()
    wavelength = dataset["wavelength"].to_numpy()
    labels = {"total": "image", "class": "class"}
    scale = max(float(rates["class" if "class" in rates else "total"].mean("image").max()), np.finfo(float).tiny)
    with house_style():
        figure = new_figure(9.0, 3.6)
        left, right = figure.subplots(1, 2)
        for (name, rate), colour in zip(rates.items(), (GREY, PURPLE), strict=False):
            mean = rate.mean("image").to_numpy()
            largest = max(float(mean.max()), np.finfo(float).tiny)
            left.plot(sigma, mean / largest, color=colour, label=f"{labels[name]} (largest {largest:.3g} nat)")
            if f"null_{name}_rate" in dataset:
                null = dataset[f"null_{name}_rate"].mean("image").to_numpy()
                left.plot(sigma, null / largest, color=colour, linestyle=":", label=f"{labels[name]}, Gaussian null")
        if "class" in rates and dataset.attrs.get("source") == "data" and "conditional_rate" in dataset:
            losses = (dataset["total_rate"] - dataset["conditional_rate"]).mean("image").to_numpy()
            left.plot(sigma, losses / scale, color=PURPLE, linestyle="--", linewidth=1.0, label="class, by losses")
        if information is not None:
            if window and np.isfinite(information.window).all():
                for axes in (left, right):
                    axes.axvspan(*information.window[::-1], color=PURPLE, alpha=0.12, linewidth=0.0)
            left.fill_between(
                information.sigma, information.rate_low / scale, information.rate_high / scale,
                color=PURPLE, alpha=0.25, linewidth=0.0,
            )  # fmt: skip
        left.set_ylabel(r"$-dI/d\log\sigma$ over its largest value")
        left.legend(frameon=False, fontsize=8.0)
        for shell in range(min(_SHELLS, by_shell.shape[1])):
            name = "mean" if shell == 0 else f"{wavelength[shell]:.3g} sites"
            shade = (0.27 + 0.5 * shell / _SHELLS, 0.1 + 0.07 * shell, 0.55 - 0.05 * shell)
            right.plot(sigma, by_shell[:, shell], color=shade, linewidth=1.2, label=name)
        right.set_ylabel(r"$-dI/d\log\sigma$ by wavelength (nat)")
        right.legend(frameon=False, fontsize=7.0)
        for axes in (left, right):
            run_axis(axes, sigma, SIGMA_LABEL)
        if title:
            figure.suptitle(title, fontsize=10.0)
    return figure
