"""One look for all figures: colour-blind-safe (Okabe-Ito and viridis), readable at half a page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...atomic import atomic_path

__all__ = ["BLUE", "GREY", "PURPLE", "RED", "TIME_LABEL", "frame", "house_style", "new_figure", "save_figure"]

BLUE, RED, PURPLE, GREY = "#0072B2", "#C6372F", "#A2527F", "#6E6E6E"
TIME_LABEL = "diffusion time $t$  (reverse run: left to right)"

_STYLE: dict[str, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.4,
}


@contextmanager
def house_style() -> Iterator[None]:
    """The project's style over Matplotlib's own defaults inside the block; the caller's settings outside it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]  # matplotlib types the keys as literals
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches with an Agg canvas, independent of pyplot's state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def frame(axes: Axes) -> None:
    """A thin frame without ticks, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=GREY, linewidth=0.6)


def save_figure(figure: Figure, path: str | Path, dpi: int = 160) -> None:
    """Write a figure, replacing ``path`` only when it is complete; `OutputError` where that fails."""
    with house_style(), atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=Path(path).suffix.lstrip(".") or "png")
