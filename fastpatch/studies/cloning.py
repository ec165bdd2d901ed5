"""Cloning: two runs that share their state down to a noise level and part there. When is the end decided?"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..models import Model
from ..process import log_time_grid
from ..runs import states
from ..validation import integer, time_grid

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["cloning"]


def cloning(
    model: Model,
    shape: tuple[int, int] = (80, 80),
    trajectories: int = 8,
    times: ArrayLike | None = None,
    levels: int | ArrayLike = 16,
    seed: int = 0,
    dtype: Any = "float32",
) -> "xr.Dataset":
    r"""Overlap of the end states of runs that part at given times.

    One run is taken to its end; at each level its state starts another one, with fresh noise down the rest of the
    grid. Given the shared state both are draws from one law, so that for an exact score the overlap of fields with
    entries +-1 is on average :math:`E[m^2] = 1 - \mathrm{MMSE}` a site: cloning and decided information measure the
    same. The patch score is no gradient, and for it they need not agree.

    Parameters
    ----------
    model, shape, trajectories, times, seed, dtype
        Those of `fastpatch.simulate`; ``log_time_grid(steps=500)`` by default.
    levels
        Times at which runs part, each moved to the nearest time of the grid in log t; or their number, evenly spaced
        on the grid from its first (independent runs but for the start) to its last (overlap 1).

    Returns
    -------
    xarray.Dataset
        ``sign_overlap`` (trajectory, time): mean over sites of sign(x_a) sign(x_b), sign(0) = +1.
        ``correlation`` (trajectory, time): Pearson's correlation over sites of the two end states, 0 where one of them
        is constant.

    Raises what `fastpatch.states` raises, and `InvalidInputError` for levels that are no times or fewer than one.
    """
    import xarray as xr

    grid = log_time_grid(steps=500) if times is None else time_grid(times)
    at = _levels(levels, grid)
    number = integer(seed, "seed", minimum=0, maximum=2**63 - 1)
    kept: dict[int, NDArray[Any]] = {}
    for state in states(model, shape, trajectories, grid, number, dtype=dtype):
        if state.step in at:
            kept[state.step] = state.x
        end = state.x
    overlap, correlation = np.empty((2, len(end), len(at)))
    for column, step in enumerate(at):
        other = end if step == len(grid) - 1 else _rest(model, kept[step], grid[step:], number + 2**63, dtype)
        overlap[:, column] = np.where((end >= 0.0) == (other >= 0.0), 1.0, -1.0).mean(axis=(1, 2))
        correlation[:, column] = [_pearson(a, b) for a, b in zip(end, other, strict=True)]
    dims = ("trajectory", "time")
    return xr.Dataset(
        {
            "sign_overlap": (dims, overlap, {"long_name": "overlap of the signs of two end states", "units": "1"}),
            "correlation": (dims, correlation, {"long_name": "correlation of two end states", "units": "1"}),
        },
        coords={"time": ("time", grid[at], {"long_name": "time at which the runs part", "units": "time"})},
    )


def _rest(model: Model, x: NDArray[Any], times: NDArray[np.float64], seed: int, dtype: Any) -> NDArray[Any]:
    """The end of a run from ``x`` down ``times``, with the noise of another seed."""
    shape = (x.shape[1], x.shape[2])
    first = next(states(model, shape, len(x), times, seed, dtype=dtype))
    *_, end = states(model, shape, len(x), times, seed, dtype=dtype, every=len(times), start=replace(first, x=x.copy()))
    return end.x


def _levels(levels: int | ArrayLike, grid: NDArray[np.float64]) -> list[int]:
    if np.ndim(levels) == 0:
        count = integer(levels, "levels", minimum=1)
        return sorted(set(np.linspace(0, len(grid) - 1, count).round().astype(int).tolist()))
    wanted = np.asarray(levels, dtype=np.float64)
    if wanted.ndim != 1 or wanted.size == 0 or not (np.isfinite(wanted) & (wanted > 0.0)).all():
        raise InvalidInputError(f"levels is {levels!r}; expected a number of levels or positive times")
    return sorted({int(np.argmin(np.abs(np.log(grid / t)))) for t in wanted})


def _pearson(a: NDArray[Any], b: NDArray[Any]) -> float:
    u, v = (field.astype(np.float64) - field.mean(dtype=np.float64) for field in (a, b))
    norm = float(np.linalg.norm(u) * np.linalg.norm(v))
    return float(np.vdot(u, v)) / norm if norm > 0.0 else 0.0
