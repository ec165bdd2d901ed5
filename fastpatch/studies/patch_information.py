"""Where along its run a patch machine decides its pixels: exact, from its own posterior."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..analysis import DecidedInformation, decided_information
from ..models import PatchModel
from ..process import log_time_grid
from ..runs import states
from ..validation import integer, time_grid

__all__ = ["patch_information"]


def patch_information(
    model: PatchModel,
    shape: tuple[int, int] = (80, 80),
    trajectories: int = 8,
    times: ArrayLike | None = None,
    *,
    every: int = 5,
    seed: int = 0,
    dtype: Any = "float32",
    **options: Any,
) -> DecidedInformation:
    r"""Information a site, in nats, that is decided along runs of a patch machine.

    .. math:: -\frac{dI}{d\log\sigma'} = \frac{\alpha^2}{\sigma^2}\,\bigl\langle\operatorname{Var}(c | y)\bigr\rangle,
              \qquad \sigma' = \sigma/\alpha

    the mean over sites of the posterior variance of the centre pixel, exact at each state of the run: the I-MMSE
    relation with the machine's own posterior for that of a joint law of all sites. For patches of one pixel the two are
    one, and the integral is the entropy of the prior.

    Parameters
    ----------
    model, shape, trajectories, times, seed, dtype
        Those of `fastpatch.simulate`; ``log_time_grid(steps=1000)`` by default.
    every
        Steps between two levels.
    options
        Those of `decided_information`; the entropy is that of the centre pixel's values unless it is given.

    Raises what `fastpatch.states` and `decided_information` raise.
    """
    grid = log_time_grid(steps=1000) if times is None else time_grid(times)
    interval = integer(every, "every", minimum=1)
    rates, levels = [], []
    for state in states(model, shape, trajectories, grid, seed, dtype=dtype, every=interval):
        snr = (model.schedule.alpha(state.time) / model.schedule.sigma(state.time)) ** 2
        # Beyond, signal and information are below what floats resolve.
        if snr < 1e-12:
            continue
        levels.append(snr**-0.5)
        rates.append(snr * model.posterior_variance(state.x.astype(np.float64), state.time).mean(axis=(1, 2)))
    return decided_information(np.stack(rates, axis=1), levels, **{"entropy": _centre_entropy(model), **options})


def _centre_entropy(model: PatchModel) -> float:
    """Entropy in nats of the prior distribution of the centre pixel."""
    values, index = np.unique(model.dictionary.centers, return_inverse=True)
    share = np.bincount(index, weights=model.dictionary.prior, minlength=len(values))
    return float(-(share * np.log(share)).sum())
