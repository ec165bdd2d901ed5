"""The readings of a Gaussian null in closed form: what to draw beside those of a model."""

import json
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..analysis.equilibrium import fit_equilibrium_length
from ..dictionary import PatchDictionary
from ..errors import DtypeError, InvalidInputError
from ..models.gaussian import GaussianModel
from ..process import VPSchedule
from ..validation import lattice_shape, shell_numbers, time_grid
from ._inputs import PAPER_SCHEDULE, of_type
from .closure import sign_correlation_length

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["gaussian_null", "null_of_result"]

# Curves are smooth: more times than these add nothing to a figure.
_MOST_TIMES = 250


def gaussian_null(
    source: PatchDictionary | GaussianModel,
    shape: tuple[int, int],
    times: ArrayLike,
    schedule: VPSchedule = PAPER_SCHEDULE,
    *,
    shells: ArrayLike = (0, 1, 2, 3, 4, 5, 6),
) -> "xr.Dataset":
    """xi_x, xi_eq and the mode derivatives of a Gaussian field along a reverse run, without running it.

    Parameters
    ----------
    source
        A dictionary, whose null is `GaussianModel.from_dictionary` with its defaults, or any `GaussianModel`, whose own
        schedule is used.
    shape, times
        The lattice and the decreasing diffusion times.
    shells
        Shells of the modes; 0, 1, 2 and 3 must be among them.

    Returns
    -------
    xarray.Dataset
        ``mode_derivative`` (time, shell, direction) and ``xi_eq`` (time), those of every state of such a run;
        ``xi_x`` (time), the length of the mean correlation of its sign field, see `gaussian_closure`. ``attrs``:
        ``critical_time``, where lambda_0 vanishes, nan where it does not.

    Raises `InvalidInputError` or `DtypeError` for arguments outside what is stated.
    """
    import xarray as xr

    sides, grid, numbers = lattice_shape(shape), time_grid(times), shell_numbers(shells)
    of_type(schedule, "schedule", VPSchedule)
    missing = [n for n in (0, 1, 2, 3) if n not in numbers]
    if missing:
        raise InvalidInputError(f"shells is {numbers.tolist()}; expected 0, 1, 2 and 3 among them")
    if isinstance(source, PatchDictionary):
        model = GaussianModel.from_dictionary(source, sides, schedule)
    elif isinstance(source, GaussianModel):
        model = source
    else:
        raise DtypeError(f"source is a {type(source).__name__}; expected a PatchDictionary or a GaussianModel")
    at = np.zeros(sides)
    derivatives = np.stack([model.mode_derivatives(at, t, numbers) for t in grid])
    by_shell = np.full((len(grid), int(numbers.max()) + 1), np.nan)
    by_shell[:, numbers] = derivatives.mean(axis=-1)
    k_min = float(2.0 * np.pi * np.sqrt(np.mean(1.0 / np.square(sides, dtype=np.float64))))
    S = np.stack([model.structure_factor(t) for t in grid])
    mean = model.schedule.alpha(grid) * float(model.mean.mean())
    return xr.Dataset(
        {
            "mode_derivative": (("time", "shell", "direction"), derivatives),
            "xi_eq": (("time",), fit_equilibrium_length(by_shell, k_min)),
            "xi_x": (("time",), sign_correlation_length(S, mean, sides)),
        },
        coords={"time": grid, "shell": numbers, "direction": ["y", "x"]},
        attrs={"critical_time": model.critical_time, "k_min": k_min},
    )


def null_of_result(dataset: "xr.Dataset") -> "xr.Dataset | None":
    """`gaussian_null` for a result of `simulate` on a `PatchModel`, from the file alone, at some of its times.

    None for results of other models, or of a schedule whose rate is not a constant, which a file does not hold.
    """
    if not {"pattern", "prior", "time", "mode_derivative"} <= set(dataset.variables) or not {"y", "x"} <= set(
        dataset.sizes
    ):
        return None
    try:
        beta = float(json.loads(dataset.attrs["provenance"])["run"]["model"]["beta"])
    except (KeyError, TypeError, ValueError):
        return None
    times = dataset["time"].to_numpy()
    chosen = np.unique(np.linspace(0, len(times) - 1, min(_MOST_TIMES, len(times))).round().astype(int))
    shells = [n for n in dataset["shell"].to_numpy().tolist() if n <= min(dataset.sizes["y"], dataset.sizes["x"])]
    if len(chosen) < 2 or not {0, 1, 2, 3} <= set(shells):
        return None
    dictionary = PatchDictionary(dataset["pattern"].to_numpy(), dataset["prior"].to_numpy())
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    return gaussian_null(dictionary, shape, times[chosen], VPSchedule(beta), shells=shells)
