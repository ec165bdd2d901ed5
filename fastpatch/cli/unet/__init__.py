"""``fastpatch unet``: the paper's U-Net on Fashion-MNIST (App. D)."""

import typer

from .analyze import analyze
from .sample import sample
from .train import train

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The U-Net trained on Fashion-MNIST (App. D).")
app.command()(train)
app.command()(analyze)
app.command()(sample)
