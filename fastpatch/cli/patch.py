"""``fastpatch patch``: the paper's patch experiment (Sec. 6, App. C), its Figures 3 (top) and 5."""

from pathlib import Path
from typing import Annotated

import typer

from . import options

__all__ = ["patch"]


def patch(
    shape: options.Shape = "80",
    dictionary: Annotated[
        Path | None, typer.Option(help="An npz file with patterns (K, P, P) and prior (K,), in place of random ones.")
    ] = None,
    patch_size: Annotated[int, typer.Option(help="Odd side of a pattern.")] = 5,
    random_patterns: Annotated[int, typer.Option(help="Random patterns, before sign flips.")] = 8,
    sign_flips: Annotated[bool, typer.Option(help="Add every random pattern's sign flip.")] = True,
    uniform_mass: Annotated[
        float, typer.Option(help="Prior mass of the two uniform patterns; 0 leaves them out.")
    ] = 0.9,
    dictionary_seed: Annotated[int, typer.Option(help="Seed of the random patterns.")] = 0,
    t_max: options.TMax = 50.0,
    t_min: options.TMin = 1e-3,
    steps: options.Steps = 2000,
    beta: options.Beta = 1.0,
    solver: options.SolverName = "euler-maruyama",
    trajectories: options.Trajectories = 4,
    shells: options.Shells = 6,
    seed: options.Seed = 0,
    dtype: options.Dtype = "float32",
    backend: options.Backend = "auto",
    threads: options.Threads = None,
    record_every: options.RecordEvery = 1,
    snapshots: options.Snapshots = 5,
    out: options.Out = Path("runs/patch"),
    null: options.Null = True,
    quiet: options.Quiet = False,
) -> None:
    """The patch machine: simulate, measure, draw Figures 3 and 5, print the critical times.

    Defaults are the paper's (App. C.13). Writes result.nc, figure3.png and snapshots.png.
    """
    from ..dictionary import PatchDictionary
    from ..models import PatchModel
    from ..process import VPSchedule, log_time_grid
    from .experiment import run_experiment, set_threads

    if dictionary is None:
        patterns = PatchDictionary.random(random_patterns, sign_flips, uniform_mass, patch_size, dictionary_seed)
    else:
        patterns = PatchDictionary.load(dictionary)
    set_threads(threads)
    model = PatchModel(patterns, VPSchedule(beta))
    run_experiment(
        model,
        out,
        null=null,
        quiet=quiet,
        shape=options.sides(shape),
        trajectories=trajectories,
        times=log_time_grid(t_max, t_min, steps),
        seed=seed,
        solver=solver,
        backend=backend,
        dtype=dtype,
        record_every=record_every,
        snapshots=snapshots,
        shells=range(shells + 1),
    )
