"""The trial of a guidance window: the gain of every interval of noise levels, and the intervals that were compared."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .style import house_style, new_figure

__all__ = ["draw_trial"]

_SHOWN = {"logit": "logit of the class", "frechet": "minus Fréchet distance"}
_MARKERS = ("o", "s", "^", "D", "v")


def draw_trial(report: Mapping[str, Any]) -> Figure:
    """A report of ``fastpatch network trial``: one panel a weight, one row a metric, first level against last."""
    levels = [f"{sigma:.2g}" for sigma in report["levels"]]
    with house_style():
        figure = new_figure(10.0, 6.4)
        panels = figure.subplots(len(_SHOWN), len(report["weights"]), squeeze=False)
        for row, (metric, words) in zip(panels, _SHOWN.items(), strict=True):
            for axes, entry in zip(row, report["metrics"][metric]["by_weight"], strict=True):
                table = np.array([[np.nan if value is None else value for value in line] for line in entry["table"]])
                image = axes.imshow(table, cmap="viridis", aspect="equal")
                for (name, window), marker in zip(report["windows"].items(), _MARKERS, strict=False):
                    if window["levels"] is not None:
                        first, last = window["levels"]
                        axes.plot(last, first, marker, color="white", markeredgecolor="black", label=name)
                axes.plot(entry["best"][1], entry["best"][0], "*", color="red", markersize=9.0, label="best")
                axes.set_xticks(range(len(levels)), levels, fontsize=6.0, rotation=60)
                axes.set_yticks(range(len(levels)), levels, fontsize=6.0)
                axes.set_title(f"{words}, $w$ = {entry['weight']:g}", fontsize=8.5)
                figure.colorbar(image, ax=axes, shrink=0.8)
        for axes in panels[-1]:
            axes.set_xlabel(r"last guided $\sigma$")
        for axes in panels[:, 0]:
            axes.set_ylabel(r"first guided $\sigma$")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8.0)
    return figure
