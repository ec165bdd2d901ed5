"""Pattern formation in EDM2 along its own sampling runs: correlation length, mode softening, sigma_c (paper App. E)."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..analysis import (
    CriticalPoint,
    correlation_length,
    equilibrium_length_peak,
    fit_equilibrium_length,
    shell_average,
)
from ..errors import InvalidInputError
from ..progress import progress_bar
from ..provenance import environment
from ..validation import floating_field, integer, shell_numbers
from .denoiser import Denoiser, denoiser_identity
from .edm_grid import SIGMA_MAX, SIGMA_MIN
from .modes import Method, mode_derivatives
from .sampler import Samples, latents, sample

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["analyze", "chosen_classes", "luminance"]

# Weights of red, green and blue (App. E.3).
_LUMINANCE = (0.2989, 0.5870, 0.1140)

_FITTED_SHELLS = (1, 2, 3)
_MOST_CLASSES = 10
_DIRECTIONS = ("y", "x", "diagonal")


def analyze(
    net: Denoiser,
    classes: Sequence[int] | None = None,
    trajectories: int = 2,
    seed: int = 0,
    *,
    steps: int = 32,
    sigma_max: float = SIGMA_MAX,
    sigma_min: float = SIGMA_MIN,
    rho: float = 7.0,
    shells: Any = range(7),
    diagonal: bool = False,
    per_channel: bool = False,
    method: Method = "jvp",
    snapshots: int = 10,
    batch: int | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> "xr.Dataset":
    """Follow unguided sampling runs and measure the paper's observables at every noise level of the grid.

    Parameters
    ----------
    net
        The network, see `mode_derivatives`.
    classes, trajectories
        Class indices, see `chosen_classes`, and the number of runs of each class, or of an unconditional network.
    seed
        The runs have the seeds ``seed``, ``seed + 1``, …, class by class, so that all are independent.
    steps, sigma_max, sigma_min, rho, device
        Those of `sample`.
    shells, diagonal, per_channel, method
        Those of `mode_derivatives`; shells 0, 1, 2 and 3 must be among them.
    snapshots
        Number of noise levels, evenly spaced along the grid, whose denoised images are kept; all if it has fewer.
    batch
        Most images, or images and tangents, at once; by default those of `sample` and `mode_derivatives`.
    progress
        Show progress bars on standard error.

    Returns
    -------
    xarray.Dataset
        ``xi_x`` (trajectory, sigma): second-moment correlation length of the connected luminance field of x(sigma),
        in sites (App. E.3).
        ``mode_derivative`` (trajectory, sigma, [channel,] shell, direction): lambda of the drift, per unit of sigma.
        ``xi_eq`` (trajectory, sigma): equilibrium length, in sites (App. E.6), from the mean of the two axis
        directions (and over channels). NaN where the modes do not soften towards k = 0, or where lambda_0 has lost
        the positive sign that it has at large sigma, where it is 1 / sigma.
        ``denoised`` (trajectory, snapshot_sigma, channel, y, x), ``final`` (trajectory, channel, y, x): images.
        ``attrs``: ``sigma_c``, the argmax of the median xi_eq over all classes and trajectories (App. F.3), with its
        95 % bootstrap interval over trajectories ``sigma_c_low``, ``sigma_c_high`` and the share of resamples that
        have one, ``sigma_c_found``; NaN where there is none. The same with ``sigma_first`` for the first peak that
        the run comes to, see `equilibrium_length_peak`. ``k_min``; ``provenance``, JSON.

    Raises
    ------
    InvalidInputError, DtypeError
        For any argument outside what is stated above, or a network of neither 1 nor 3 channels.
    BackendUnavailableError
        For a device that is not there or cannot hold a single image.
    """
    numbers = shell_numbers(shells)
    if not {0, *_FITTED_SHELLS} <= set(numbers.tolist()):
        raise InvalidInputError(f"shells is {numbers.tolist()}; expected 0, 1, 2 and 3 among them")
    if net.img_channels not in (1, len(_LUMINANCE)):
        raise InvalidInputError(
            f"the network makes images of {net.img_channels} channels; expected 1, or 3 for red, green and blue"
        )
    count = integer(trajectories, "trajectories", minimum=1)
    kept = integer(snapshots, "snapshots", minimum=0)
    labels = np.repeat(np.array(chosen_classes(net, classes), dtype=np.int64), count) if net.label_dim else None
    images = count if labels is None else len(labels)
    seeds = range(integer(seed, "seed", minimum=0, maximum=2**64 - images), seed + images)
    runs = sample(
        net, latents(seeds, net), labels, steps=steps, sigma_max=sigma_max, sigma_min=sigma_min, rho=rho,
        record=range(steps), batch=batch, device=device, progress=progress,
    )  # fmt: skip
    derivatives = np.stack(
        [
            mode_derivatives(
                net, x, float(sigma), labels, shells=numbers, diagonal=diagonal, per_channel=per_channel,
                method=method, batch=batch,
            )
            for x, sigma in zip(
                progress_bar(runs.states, unit="noise level", show=progress, leave=False), runs.sigmas, strict=True
            )
        ],
        axis=1,
    )  # fmt: skip
    identity = {
        "network": denoiser_identity(net),
        "classes": None if labels is None else labels[::count].tolist(),
        "trajectories": count,
        "seed": seeds.start,
        "steps": steps,
        "sigma_max": sigma_max,
        "sigma_min": sigma_min,
        "rho": rho,
        "derivatives": method,
        "per_channel": per_channel,
        "torch": torch.__version__,
    }
    return _dataset(runs, derivatives, numbers, np.array(seeds, dtype=np.uint64), labels, kept, identity)


def luminance(images: ArrayLike) -> NDArray[Any]:
    """0.2989 R + 0.5870 G + 0.1140 B of images (..., 3, H, W), the channel itself of (..., 1, H, W); (..., H, W).

    Raises `InvalidInputError` for another number of channels, `DtypeError` for anything but float32 or float64.
    """
    values = floating_field(images, "images", minimum_ndim=3)
    if values.shape[-3] == 1:
        return values[..., 0, :, :]
    if values.shape[-3] != len(_LUMINANCE):
        raise InvalidInputError(f"images have {values.shape[-3]} channels; expected 1, or 3 for red, green and blue")
    return np.asarray(np.einsum("c,...cij->...ij", np.array(_LUMINANCE, dtype=values.dtype), values))


def chosen_classes(net: Denoiser, classes: Sequence[int] | None = None) -> list[int]:
    """Distinct class indices of a network; by default all, or ten spread evenly if there are more, none without labels.

    Raises `InvalidInputError` or `DtypeError` for an index out of range or given twice, or no class at all.
    """
    if net.label_dim == 0:
        if classes:
            raise InvalidInputError(f"classes are {list(classes)} for a network without labels; expected none")
        return []
    if classes is None:
        number = min(_MOST_CLASSES, net.label_dim)
        return [index * net.label_dim // number for index in range(number)]
    found = [integer(index, "a class", minimum=0, maximum=net.label_dim - 1) for index in classes]
    if not found or len(set(found)) != len(found):
        raise InvalidInputError(f"classes are {found}; expected at least one class, each once")
    return found


def _dataset(
    runs: Samples,
    derivatives: NDArray[np.float64],
    shells: NDArray[np.int64],
    seeds: NDArray[np.uint64],
    labels: NDArray[np.int64] | None,
    snapshots: int,
    identity: dict[str, Any],
) -> "xr.Dataset":
    import xarray as xr

    side, sigma = runs.images.shape[-1], runs.sigmas
    k_min = 2.0 * np.pi / side
    axes = ("trajectory", "sigma")
    channel = ("channel",) if derivatives.ndim == 5 else ()
    by_shell = np.full((*derivatives.shape[:2], shells.max() + 1), np.nan)
    by_direction = derivatives[..., :2].mean(axis=2) if channel else derivatives[..., :2]
    by_shell[..., shells] = shell_average(by_direction)
    xi_eq = fit_equilibrium_length(by_shell, k_min, shells=_FITTED_SHELLS)
    critical = {
        "sigma_c": equilibrium_length_peak(sigma, xi_eq, by_shell[..., 0]),
        "sigma_first": equilibrium_length_peak(sigma, xi_eq, by_shell[..., 0], peak="first"),
    }
    xi_x = correlation_length(luminance(runs.states.numpy()), "second-moment", binarize=False)
    kept = np.unique(np.round(np.linspace(0, len(sigma) - 1, snapshots)).astype(np.intp))
    directions = _DIRECTIONS[: derivatives.shape[-1]]
    coordinates: dict[str, Any] = {
        "seed": ("trajectory", seeds, _label("seed of the noise", "1")),
        "sigma": ("sigma", sigma, _label("noise level sigma", "units of x")),
        "shell": ("shell", shells, _label("mode number n", "1")),
        "direction": list(directions),
        "wave_number": (
            ("shell", "direction"),
            np.repeat(shells[:, None] * k_min, len(directions), axis=1),
            _label("wave number per coordinate step", "radians / lattice site"),
        ),
        "snapshot_sigma": ("snapshot_sigma", sigma[kept], _label("noise level sigma", "units of x")),
    }
    if labels is not None:
        coordinates["class_label"] = ("trajectory", labels, _label("class index", "1"))
    image_axes = ("channel", "y", "x")
    return xr.Dataset(
        {
            "xi_x": (axes, xi_x.T, _label("correlation length of the luminance of x", "lattice sites")),
            "mode_derivative": (
                (*axes, *channel, "shell", "direction"),
                derivatives,
                _label("directional derivative of (x - D) / sigma", "1 / sigma"),
            ),
            "xi_eq": (axes, xi_eq, _label("equilibrium correlation length", "lattice sites")),
            "denoised": (
                ("trajectory", "snapshot_sigma", *image_axes),
                runs.denoised[kept].numpy().swapaxes(0, 1),
                _label("denoised image D(x, sigma)", "1"),
            ),
            "final": (("trajectory", *image_axes), runs.images.numpy(), _label("sample", "1")),
        },
        coords=coordinates,
        attrs={
            "provenance": json.dumps({"run": identity, "environment": environment()}, sort_keys=True),
            "k_min": k_min,
            **{key: value for name, point in critical.items() for key, value in _attributes(name, point).items()},
        },
    )


def _attributes(name: str, point: CriticalPoint) -> dict[str, float]:
    return {name: point.time, f"{name}_low": point.low, f"{name}_high": point.high, f"{name}_found": point.found}


def _label(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}
