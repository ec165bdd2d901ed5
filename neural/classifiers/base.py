"""What a scoring classifier is, and whether it fits a network."""

from typing import Any, Protocol

from torch import Tensor

from ...errors import DtypeError, InvalidInputError
from ..denoiser import Denoiser

__all__ = ["Classifier", "check_images", "check_labels"]


class Classifier(Protocol):
    """Scores images in the range of the networks.

    `logits` takes images (B, C, H, W), float32 in [-1, 1] (values outside are clipped, as in a stored image), and
    returns (B, number of labels), float32 on the CPU, whose softmax is the probability of each class.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each class, in the order of the logits."""

    def logits(self, images: Tensor) -> Tensor: ...

    def describe(self) -> dict[str, Any]:
        """What was used, as JSON values, for the provenance of a result."""


def check_labels(classifier: Classifier, net: Denoiser) -> None:
    """Raises `InvalidInputError` unless ``classifier`` knows as many classes as ``net``.

    That both number them alike is not checked.
    """
    known, wanted = len(classifier.labels), net.label_dim
    if known != wanted:
        first = ", ".join(classifier.labels[:3])
        raise InvalidInputError(
            f"the classifier has {known} labels ({first}, ...), but the network has {wanted} classes; "
            "expected a classifier of the same classes"
        )


def check_images(images: Tensor, channels: tuple[int, ...]) -> None:
    """Raises `InvalidInputError` or `DtypeError` unless ``images`` are float32 (B, C, H, W) with C in ``channels``."""
    if images.ndim != 4 or images.shape[1] not in channels or 0 in images.shape:
        expected = " or ".join(map(str, channels))
        raise InvalidInputError(f"images have shape {tuple(images.shape)}; expected (B, C, H, W) with C = {expected}")
    if not images.is_floating_point():
        raise DtypeError(f"images have dtype {images.dtype}; expected float32 values in [-1, 1]")
