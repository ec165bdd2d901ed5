"""What sampling, guidance and analysis ask of a network, whoever trained it."""

from typing import Any, Protocol, cast

from torch import Tensor

__all__ = ["Denoiser", "image_shape"]


class Denoiser(Protocol):
    """The posterior mean of images (B, C, H, W) at a noise level; images of a batch must not influence one another.

    ``label_dim`` is the number of classes, 0 without. Images that are not square have ``image_shape`` (C, H, W);
    otherwise ``img_channels`` and ``img_resolution`` say it.
    """

    @property
    def img_resolution(self) -> int: ...
    @property
    def img_channels(self) -> int: ...
    @property
    def label_dim(self) -> int: ...

    def __call__(self, x: Tensor, sigma: Any, class_labels: Tensor | None = None) -> Any:
        """D(x, sigma), shape and dtype of ``x``; labels are (B,) indices, or None for none."""
        ...


def image_shape(net: Denoiser) -> tuple[int, int, int]:
    """(C, H, W) of the images of a network."""
    found = getattr(net, "image_shape", None)
    if found is None:
        return net.img_channels, net.img_resolution, net.img_resolution
    return cast(tuple[int, int, int], tuple(found))
