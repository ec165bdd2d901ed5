"""Options that several commands share, and the check that optional packages are there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import BackendUnavailableError
from ..validation import sides

if TYPE_CHECKING:
    import torch

__all__ = [
    "Backend",
    "Beta",
    "Data",
    "Device",
    "Dtype",
    "Earlier",
    "Null",
    "Out",
    "Precision",
    "Quiet",
    "RecordEvery",
    "Seed",
    "Shape",
    "Shells",
    "Snapshots",
    "SolverName",
]
__all__ += ["Steps", "TMax", "TMin", "Threads", "Trajectories", "chosen_device", "chosen_precision", "packages_for"]
__all__ += ["sides"]

Trajectories = Annotated[int, typer.Option(help="Independent trajectories.")]
Steps = Annotated[int, typer.Option(help="Integration steps on the logarithmic grid.")]
TMax = Annotated[float, typer.Option(help="First diffusion time T.")]
TMin = Annotated[float, typer.Option(help="Last diffusion time.")]
Beta = Annotated[float, typer.Option(help="Constant noise rate.")]
Shape = Annotated[str, typer.Option(help="Lattice sides, as 80 for a square or 200x120.", metavar="L or L1xL2")]
SolverName = Annotated[
    Literal["euler-maruyama", "ancestral", "heun"],
    typer.Option("--solver", help="Reverse SDE by either of two schemes, or probability-flow ODE (heun)."),
]
Shells = Annotated[int, typer.Option(help="Highest Fourier shell n, at least 3.")]
Seed = Annotated[int, typer.Option(help="Seed of the noise.")]
Dtype = Annotated[Literal["float32", "float64"], typer.Option(help="Precision of the fields.")]
Backend = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the steps run.")]
RecordEvery = Annotated[int, typer.Option(help="Steps between records.")]
Snapshots = Annotated[int, typer.Option(help="Fields kept, evenly spaced in alpha(t).")]
Threads = Annotated[int | None, typer.Option(help="Threads; all by default.")]
Out = Annotated[Path, typer.Option(help="Directory of the results, created if need be.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
Null = Annotated[bool, typer.Option(help="Draw what a Gaussian field of the same second moments shows beside it.")]
Data = Annotated[
    Path | None, typer.Option(help="Directory with the IDX files; else $FASTPATCH_DATA, else the user's cache.")
]
Earlier = Annotated[
    Path | None,
    typer.Option("--from", help="Weights of an earlier training to go on from where --out has no checkpoint."),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: bfloat16 where the device multiplies in it.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


@contextmanager
def packages_for(purpose: str, extra: str = "neural") -> Iterator[None]:
    """Turns a missing package of the optional group ``extra`` into one sentence."""
    try:
        yield
    except ImportError as error:
        raise BackendUnavailableError(
            f'{purpose} needs {error.name}, which is not installed; expected `pip install "fastpatch[{extra}]"`'
        ) from error


def chosen_device(name: str) -> "torch.device":
    """What ``--device`` names, "auto" being CUDA where there is one; raises what `resolve_device` raises."""
    from ..neural.devices import resolve_device

    return resolve_device(None if name == "auto" else name)


def chosen_precision(
    name: Literal["auto", "float32", "bfloat16"], device: "torch.device"
) -> Literal["float32", "bfloat16"]:
    """What ``--precision`` names, "auto" being that in which the device is fastest (`default_precision`)."""
    from ..neural.devices import default_precision

    return default_precision(device) if name == "auto" else name
