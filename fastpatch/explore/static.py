"""The figures of one run as a file of HTML that scrubs without a server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, CustomJS
from bokeh.models.widgets import Slider, Toggle
from bokeh.resources import INLINE

from ..atomic import atomic_path
from .figures import draw, image_columns, power_columns, title_of, wave_columns
from .frames import Frame, frames, spectra
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
# What `Figures.show` does, from columns with a row each frame.
_SHOW = """
const at = slider.value
const row = (store, value) => {
  return Object.fromEntries(Object.entries(store.data).map(([name, rows]) => [name, value(rows[at])]))
}
image.data = row(pictures, (picture) => [picture])
waves.data = row(wave_rows, (values) => values)
powers.data = row(power_rows, (values) => values)
title.text = titles[at]
range.setv({start: spans[at][0], end: spans[at][1]})
for (const cursor of cursors) { cursor.location = times[at] }
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


def _layout(settings: Settings, kept: Sequence[Frame]) -> Any:
    model, null = settings.model(), settings.null()
    found = [spectra(settings, frame, model, null) for frame in kept]
    figures = draw(settings, side=380, width=365, height=190, tools="")
    figures.append(kept)
    figures.show(settings, kept[0], found[0])

    slider = Slider(start=0, end=len(kept) - 1, value=0, step=1, title="frame", width=360, show_value=False)
    toggle = Toggle(label="play", width=70)
    shown = {
        "slider": slider,
        "image": figures.image,
        "pictures": ColumnDataSource(image_columns(kept)),
        "waves": figures.waves,
        "wave_rows": ColumnDataSource(_rows([wave_columns(one) for one in found])),
        "powers": figures.powers,
        "power_rows": ColumnDataSource(_rows([power_columns(one) for one in found])),
        "title": figures.lattice.title,
        "titles": [title_of(settings, frame) for frame in kept],
        "range": figures.spectrum.y_range,
        "spans": [one.span for one in found],
        "cursors": list(figures.cursors),
        "times": [frame.time for frame in kept],
    }
    slider.js_on_change("value", CustomJS(args=shown, code=_SHOW))
    toggle.js_on_change("active", CustomJS(args={"slider": slider, "toggle": toggle}, code=_TICK))
    # Two figures wide: as wide as a column of text.
    return column(
        row(toggle, slider),
        row(figures.lattice, column(figures.length, figures.growth)),
        row(figures.spectrum, figures.power),
    )


def _rows(frames: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [frame[name] for frame in frames] for name in frames[0]}
