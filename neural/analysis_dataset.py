"""Sampling runs and their derivatives as one labelled dataset: lengths, shells, critical noise levels, images."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import (
    CriticalPoint,
    correlation_length,
    equilibrium_length_peak,
    shell_wave_numbers,
    structure_factor,
)
from ..analysis.equilibrium import equilibrium_length, smallest_wave_number
from ..runs.dataset import DIRECTIONS, provenance_of
from .colour import luminance
from .sampler import Samples

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["analysis_dataset", "described"]


def analysis_dataset(
    runs: Samples,
    derivatives: NDArray[np.float64],
    shells: NDArray[np.int64],
    seeds: NDArray[np.uint64],
    labels: NDArray[np.int64] | None,
    snapshots: int,
    identity: dict[str, Any],
) -> "xr.Dataset":
    """The dataset that `analyze` returns, of its runs and the derivatives along them; nothing is checked."""
    import xarray as xr

    height, width, sigma = runs.images.shape[-2], runs.images.shape[-1], runs.sigmas
    k_min = smallest_wave_number((height, width))
    axes = ("trajectory", "sigma")
    channel = ("channel",) if derivatives.ndim == 5 else ()
    xi_eq, lambda_0 = equilibrium_length(derivatives.mean(axis=2) if channel else derivatives, shells, k_min)
    critical = {
        "sigma_c": equilibrium_length_peak(sigma, xi_eq, lambda_0),
        "sigma_first": equilibrium_length_peak(sigma, xi_eq, lambda_0, peak="first"),
    }
    fields = luminance(runs.states.numpy())
    xi_x = correlation_length(fields, "second-moment", binarize=False)
    kept = np.unique(np.round(np.linspace(0, len(sigma) - 1, snapshots)).astype(np.intp))
    directions = DIRECTIONS[: derivatives.shape[-1]]
    coordinates: dict[str, Any] = {
        "seed": ("trajectory", seeds, described("seed of the noise", "1")),
        "sigma": ("sigma", sigma, described("noise level sigma", "units of x")),
        "shell": ("shell", shells, described("mode number n", "1")),
        "direction": list(directions),
        "wave_number": (
            ("shell", "direction"),
            shells[:, None] * 2.0 * np.pi / np.array([height, width, np.sqrt(height * width)])[None, : len(directions)],
            described("wave number per coordinate step", "radians / lattice site"),
        ),
        "wave_shell_number": (
            "wave_shell",
            shell_wave_numbers((height, width)),
            described("wave number of the shell", "radians / lattice site"),
        ),
        "snapshot_sigma": ("snapshot_sigma", sigma[kept], described("noise level sigma", "units of x")),
    }
    if labels is not None:
        coordinates["class_label"] = ("trajectory", labels, described("class index", "1"))
    image_axes = ("channel", "y", "x")
    return xr.Dataset(
        {
            "xi_x": (axes, xi_x.T, described("correlation length of the luminance of x", "lattice sites")),
            "mode_derivative": (
                (*axes, *channel, "shell", "direction"),
                derivatives,
                described("directional derivative of (x - D) / sigma", "1 / sigma"),
            ),
            "posterior_variance": (
                (*axes, *channel, "shell", "direction"),
                1.0 - derivatives * (sigma if not channel else sigma[:, None])[:, None, None],
                described("posterior variance along the mode over that of the noise", "1"),
            ),
            "structure_factor": (
                (*axes, "wave_shell"),
                structure_factor(fields).swapaxes(0, 1),
                described("structure factor of the luminance of x", "1"),
            ),
            "xi_eq": (axes, xi_eq, described("equilibrium correlation length", "lattice sites")),
            "denoised": (
                ("trajectory", "snapshot_sigma", *image_axes),
                runs.denoised[kept].numpy().swapaxes(0, 1),
                described("denoised image D(x, sigma)", "1"),
            ),
            "final": (("trajectory", *image_axes), runs.images.numpy(), described("sample", "1")),
        },
        coords=coordinates,
        attrs={
            "provenance": provenance_of(identity),
            "k_min": k_min,
            **{key: value for name, point in critical.items() for key, value in _attributes(name, point).items()},
        },
    )


def _attributes(name: str, point: CriticalPoint) -> dict[str, float]:
    return {name: point.time, f"{name}_low": point.low, f"{name}_high": point.high, f"{name}_found": point.found}


def described(long_name: str, units: str) -> dict[str, str]:
    """The attributes of a variable."""
    return {"long_name": long_name, "units": units}
