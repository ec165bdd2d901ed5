"""The figures of one run as a file of HTML that scrubs without a server."""

from pathlib import Path
from typing import Any

import numpy as np
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import CDSView, ColumnDataSource, CustomJS, IndexFilter, LinearColorMapper, Span
from bokeh.models.widgets import Div, Slider, Toggle
from bokeh.palettes import Viridis256
from bokeh.plotting import figure
from bokeh.resources import INLINE

from ..atomic import atomic_path
from .frames import SHELLS, Frame, frames, spectra
from .settings import MachineSettings, Settings

__all__ = ["scrubbing_page"]

_TICK = """
const step = () => {
  if (!toggle.active) { return }
  slider.value = (slider.value + 1) % (slider.end + 1)
  setTimeout(step, 60)
}
toggle.label = toggle.active ? "pause" : "play"
step()
"""
_SHOW = """
filter.indices = [slider.value]
waves.indices = [slider.value]
for (const source of sources) { source.change.emit() }
range.setv({start: ranges[slider.value][0], end: ranges[slider.value][1]})
for (const span of spans) { span.location = times[slider.value] }
label.text = `t = ${times[slider.value].toPrecision(3)}`
"""


def scrubbing_page(path: str | Path, settings: Settings | None = None, *, stride: int = 2) -> None:
    """Run ``settings`` (by default those that the server begins with) and write every ``stride``-th frame to ``path``.

    The file holds everything it needs, Bokeh's scripts included, some three megabytes at 80 x 80 sites. The lattice is
    stored in 256 greys. Raises `OutputError` where ``path`` cannot be written.
    """
    chosen = MachineSettings() if settings is None else settings
    kept = list(frames(chosen))[::stride]
    page = file_html(_layout(chosen, kept), INLINE, "fastpatch: a lattice forms")
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _layout(settings: Settings, kept: list[Frame]) -> Any:
    model, null = settings.model(), settings.null()
    times = [float(frame.time) for frame in kept]
    found = [spectra(settings, frame, model, null) for frame in kept]
    height, width = settings.shape

    images = ColumnDataSource({"image": [_grey(frame.x[0]) for frame in kept]})
    picked, waves_picked = IndexFilter([0]), IndexFilter([0])
    lattice = figure(width=360, height=380, match_aspect=True, tools="", toolbar_location=None)
    grey = LinearColorMapper(palette="Greys256", low=0, high=255)
    lattice.image(
        image="image", x=0, y=0, dw=width, dh=height, source=images, view=CDSView(filter=picked), color_mapper=grey
    )
    lattice.axis.visible = lattice.grid.visible = False

    options: dict[str, Any] = {"width": 365, "height": 190, "tools": "", "toolbar_location": None}
    length = figure(title="correlation length ξₓ (sites)", x_axis_type="log", x_range=(50, 1e-3), **options)
    for number in range(kept[0].xi_x.size):
        length.line(times, [float(frame.xi_x[number]) for frame in kept], line_alpha=0.6)
    growth = figure(
        title="λₙ, n = 0 … 4; dotted: predicted t_c", x_axis_type="log", x_range=(50, 0.3),
        y_range=(-0.5, 0.7), **options,
    )  # fmt: skip
    for n in range(SHELLS):
        growth.line(times, [float(frame.modes[n]) for frame in kept], color=Viridis256[n * 45], line_width=2)
    for time in settings.predictions().values():
        growth.add_layout(Span(location=time, dimension="height", line_dash="dotted", line_color="grey"))
    growth.add_layout(Span(location=0, dimension="width", line_color="grey", line_width=0.5))

    curves = ColumnDataSource(
        {
            "k": [one.k for one in found],
            "lambda": [one.lambda_ for one in found],
            "linear": [one.linear for one in found],
            "null": [one.null for one in found],
            "shell": [one.shell_k[1:] for one in found],
            "power": [one.power[1:] for one in found],
        }
    )
    view = CDSView(filter=waves_picked)
    spectrum = figure(title="λ(k); dashed: at x = 0, dotted: null", y_range=(-1, 1.5), **options)
    spectrum.multi_line("k", "lambda", source=curves, view=view, line_width=2)
    if isinstance(settings, MachineSettings):
        spectrum.multi_line("k", "linear", source=curves, view=view, line_dash="dashed", color="#edae49")
        spectrum.multi_line("k", "null", source=curves, view=view, line_dash="dotted", color="grey", line_width=2)
    power = figure(title="S(k)", y_axis_type="log", x_axis_label="k (radians per site)", **options)
    power.multi_line("shell", "power", source=curves, view=view, line_width=2)

    spans = [Span(location=times[0], dimension="height", line_color="#d1495b", line_width=1.5) for _ in range(2)]
    length.add_layout(spans[0])
    growth.add_layout(spans[1])
    slider = Slider(start=0, end=len(kept) - 1, value=0, step=1, title="frame", width=360, show_value=False)
    toggle = Toggle(label="play", width=70)
    label = Div(text=f"t = {times[0]:.3g}")
    shown = {
        "slider": slider, "filter": picked, "waves": waves_picked, "sources": [images, curves], "spans": spans,
        "times": times, "label": label, "range": spectrum.y_range, "ranges": [one.span for one in found],
    }  # fmt: skip
    slider.js_on_change("value", CustomJS(args=shown, code=_SHOW))
    toggle.js_on_change("active", CustomJS(args={"slider": slider, "toggle": toggle}, code=_TICK))
    # Two figures wide: as wide as a column of text.
    return column(row(toggle, slider, label), row(lattice, column(length, growth)), row(spectrum, power))


def _grey(field: Any) -> Any:
    return np.clip((np.asarray(field) + 1.2) * (255.0 / 2.4), 0, 255).astype(np.uint8)
