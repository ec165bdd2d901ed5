"""The readings of a Gaussian null in closed form: what to draw beside those of a model."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.correlation_length import correlation_length
from ..analysis.equilibrium import equilibrium_length, smallest_wave_number
from ..dictionary import PatchDictionary
from ..errors import DtypeError, InvalidInputError
from ..models.gaussian import GaussianModel
from ..models.of_result import model_of_result
from ..models.wiener import WienerModel
from ..process import VPSchedule
from ..validation import lattice_shape, shell_numbers, time_grid
from ._inputs import PAPER_SCHEDULE, of_type
from .closure import sign_correlation_length
from .criticality import critical_times

if TYPE_CHECKING:
    import xarray as xr

    from ..models import PatchModel

__all__ = ["closure_of_result", "gaussian_null", "null_of_result", "with_null"]

# Curves are smooth: more times than these add nothing to a figure.
_MOST_TIMES = 250

# Fields drawn for the median xi_x around a mean image, which makes the length no function of a mean correlation.
_DRAWN = 128

# Most patterns of which a figure shows the closure, which takes seconds for them.
_MOST_PATTERNS = 300

# What `with_null` adds to a result, each with this prefix.
_BESIDE = ("xi_x", "xi_eq", "mode_derivative")


def gaussian_null(
    source: PatchDictionary | GaussianModel | WienerModel,
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
        A dictionary, whose null is `GaussianModel.from_dictionary` with its defaults; or any `GaussianModel`, or a
        `WienerModel`, a Gaussian of the images' full covariance, whose own schedules are used.
    shape, times
        The lattice and the decreasing diffusion times.
    shells
        Shells of the modes; 0, 1, 2 and 3 must be among them.

    Returns
    -------
    xarray.Dataset
        ``mode_derivative`` (time, shell, direction) and ``xi_eq`` (time), those of every state of such a run;
        ``xi_x`` (time), the length of the mean correlation of its sign field, see `gaussian_closure`; of a model whose
        mean is an image the median over 128 fields, alpha x_0 + sigma eps of the same x_0 and eps (seed 0) at all
        times. ``attrs``: ``critical_time``, where lambda_0 vanishes, nan where it does not.

    Raises `InvalidInputError` or `DtypeError` for arguments outside what is stated.
    """
    import xarray as xr

    sides, grid, numbers = lattice_shape(shape), time_grid(times), shell_numbers(shells)
    of_type(schedule, "schedule", VPSchedule)
    missing = [n for n in (0, 1, 2, 3) if n not in numbers]
    if missing:
        raise InvalidInputError(f"shells is {numbers.tolist()}; expected 0, 1, 2 and 3 among them")
    model: GaussianModel | WienerModel
    if isinstance(source, PatchDictionary):
        model = GaussianModel.from_dictionary(source, sides, schedule)
    elif isinstance(source, GaussianModel | WienerModel):
        model = source
    else:
        raise DtypeError(
            f"source is a {type(source).__name__}; expected a PatchDictionary, a GaussianModel or a WienerModel"
        )
    at = np.zeros(sides)
    derivatives = np.stack([model.mode_derivatives(at, t, numbers) for t in grid])
    k_min = smallest_wave_number(sides)
    xi_eq, _ = equilibrium_length(derivatives, numbers, k_min)
    return xr.Dataset(
        {
            "mode_derivative": (("time", "shell", "direction"), derivatives),
            "xi_eq": (("time",), xi_eq),
            "xi_x": (("time",), _sign_lengths(model, sides, grid)),
        },
        coords={"time": grid, "shell": numbers, "direction": ["y", "x"]},
        attrs={"critical_time": model.critical_time, "k_min": k_min},
    )


def with_null(dataset: "xr.Dataset", model: GaussianModel | WienerModel) -> "xr.Dataset":
    """A result over ``time`` with the curves of ``model``, as `gaussian_null` has them, at its times.

    They are the variables ``null_xi_x``, ``null_xi_eq`` and ``null_mode_derivative``, and
    ``attrs["null_critical_time"]``; `null_of_result` finds them. The lattice is that of ``final``.
    """
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    null = gaussian_null(model, shape, dataset["time"].to_numpy(), shells=dataset["shell"].to_numpy())
    added = {f"null_{name}": null[name] for name in _BESIDE}
    return dataset.assign(added).assign_attrs(null_critical_time=null.attrs["critical_time"])


def null_of_result(dataset: "xr.Dataset") -> "xr.Dataset | None":
    """What `with_null` added to a result, or `gaussian_null` for one of `simulate` on a `PatchModel`, from the file
    alone, at some of its times.

    None for results of other models, or of a schedule whose rate is not a constant, which a file does not hold.
    """
    if {f"null_{name}" for name in _BESIDE} <= set(dataset.variables):
        kept = dataset[[f"null_{name}" for name in _BESIDE]].rename({f"null_{name}": name for name in _BESIDE})
        return kept.assign_attrs(critical_time=dataset.attrs.get("null_critical_time", np.nan))
    machine = _machine(dataset)
    if (
        machine is None
        or not {"time", "mode_derivative"} <= set(dataset.variables)
        or not {"y", "x"} <= set(dataset.sizes)
    ):
        return None
    times = dataset["time"].to_numpy()
    chosen = np.unique(np.linspace(0, len(times) - 1, min(_MOST_TIMES, len(times))).round().astype(int))
    shells = [n for n in dataset["shell"].to_numpy().tolist() if n <= min(dataset.sizes["y"], dataset.sizes["x"])]
    if len(chosen) < 2 or not {0, 1, 2, 3} <= set(shells):
        return None
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    return gaussian_null(machine.dictionary, shape, times[chosen], machine.schedule, shells=shells)


def closure_of_result(dataset: "xr.Dataset") -> float | None:
    """The zero of lambda_0 that the Gaussian closure predicts for a result of `simulate` on a `PatchModel`.

    NaN where the closure's does not vanish; None for results of other models, of a schedule whose rate is not a
    constant, and for more than 300 patterns, whose closure takes longer than a figure should.
    """
    machine = _machine(dataset)
    if machine is None or len(machine.dictionary) > _MOST_PATTERNS:
        return None
    found = critical_times(dictionary=machine.dictionary, schedule=machine.schedule, conditions=("closure",))
    return found["closure"]


def _machine(dataset: "xr.Dataset") -> "PatchModel | None":
    """The patch machine of a result."""
    from ..models import PatchModel

    found = model_of_result(dataset)
    return found if isinstance(found, PatchModel) else None


def _sign_lengths(
    model: GaussianModel | WienerModel, shape: tuple[int, int], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """xi_x of the sign field at every time."""
    alpha = model.schedule.alpha(times)
    if isinstance(model, GaussianModel) and model.mean.ndim == 0:
        S = np.stack([model.structure_factor(t) for t in times])
        return sign_correlation_length(S, alpha * float(model.mean), shape)
    rng = np.random.default_rng(0)
    images, sigma = model.draw(_DRAWN, rng), np.sqrt(model.schedule.sigma2(times))
    eps = rng.standard_normal((_DRAWN, *shape))
    return np.array([np.median(correlation_length(a * images + b * eps)) for a, b in zip(alpha, sigma, strict=True)])
