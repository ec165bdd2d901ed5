"""``fastpatch network``: anybody's diffusion model, analysed, and the noise levels at which to guide it."""

from ..group import group
from .analyze import analyze
from .loss import loss
from .trial import trial
from .window import window

__all__ = ["app"]

app = group("Any diffusion model: analyse it, find where to guide it.")
app.command()(analyze)
app.command()(window)
app.command()(loss)
app.command()(trial)
