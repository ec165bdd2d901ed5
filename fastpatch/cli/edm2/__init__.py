"""``fastpatch edm2``: EDM2 networks and the guidance-pulse experiment (Sec. 8, Apps. E and F)."""

import typer

from .analyze import analyze
from .convert import convert
from .pulse import pulse
from .sample import sample
from .train import train
from .train_classifier import train_classifier

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="EDM2 networks: train, convert, sample, analyse, guide by pulses.")
app.command()(analyze)
app.command()(convert)
app.command()(pulse)
app.command()(sample)
app.command()(train)
app.command()(train_classifier)
