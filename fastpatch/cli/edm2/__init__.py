"""``fastpatch edm2``: EDM2 networks and the guidance-pulse experiment (Sec. 8, Apps. E and F)."""

from ..group import group
from .analyze import analyze
from .convert import convert
from .pulse import pulse
from .sample import sample
from .train import train
from .train_classifier import train_classifier

__all__ = ["app"]

app = group("EDM2 networks: train, convert, sample, analyse, guide by pulses.")
app.command()(analyze)
app.command()(convert)
app.command()(pulse)
app.command()(sample)
app.command()(train)
app.command()(train_classifier)
