"""Effective receptive field of a network: where its denoised image responds to a change of one pixel."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...analysis import CriticalPoint, zero_mode_crossing
from ...errors import InvalidInputError
from ...process import VPSchedule
from ...validation import finite_float, floating_field, integer
from ..torch_model import TorchModel

__all__ = ["containing_radius", "participating_sites", "predicted_critical_time", "response_power"]


def response_power(
    model: TorchModel, x: ArrayLike, t: float, *, sites: int = 32, seed: int = 0, periodic: bool = False
) -> NDArray[np.float64]:
    r"""Mean squared response of the data term to its surroundings, by displacement, (..., 2 L1 - 1, 2 L2 - 1).

    .. math:: \rho(u) = \frac1n \sum_{i} A_{i,\,i+u}^2, \qquad
              A = \beta\Bigl(-\frac12 + \frac1{\sigma^2}\Bigr) I - \frac{\partial b}{\partial x}

    over n random sites i, the same for every field of ``x`` (..., L1, L2); with ``sites = L1 L2`` over all. Zero
    displacement is at [L1 - 1, L2 - 1]. A is beta alpha/sigma^2 times the Jacobian of the posterior mean: the linear
    terms of the drift, by which every pixel responds to itself in any network, are left out. Each response is exact,
    by reverse mode, so that the only error is that of the sample of sites.

    These are rows of the Jacobian: the field that a pixel receives from. The field that it acts on is a column, the
    same for any exact score because the Jacobian of a gradient is symmetric; a trained score is one only
    approximately, which is not checked.
    ``periodic`` takes displacements by minimum image, for a network that wraps around.
    """
    field = floating_field(x)
    L1, L2 = field.shape[-2:]
    count = integer(sites, "sites", minimum=1, maximum=L1 * L2)
    chosen = np.random.default_rng(seed).choice(L1 * L2, size=count, replace=False)
    impulses = np.zeros((count, L1 * L2))
    impulses[np.arange(count), chosen] = 1.0
    impulses = impulses.reshape(count, L1, L2)
    schedule = model.schedule
    linear = schedule.rate(t) * (-0.5 + 1.0 / schedule.sigma2(t))
    squared = (linear * impulses - model.transposed_products(field, t, impulses)) ** 2
    power = np.zeros((*field.shape[:-2], 2 * L1 - 1, 2 * L2 - 1))
    for index, (i, j) in enumerate(zip(*np.divmod(chosen, L2), strict=True)):
        response = squared[..., index, :, :]
        if periodic:
            response = np.roll(response, (L1 // 2 - i, L2 // 2 - j), axis=(-2, -1))
            i, j = L1 // 2, L2 // 2
        power[..., L1 - 1 - i : 2 * L1 - 1 - i, L2 - 1 - j : 2 * L2 - 1 - j] += response
    return np.asarray(power / count)


def containing_radius(power: ArrayLike, share: float) -> NDArray[np.float64]:
    """Smallest distance, in sites, within which the given share in (0, 1] of the power lies, (...).

    ``power`` (..., D1, D2) has odd sides and zero displacement at the centre, as from `response_power`. NaN where it
    is zero everywhere. Raises `InvalidInputError` for another share or even sides.
    """
    values, squared_distance = _by_displacement(power)
    part = finite_float(share, "share")
    if not 0.0 < part <= 1.0:
        raise InvalidInputError(f"share is {part}; expected a number in (0, 1]")
    squares, ring = np.unique(squared_distance, return_inverse=True)
    in_ring = np.stack([np.bincount(ring, weights=row) for row in values.reshape(-1, ring.size)])
    within = np.cumsum(in_ring, axis=-1).reshape(*values.shape[:-1], squares.size)
    # The last cumulative sum is the total itself, so that some ring always qualifies.
    at = np.argmax(within >= part * within[..., -1:], axis=-1)
    return np.asarray(np.where(within[..., -1] > 0.0, np.sqrt(squares[at]), np.nan))


def participating_sites(power: ArrayLike) -> NDArray[np.float64]:
    r"""Number of sites in the receptive field, :math:`(\sum_u \rho)^2 / \sum_u \rho^2`, (...).

    For a response that is uniform on a neighbourhood Omega and zero elsewhere, that of Sec. 5, it is |Omega| exactly;
    so it is what log(1 + Omega) is to be compared with. NaN where the power is zero everywhere.
    """
    values, _ = _by_displacement(power)
    total, squares = values.sum(axis=-1), (values**2).sum(axis=-1)
    return np.asarray(np.divide(total**2, squares, out=np.full(total.shape, np.nan), where=squares > 0.0))


def predicted_critical_time(times: ArrayLike, sites: ArrayLike, schedule: VPSchedule) -> CriticalPoint:
    """The theory's critical time (App. A, eq. 30) of a measured receptive field: first t with t = log(1 + Omega(t)).

    ``sites`` (n_trajectories, n_times) is Omega at the strictly decreasing ``times``; the search goes down from the
    largest, in units of the integrated rate, along the median of t - log(1 + Omega). NaN where they never meet. Raises
    what `zero_mode_crossing` raises.
    """
    excess = schedule.integrated_rate(times) - np.log1p(np.asarray(sites, dtype=np.float64))
    return zero_mode_crossing(times, excess)


def _by_displacement(power: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The power as (..., D1 D2) and the squared distance of each entry from the centre."""
    values = floating_field(power, "power").astype(np.float64)
    D1, D2 = values.shape[-2:]
    if D1 % 2 == 0 or D2 % 2 == 0:
        raise InvalidInputError(f"power has shape {values.shape}; expected odd last sides, zero displacement central")
    rows, columns = np.ogrid[-(D1 // 2) : D1 // 2 + 1, -(D2 // 2) : D2 // 2 + 1]
    return values.reshape(*values.shape[:-2], -1), (rows**2 + columns**2).ravel()
