"""``fastpatch sweep``: many runs over a design of parameters, on Dask."""

from pathlib import Path
from typing import Annotated

import typer

from . import options

__all__ = ["sweep"]


def sweep(
    spec: Annotated[
        str, typer.Argument(help="A TOML file, or a ready spec: finite-size, prior-mass, quench-rate.", metavar="SPEC")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Directory of the results, created if need be.", show_default="runs/SPEC")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a running Dask scheduler, as tcp://host:8786.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes on this machine; one a core by default.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run a design that exceeds its budget.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Add the spec's new points to another sweep.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Run what a sweep still lacks: a grid or random design over the patch machine's parameters.

    The same command resumes an interrupted sweep and recognises a finished one. Writes a Zarr store, sweep.zarr, which
    fastpatch.open_sweep opens. A sweep over square shapes, over beta and steps, or over the uniform mass is a scaling
    study: its summary is printed, written to scaling.txt, and drawn.
    """
    import time

    from ..sweeps.run import complete
    from ..sweeps.spec_file import load_spec
    from .scaling import scaling_summary

    begin = time.perf_counter()
    directory = Path("runs", Path(spec).stem) if out is None else out
    with options.packages_for("fastpatch sweep", "sweep"):
        store, computed = complete(
            load_spec(spec), directory, scheduler, workers=workers, extend=extend, over_budget=yes, progress=not quiet
        )
        summary = scaling_summary(store, directory)
    print(f"{'points':<36}{len(store.points):14d}     computed now: {computed}")
    print(f"{'cost (site-steps)':<36}{sum(point.site_steps for point in store.points):14.3g}")
    if summary is not None:
        print(summary)
    print(f"{'wall time (s)':<36}{time.perf_counter() - begin:14.2f}")
    print(f"{'wrote' if computed else 'already complete:'} {directory / store.files.store.name}")
