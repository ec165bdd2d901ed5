"""The clean images on which decided information is measured: data, or the network's own samples."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import InvalidInputError
from ...kept_parts import KeptParts
from ...validation import floating_field
from ..denoiser import Denoiser, checked_labels, image_shape
from ..sampler import latents, sample
from .finite import check_runs

__all__ = ["given_images", "in_turn", "own_samples"]


def given_images(
    net: Denoiser, images: ArrayLike, labels: ArrayLike | None, count: int
) -> tuple[Tensor, Tensor | None]:
    """The first ``count`` of ``images`` (n, C, H, W), the classes in turn, float32, and their labels or None.

    Raises `InvalidInputError` or `DtypeError` for images or labels that do not fit the network.
    """
    fields = floating_field(images, "images", minimum_ndim=4)
    shape = image_shape(net)
    if fields.ndim != 4 or fields.shape[1:] != shape:
        raise InvalidInputError(f"images have shape {fields.shape}; expected (n, {', '.join(map(str, shape))})")
    if labels is None:
        if net.label_dim:
            raise InvalidInputError(
                f"images are given without labels to a network of {net.label_dim} classes; expected a label for each"
            )
        return torch.from_numpy(fields[:count].astype(np.float32)), None
    known = checked_labels(net, labels, len(fields))
    assert known is not None
    if known.ndim != 1:
        raise InvalidInputError(f"labels have shape {tuple(known.shape)}; expected indices (n,)")
    chosen = in_turn(known.numpy(), count)
    return torch.from_numpy(fields[chosen].astype(np.float32)), known[torch.from_numpy(chosen)]


def own_samples(
    net: Denoiser, count: int, seed: int, kept: KeptParts, **options: Any
) -> tuple[Tensor, Tensor | None, int]:
    """``count`` samples of the network, of its classes in turn, their labels, and the evaluations that they have cost.

    ``options`` are those of `sample`, the steps among them. Raises `NotFiniteError` for samples that are not.
    """
    labels = torch.arange(count) % net.label_dim if net.label_dim else None

    def make() -> dict[str, NDArray[Any]]:
        noise = latents(range(seed, seed + count), net)
        made = sample(net, noise, labels, **options)
        if not torch.isfinite(made.images).all():  # once more, to name the level
            check_runs(net, sample(net, noise, labels, record=range(options["steps"]), **options), labels)
        return {"images": made.images.numpy(), "evaluations": np.array(count * made.evaluations)}

    found = kept.part("samples", make)
    return torch.from_numpy(found["images"]), labels, int(found["evaluations"])


def in_turn(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first ``count`` images, taking the classes in turn as long as they last."""
    place = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members] = np.arange(len(members))
    return np.lexsort((labels, place))[:count]
