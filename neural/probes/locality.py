"""Everything local about a network along a run, as variables of the run's dataset (App. B)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InvalidInputError
from ...progress import progress_bar
from ..torch_model import TorchModel
from .dispersion import local_dispersion
from .equivariance_error import shift_defect
from .receptive_field import containing_radius, participating_sites, response_power

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["measure_locality"]

_SHARES = (0.9, 0.95)


def measure_locality(
    model: TorchModel,
    dataset: "xr.Dataset",
    *,
    probes: int = 16,
    sites: int = 32,
    shifts: int = 8,
    periodic: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> "xr.Dataset":
    """The dataset of `fastpatch.simulate` with the local response of ``model`` at its snapshots.

    Added are, over (trajectory, snapshot_time, ...):

    - ``dispersion`` and ``dispersion_error`` (..., ky, kx): real part of lambda(k) and its standard error
      (`local_dispersion` with ``probes``);
    - ``off_diagonal_share``: `LocalDispersion.off_diagonal_share`;
    - ``shift_defect``: `shift_defect` with ``shifts``;
    - ``response_power`` (..., dy, dx): `response_power` with ``sites`` and ``periodic``, and read off it
      ``receptive_radius`` (..., share) for shares 0.9 and 0.95, and ``receptive_sites``;
    - ``sigma2`` (snapshot_time), by which lambda is made dimensionless.

    Raises `InvalidInputError` for a dataset without snapshots, and what the functions named raise.
    """
    if "snapshot" not in dataset or not dataset.sizes["snapshot_time"]:
        raise InvalidInputError("dataset has no snapshots; expected at least one field to measure the response at")
    fields = dataset["snapshot"].transpose("snapshot_time", "trajectory", "y", "x").to_numpy()
    times = dataset["snapshot_time"].to_numpy()
    # An error is shared by real and imaginary part, but where there is none of the latter, at k = -k.
    rows, columns = (np.arange(side) for side in fields.shape[-2:])
    real = ((2 * rows[:, None]) % fields.shape[-2] == 0) & ((2 * columns) % fields.shape[-1] == 0)
    found: dict[str, list[Any]] = {}
    for t, x in zip(progress_bar(times, unit="time", show=progress, leave=False), fields, strict=True):
        local = local_dispersion(model, x, t, probes=probes, seed=seed)
        power = response_power(model, x, t, sites=sites, seed=seed, periodic=periodic)
        for name, value in {
            "dispersion": local.symbol.real,
            "dispersion_error": local.error * np.where(real, 1.0, np.sqrt(0.5)),
            "off_diagonal_share": local.off_diagonal_share(model.schedule),
            "shift_defect": shift_defect(model, x, t, shifts=shifts, seed=seed),
            "response_power": power,
            "receptive_radius": np.stack([containing_radius(power, share) for share in _SHARES], axis=-1),
            "receptive_sites": participating_sites(power),
        }.items():
            found.setdefault(name, []).append(value)
    L1, L2 = fields.shape[-2:]
    coordinates = {
        "ky": ("ky", 2.0 * np.pi * np.fft.fftfreq(L1), _label("wave number along y", "radians / lattice site")),
        "kx": ("kx", 2.0 * np.pi * np.fft.fftfreq(L2), _label("wave number along x", "radians / lattice site")),
        "dy": ("dy", np.arange(1 - L1, L1), _label("displacement along y", "lattice sites")),
        "dx": ("dx", np.arange(1 - L2, L2), _label("displacement along x", "lattice sites")),
        "share": ("share", np.array(_SHARES), _label("share of the squared response", "1")),
    }
    variables: dict[str, Any] = {
        name: (("trajectory", "snapshot_time", *axes), np.stack(found[name], axis=1), _label(title, units))
        for name, axes, title, units in _VARIABLES
    }
    variables["sigma2"] = ("snapshot_time", model.schedule.sigma2(times), _label("noise variance", "1"))
    return dataset.assign(variables).assign_coords(coordinates)


_VARIABLES: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("dispersion", ("ky", "kx"), "lambda(k) of the reverse drift, real part", "1 / diffusion time"),
    ("dispersion_error", ("ky", "kx"), "standard error of the real part of lambda(k)", "1 / diffusion time"),
    ("off_diagonal_share", (), "share of the data term's power off the diagonal in Fourier space", "1"),
    ("shift_defect", (), "failure of the posterior mean to commute with shifts", "1"),
    ("response_power", ("dy", "dx"), "mean squared response of the data term by displacement", "1 / diffusion time^2"),
    ("receptive_radius", ("share",), "radius that holds a share of the squared response", "lattice sites"),
    ("receptive_sites", (), "participating sites of the squared response", "lattice sites"),
)


def _label(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}
