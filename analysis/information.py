r"""Where along the noise levels information is decided: exact identities between information and denoising errors.

With :math:`x = x_0 + \sigma\varepsilon` and the posterior means D_u(x) without and D_c(x) with the class, in nats
(Guo, Shamai and Verdú 2005, the I-MMSE relation):

.. math:: -\frac{dI(x_0; x)}{d\log\sigma} = \frac{E|x_0 - D_u|^2}{\sigma^2}, \qquad
          -\frac{dI(c; x)}{d\log\sigma} = \frac{E|D_c - D_u|^2}{\sigma^2}
                                        = \frac{E|x_0 - D_u|^2 - E|x_0 - D_c|^2}{\sigma^2}

The squared norms sum over all pixels, hence by Parseval over all wave vectors. The integral of the second over all
log sigma is I(c; x_0), at most the label's entropy: a calibration that needs no reference. A variance-preserving
process with alpha, sigma has sigma/alpha for sigma and the same D. An imperfect D makes ``E|x_0 - D|^2``, hence the
total, too large. Of any two functions D_u and D_c, the two forms of the class information differ by

.. math:: \frac{E|D_c - D_u|^2 - E|x_0 - D_u|^2 + E|x_0 - D_c|^2}{\sigma^2}
          = \frac{2\,E\,\langle D_c - D_u,\, D_c - E[x_0 | x, c]\rangle}{\sigma^2},

twice the error of D_c along the guidance direction, whatever D_u is; and a D_u that is worse than the posterior mean
adds its excess loss to both.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import finite_float, plain_array, time_grid
from .critical_interval import FEWEST_TRAJECTORIES
from .statistics import real_values, resampling_options
from .studentized import resampled_moments, student_interval, student_ratio_quantiles

__all__ = [
    "DecidedInformation",
    "decided_information",
    "integrated_information",
    "label_entropy",
]


@dataclass(frozen=True, eq=False)
class DecidedInformation:
    """Information decided along falling noise levels, in nats, with studentised bootstrap intervals over runs.

    Attributes
    ----------
    sigma : (S,)
        Noise levels, strictly decreasing; sigma/alpha for a variance-preserving process.
    rate, rate_low, rate_high : (S,)
        ``-dI/d log sigma``, the mean over runs and its interval at each noise level on its own.
    cumulative : (S,)
        Information decided down to each noise level: `above`, and from the first level on the trapezoid rule.
    above : float
        What is decided above the first level, extrapolated by the exact law at large sigma, rate ~ 1/sigma^2: half the
        first rate. It is only as good as that law is at the first level.
    total, total_low, total_high : float
        The integral down to the last level.
    grid_error : float
        Size of the trapezoid rule's error, from the same rule on every second level (nan with fewer than 3 levels).
    share : float
        The share of the total that `window` holds.
    window, window_low, window_high : (2,)
        The noise levels, larger first, at which ``(1 - share)/2`` and ``(1 + share)/2`` of the total are decided, and
        the interval of either; log sigma is interpolated linearly in the cumulative information. inf where so much is
        decided above the first level already.
    entropy : float
        The label's entropy, nan where none was given.
    runs : int
    """

    sigma: NDArray[np.float64]
    rate: NDArray[np.float64]
    rate_low: NDArray[np.float64]
    rate_high: NDArray[np.float64]
    cumulative: NDArray[np.float64]
    above: float
    total: float
    total_low: float
    total_high: float
    grid_error: float
    share: float
    window: NDArray[np.float64]
    window_low: NDArray[np.float64]
    window_high: NDArray[np.float64]
    entropy: float
    runs: int

    @property
    def calibration(self) -> float:
        """``total / entropy``: 1 for exact posterior means of classes that tell themselves apart, nan without labels.

        Above 1 the two denoisers cannot both be exact; below 1 classes overlap or the grid ends too early.
        """
        return self.total / self.entropy if self.entropy > 0.0 else float("nan")

    def sigma_at(self, share: float) -> float:
        """The noise level at which that share of the total is decided; inf where that is above the first level."""
        wanted = finite_float(share, "share")
        if not 0.0 < wanted < 1.0:
            raise InvalidInputError(f"share is {wanted}; expected a number in (0, 1)")
        return float(_crossings(self.sigma, self.cumulative[None], np.array([wanted]))[0, 0])


def label_entropy(labels: ArrayLike) -> float:
    """Entropy in nats of the classes of ``labels``, integers (n,), by their frequencies; log 10 for ten equal classes.

    Raises `InvalidInputError` for no label or anything but integers along one axis.
    """
    found = plain_array(labels, "labels")
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu":
        raise InvalidInputError(
            f"labels has shape {found.shape} and dtype {found.dtype.name}; expected integers (n,), n >= 1"
        )
    frequencies = np.unique(found, return_counts=True)[1] / found.size
    return float(-(frequencies * np.log(frequencies)).sum())


def decided_information(
    rates: ArrayLike,
    sigma: ArrayLike,
    *,
    entropy: float | None = None,
    share: float = 0.9,
    extrapolate: bool = True,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> DecidedInformation:
    """Mean rate, integral over log sigma and the window that holds a share of it, each with its bootstrap interval.

    Parameters
    ----------
    rates
        Contributions of single runs (R, S) as `information_rate` gives them: independent images along the first axis.
        Differences of two errors may be negative.
    sigma
        Noise levels (S,), strictly decreasing, S >= 2.
    entropy
        Of the label, in nats, for the calibration; see `label_entropy`.
    share
        The share of the total between the ends of the window, in (0, 1).
    extrapolate
        Count what lies above the first level by the law 1/sigma^2; otherwise ``above`` is 0.
    confidence, n_resamples, seed
        Studentised bootstrap over runs; intervals are nan with fewer than four. A window's end lies where the share
        that is decided down to it may be the wanted one.

    Raises
    ------
    DtypeError, InvalidInputError
        For rates that are not finite numbers, levels that do not match or do not decrease, a total that is not
        positive, and options out of range. That runs are independent and levels dense enough is not checked;
        ``grid_error`` tells of the latter.
    """
    values, levels = _checked_rates(rates, sigma)
    known = float("nan") if entropy is None else finite_float(entropy, "entropy")
    held = finite_float(share, "share")
    if not 0.0 < held < 1.0:
        raise InvalidInputError(f"share is {held}; expected a number in (0, 1)")
    level, resamples, seed = resampling_options(confidence, n_resamples, seed)

    rate = values.mean(axis=0)
    cumulative = _cumulative(rate[None], levels, extrapolate)[0]
    if not cumulative[-1] > 0.0:
        raise InvalidInputError(f"the rates integrate to {cumulative[-1]:g}; expected positive information")
    ends = np.array([0.5 * (1.0 - held), 0.5 * (1.0 + held)])
    window = _crossings(levels, cumulative[None], ends)[0]
    limits = {"rate": np.full((2, len(levels)), np.nan), "total": np.full(2, np.nan), "window": np.full((2, 2), np.nan)}
    if len(values) >= FEWEST_TRAJECTORIES:
        sums = _cumulative(values, levels, extrapolate)
        both = np.concatenate([values, sums[:, -1:]], axis=1)
        low, high = student_interval(both, resampled_moments(both, resamples, seed), level)
        limits["rate"], limits["total"] = np.stack([low[:-1], high[:-1]]), np.array([low[-1], high[-1]])
        for at, (share_held, end) in enumerate(zip(ends, window, strict=True)):
            # What every run has decided down to this end; a share that is decided above the first level, down to that.
            place = np.interp(-np.log(end) if np.isfinite(end) else -np.inf, -np.log(levels), np.arange(len(levels)))
            below, part = divmod(float(place), 1.0)
            upper = min(int(below) + 1, len(levels) - 1)
            decided = (1.0 - part) * sums[:, int(below)] + part * sums[:, upper]
            off = student_ratio_quantiles(decided, sums[:, -1], resamples, seed, level)
            wanted = np.clip(share_held + np.array(off), np.finfo(np.float64).tiny, 1.0)
            limits["window"][::-1, at] = _crossings(levels, cumulative[None], wanted)[0]
    return DecidedInformation(
        sigma=levels,
        rate=rate,
        rate_low=limits["rate"][0],
        rate_high=limits["rate"][1],
        cumulative=cumulative,
        above=0.5 * float(rate[0]) if extrapolate else 0.0,
        total=float(cumulative[-1]),
        total_low=float(limits["total"][0]),
        total_high=float(limits["total"][1]),
        grid_error=_grid_error(rate, levels),
        share=held,
        window=window,
        window_low=limits["window"][0],
        window_high=limits["window"][1],
        entropy=known,
        runs=len(values),
    )


def integrated_information(
    rates: ArrayLike,
    sigma: ArrayLike,
    *,
    extrapolate: bool = True,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Integral over log sigma of rates that may be negative throughout, and the ends of its bootstrap interval.

    For differences of two losses, or of the two forms of the class information; arguments, rule and interval are those
    of `decided_information`, so that the same ``seed`` draws the same runs. Raises what it raises but for the sign.
    """
    values, levels = _checked_rates(rates, sigma)
    level, resamples, seed = resampling_options(confidence, n_resamples, seed)
    total = float(_cumulative(values.mean(axis=0)[None], levels, extrapolate)[0, -1])
    if len(values) < FEWEST_TRAJECTORIES:
        return total, float("nan"), float("nan")
    sums = _cumulative(values, levels, extrapolate)[:, -1:]
    low, high = student_interval(sums, resampled_moments(sums, resamples, seed), level)
    return total, float(low[0]), float(high[0])


def _checked_rates(rates: ArrayLike, sigma: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, levels = real_values(rates, "rates"), time_grid(sigma)
    if values.ndim != 2 or values.shape[1] != len(levels) or len(values) == 0:
        raise InvalidInputError(f"rates has shape {values.shape}; expected (runs, {len(levels)}), one entry a level")
    if np.isnan(values).any():
        raise InvalidInputError("rates holds NaN; expected finite numbers")
    return values, levels


def _cumulative(rate: NDArray[np.float64], sigma: NDArray[np.float64], extrapolate: bool) -> NDArray[np.float64]:
    """Information decided down to every level, (n, S), of rates (n, S)."""
    pieces = 0.5 * (rate[:, 1:] + rate[:, :-1]) * -np.diff(np.log(sigma))
    above = 0.5 * rate[:, :1] if extrapolate else np.zeros_like(rate[:, :1])
    return np.asarray(np.cumsum(np.concatenate([above, pieces], axis=1), axis=1))


def _crossings(
    sigma: NDArray[np.float64], cumulative: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where each row of ``cumulative`` (n, S) first reaches the shares of its last entry, (n, shares)."""
    # Negative rates, which only noise makes, must not lead back over a crossing.
    rising = np.maximum.accumulate(cumulative, axis=1)
    targets = cumulative[:, -1:] * shares
    at = np.stack([np.count_nonzero(rising < target[:, None], axis=1) for target in targets.T], axis=1)
    at = np.clip(at, 1, len(sigma) - 1)
    before, after = (np.take_along_axis(rising, index, axis=1) for index in (at - 1, at))
    step = after - before
    part = np.clip(np.divide(targets - before, step, out=np.zeros_like(step), where=step > 0.0), 0.0, 1.0)
    log_sigma = np.log(sigma)
    found = np.exp(log_sigma[at - 1] + part * (log_sigma[at] - log_sigma[at - 1]))
    return np.where(targets < rising[:, :1], np.inf, found)


def _grid_error(rate: NDArray[np.float64], sigma: NDArray[np.float64]) -> float:
    if len(sigma) < 3:
        return float("nan")
    # Every second level and the last one: where that leaves a step of one interval, the two rules agree on it.
    kept = np.unique(np.append(np.arange(0, len(sigma), 2), len(sigma) - 1))
    fine = np.trapezoid(rate, -np.log(sigma))
    coarse = np.trapezoid(rate[kept], -np.log(sigma[kept]))
    return float(abs(fine - coarse) / 3.0)
