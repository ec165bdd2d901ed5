"""A group of commands."""

from typing import Literal

import typer

__all__ = ["MARKUP", "group"]

# The lines of a paragraph of a docstring are joined, as wide as the terminal.
MARKUP: Literal["markdown"] = "markdown"


def group(description: str) -> typer.Typer:
    """An empty group, which shows its help where no command is named."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode=MARKUP, help=description)
