"""Finite-size scaling: the zero of lambda_0, the peak of xi_eq and the final xi_x against the side of the lattice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..analysis.statistics import nan_median
from ..errors import InvalidInputError
from .collapse import Collapse, Curve, fit_collapse
from .measured import Measured, weights_of
from .observables import Ensemble, EnsembleObservables, ensemble_observables
from .power_law import PowerLaw, fit_power_law
from .shift import Shift, fit_shift

__all__ = ["FiniteSize", "finite_size_scaling"]

# The collapse looks at this much of log t above the zero of lambda_0, and has fewer resamples: each is a search.
_COLLAPSED = 0.4
_COLLAPSE_RESAMPLES = 100


@dataclass(frozen=True)
class FiniteSize:
    """Results by size, in increasing order of it, and the fits over sizes.

    ``curves`` are the medians of xi_eq over trajectories above t_c up to 0.4 further in log t, ``collapse`` their
    collapse as xi_eq / L; None with fewer than three sizes that have such a curve.
    """

    L: NDArray[np.float64]
    observables: Sequence[EnsembleObservables]
    shift: Shift
    peak_height: PowerLaw
    final_length: PowerLaw
    curves: Sequence[Curve]
    collapse: Collapse | None


def finite_size_scaling(ensembles: Mapping[float, Ensemble], *, n_resamples: int = 400, seed: int = 0) -> FiniteSize:
    """The study of ensembles by side L, in sites. Raises `InvalidInputError` for none."""
    if not ensembles:
        raise InvalidInputError("there are no ensembles; expected one of each size")
    ordered = sorted(ensembles.items())
    L = np.array([side for side, _ in ordered], dtype=np.float64)
    found = [
        ensemble_observables(ensemble, n_resamples=n_resamples, seed=seed + number)
        for number, (_, ensemble) in enumerate(ordered)
    ]
    curves = [
        curve
        for number, ((side, ensemble), one) in enumerate(zip(ordered, found, strict=True))
        if (curve := _curve(side, ensemble, one.zero_time.value, seed + number)) is not None
    ]
    return FiniteSize(
        L=L,
        observables=found,
        shift=fit_shift(L, [one.zero_time for one in found]),
        peak_height=fit_power_law(L, [one.peak_height for one in found]),
        final_length=fit_power_law(L, [one.final_length for one in found]),
        curves=curves,
        collapse=fit_collapse(curves) if len(curves) >= 3 else None,
    )


def _curve(side: float, ensemble: Ensemble, zero_time: float, seed: int) -> Curve | None:
    """The median xi_eq above the zero of lambda_0, where at least half of the trajectories have a value."""
    enough = 2 * np.count_nonzero(~np.isnan(ensemble.xi_eq), axis=0) >= len(ensemble)
    # A comparison with NaN, no zero, is false.
    kept = enough & (ensemble.times > zero_time) & (ensemble.times <= np.exp(_COLLAPSED) * zero_time)
    if len(ensemble) < 2 or np.count_nonzero(kept) < 2:
        return None
    times, lengths = ensemble.times[kept], ensemble.xi_eq[:, kept]
    resampled = np.array([nan_median(lengths[draw], 0) for draw in ensemble.draws(_COLLAPSE_RESAMPLES, seed)])
    errors = weights_of([Measured(np.nan, column, len(ensemble)) for column in resampled.T])
    return Curve(side, times, np.asarray(nan_median(lengths, 0)), errors, resampled, len(ensemble))
