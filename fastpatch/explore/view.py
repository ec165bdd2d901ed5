"""One tab of the page: controls, figures, and the run that they show; callbacks run on the server's event loop."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bokeh.layouts import column, gridplot, row
from bokeh.models.widgets import Button, Div, PreText, Slider, Toggle

from ..errors import FastpatchError
from ..messages import reason
from ..results import save
from .figures import Figures, draw
from .frames import Frame, frames, spectra
from .settings import Settings

__all__ = ["PERIOD", "View"]

# The page is refreshed this often, in milliseconds; a whole run is played in about eight seconds.
PERIOD = 40


class View:
    """A tab: moving a control starts a run, whose frames are shown as they come.

    ``name`` begins the names of all widgets. ``controls`` are the widgets that choose the settings, ``read`` makes the
    settings from them. While a run is computed the newest frame is shown unless the reader has scrubbed back. ``out``
    is where *save* writes.
    """

    def __init__(self, name: str, controls: Mapping[str, Any], read: Callable[[], Settings], out: Path) -> None:
        self._read, self._out = read, out
        self.settings = read()
        self._figures = draw(self.settings, side=440, width=480, height=250, tools="pan,wheel_zoom,reset,save")
        self._frames: list[Frame] = []
        self._drawn = 0
        self._model: Any = None
        self._null: Any = None
        self._stop = threading.Event()
        self._runs: list[threading.Thread] = []
        # Why there is no run, and what has become of saving one.
        self._message = self._saving = ""
        self._following = True

        self.play = Toggle(label="play", width=70, name=f"{name}-play")
        self.scrub = Slider(
            start=0, end=1, value=0, step=1, title="frame", width=420, show_value=False, name=f"{name}-scrub"
        )
        self.code = Toggle(label="show the code", width=120, name=f"{name}-show-code")
        self.save = Button(label="save", width=70, name=f"{name}-save")
        self.status = Div(text="", width=520, name=f"{name}-status")
        self._listing = PreText(text=self.settings.code(), visible=False, width=900, name=f"{name}-code")

        self.play.on_change("active", self._played)
        self.scrub.on_change("value", self._scrubbed)
        self.code.on_change("active", self._listed)
        self.save.on_click(self._save)
        for control, widget in controls.items():
            widget.name = f"{name}-{control}"
            widget.width = 210
            # A slider's value is taken when it is let go: a run for every pixel of its way would serve nobody.
            widget.on_change("value_throttled" if isinstance(widget, Slider) else "value", self._chosen)
        buttons = row(self.play, self.scrub, self.code, self.save)
        rows = [row(*list(controls.values())[i : i + 5]) for i in range(0, len(controls), 5)]
        self.layout = column(*rows, buttons, self.status, _wide(self._figures), self._listing)

    def start(self) -> None:
        """Stop the run that is on, and begin the one that the controls choose."""
        self._stop.set()
        self._stop, self._frames, self._drawn, self._following = threading.Event(), [], 0, True
        try:
            self.settings = self._read()
            self._model, self._null = self.settings.model(), self.settings.null()
        except (FastpatchError, ImportError) as error:
            self._message = _reason(error)
            return
        self._message = self._saving = ""
        self._figures.clear(self.settings)
        self._listing.text = self.settings.code()
        self.play.active = False
        run = threading.Thread(target=self._run, args=(self.settings, self._frames, self._stop), daemon=True)
        self._runs = [*(earlier for earlier in self._runs if earlier.is_alive()), run]
        run.start()

    def stop(self) -> None:
        """End the run with the session."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        """Wait for runs that were stopped to have noticed: torch aborts a process that ends while a thread is in it."""
        for run in self._runs:
            run.join(timeout)

    @property
    def shown(self) -> int:
        """Index of the frame under the cursor."""
        return int(self.scrub.value)

    def refresh(self) -> None:
        """Take over what the run has measured since, and move on if playing: called periodically."""
        known = len(self._frames)
        if known > self._drawn:
            self._figures.append(self._frames[self._drawn : known])
            self._drawn = known
            self.scrub.end = max(known - 1, 1)
        if known and self._following and self.shown != known - 1:
            self._move(known - 1)
        elif self.play.active:
            if self.shown + 1 < known:
                self._move(self.shown + 1)
            else:
                self.play.active = False
        self.status.text = " — ".join(filter(None, (self._saving, self._message or self._progress(known))))

    def _move(self, to: int) -> None:
        """Move the slider from here; only a reader who moves it no longer follows the run."""
        following, self.scrub.value = self._following, to
        self._following = following

    def _progress(self, known: int) -> str:
        total = self.settings.frames
        if not known:
            return "compiling or loading …"
        frame = self._frames[min(self.shown, known - 1)]
        done = "" if known >= total else f" — computing, {known} of {total} frames"
        return f"{self.settings.look.symbol} = {frame.time:.4g}, ξₓ = {float(frame.xi_x.mean()):.2f} sites{done}"

    def _chosen(self, _attribute: str, _old: object, _new: object) -> None:
        self.start()

    def _listed(self, _attribute: str, _old: bool, shown: bool) -> None:
        self._listing.visible = shown

    def _played(self, _attribute: str, _old: bool, active: bool) -> None:
        self.play.label = "pause" if active else "play"
        if active:
            self._following = False
            if self.shown >= len(self._frames) - 1:
                self.scrub.value = 0

    def _scrubbed(self, _attribute: str, _old: int, value: int) -> None:
        if not self._frames:
            return
        at = min(int(value), len(self._frames) - 1)
        self._following = False
        frame = self._frames[at]
        at_this_time = spectra(self.settings, frame, self._model, self._null)
        self._figures.show(self.settings, frame, at_this_time)

    def _run(self, settings: Settings, found: list[Frame], stop: threading.Event) -> None:
        try:
            for frame in frames(settings):
                if stop.is_set():
                    return
                found.append(frame)
        except Exception as error:  # a thread's own would be seen by nobody
            if not stop.is_set():
                self._message = _reason(error)

    def _save(self) -> None:
        settings, path = self.settings, self._out / "result.nc"
        self._saving = "running the same through fastpatch.simulate …"

        def write() -> None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                save(settings.simulate(), path)
                self._saving = f"wrote {path}"
            except Exception as error:
                self._saving = _reason(error)

        threading.Thread(target=write, daemon=True).start()


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f'{error}; expected `pip install "fastpatch[explore,neural]"` for the trained networks'
    if isinstance(error, FastpatchError | OSError):
        return str(error)
    return f"the run failed with {type(error).__name__} ({reason(error)}); expected other settings"


def _wide(figures: Figures) -> Any:
    curves = [[figures.length, figures.spectrum], [figures.growth, figures.power]]
    return row(figures.lattice, gridplot(curves, toolbar_location=None))
