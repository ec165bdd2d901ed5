"""The paper's Figure 1: denoised images, correlation length and mode softening along an EDM run in sigma."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..statistics import nan_median
from .dynamics import LEGEND_COLUMNS, NULL_LINE, RunVariable, draw_null, draw_panels, draw_shells, shell_curves
from .image_wall import draw_image_wall
from .style import GREY, SIGMA_LABEL, house_style, legends_below, new_figure, run_axis, shown_level

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_noise_levels", "draw_relative_softening", "mark_levels"]

_SIGMA = RunVariable("sigma", r"\sigma", SIGMA_LABEL, r"1 / $\sigma$")
_MARKS: dict[str, tuple[str, str, Any]] = {
    "sigma_c": (r"$\sigma_c$", GREY, (0, (4, 3))),
    "sigma_first": (r"first peak of $\xi_{\mathrm{eq}}$", GREY, (0, (7, 2, 1.5, 2))),
}


def draw_noise_levels(dataset: "xr.Dataset", title: str | None = None, trajectory: int = 0) -> Figure:
    """A result of `fastpatch.neural.analyze`: the denoised images D(x, sigma) of one trajectory, given by its
    position, above the three panels of `draw_panels` over sigma.

    sigma_c and the first peak of xi_eq, attributes of the dataset, are marked with their bootstrap intervals where
    they are not NaN. xi_x, its growth and ``|lambda_0|`` of the Gaussian null are drawn where the dataset has them.
    """
    images = dataset["denoised"].isel(trajectory=trajectory).to_numpy()
    with house_style():
        figure = new_figure(11.0, 5.5 if len(images) else 4.2)
        below: Any = figure
        if len(images):
            above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[1.0, 3.3]))
            levels = [rf"$\sigma$ = {shown_level(sigma)}" for sigma in dataset["snapshot_sigma"].to_numpy()]
            draw_image_wall(above.subplots(), images[None], column_labels=levels)
        panels = below.subplots(1, 3).tolist()
        draw_panels(panels, dataset, _SIGMA)
        null = _relative_null(dataset)
        if null is not None and "null_xi_x" in dataset:
            xi_x = dataset["null_xi_x"].transpose("trajectory", "sigma").to_numpy()
            shells, sigma = dataset["shell"].to_numpy(), dataset["sigma"].to_numpy()
            draw_null(panels, sigma, xi_x, null[:, shells == 0][:, 0] / sigma)
        mark_levels(panels, dataset, _MARKS)
        legends_below(panels, LEGEND_COLUMNS)
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


def draw_relative_softening(dataset: "xr.Dataset", title: str | None = None) -> Figure:
    r"""sigma lambda_n per shell, the median over trajectories, which removes the 1 / sigma of variance exploding.

    It is 1 where the data have no effect; a mode that is lower than the others is softer, one below 0 grows. That of
    the Gaussian null, which stays positive, is dotted in the colours of the shells where the dataset has it.
    """
    sigma = dataset["sigma"].to_numpy()
    shells, curves = shell_curves(dataset)
    relative = np.median(curves, axis=0) * sigma[:, None]
    with house_style():
        figure = new_figure(7.0, 3.8)
        axes = figure.subplots()
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        draw_shells(axes, sigma, shells, relative, lambda n: f"$n$ = {n}")
        null = _relative_null(dataset)
        if null is not None:
            draw_shells(axes, sigma, shells, null, lambda n: "_", linestyle=NULL_LINE)
            axes.plot([], [], color=GREY, linestyle=NULL_LINE, label="Gaussian null")
        run_axis(axes, sigma, _SIGMA.label)
        axes.set_ylabel(r"$\sigma\lambda_n$, median over trajectories")
        mark_levels([axes], dataset, _MARKS)
        axes.legend(ncols=2)
        axes.set_title(title or "Softening of the modes relative to free noise", fontsize="medium")
    return figure


def _relative_null(dataset: "xr.Dataset") -> "NDArray[Any] | None":
    """sigma lambda_n of the Gaussian null, (sigma, shell), the median over trajectories; None without one."""
    if "null_posterior_variance" not in dataset:
        return None
    _, curves = shell_curves(dataset, "null_posterior_variance")
    return np.asarray(1.0 - nan_median(curves, axis=0))


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
        interval = "" if math.isnan(low) else f"  [{low:.3g}, {high:.3g}]"
        for axes in panels:
            line = axes.axvline(sigma, color=colour, linestyle=style, linewidth=1.2, zorder=1)
            line.set_label(f"{label} = {sigma:.3g}{interval}")
            if not math.isnan(low):
                axes.axvspan(low, high, color=colour, alpha=0.13, linewidth=0.0, zorder=0)
