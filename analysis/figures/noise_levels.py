"""The paper's Figure 1: denoised images, correlation length and mode softening along an EDM run in sigma."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .dynamics import RunVariable, draw_panels, draw_shells, shell_curves
from .samples import draw_image
from .style import GREY, PURPLE, house_style, new_figure, shown_level

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_noise_levels", "draw_relative_softening", "mark_levels"]

_SIGMA = RunVariable("sigma", r"\sigma", r"noise level $\sigma$  (reverse run: left to right)", r"1 / $\sigma$")
_MARKS: dict[str, tuple[str, str, Any]] = {
    "sigma_c": (r"$\sigma_c$", GREY, (0, (4, 3))),
    "sigma_first": (r"first peak of $\xi_{\mathrm{eq}}$", PURPLE, (0, (1, 1.2))),
}


def draw_noise_levels(dataset: "xr.Dataset", title: str | None = None, trajectory: int = 0) -> Figure:
    """A result of `fastpatch.neural.analyze`: the denoised images D(x, sigma) of one trajectory, given by its
    position, above the three panels of `draw_panels` over sigma.

    sigma_c and the first peak of xi_eq, attributes of the dataset, are marked with their bootstrap intervals where
    they are not NaN.
    """
    images = dataset["denoised"].isel(trajectory=trajectory).to_numpy()
    with house_style():
        figure = new_figure(11.0, 5.0 if len(images) else 3.7)
        below: Any = figure
        if len(images):
            above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[1.0, 2.9]))
            strip = np.atleast_1d(above.subplots(1, len(images)))
            for axes, image, sigma in zip(strip, images, dataset["snapshot_sigma"].to_numpy(), strict=True):
                draw_image(axes, image)
                axes.set_title(rf"$\sigma$ = {shown_level(sigma)}", fontsize="small")
        panels = below.subplots(1, 3).tolist()
        draw_panels(panels, dataset, _SIGMA)
        mark_levels(panels, dataset, _MARKS)
        panels[1].legend(loc="upper right")
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


def draw_relative_softening(dataset: "xr.Dataset", title: str | None = None) -> Figure:
    r"""sigma lambda_n per shell, the median over trajectories, which removes the 1 / sigma of variance exploding.

    It is 1 where the data have no effect; a mode that is lower than the others is softer, one below 0 grows.
    """
    sigma = dataset["sigma"].to_numpy()
    shells, curves = shell_curves(dataset)
    relative = np.median(curves, axis=0) * sigma[:, None]
    with house_style():
        figure = new_figure(7.0, 3.8)
        axes = figure.subplots()
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        draw_shells(axes, sigma, shells, relative, lambda n: f"$n$ = {n}")
        axes.set_xscale("log")
        axes.set_xlim(sigma[0], sigma[-1])
        axes.set_xlabel(_SIGMA.label)
        axes.set_ylabel(r"$\sigma\lambda_n$, median over trajectories")
        mark_levels([axes], dataset, _MARKS)
        axes.legend(ncols=2)
        axes.set_title(title or "Softening of the modes relative to free noise", fontsize="medium")
    return figure


def mark_levels(panels: list[Axes], dataset: "xr.Dataset", marks: dict[str, tuple[str, str, Any]]) -> None:
    """Attributes of the dataset, each with its interval, by name: label, colour and line style.

    Those that are missing or NaN are left out, and so are later ones at a level that is marked already.
    """
    marked: set[float] = set()
    for name, (label, colour, style) in marks.items():
        sigma, low, high = (float(dataset.attrs.get(name + part, math.nan)) for part in ("", "_low", "_high"))
        if math.isnan(sigma) or sigma in marked:
            continue
        marked.add(sigma)
        for axes in panels:
            line = axes.axvline(sigma, color=colour, linestyle=style, linewidth=1.2, zorder=1)
            if not math.isnan(low):
                axes.axvspan(low, high, color=colour, alpha=0.13, linewidth=0.0, zorder=0)
        interval = "" if math.isnan(low) else f"  [{low:.3g}, {high:.3g}]"
        line.set_label(f"{label} = {sigma:.3g}{interval}")
