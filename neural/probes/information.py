r"""Where along the noise a denoiser decides an image and its class, from denoising alone (see `analysis.information`).

Clean images get noise, :math:`x = x_0 + \sigma\varepsilon`, and the posterior means with and without label are
compared: no derivative, no sampling run. The clean images are data, or the network's own samples.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...analysis import information_rate, information_rate_by_shell, label_entropy
from ...errors import InvalidInputError
from ...kept_parts import KeptParts
from ...noise import NoiseStream, standard_normals
from ...progress import progress_bar
from ...provenance import environment
from ...validation import integer
from ..batching import in_batches
from ..denoiser import Denoiser, denoiser_identity, image_shape
from ..devices import evaluating
from ..edm_grid import SIGMA_MAX, SIGMA_MIN, checked_levels
from ..guidance import Guide, check_guide, guide_estimate
from ..sampler import placed
from ..window.units import clock_attributes
from .clean_images import given_images, own_samples
from .finite import checked_finite

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["checked_inputs", "information_levels", "measure_information", "trained_range"]

_BATCH = 32
_WORDS = {
    "total": "information about the image decided per unit of log sigma",
    "conditional": "the same given its class",
    "class": "information about the class decided per unit of log sigma",
}
_BY_SHELL = frozenset({"total", "class"})


def trained_range(net: Denoiser) -> tuple[float, float]:
    """sigma_min and sigma_max of the network's schedule, if it has one, within EDM's 0.002 … 80; else these."""
    schedule = getattr(net, "schedule", None)
    low, high = (getattr(schedule, name, default) for name, default in
                 (("sigma_min", SIGMA_MIN), ("sigma_max", SIGMA_MAX)))  # fmt: skip
    return max(float(low), SIGMA_MIN), min(float(high), SIGMA_MAX)


def information_levels(net: Denoiser, levels: int = 24) -> NDArray[np.float64]:
    """Noise levels over the network's range, evenly spaced in log sigma, decreasing."""
    low, high = trained_range(net)
    return np.geomspace(high, low, integer(levels, "levels", minimum=2))


def measure_information(
    net: Denoiser,
    images: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    guide: Guide | None = None,
    sigmas: ArrayLike | None = None,
    runs: int = 64,
    seed: int = 0,
    sample_steps: int = 18,
    batch: int | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = False,
) -> "xr.Dataset":
    """Information rates of single images at each noise level, in nats per unit of log sigma.

    Parameters
    ----------
    net
        The denoiser, D_c where it is given labels. It stays where it is.
    images, labels
        Clean images (n, C, H, W) in the range of the network and their classes (n,); without images, ``runs`` samples
        of the network itself, of its classes in turn.
    guide
        D_u: ``"zero-label"``, another network, or None, which is ``"zero-label"`` for a network with labels and no
        class information for one without.
    sigmas
        Strictly decreasing levels (S,); `information_levels` by default.
    runs
        How many images are used: the first so many of each class in turn, all if there are fewer.
    seed
        Image i gets noise of seed ``seed + i``, another one at every level.
    sample_steps, batch
        Heun steps of the own samples; most images at once, 32 by default.
    checkpoint
        A directory in which every level is kept once it is measured: the same call goes on from there. Networks that
        are no modules are told apart by their type alone.

    Returns
    -------
    xarray.Dataset
        ``total_rate`` (image, sigma): :math:`|x_0 - D_u|^2/\\sigma^2`, and ``conditional_rate`` with D_c in its place.
        ``class_rate`` (image, sigma): :math:`|D_c - D_u|^2/\\sigma^2`.
        ``total_rate_by_shell``, ``class_rate_by_shell`` (sigma, wave_shell): their means by wavelength.
        ``attrs``: ``label_entropy`` in nats of the labels that were used, ``evaluations`` of networks (images times
        calls, the own samples included), ``source`` ("data" or "samples"), ``provenance``.
        Without a guide, the total of D alone.

    Raises
    ------
    InvalidInputError, DtypeError
        For images or labels that do not fit the network, labels missing beside images of a network with labels, a
        guide of other images, levels that do not decrease.
    NotFiniteError
        Where the network gives a value that is not finite, named by level and layer.
    InvalidInputError, ResultFileError
        For a checkpoint of another measurement, or a damaged one.
    """
    levels = information_levels(net) if sigmas is None else checked_levels(sigmas)[:-1]
    count, first = integer(runs, "runs", minimum=1), integer(seed, "seed", minimum=0, maximum=2**63)
    size = _BATCH if batch is None else integer(batch, "batch", minimum=1)
    used, given = checked_inputs(net, images, labels, guide, count)
    kept = KeptParts(
        checkpoint, {} if checkpoint is None else _identity(net, used, levels, count, first, sample_steps, given)
    )
    cost = 0
    if given is None:
        low, high = trained_range(net)
        clean, classes, cost = own_samples(
            net, count, first, kept, steps=sample_steps, sigma_max=high, sigma_min=low, batch=size, progress=progress
        )
    else:
        clean, classes = given
    target = placed(net, None)
    if used is not None and not isinstance(used, str):
        placed(used, target)
    bar = progress_bar(levels, unit="noise level", show=progress, leave=False)
    found = [
        kept.part(f"level-{at:04d}", partial(_rates, net, used, clean, classes, float(sigma), at, first, size))
        for at, sigma in enumerate(bar)
    ]
    rates = {name: np.stack([each[name] for each in found], axis=1) for name in _WORDS if name in found[0]}
    shells = {name: np.stack([each[f"{name}_by_shell"] for each in found]) for name in rates if name in _BY_SHELL}
    evaluations = cost + len(clean) * len(levels) * (1 if used is None else 2)
    return _dataset(
        net, used, levels, rates, shells, classes, evaluations, "samples" if images is None else "data", first
    )


def checked_inputs(
    net: Denoiser, images: ArrayLike | None, labels: ArrayLike | None, guide: Guide | None, runs: int
) -> tuple[Guide | None, tuple[Tensor, Tensor | None] | None]:
    """The guide and the images that `measure_information` uses of its arguments; raises what it says of them."""
    used: Guide | None = "zero-label" if guide is None and net.label_dim else guide
    if used is not None:
        check_guide(net, used)
    if images is None and labels is not None:
        raise InvalidInputError("labels are given without images; expected both, or neither")
    return used, None if images is None else given_images(net, images, labels, runs)


def _rates(
    net: Denoiser,
    guide: Guide | None,
    clean: Tensor,
    classes: Tensor | None,
    sigma: float,
    level: int,
    seed: int,
    batch: int,
) -> dict[str, NDArray[np.float64]]:
    """The rates (n,) at one noise level by name, and their means (n_shells,) by wavelength."""
    target = placed(net, None)
    noise = _noise(range(seed, seed + len(clean)), image_shape(net), level)
    noisy = clean + sigma * torch.from_numpy(noise)

    def estimates(part: slice) -> tuple[Tensor, Tensor]:
        x = noisy[part].to(target)
        y = None if classes is None else classes[part].to(target)
        labelled = net(x, sigma, y)
        checked_finite(net, labelled, x, sigma, y)
        free = labelled if guide is None else guide_estimate(net, guide, x, sigma, y)
        checked_finite(net if isinstance(guide, str) or guide is None else guide, free, x, sigma, None)
        return labelled.cpu(), free.cpu()

    with torch.no_grad(), evaluating(target):
        found = in_batches(estimates, len(clean), batch)
    labelled, free = (torch.cat(parts) for parts in zip(*found, strict=True))
    differences = {"total": clean - free}
    if guide is not None:
        differences |= {"conditional": clean - labelled, "class": labelled - free}
    rates = {name: information_rate(values.numpy(), sigma) for name, values in differences.items()}
    for name in _BY_SHELL & differences.keys():
        rates[f"{name}_by_shell"] = information_rate_by_shell(differences[name].numpy(), sigma).mean(axis=0)
    return rates


def _identity(
    net: Denoiser,
    guide: Guide | None,
    levels: NDArray[np.float64],
    count: int,
    seed: int,
    sample_steps: int,
    given: tuple[Tensor, Tensor | None] | None,
) -> dict[str, Any]:
    """All that the rates depend on, as JSON values."""
    found: dict[str, Any] = {
        "network": denoiser_identity(net),
        "guide": guide if guide is None or isinstance(guide, str) else denoiser_identity(guide),
        "noise levels": levels.tolist(),
        "runs": count,
        "seed": seed,
    }
    if given is None:
        return {**found, "steps of the samples": sample_steps}
    digest = hashlib.sha256()
    for tensor in given:
        digest.update(b"" if tensor is None else tensor.numpy().tobytes())
    return {**found, "images": digest.hexdigest()}


def _noise(seeds: Sequence[int], shape: tuple[int, int, int], level: int) -> NDArray[np.float32]:
    drawn = np.empty((len(seeds), *shape), dtype=np.float32)
    for image, seed in zip(drawn, seeds, strict=True):
        image[:] = standard_normals(shape, seed=seed, stream=NoiseStream.STEP, step=level)
    return drawn


def _dataset(
    net: Denoiser,
    guide: Guide | None,
    levels: NDArray[np.float64],
    rates: dict[str, NDArray[np.float64]],
    shells: dict[str, NDArray[np.float64]],
    classes: Tensor | None,
    evaluations: int,
    source: str,
    seed: int,
) -> "xr.Dataset":
    import xarray as xr

    units = {"units": "nat"}
    content: dict[str, Any] = {
        f"{name}_rate": (("image", "sigma"), values, {"long_name": _WORDS[name], **units})
        for name, values in rates.items()
    }
    for name, values in shells.items():
        label = {"long_name": f"{_WORDS[name]}, by wavelength", **units}
        content[f"{name}_rate_by_shell"] = (("sigma", "wave_shell"), values, label)
    side = max(image_shape(net)[1:])
    numbers = np.arange(shells["total"].shape[1])
    with np.errstate(divide="ignore"):
        wavelength = side / numbers
    coordinates: dict[str, Any] = {
        "sigma": ("sigma", levels, {"long_name": "noise level sigma", "units": "units of x"}),
        "wave_shell": ("wave_shell", numbers, {"long_name": "shell of wave numbers", "units": "1"}),
        "wavelength": ("wave_shell", wavelength, {"long_name": "wavelength", "units": "lattice sites"}),
    }
    entropy = float("nan")
    if classes is not None:
        entropy = label_entropy(classes.numpy())
        coordinates["image_label"] = ("image", classes.numpy(), {"long_name": "class index", "units": "1"})
    run = {
        "network": denoiser_identity(net),
        "guide": guide if guide is None or isinstance(guide, str) else denoiser_identity(guide),
        "seed": seed,
        "images": next(iter(rates.values())).shape[0],
    }
    return xr.Dataset(
        content,
        coords=coordinates,
        attrs={
            "label_entropy": entropy,
            "evaluations": evaluations,
            "source": source,
            **clock_attributes(net),
            "provenance": json.dumps({"run": run, "environment": environment()}, sort_keys=True),
        },
    )
