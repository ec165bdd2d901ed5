"""``fastpatch unet``: the paper's U-Net on Fashion-MNIST (App. D)."""

from ..group import group
from .analyze import analyze
from .sample import sample
from .train import train

__all__ = ["app"]

app = group("The U-Net trained on Fashion-MNIST (App. D).")
app.command()(train)
app.command()(analyze)
app.command()(sample)
