"""The figures of the page and the data sources behind them; the server fills them live, a static page once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.layouts import gridplot, row
from bokeh.models import ColumnDataSource, Label, LinearColorMapper, Range1d, Span
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from .frames import SHELLS, Frame, Spectra
from .settings import Settings

__all__ = ["Figures", "draw"]

_SIDE = 440
_CURSOR = "#d1495b"


@dataclass(frozen=True)
class Figures:
    """Figures and sources: ``image`` holds the lattice, ``curves`` what grows along the run, ``waves`` the spectra."""

    layout: Any
    image: ColumnDataSource
    curves: ColumnDataSource
    waves: ColumnDataSource
    powers: ColumnDataSource
    cursors: tuple[Span, Span]
    lattice: Any
    growth: Any
    spectrum: Any

    def clear(self, settings: Settings) -> None:
        """Nothing measured yet."""
        self.curves.data = {name: [] for name in self.curves.data}
        self.lattice.title.text = "lattice"
        self._predict(settings)

    def append(self, new: list[Frame]) -> None:
        """Stream the curves of new frames."""
        columns: dict[str, Any] = {
            "time": [frame.time for frame in new],
            "xi_x": [float(np.median(frame.xi_x)) for frame in new],
            "low": [float(frame.xi_x.min()) for frame in new],
            "high": [float(frame.xi_x.max()) for frame in new],
        }
        columns |= {f"lambda_{n}": [float(frame.modes[n]) for frame in new] for n in range(SHELLS)}
        self.curves.stream(columns)

    def show(self, frame: Frame, at: Spectra | None) -> None:
        """Put one frame under the cursor."""
        side = frame.x.shape[-1]
        self.image.data = {"image": [frame.x[0]], "dw": [side], "dh": [frame.x.shape[-2]]}
        self.lattice.title.text = f"lattice, t = {frame.time:.3g}"
        for cursor in self.cursors:
            cursor.location = frame.time
        if at is not None:
            absent = np.full(len(at.k), np.nan)
            low, high = at.span
            self.spectrum.y_range.update(start=low, end=high)
            self.waves.data = {
                "k": at.k,
                "lambda": at.lambda_,
                "linear": at.linear if len(at.linear) else absent,
                "null": at.null if len(at.null) else absent,
            }
            self.powers.data = {"k": at.shell_k[1:], "power": at.power[1:]}

    def _predict(self, settings: Settings) -> None:
        for old in [item for item in self.growth.center if isinstance(item, Span | Label) and item.name == "predicted"]:
            self.growth.center.remove(old)
        for number, (name, time) in enumerate(settings.predictions().items()):
            line = Span(location=time, dimension="height", line_dash="dotted", line_color="grey", name="predicted")
            text = Label(
                x=time, y=8 + 14 * number, y_units="screen", text=name, text_font_size="10px", name="predicted",
                text_color="grey", x_offset=3,
            )  # fmt: skip
            self.growth.add_layout(line)
            self.growth.add_layout(text)


def draw(settings: Settings) -> Figures:
    """Empty figures for runs of these settings."""
    image = ColumnDataSource({"image": [np.zeros(settings.shape, np.float32)], "dw": [1], "dh": [1]})
    names = ["time", "xi_x", "low", "high", *(f"lambda_{n}" for n in range(SHELLS))]
    curves = ColumnDataSource({name: [] for name in names})
    waves = ColumnDataSource({name: [] for name in ("k", "lambda", "linear", "null")})
    powers = ColumnDataSource({"k": [], "power": []})

    lattice = figure(width=_SIDE, height=_SIDE, title="lattice", match_aspect=True, tools="pan,wheel_zoom,reset,save")
    grey = LinearColorMapper(palette="Greys256", low=-1.2, high=1.2)
    lattice.image(image="image", x=0, y=0, dw="dw", dh="dh", source=image, color_mapper=grey, level="image")
    lattice.grid.visible = lattice.axis.visible = False

    options: dict[str, Any] = {"width": _SIDE + 40, "height": _SIDE // 2 + 30, "tools": "pan,wheel_zoom,reset,save"}
    length = figure(
        title="correlation length ξₓ (sites), median and range", x_axis_type="log",
        x_range=Range1d(50, 1e-3), **options,
    )  # fmt: skip
    length.varea(x="time", y1="low", y2="high", source=curves, fill_alpha=0.25)
    length.line(x="time", y="xi_x", source=curves, line_width=2)
    growth = figure(
        title="softening λₙ, n = 0 … 4; dotted: predicted t_c", x_axis_type="log", x_range=Range1d(50, 0.3),
        y_range=Range1d(-0.5, 0.7), x_axis_label="diffusion time t (the run goes to the right)", **options,
    )  # fmt: skip
    for n in range(SHELLS):
        growth.line(x="time", y=f"lambda_{n}", source=curves, color=Viridis256[n * 45], line_width=2)
    growth.add_layout(Span(location=0, dimension="width", line_color="grey", line_width=0.5))

    spectrum = figure(
        title="dispersion λ(k) at this time", x_axis_label="k (radians per site)", y_range=Range1d(-1, 1.5), **options
    )
    spectrum.line(x="k", y="lambda", source=waves, line_width=2, legend_label="measured")
    spectrum.line(x="k", y="linear", source=waves, line_dash="dashed", color="#edae49", legend_label="theory at x = 0")
    spectrum.line(x="k", y="null", source=waves, line_dash="dotted", color="grey", line_width=2, legend_label="null")
    spectrum.legend.orientation, spectrum.legend.location = "horizontal", "top_left"
    spectrum.legend.label_text_font_size, spectrum.legend.background_fill_alpha = "10px", 0.5
    power = figure(title="S(k) at this time", y_axis_type="log", x_axis_label="k (radians per site)", **options)
    power.line(x="k", y="power", source=powers, line_width=2)

    cursors = tuple(Span(location=50, dimension="height", line_color=_CURSOR, line_width=1.5) for _ in range(2))
    length.add_layout(cursors[0])
    growth.add_layout(cursors[1])
    for plot in (lattice, length, growth, spectrum, power):
        plot.toolbar.logo = None
        plot.toolbar.autohide = True
    grid = gridplot([[length, spectrum], [growth, power]], toolbar_location=None)
    layout = row(lattice, grid)
    found = Figures(layout, image, curves, waves, powers, (cursors[0], cursors[1]), lattice, growth, spectrum)
    found.clear(settings)
    return found
