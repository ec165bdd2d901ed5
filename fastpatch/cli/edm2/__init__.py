"""``fastpatch edm2``: EDM2 networks and the guidance-pulse experiment (Sec. 8, Apps. E and F)."""

import typer

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="EDM2 networks: train, convert, sample, analyse, guide by pulses.")
