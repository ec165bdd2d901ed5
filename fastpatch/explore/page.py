"""The page: a tab for the patch machine, one for the U-Nets, one for the EDM network."""

from pathlib import Path
from typing import Any, Literal, cast

from bokeh.document import Document
from bokeh.models import TabPanel, Tabs
from bokeh.models.widgets import Select, Slider

from ..neural.data import CLASS_NAMES
from .settings import EDMSettings, MachineSettings, UNetSettings
from .view import PERIOD, View

__all__ = ["build"]

SOLVERS = ("euler-maruyama", "ancestral", "heun")


def build(document: Document, out: Path) -> list[View]:
    """Fill one session's document; the views are returned for whoever drives them without a browser."""
    titled = {"patch machine": _machine(out), "trained U-Net": _unet(out), "trained EDM network": _edm(out)}
    views = list(titled.values())
    tabs = Tabs(tabs=[TabPanel(child=view.layout, title=title) for title, view in titled.items()], name="tabs")
    started = {0}

    def changed(_attribute: str, _old: int, active: int) -> None:
        if active not in started:
            started.add(active)
            views[active].start()

    def ended(_context: Any) -> None:
        for view in views:
            view.stop()

    tabs.on_change("active", changed)
    document.add_root(tabs)
    document.title = "fastpatch explore"
    document.add_periodic_callback(lambda: views[tabs.active].refresh(), PERIOD)
    document.on_session_destroyed(ended)
    views[0].start()
    return views


def _machine(out: Path) -> View:
    default = MachineSettings()
    controls: dict[str, Any] = {
        "uniform_mass": Slider(
            start=0.05, end=1.0, step=0.05, value=default.uniform_mass, title="mass of uniform patterns"
        ),
        "n_random": Slider(start=0, end=24, step=1, value=default.n_random, title="random patterns"),
        "size": Slider(start=3, end=9, step=2, value=default.size, title="side of a pattern"),
        "dictionary_seed": Slider(start=0, end=50, step=1, value=default.dictionary_seed, title="seed of the patterns"),
        "side": Slider(start=16, end=256, step=8, value=default.side, title="side of the lattice"),
        "trajectories": Slider(start=1, end=8, step=1, value=default.trajectories, title="trajectories"),
        "steps": Slider(start=200, end=4000, step=200, value=default.steps, title="steps"),
        "seed": Slider(start=0, end=100, step=1, value=default.seed, title="seed of the noise"),
        "solver": Select(options=list(SOLVERS), value=default.solver, title="solver"),
    }

    def read() -> MachineSettings:
        chosen = {name: widget.value for name, widget in controls.items()}
        mass = float(chosen.pop("uniform_mass"))
        solver = chosen.pop("solver")
        return MachineSettings(uniform_mass=mass, solver=solver, **{name: int(value) for name, value in chosen.items()})

    return View("machine", controls, read, out)


def _unet(out: Path) -> View:
    default = UNetSettings()
    controls: dict[str, Any] = {
        "variant": Select(options=["binarised", "grey"], value=default.variant, title="U-Net on Fashion-MNIST, images"),
        "trajectories": Slider(start=1, end=8, step=1, value=default.trajectories, title="trajectories"),
        "steps": Slider(start=200, end=2000, step=50, value=default.steps, title="steps"),
        "seed": Slider(start=0, end=100, step=1, value=default.seed, title="seed of the noise"),
        "solver": Select(options=list(SOLVERS), value=default.solver, title="solver"),
    }

    def read() -> UNetSettings:
        return UNetSettings(
            cast(Literal["binarised", "grey"], controls["variant"].value),
            int(controls["trajectories"].value),
            int(controls["steps"].value),
            int(controls["seed"].value),
            controls["solver"].value,
        )

    return View("unet", controls, read, out)


def _edm(out: Path) -> View:
    default = EDMSettings()
    classes = [(str(number), f"{number}: {name}") for number, name in enumerate(CLASS_NAMES)]
    controls: dict[str, Any] = {
        "class_label": Select(options=classes, value=str(default.class_label), title="class of Fashion-MNIST"),
        "trajectories": Slider(start=1, end=8, step=1, value=default.trajectories, title="trajectories"),
        "steps": Slider(start=16, end=96, step=8, value=default.steps, title="steps"),
        "seed": Slider(start=0, end=100, step=1, value=default.seed, title="seed of the noise"),
    }

    def read() -> EDMSettings:
        return EDMSettings(**{name: int(widget.value) for name, widget in controls.items()})

    return View("edm", controls, read, out)
