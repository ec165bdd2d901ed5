"""``fastpatch plot``: the figures of a saved result, from the file alone."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["plot"]


def plot(
    file: Annotated[Path, typer.Argument(help="A result.nc written by fastpatch.")],
    out: Annotated[Path | None, typer.Option(help="Directory of the figures; the result's own by default.")] = None,
) -> None:
    """Draw the figures of a result again, without running anything."""
    from ..atomic import writable_directory
    from ..results import load
    from .experiment import draw_figures

    dataset = load(file)
    directory = writable_directory(file.parent if out is None else out)
    for path in draw_figures(dataset, directory):
        print(f"wrote {path}")
