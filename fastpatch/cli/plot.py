"""``fastpatch plot``: the figures of a saved result, from the file alone."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options

__all__ = ["plot"]


def plot(
    file: Annotated[Path, typer.Argument(help="A result.nc written by fastpatch.")],
    out: Annotated[Path | None, typer.Option(help="Directory of the figures; the result's own by default.")] = None,
    style: Annotated[
        Literal["screen", "paper", "slides"],
        typer.Option(help="Size of figures and letters: paper is 7.1 inches wide."),
    ] = "screen",
    format: Annotated[  # noqa: A002  (the name of the option)
        Literal["png", "pdf", "svg"], typer.Option(help="Of the files; pdf and svg are vectors.")
    ] = "png",
    null: options.Null = True,
) -> None:
    """Draw the figures of a result again, without running anything."""
    from ..analysis.figures import figure_style
    from ..atomic import writable_directory
    from ..results import load
    from .experiment import draw_figures

    dataset = load(file)
    directory = writable_directory(file.parent if out is None else out)
    with figure_style(style):
        for path in draw_figures(dataset, directory, format, null=null):
            print(f"wrote {path}")
