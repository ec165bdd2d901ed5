"""``fastpatch images``: the patch machine of a set of images, and networks and other denoisers beside it."""

from ..group import group
from .compare import compare
from .locality import locality
from .run import run
from .train import train

__all__ = ["app"]

app = group("The patch machine of a set of images.")
app.command()(run)
app.command()(compare)
app.command()(train)
app.command()(locality)
