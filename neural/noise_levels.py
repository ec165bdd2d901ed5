"""Pattern formation along the sampling runs of a network: correlation length, mode softening, sigma_c (App. E)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..analysis.equilibrium import FITTED_SHELLS
from ..errors import InvalidInputError
from ..kept_parts import KeptParts
from ..progress import progress_bar
from ..validation import floating_field, integer, shell_numbers
from .analysis_dataset import analysis_dataset, described
from .denoiser import Denoiser, denoiser_identity
from .gaussian import MOST_PIXELS, GaussianDenoiser
from .guidance import Guide
from .kept_analysis import kept_method, kept_modes, kept_runs
from .modes import Method, measured_modes
from .probes.finite import check_runs
from .probes.information import checked_inputs, measure_information, trained_range
from .sampler import latents, sample
from .window.units import clock_attributes

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["analyze", "chosen_classes"]

_MOST_CLASSES = 10
_INFORMATION_LEVELS = 24
_OF_THE_NULL = ("xi_x", "xi_eq", "posterior_variance", "total_rate", "class_rate")


def analyze(
    net: Denoiser,
    classes: Sequence[int] | None = None,
    trajectories: int = 2,
    seed: int = 0,
    *,
    steps: int = 32,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    rho: float = 7.0,
    shells: Any = range(7),
    diagonal: bool = False,
    per_channel: bool = False,
    method: Method = "auto",
    snapshots: int = 10,
    information_runs: int = 0,
    images: ArrayLike | None = None,
    image_labels: ArrayLike | None = None,
    guide: Guide | None = None,
    null: bool = True,
    batch: int | None = None,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
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
        Those of `sample`; the ends of the run are by default those of `trained_range`.
    shells, diagonal, per_channel, method
        Those of `mode_derivatives`, ``"auto"`` being chosen once at the middle of the grid; shells 0, 1, 2 and 3 must
        be among them.
    snapshots
        Number of noise levels, evenly spaced along the grid, whose denoised images are kept; all if it has fewer.
    information_runs, images, image_labels, guide
        Those of `measure_information`, under the name runs, whose variables are added on their own levels
        ``information_sigma``; none by default.
    null
        Where ``images`` are given, run the Gaussian null of their moments (`GaussianDenoiser.from_images`) from the
        same noise too, and add its ``null_xi_x``, ``null_xi_eq``, ``null_posterior_variance``, ``null_class_rate``
        and ``null_total_rate``. It is left out for images of too many pixels, or without all classes of the network.
    batch
        Most images, or images and tangents, at once; by default those of `sample` and `mode_derivatives`.
    checkpoint
        A directory in which runs, derivatives by level and information by level are kept once they are there: the same
        call goes on with what is missing. Networks that are no modules are told apart by their type alone.
    progress
        Show progress bars on standard error.

    Returns
    -------
    xarray.Dataset
        ``xi_x`` (trajectory, sigma): second-moment correlation length of the connected `luminance` field of x(sigma),
        in sites (App. E.3); ``structure_factor`` (trajectory, sigma, wave_shell) of the same field.
        ``mode_derivative`` (trajectory, sigma, [channel,] shell, direction): lambda of the drift, per unit of sigma;
        ``mode_derivative_error`` where it was measured by differences. ``posterior_variance`` (the same dimensions):
        v^T Cov(x_0 | x) v / sigma^2 = 1 - sigma lambda, which no choice of the drift changes; above 1, log p is not
        concave along the mode.
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
        For any argument outside what is stated above.
    BackendUnavailableError
        For a device that is not there or cannot hold a single image.
    """
    numbers = shell_numbers(shells)
    if not {0, *FITTED_SHELLS} <= set(numbers.tolist()):
        raise InvalidInputError(f"shells is {numbers.tolist()}; expected 0, 1, 2 and 3 among them")
    count = integer(trajectories, "trajectories", minimum=1)
    kept = integer(snapshots, "snapshots", minimum=0)
    labels = np.repeat(np.array(chosen_classes(net, classes), dtype=np.int64), count) if net.label_dim else None
    if integer(information_runs, "information_runs", minimum=0):
        # Before hours of runs, not after them.
        checked_inputs(net, images, image_labels, guide, information_runs)
    runs_in_all = count if labels is None else len(labels)
    seeds = range(integer(seed, "seed", minimum=0, maximum=2**64 - runs_in_all), seed + runs_in_all)
    least, most = trained_range(net)
    low, high = least if sigma_min is None else sigma_min, most if sigma_max is None else sigma_max
    modes_asked: dict[str, Any] = {
        "shells": numbers, "diagonal": diagonal, "per_channel": per_channel, "batch": batch
    }  # fmt: skip
    identity = {
        "network": denoiser_identity(net),
        "classes": None if labels is None else labels[::count].tolist(),
        "trajectories": count,
        "seed": seeds.start,
        "steps": steps,
        "sigma_max": high,
        "sigma_min": low,
        "rho": rho,
        "derivatives": method,
        "per_channel": per_channel,
        "torch": torch.__version__,
    }
    kept_parts = KeptParts(
        None if checkpoint is None else Path(checkpoint) / "runs",
        {} if checkpoint is None else {**identity, "shells": numbers.tolist(), "diagonal": diagonal},
        "analysis",
    )
    runs = kept_runs(kept_parts, lambda: sample(
        net, latents(seeds, net), labels, steps=steps, sigma_max=high, sigma_min=low, rho=rho,
        record=range(steps), batch=batch, device=device, progress=progress,
    ))  # fmt: skip
    check_runs(net, runs, None if labels is None else torch.from_numpy(labels))
    chosen = kept_method(kept_parts, net, runs, labels) if method == "auto" else method
    identity["derivatives"] = chosen
    modes = [
        kept_modes(
            kept_parts, f"modes-{at:04d}",
            partial(measured_modes, net, x, float(sigma), labels, method=chosen, **modes_asked),
        )
        for at, (x, sigma) in enumerate(
            zip(progress_bar(runs.states, unit="noise level", show=progress, leave=False), runs.sigmas, strict=True)
        )
    ]  # fmt: skip
    derivatives = np.stack([mode.values for mode in modes], axis=1)
    errors = [mode.error for mode in modes if mode.error is not None]
    dataset = analysis_dataset(runs, derivatives, numbers, np.array(seeds, dtype=np.uint64), labels, kept, identity)
    if errors:
        words = described("error of the differences", "1 / sigma")
        dataset["mode_derivative_error"] = (dataset["mode_derivative"].dims, np.stack(errors, axis=1), words)
    dataset.attrs["derivatives"] = chosen
    dataset.attrs |= clock_attributes(net)
    if information_runs:
        found = measure_information(
            net, images, image_labels, guide=guide, sigmas=np.geomspace(high, low, _INFORMATION_LEVELS),
            runs=information_runs, seed=seeds.start, batch=batch,
            checkpoint=None if checkpoint is None else Path(checkpoint) / "information", progress=progress,
        )  # fmt: skip
        # The shells of a structure factor end where both axes do; those of all power do not.
        found = found.rename({"sigma": "information_sigma", "wave_shell": "power_shell"})
        facts: dict[str, Any] = {name: found.attrs[name] for name in ("label_entropy", "evaluations", "source")}
        dataset = dataset.merge(found).assign_attrs({**dataset.attrs, **facts})
    if null and images is not None:
        dataset = add_null(
            dataset, net, images, image_labels, classes=classes, trajectories=count, seed=seeds.start, steps=steps,
            sigma_max=high, sigma_min=low, rho=rho, shells=numbers, diagonal=diagonal, per_channel=per_channel,
            information_runs=information_runs, batch=batch,
        )  # fmt: skip
    return dataset


def add_null(
    dataset: "xr.Dataset", net: Denoiser, images: ArrayLike, labels: ArrayLike | None, **arguments: Any
) -> "xr.Dataset":
    """``dataset`` with the observables of the Gaussian null of ``images``, run and measured with the same arguments."""
    fields = floating_field(images, "images", minimum_ndim=4)
    if fields[0].size > MOST_PIXELS:
        return dataset.assign_attrs(null=f"left out: {fields[0].size} values an image, at most {MOST_PIXELS}")
    if net.label_dim and len(np.unique(np.asarray(labels))) != net.label_dim:
        return dataset.assign_attrs(null=f"left out: the images do not have all {net.label_dim} classes")
    model = GaussianDenoiser.from_images(fields, labels if net.label_dim else None)
    beside = analyze(
        model, snapshots=0, images=images, image_labels=labels if net.label_dim else None, null=False, **arguments
    )
    # On the levels of the network's own measurement: both ranges are those of the run.
    names = [name for name in _OF_THE_NULL if name in beside and name in dataset]
    added = {f"null_{name}": (beside[name].dims, beside[name].to_numpy(), beside[name].attrs) for name in names}
    return dataset.assign(added)


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
