"""``fastpatch empirical``: the two-pattern empirical score (Fig. 3 middle), which has no soft modes to show."""

from pathlib import Path
from typing import Annotated

import typer

from . import options

__all__ = ["empirical"]


def empirical(
    size: Annotated[int, typer.Option(help="Lattice side, one period of the stripes.")] = 48,
    t_max: options.TMax = 50.0,
    t_min: options.TMin = 1e-3,
    steps: options.Steps = 2000,
    beta: options.Beta = 1.0,
    solver: options.SolverName = "euler-maruyama",
    trajectories: options.Trajectories = 4,
    shells: options.Shells = 6,
    seed: options.Seed = 0,
    dtype: options.Dtype = "float32",
    record_every: options.RecordEvery = 1,
    snapshots: options.Snapshots = 5,
    out: options.Out = Path("runs/empirical"),
    quiet: options.Quiet = False,
) -> None:
    """Two stored patterns ±mu, mu = sign(cos(2 pi/L (x + 2 y))): a one-dimensional bifurcation without soft modes.

    Writes result.nc, figure3.png and snapshots.png.
    """
    from ..models import EmpiricalModel, stripe_prototypes
    from ..process import VPSchedule, log_time_grid
    from .experiment import run_experiment

    model = EmpiricalModel(stripe_prototypes(size), schedule=VPSchedule(beta))
    run_experiment(
        model,
        out,
        quiet=quiet,
        shape=(size, size),
        trajectories=trajectories,
        times=log_time_grid(t_max, t_min, steps),
        seed=seed,
        solver=solver,
        dtype=dtype,
        record_every=record_every,
        snapshots=snapshots,
        shells=range(shells + 1),
    )
