"""``fastpatch edm2 convert``."""

from pathlib import Path
from typing import Annotated

import typer

from ..options import packages_for

__all__ = ["convert"]


def convert(
    source: Annotated[str, typer.Argument(help="A released snapshot (.pkl), or the name of a release.")],
    target: Annotated[Path, typer.Argument(help="The safetensors file to write.")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite an existing file.")] = False,
) -> None:
    """Rewrite a released snapshot as safetensors: the same tensors bit for bit, and a card of what they are.

    Nothing in the snapshot is executed or imported; what a network has no use for is refused. A name such as
    edm2-img64-s-1073741-0.075 is downloaded once, into the user's cache.
    """
    with packages_for("converting a network"):
        from ...neural.edm2 import convert as run

    card = run(source, target, overwrite=force)
    typer.echo(f"source: {card['source']}, SHA-256 {card['source_sha256']}")
    if "licence" in card:
        typer.echo(f"licence: {card['licence']}")
    typer.echo(f"weights: {target} ({card['dtype']})")
