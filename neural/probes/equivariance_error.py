"""How far a network's output is from following its input when that is moved."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...validation import floating_field, integer
from ..torch_model import TorchModel

__all__ = ["shift_defect"]


def shift_defect(model: TorchModel, x: ArrayLike, t: float, *, shifts: int = 8, seed: int = 0) -> NDArray[np.float64]:
    r"""Mean squared failure of the posterior mean to commute with cyclic shifts S, relative to its own size, (...).

    .. math:: \frac{\sum_S |m(Sx) - S m(x)|^2}{\sum_S \bigl(|m(Sx)|^2 + |m(x)|^2\bigr)}, \qquad
              m = \frac{x + \sigma^2 s}{\alpha}

    with the spatial mean of every m removed, over random shifts that are not the identity, the same for every field of
    ``x`` (..., L1, L2). It is 0 for an equivariant model, whatever the field, and 1 where both images are unrelated:
    garments are centred, so a good model of them is expected to notice that one is not. Cyclic shifts carry the border
    into the image, hence a network with zero padding and local features is not expected to reach 0.

    Where the model does not denoise at all (t of order 10 and above, alpha below the network's error), m is that error
    divided by alpha and the defect says nothing about the data.
    """
    field = floating_field(x)
    L1, L2 = field.shape[-2:]
    count = integer(shifts, "shifts", minimum=1, maximum=L1 * L2 - 1)
    chosen = 1 + np.random.default_rng(seed).choice(L1 * L2 - 1, size=count, replace=False)
    schedule = model.schedule
    alpha, sigma2 = schedule.alpha(t), schedule.sigma2(t)

    def pattern(y: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = (y + sigma2 * model.score(y, t)) / alpha
        return np.asarray(mean - mean.mean(axis=(-2, -1), keepdims=True))

    def power(m: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((m**2).sum(axis=(-2, -1)))

    values = field.astype(np.float64)
    still = pattern(values)
    failure, size = np.zeros(field.shape[:-2]), np.zeros(field.shape[:-2])
    for shift in zip(*np.divmod(chosen, L2), strict=True):
        moved = pattern(np.roll(values, shift, axis=(-2, -1)))
        failure += power(moved - np.roll(still, shift, axis=(-2, -1)))
        size += power(moved) + power(still)
    return np.divide(failure, size, out=np.zeros_like(size), where=size > 0.0)
