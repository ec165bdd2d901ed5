"""``fastpatch explore``: a page on which a lattice forms while sliders move."""

from pathlib import Path
from typing import Annotated

import typer

from . import options

__all__ = ["explore"]


def explore(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    out: options.Out = Path("runs/explore"),
) -> None:
    """A local page: the lattice forming live, its correlation length, softening, dispersion and S(k), under sliders.

    Play, pause and scrub through the run; "show the code" gives the Python that makes it, "save" writes result.nc.
    """
    with options.packages_for("the explorer", "explore"):
        from ..explore import serve

    serve(port, out, open_browser=open_browser, ready=lambda address: print(f"{address}   Ctrl-C ends it", flush=True))
