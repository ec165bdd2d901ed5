"""Options shared by the commands that simulate."""

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["Backend", "Beta", "Dtype", "Out", "Quiet", "RecordEvery", "Seed", "Shells", "Snapshots", "Steps", "TMax"]
__all__ += ["TMin", "Threads", "Trajectories"]

Trajectories = Annotated[int, typer.Option(help="Independent trajectories.")]
Steps = Annotated[int, typer.Option(help="Integration steps on the logarithmic grid.")]
TMax = Annotated[float, typer.Option(help="First diffusion time T.")]
TMin = Annotated[float, typer.Option(help="Last diffusion time.")]
Beta = Annotated[float, typer.Option(help="Constant noise rate.")]
Shells = Annotated[int, typer.Option(help="Highest Fourier shell n, at least 3.")]
Seed = Annotated[int, typer.Option(help="Seed of the noise.")]
Dtype = Annotated[Literal["float32", "float64"], typer.Option(help="Precision of the fields.")]
Backend = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the steps run.")]
RecordEvery = Annotated[int, typer.Option(help="Steps between records.")]
Snapshots = Annotated[int, typer.Option(help="Fields kept, evenly spaced in log t.")]
Threads = Annotated[int | None, typer.Option(help="Threads; all by default.")]
Out = Annotated[Path, typer.Option(help="Directory of the results, created if need be.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
