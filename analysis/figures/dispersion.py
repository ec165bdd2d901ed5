"""Mean-field dispersion lambda(k, t) along one axis, at times around the critical one."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .style import GREY, house_style, new_figure

__all__ = ["draw_dispersion"]


def draw_dispersion(k: ArrayLike, dispersions: Sequence[ArrayLike], labels: Sequence[str], title: str) -> Figure:
    """Curves ``dispersions[i](k)``, in the order of the reverse run, each with its label.

    ``k`` in radians per site. Modes below the zero line grow along the reverse run.
    """
    with house_style():
        figure = new_figure(5.6, 3.6)
        axes = figure.subplots()
        colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, len(labels)))
        axes.axhline(0.0, color=GREY, linewidth=1.0)
        for colour, label, curve in zip(colours, labels, dispersions, strict=True):
            axes.plot(np.asarray(k), np.asarray(curve), color=colour, label=label)
        axes.set_xlim(0.0, np.pi)
        axes.set_xticks(
            np.pi * np.array([0.0, 0.25, 0.5, 0.75, 1.0]), ["0", r"$\pi/4$", r"$\pi/2$", r"$3\pi/4$", r"$\pi$"]
        )
        axes.set_xlabel("wave number $k$ along one axis (radians / site)")
        axes.set_ylabel(r"$\lambda(k, t)$ of the reverse drift (1 / time)")
        axes.set_title(title)
        axes.text(
            0.97 * np.pi,
            -0.02,
            "below zero: grows along the reverse run",
            color=GREY,
            fontsize="small",
            ha="right",
            va="top",
        )
        axes.legend(loc="lower right")
    return figure
