"""``fastpatch show``: the report of a saved result."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["show"]


def show(
    file: Annotated[Path, typer.Argument(help="A result.nc written by fastpatch.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False,
) -> None:
    """Print the critical points of a result again, without running anything."""
    from json import dumps

    from ..messages import printable
    from ..reports import summary
    from ..results import load

    found = summary(load(file))
    if json:
        print(dumps(found.to_dict(), indent=2))
        return
    if found.title:
        print(printable(found.title))
    print(found)
