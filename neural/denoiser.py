"""What sampling, guidance and analysis ask of a network: the posterior mean D(x, sigma) of images at a noise level."""

from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..errors import DtypeError, InvalidInputError
from .identity import network_identity

__all__ = ["Denoiser", "checked_labels", "denoiser_identity", "drift", "image_shape"]


class Denoiser(Protocol):
    """A denoiser of images (B, C, H, W), such as `EDM2Network`; images of a batch must not influence one another.

    ``label_dim`` is the number of classes, 0 without. Images that are not square are told by a further attribute
    ``image_shape`` (C, H, W), as those of `fastpatch.neural.denoisers` have it.
    """

    @property
    def img_resolution(self) -> int: ...
    @property
    def img_channels(self) -> int: ...
    @property
    def label_dim(self) -> int: ...

    def __call__(self, x: Tensor, sigma: Any, class_labels: Tensor | None = None) -> Any:
        """D(x, sigma), shape and dtype of ``x``; labels are (B,) indices, (B, label_dim) rows, or None for none."""
        ...


def image_shape(net: Denoiser) -> tuple[int, int, int]:
    """(C, H, W) of the images of a network: its ``image_shape`` if it has one, else squares of ``img_resolution``."""
    found = getattr(net, "image_shape", None)
    if found is None:
        return net.img_channels, net.img_resolution, net.img_resolution
    return cast(tuple[int, int, int], tuple(found))


def drift(net: Denoiser, x: Tensor, sigma: float, class_labels: Tensor | None = None) -> Tensor:
    r"""The drift of the probability-flow ODE :math:`dx/d\sigma = b_\sigma = (x - D(x, \sigma, y)) / \sigma` (App. E.1).

    ``x`` (B, C, H, W), ``sigma`` > 0; nothing is checked.
    """
    b: Tensor = (x - net(x, sigma, class_labels)) / sigma
    return b


def denoiser_identity(net: Denoiser) -> dict[str, Any]:
    """What tells ``net`` from another, JSON-ready: its type and, of a module, its `network_identity`."""
    return {"type": type(net).__name__, **(network_identity(net) if isinstance(net, nn.Module) else {})}


def checked_labels(net: Denoiser, class_labels: ArrayLike | Tensor | None, count: int) -> Tensor | None:
    """Labels of ``count`` images as int64 indices (count,) or float32 rows (count, label_dim); None stays None.

    Raises `InvalidInputError` or `DtypeError` for labels of another number or width, an index outside the network's
    labels, or labels given to a network that has none.
    """
    if class_labels is None:
        return None
    labels = torch.as_tensor(class_labels if isinstance(class_labels, Tensor) else np.asarray(class_labels))
    if net.label_dim == 0:
        raise InvalidInputError("class labels are given to a network without labels; expected none")
    if tuple(labels.shape) not in ((count,), (count, net.label_dim)):
        raise InvalidInputError(
            f"class labels have shape {tuple(labels.shape)}; expected ({count},) indices or ({count}, {net.label_dim}) "
            "rows, as many as images"
        )
    if labels.ndim == 2:
        return labels.to(torch.float32)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DtypeError(f"class labels have dtype {str(labels.dtype).removeprefix('torch.')}; expected integers")
    outside = (labels < 0) | (labels >= net.label_dim)
    if outside.any():
        raise InvalidInputError(
            f"class label {int(labels[outside][0])} is given; expected an index from 0 to {net.label_dim - 1}"
        )
    return labels.to(torch.int64)
