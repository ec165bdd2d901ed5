"""Class alignment of samples: logit, probability and top-1 of the class that was asked for (paper App. F.6)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from ..classifiers.base import Classifier, check_labels
from ..denoiser import Denoiser

__all__ = ["METRICS", "check_classifier", "score"]

METRICS = ("logit", "probability", "top1")


def score(classifier: Classifier, images: Tensor, targets: Sequence[int]) -> NDArray[np.float64]:
    """z_y, p_y and whether y is the top class, 0 or 1, of images (B, C, H, W) and their classes y: (B, 3)."""
    logits = classifier.logits(images).double()
    y = torch.tensor(list(targets))
    rows = torch.arange(len(y))
    columns = (logits[rows, y], logits.softmax(dim=1)[rows, y], (logits.argmax(dim=1) == y).double())
    return np.stack([column.numpy() for column in columns], axis=1)


def check_classifier(classifier: Classifier, net: Denoiser) -> None:
    """Raise `InvalidInputError` or `DtypeError` unless ``classifier`` scores images of ``net`` by its classes.

    That both number the classes alike is not checked.
    """
    check_labels(classifier, net)
    logits = classifier.logits(torch.zeros((1, net.img_channels, net.img_resolution, net.img_resolution)))
    if tuple(logits.shape) != (1, len(classifier.labels)):
        raise InvalidInputError(
            f"the classifier gives logits of shape {tuple(logits.shape)} for one image; "
            f"expected (1, {len(classifier.labels)}), one a label"
        )
