"""Runs whose scaling is known, and a sweep's dataset made without the engine of sweeps."""

import numpy as np

import fastpatch as fp
from fastpatch.studies import Ensemble, Measured
from fastpatch.sweeps import Parameters, Point
from fastpatch.sweeps.point import Recording

GRID = fp.log_time_grid(t_max=12.0, t_min=0.5, steps=120)


def measured(value, error, rng, n_resamples=400):
    """A value with noise of ``error``, and a bootstrap distribution that knows it."""
    seen = value + error * rng.standard_normal()
    return Measured(seen, seen + error * rng.standard_normal(n_resamples))


def softening_ensemble(t_c, noise, rng, *, trajectories=24, final=3.0, grid=GRID):
    """lambda_0 = log(t / t_c) with noise of each trajectory; xi_eq = lambda_0^-1/2 above its zero."""
    log_t = np.log(grid)
    offset = noise * rng.standard_normal((trajectories, 1))
    lambda_0 = log_t - np.log(t_c) + offset
    with np.errstate(invalid="ignore"):
        xi_eq = np.where(lambda_0 > 0.0, np.abs(lambda_0) ** -0.5, np.nan)
    growth = final * (1.0 + 0.05 * rng.standard_normal((trajectories, 1)))
    return Ensemble(grid, growth * (GRID[0] - grid) / GRID[0], xi_eq, lambda_0)


def sweep_dataset(points, recording):
    """What `fastpatch.open_sweep` gives for these points, all finished, in memory."""
    import xarray as xr

    results = [point.simulate(recording) for point in points]
    most = max(len(result["time"]) for result in results)
    trajectories = max(result.sizes["trajectory"] for result in results)

    def padded(name):
        rows = [result[name].to_numpy() for result in results]
        block = np.full((len(rows), trajectories, most, *rows[0].shape[2:]), np.nan)
        for row, values in zip(block, rows, strict=True):
            row[: values.shape[0], : values.shape[1]] = values
        return block

    time = np.full((len(points), most), np.nan)
    for row, result in zip(time, results, strict=True):
        row[: len(result["time"])] = result["time"]
    axes = ("point", "trajectory", "record")
    return xr.Dataset(
        {
            "xi_x": (axes, padded("xi_x")),
            "xi_eq": (axes, padded("xi_eq")),
            "mode_derivative": ((*axes, "shell", "direction"), padded("mode_derivative")),
        },
        coords={
            **{
                name: ("point", [p.parameters.labels()[name] for p in points]) for name in points[0].parameters.labels()
            },
            "replica": ("point", [p.replica for p in points]),
            "finished": ("point", np.ones(len(points), dtype=bool)),
            "time": (("point", "record"), time),
            "shell": results[0]["shell"].to_numpy(),
            "direction": results[0]["direction"].to_numpy(),
        },
    )


def small_sweep(replicas=1, trajectories=4, records=60, **axis):
    """A sweep of a small lattice in which the parameter of ``axis`` takes its values; of shapes, those of squares."""
    (name, values), *others = axis.items()
    values = [(side, side) for side in values] if name == "shape" else values
    base = {"shape": (16, 16), "steps": 120, "t_max": 12.0, "t_min": 0.01, "trajectories": trajectories, **dict(others)}
    points = [Point(Parameters(**{**base, name: value}), replica, 0) for value in values for replica in range(replicas)]
    return sweep_dataset(points, Recording(records, 3))
