"""The figures of a run and the data behind them; the server fills them as it goes, a static page all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Label, LinearColorMapper, Range1d, Span
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from .frames import SHELLS, Frame, Spectra
from .settings import MachineSettings, Settings

__all__ = ["Figures", "draw", "image_columns", "power_columns", "title_of", "wave_columns"]

_CURSOR, _THEORY = "#D55E00", "#E69F00"


@dataclass(frozen=True)
class Figures:
    """Figures, and the sources behind them.

    ``image`` holds the picture, ``curves`` what grows along the run, ``waves`` and ``powers`` what is shown at one time
    over the wave numbers; ``cursors`` mark that time.
    """

    lattice: Any
    length: Any
    growth: Any
    spectrum: Any
    power: Any
    image: ColumnDataSource
    curves: ColumnDataSource
    waves: ColumnDataSource
    powers: ColumnDataSource
    cursors: tuple[Span, Span]

    def clear(self, settings: Settings) -> None:
        """Nothing measured yet."""
        self.curves.data = {name: [] for name in self.curves.data}
        self.lattice.title.text = settings.look.picture
        self._predict(settings)

    def append(self, new: Sequence[Frame]) -> None:
        """Stream the curves of new frames."""
        columns: dict[str, Any] = {
            "time": [frame.time for frame in new],
            "xi_x": [float(np.median(frame.xi_x)) for frame in new],
            "low": [float(frame.xi_x.min()) for frame in new],
            "high": [float(frame.xi_x.max()) for frame in new],
        }
        columns |= {f"lambda_{n}": [float(frame.modes[n]) for frame in new] for n in range(SHELLS)}
        self.curves.stream(columns)

    def show(self, settings: Settings, frame: Frame, at: Spectra) -> None:
        """Put one frame under the cursor."""
        self.image.data = image_columns([frame])
        self.lattice.title.text = title_of(settings, frame)
        for cursor in self.cursors:
            cursor.location = frame.time
        self.spectrum.y_range.update(start=at.span[0], end=at.span[1])
        self.waves.data = wave_columns(at)
        self.powers.data = power_columns(at)

    def _predict(self, settings: Settings) -> None:
        for old in [item for item in self.growth.center if isinstance(item, Span | Label) and item.name == "predicted"]:
            self.growth.center.remove(old)
        for number, (name, time) in enumerate(settings.predictions().items()):
            line = Span(location=time, dimension="height", line_dash="dotted", line_color="grey", name="predicted")
            text = Label(
                x=time, y=8 + 14 * number, y_units="screen", text=name, text_font_size="10px", name="predicted",
                text_color="grey", x_offset=3, background_fill_color="white", background_fill_alpha=0.8,
            )  # fmt: skip
            self.growth.add_layout(line)
            self.growth.add_layout(text)


def image_columns(frames: Sequence[Frame]) -> dict[str, Any]:
    """A row each frame."""
    return {
        "image": [frame.picture for frame in frames],
        "dw": [frame.picture.shape[1] for frame in frames],
        "dh": [frame.picture.shape[0] for frame in frames],
    }


def wave_columns(at: Spectra) -> dict[str, Any]:
    return {"k": at.k, "lambda": at.lambda_, "linear": at.linear, "null": at.null}


def power_columns(at: Spectra) -> dict[str, Any]:
    return {"k": at.shell_k, "power": at.power}


def title_of(settings: Settings, frame: Frame) -> str:
    return f"{settings.look.picture}, {settings.look.symbol} = {frame.time:.3g}"


def draw(settings: Settings, *, side: int, width: int, height: int, tools: str) -> Figures:
    """Empty figures for runs of these settings, in pixels: the picture is ``side`` wide and high."""
    look = settings.look
    image = ColumnDataSource({"image": [np.zeros(settings.shape, np.uint8)], "dw": [1], "dh": [1]})
    curves = ColumnDataSource(
        {name: [] for name in ("time", "xi_x", "low", "high", *(f"lambda_{n}" for n in range(SHELLS)))}
    )
    waves = ColumnDataSource({name: [] for name in ("k", "lambda", "linear", "null")})
    powers = ColumnDataSource({"k": [], "power": []})
    clock = f"{look.clock} {look.symbol} (the run goes to the right)"

    lattice = figure(width=side, height=side, title=look.picture, match_aspect=True, tools=tools)
    greys = LinearColorMapper(palette="Greys256", low=0, high=255)
    # The first row of an array is the top of a picture.
    lattice.image(
        image="image", x=0, y=0, dw="dw", dh="dh", source=image, color_mapper=greys, level="image", origin="top_left"
    )
    lattice.grid.visible = lattice.axis.visible = False

    options: dict[str, Any] = {"width": width, "height": height, "tools": tools}
    length = figure(
        title="correlation length ξₓ (sites)", x_axis_type="log",
        x_range=Range1d(look.begin, look.end), **options,
    )  # fmt: skip
    length.varea(x="time", y1="low", y2="high", source=curves, fill_alpha=0.25)
    length.line(x="time", y="xi_x", source=curves, line_width=2)
    growth = figure(
        title=f"{look.derivative}ₙ, n = 0 … {SHELLS - 1}"
        + ("; dotted: predicted zeros of λ₀" if isinstance(settings, MachineSettings) else ""),
        x_axis_type="log", x_range=Range1d(look.begin, look.softened), y_range=Range1d(*look.derivatives),
        x_axis_label=clock, **options,
    )  # fmt: skip
    for n in range(SHELLS):
        growth.line(x="time", y=f"lambda_{n}", source=curves, color=Viridis256[n * 45], line_width=2)
    growth.add_layout(Span(location=0, dimension="width", line_color="grey", line_width=0.5))

    name = f"{look.derivative}(k)"
    spectrum = figure(
        title=f"dispersion {name} at this {look.symbol}", x_axis_label="k (radians per site)", y_range=Range1d(-1, 1.5),
        **options,
    )  # fmt: skip
    spectrum.line(x="k", y="lambda", source=waves, line_width=2, legend_label="measured")
    if isinstance(settings, MachineSettings):
        spectrum.line(
            x="k", y="linear", source=waves, line_dash="dashed", color=_THEORY, legend_label="theory at x = 0"
        )
        spectrum.line(
            x="k", y="null", source=waves, line_dash="dotted", color="grey", line_width=2, legend_label="null"
        )
    spectrum.legend.orientation, spectrum.legend.location = "horizontal", "top_left"
    spectrum.legend.label_text_font_size, spectrum.legend.background_fill_alpha = "10px", 0.5
    power = figure(
        title=f"S(k) at this {look.symbol}", y_axis_type="log", x_axis_label="k (radians per site)", **options
    )
    power.line(x="k", y="power", source=powers, line_width=2)

    cursors = (_cursor(look.begin), _cursor(look.begin))
    length.add_layout(cursors[0])
    growth.add_layout(cursors[1])
    for plot in (lattice, length, growth, spectrum, power):
        plot.toolbar.logo = None
        plot.toolbar.autohide = True
    found = Figures(lattice, length, growth, spectrum, power, image, curves, waves, powers, cursors)
    found.clear(settings)
    return found


def _cursor(at: float) -> Span:
    return Span(location=at, dimension="height", line_color=_CURSOR, line_width=1.5)
