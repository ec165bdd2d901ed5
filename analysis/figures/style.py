"""One look for all figures: colour-blind-safe (after Okabe-Ito, and viridis), for a screen, a journal or slides."""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ...atomic import atomic_path
from ...errors import InvalidInputError

__all__ = [
    "BLUE",
    "GREY",
    "PURPLE",
    "RED",
    "SIGMA_LABEL",
    "TIME_LABEL",
    "Style",
    "figure_style",
    "frame",
    "house_style",
]
__all__ += ["legends_below", "new_figure", "run_axis", "save_figure", "shown_level"]

BLUE, RED, PURPLE, GREY = "#0072B2", "#D55E00", "#882255", "#8A8A8A"
TIME_LABEL = "diffusion time $t$  (run: left to right)"
SIGMA_LABEL = r"noise level $\sigma$  (run: left to right)"

Style = Literal["screen", "paper", "slides"]


@dataclass(frozen=True)
class _Size:
    """Of figures relative to a screen's, of letters in points, of lines relative to a screen's."""

    figure: float
    font: float
    line: float


# The widest figure, 11 inches on a screen, is 7.1 in print: two columns of a journal.
_SIZES: dict[str, _Size] = {
    "screen": _Size(1.0, 9.0, 1.0),
    "paper": _Size(7.1 / 11.0, 6.5, 0.8),
    "slides": _Size(1.2, 14.0, 1.6),
}
_CHOSEN: ContextVar[Style] = ContextVar("figure_style", default="screen")

_STYLE: dict[str, Any] = {
    "axes.titlesize": "medium",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "axes.axisbelow": True,
    # A veil without an edge: a legend stays readable on top of curves.
    "legend.framealpha": 0.8,
    "legend.edgecolor": "none",
    "legend.fancybox": False,
    "legend.fontsize": "small",
    "legend.borderaxespad": 0.2,
    "legend.labelspacing": 0.3,
    "legend.columnspacing": 1.2,
    "legend.handlelength": 1.7,
    "pdf.fonttype": 42,  # letters that remain letters, as journals ask
    "svg.fonttype": "none",
}


@contextmanager
def figure_style(style: Style) -> Iterator[None]:
    """Figures drawn inside the block have the size and letters of a screen (the default), a journal page, or slides.

    Raises `InvalidInputError` for another style.
    """
    if style not in get_args(Style):
        raise InvalidInputError(f"style is {style!r}; expected one of {', '.join(map(repr, get_args(Style)))}")
    token = _CHOSEN.set(style)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


@contextmanager
def house_style() -> Iterator[None]:
    """The project's style over Matplotlib's own defaults inside the block; the caller's settings outside it."""
    size = _SIZES[_CHOSEN.get()]
    settings: dict[Any, Any] = {
        **_STYLE,
        "font.size": size.font,
        "lines.linewidth": 1.4 * size.line,
        "axes.linewidth": 0.8 * size.line,
        "grid.linewidth": 0.6 * size.line,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


class ShownFigure(Figure):
    """A figure that a notebook shows although pyplot, which would have taught it how, does not know of it."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        with house_style():
            self.savefig(content, format="png")
        return content.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches on a screen with an Agg canvas, independent of pyplot's state."""
    scale = _SIZES[_CHOSEN.get()].figure
    figure = ShownFigure(figsize=(scale * width, scale * height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def frame(axes: Axes) -> None:
    """A thin frame without ticks, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=GREY, linewidth=0.6)


# Typed by Matplotlib as literals.
_BELOW: tuple[Any, ...] = ("outside lower left", "outside lower center", "outside lower right")


def legends_below(panels: list[Axes], columns: tuple[int, int, int]) -> None:
    """Under each of three panels in a row what it shows, in so many columns, where no curve can be behind it.

    What several panels show is explained under the middle one alone. The legends are those of the panels' figure.
    """
    found = []
    for axes in panels:
        # An axis on the right-hand side is a panel of its own to Matplotlib, which shares the other's abscissa.
        both = [axes, *(one for one in axes.get_shared_x_axes().get_siblings(axes) if one is not axes)]
        found.append(
            {name: handle for one in both for handle, name in zip(*one.get_legend_handles_labels(), strict=True)}
        )
    times = Counter(name for one in found for name in one)
    common = {name: handle for one in found for name, handle in one.items() if times[name] > 1}
    for at, axes in enumerate(panels):
        own = {name: handle for name, handle in found[at].items() if name not in common}
        shown = {**own, **common} if at == 1 else own
        if shown:
            axes.figure.legend(list(shown.values()), list(shown), loc=_BELOW[at], ncols=columns[at])


def run_axis(axes: Axes, levels: ArrayLike, label: str) -> None:
    """A logarithmic axis of times or noise levels in the order of a run, from the first of ``levels`` to the last."""
    ends = np.asarray(levels)
    axes.set_xscale("log")
    axes.set_xlim(ends[0], ends[-1])
    axes.set_xlabel(label)


def save_figure(figure: Figure, path: str | Path, dpi: int = 160) -> None:
    """Write a figure in the format of the path's suffix, replacing ``path`` only when it is complete.

    Raises `OutputError` where that fails.
    """
    with house_style(), atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=Path(path).suffix.lstrip(".") or "png")


def shown_level(value: float) -> str:
    """A time or noise level in a title: two digits, without an exponent where it is large."""
    return f"{value:.0f}" if value >= 100.0 else f"{value:.2g}"
