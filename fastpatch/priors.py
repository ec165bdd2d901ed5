"""Probabilities of patterns."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidInputError
from .validation import finite_array

__all__ = ["checked_prior", "frequencies"]


def frequencies(counts: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Counts (K,) as probabilities, divided twice, so that their sum is nearer to 1 than one rounding leaves it."""
    once = counts / counts.sum()
    return np.asarray(once / once.sum())


def checked_prior(prior: ArrayLike | None, count: int) -> NDArray[np.float64]:
    """Read-only positive probabilities (count,) that add up to one, uniform for None.

    Raises `InvalidInputError` or `DtypeError` for another shape, entries that are not positive, and a sum that differs
    from 1 by more than 1e-6.
    """
    weights = frequencies(np.ones(count)) if prior is None else finite_array(prior, "prior")
    if weights.shape != (count,):
        raise InvalidInputError(f"prior has shape {weights.shape}; expected ({count},), one entry a pattern")
    if not (weights > 0.0).all():
        at = int(np.argmin(weights))
        raise InvalidInputError(f"prior[{at}] is {weights[at]}; expected positive probabilities")
    total = float(weights.sum())
    if abs(total - 1.0) > 1e-6:
        raise InvalidInputError(f"prior sums to {total}; expected 1")
    # Left alone where rounding explains the difference: a dictionary made of another one's arrays is the same.
    rounding = count * np.finfo(np.float64).eps
    found: NDArray[np.float64] = weights if abs(total - 1.0) <= rounding else weights / total
    found.setflags(write=False)
    return found
