r"""Where along the noise a denoiser decides an image and its class, from denoising alone (see `analysis.information`).

Clean images get noise, :math:`x = x_0 + \sigma\varepsilon`, and the posterior means with and without label are
compared: no derivative, no sampling run. The clean images are data, or the network's own samples.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...analysis import information_rate, information_rate_by_shell, label_entropy
from ...errors import InvalidInputError
from ...noise import NoiseStream, standard_normals
from ...progress import progress_bar
from ...provenance import environment
from ...validation import floating_field, integer
from ..batching import in_batches
from ..denoiser import Denoiser, checked_labels, denoiser_identity, image_shape
from ..devices import reproducible
from ..edm_grid import SIGMA_MAX, SIGMA_MIN, checked_levels
from ..guidance import Guide, check_guide, guide_estimate
from ..sampler import latents, placed, sample
from ..window.units import clock_attributes
from .finite import checked_finite

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["in_turn", "information_levels", "measure_information", "trained_range"]

_BATCH = 32


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
    """
    levels = information_levels(net) if sigmas is None else checked_levels(sigmas)[:-1]
    count, first = integer(runs, "runs", minimum=1), integer(seed, "seed", minimum=0, maximum=2**63)
    size = _BATCH if batch is None else integer(batch, "batch", minimum=1)
    used: Guide | None = "zero-label" if guide is None and net.label_dim else guide
    if used is not None:
        check_guide(net, used)
    clean, classes, cost = _clean_images(net, images, labels, count, first, sample_steps, size, progress)
    target = placed(net, None)
    if used is not None and not isinstance(used, str):
        placed(used, target)
    seeds = range(first, first + len(clean))
    by_label = classes is not None and used is not None
    names = ("total", "conditional", "class") if by_label or used is not None else ("total",)
    rates = {name: np.empty((len(clean), len(levels))) for name in names}
    shells: dict[str, list[NDArray[np.float64]]] = {"total": [], "class": []}

    for at, sigma in enumerate(progress_bar(levels, unit="noise level", show=progress, leave=False)):
        noisy = clean + float(sigma) * torch.from_numpy(_noise(seeds, image_shape(net), at))

        def estimates(part: slice, sigma: float = float(sigma), noisy: Tensor = noisy) -> tuple[Tensor, Tensor]:
            x = noisy[part].to(target)
            y = None if classes is None else classes[part].to(target)
            labelled = net(x, sigma, y)
            checked_finite(net, labelled, x, sigma, y)
            free = labelled if used is None else guide_estimate(net, used, x, sigma, y)
            checked_finite(net if isinstance(used, str) or used is None else used, free, x, sigma, None)
            return labelled.cpu(), free.cpu()

        with torch.no_grad(), reproducible(target, tf32=False):
            found = in_batches(estimates, len(clean), size)
        labelled, free = (torch.cat(parts) for parts in zip(*found, strict=True))
        differences = {"total": clean - free, "conditional": clean - labelled, "class": labelled - free}
        for name in names:
            values = differences[name].numpy()
            rates[name][:, at] = information_rate(values, sigma)
            if name in shells:
                shells[name].append(information_rate_by_shell(values, sigma).mean(axis=0))
    evaluations = cost + len(clean) * len(levels) * (1 if used is None else 2)
    return _dataset(
        net, used, levels, rates, {name: np.stack(found) for name, found in shells.items() if found}, classes,
        evaluations, "samples" if images is None else "data", first,
    )  # fmt: skip


def _clean_images(
    net: Denoiser,
    images: ArrayLike | None,
    labels: ArrayLike | None,
    count: int,
    seed: int,
    steps: int,
    batch: int,
    progress: bool,
) -> tuple[Tensor, Tensor | None, int]:
    """Clean images, their labels on the CPU, and the evaluations that making them has cost."""
    if images is None:
        if labels is not None:
            raise InvalidInputError("labels are given without images; expected both, or neither")
        wanted = torch.arange(count) % net.label_dim if net.label_dim else None
        low, high = trained_range(net)
        # Apart from the noise that is added later.
        noise = latents(range(seed, seed + count), net)
        made = sample(net, noise, wanted, steps=steps, sigma_max=high, sigma_min=low, batch=batch, progress=progress)
        return made.images, wanted, count * made.evaluations
    fields = floating_field(images, "images", minimum_ndim=4)
    shape = image_shape(net)
    if fields.ndim != 4 or fields.shape[1:] != shape:
        raise InvalidInputError(f"images have shape {fields.shape}; expected (n, {', '.join(map(str, shape))})")
    if labels is None:
        if net.label_dim:
            raise InvalidInputError(
                f"images are given without labels to a network of {net.label_dim} classes; expected a label for each"
            )
        return torch.from_numpy(fields[:count].astype(np.float32)), None, 0
    known = checked_labels(net, labels, len(fields))
    assert known is not None
    if known.ndim != 1:
        raise InvalidInputError(f"labels have shape {tuple(known.shape)}; expected indices (n,)")
    chosen = in_turn(known.numpy(), count)
    return torch.from_numpy(fields[chosen].astype(np.float32)), known[torch.from_numpy(chosen)], 0


def in_turn(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first ``count`` images, taking the classes in turn as long as they last."""
    place = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members] = np.arange(len(members))
    return np.lexsort((labels, place))[:count]


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
    words = {
        "total": "information about the image decided per unit of log sigma",
        "conditional": "the same given its class",
        "class": "information about the class decided per unit of log sigma",
    }
    content: dict[str, Any] = {
        f"{name}_rate": (("image", "sigma"), values, {"long_name": words[name], **units})
        for name, values in rates.items()
    }
    for name, values in shells.items():
        label = {"long_name": f"{words[name]}, by wavelength", **units}
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
