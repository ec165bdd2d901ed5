"""``fastpatch images``: the patch machine of a set of images, and networks and other denoisers beside it."""

import typer

from .compare import compare
from .locality import locality
from .run import run
from .train import train

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The patch machine of a set of images.")
app.command()(run)
app.command()(compare)
app.command()(train)
app.command()(locality)
