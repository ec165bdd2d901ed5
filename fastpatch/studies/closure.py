"""The Gaussian closure beside a simulation: the zero of lambda_0, S(k, t) and xi_x, measured and predicted."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import theory
from ..analysis.statistics import standard_error
from ..analysis.structure_factor import structure_factor
from ..dictionary import PatchDictionary
from ..models import PatchModel
from ..process import VPSchedule, log_time_grid
from ..runs.simulation import simulate
from ..validation import integer, lattice_shape
from .measured import Measured

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare_closure"]


def compare_closure(
    dictionary: PatchDictionary,
    shape: tuple[int, int] = (80, 80),
    trajectories: int = 16,
    times: ArrayLike | None = None,
    schedule: VPSchedule | None = None,
    *,
    spectra: int = 12,
    seed: int = 0,
) -> "xr.Dataset":
    """Simulate a patch machine and solve its closure on the same lattice and times.

    Parameters
    ----------
    times
        Of the simulation, ``log_time_grid(50, 0.3, 2000)`` by default; lambda_0 and xi_x are taken at every fifth.
    spectra
        At how many of them, evenly spaced in log t below t = 8, S(k) is taken.
    trajectories, seed
        At least 2 trajectories, for errors.

    Returns
    -------
    xarray.Dataset
        ``lambda_0``, ``xi_x`` (time), means over trajectories, with ``…_error``, their standard errors, and
        ``…_closure``; ``S``, ``S_error``, ``S_closure`` (spectrum_time, shell), the radial structure factor.
        ``attrs``: ``critical_time``, the first zero of the mean lambda_0, its bootstrap standard error
        ``critical_time_error``, and the closure's ``critical_time_closure`` and ``critical_time_closure_error``; nan
        where there is none, which of the bootstrap's error is where fewer than half of the resamples have a zero.

    Raises what `fastpatch.simulate` and `gaussian_closure` raise.
    """
    import xarray as xr

    sides, count = lattice_shape(shape), integer(trajectories, "trajectories", minimum=2)
    process = VPSchedule() if schedule is None else schedule
    grid = log_time_grid(50.0, 0.3, 2000) if times is None else np.asarray(times, dtype=np.float64)
    taken = np.geomspace(min(8.0, grid[0]), grid[-1], integer(spectra, "spectra", minimum=1))
    run = simulate(
        PatchModel(dictionary, process), sides, count, grid, seed, record_every=5, snapshots=taken, shells=range(4)
    )
    recorded, kept = run["time"].to_numpy(), run["snapshot_time"].to_numpy()
    closure = theory.gaussian_closure(dictionary, sides, np.unique([*recorded, *kept])[::-1], process)
    at_records, at_spectra = closure.sel(time=recorded), closure.sel(time=kept)
    zero_mode = run["mode_derivative"].sel(shell=0, direction="y")
    lambda_0, xi_x = zero_mode.to_numpy(), run["xi_x"].to_numpy()
    S = structure_factor(np.asarray(run["snapshot"]))
    predicted = _radial(at_spectra["structure_factor"].to_numpy(), sides)
    crossing, error = _crossing(recorded, lambda_0, seed)
    curve, spectrum = ("time",), ("spectrum_time", "shell")
    return xr.Dataset(
        {
            "lambda_0": (curve, lambda_0.mean(axis=0)),
            "lambda_0_error": (curve, standard_error(lambda_0)),
            "lambda_0_closure": (curve, at_records["lambda_0"].to_numpy()),
            "xi_x": (curve, xi_x.mean(axis=0)),
            "xi_x_error": (curve, standard_error(xi_x)),
            "xi_x_closure": (curve, at_records["xi_x"].to_numpy()),
            "S": (spectrum, S.mean(axis=0)),
            "S_error": (spectrum, standard_error(S)),
            "S_closure": (spectrum, predicted),
        },
        coords={"time": recorded, "spectrum_time": kept, "shell": np.arange(S.shape[-1])},
        attrs={
            "critical_time": crossing,
            "critical_time_error": error,
            "critical_time_closure": closure.attrs["critical_time"],
            "critical_time_closure_error": closure.attrs["critical_time_error"],
            "trajectories": count,
        },
    )


def _radial(S: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Radial averages of spectra (..., L1, L2 // 2 + 1): those of fields with exactly these amplitudes."""
    fields = np.fft.irfft2(np.sqrt(S * shape[0] * shape[1]), s=shape)
    return structure_factor(fields)


def _crossing(times: NDArray[np.float64], lambda_0: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """First zero of the mean curve, coming from large t, linear in log t, and its bootstrap standard error."""

    def zero(curve: NDArray[np.float64]) -> float:
        after = np.flatnonzero((curve[:-1] > 0.0) & (curve[1:] <= 0.0))
        if not after.size:
            return float("nan")
        pair = slice(after[0], after[0] + 2)
        return float(np.exp(np.interp(0.0, -curve[pair], np.log(times[pair]))))

    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(lambda_0), size=(200, len(lambda_0)))
    resampled = np.array([zero(lambda_0[rows].mean(axis=0)) for rows in drawn])
    found = Measured(zero(lambda_0.mean(axis=0)), resampled, len(lambda_0))
    return found.value, found.error
