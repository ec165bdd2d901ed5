"""How far a classifier's probabilities can be believed (Guo et al., arXiv:1706.04599)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

__all__ = ["accuracy", "calibration_error", "fit_temperature", "log_loss"]

_LOG_RANGE = (-3.0, 3.0)


def accuracy(logits: NDArray[np.floating], classes: NDArray[np.integer]) -> float:
    """Share of the rows of ``logits`` (N, K) that are largest at their class (N,)."""
    return float((logits.argmax(axis=1) == classes).mean())


def log_loss(logits: NDArray[np.floating], classes: NDArray[np.integer]) -> float:
    """Mean of -log p(class)."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(classes)), classes].mean())


def calibration_error(logits: NDArray[np.floating], classes: NDArray[np.integer], bins: int = 15) -> float:
    """Expected calibration error: mean |accuracy - confidence| over ``bins`` equal intervals of the confidence.

    Each interval of the largest probability, in (0, 1], counts by its number of images (Eq. 3 there).
    """
    probabilities = softmax(logits, axis=1)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == classes
    interval = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(interval, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(classes))


def fit_temperature(logits: NDArray[np.floating], classes: NDArray[np.integer]) -> float:
    """The T in [e^-3, e^3] for which ``logits / T`` have the smallest `log_loss`."""
    found = minimize_scalar(lambda log: log_loss(logits / np.exp(log), classes), bounds=_LOG_RANGE, method="bounded")
    return float(np.exp(found.x))
