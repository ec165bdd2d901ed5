"""The measured zero of lambda_0 against the prior mass of the uniform patterns, beside its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .measured import Measured
from .observables import Ensemble, ensemble_observables

if TYPE_CHECKING:
    from ..models import PatchModel
    from ..theory import CriticalCondition

__all__ = ["PREDICTIONS", "PriorMass", "prior_mass_dependence"]

_CONDITIONS: tuple["CriticalCondition", ...] = ("closure", "renormalised", "drift", "score")

# Those of the zero of the drift's lambda_0, then the score's condition, and the Gaussian null, which has no transition.
PREDICTIONS: tuple[str, ...] = (*_CONDITIONS, "null")


@dataclass(frozen=True)
class PriorMass:
    """Results by prior mass and dictionary, ``keys``, in increasing order of both.

    ``predictions`` holds t_c of the exact dictionary by condition, NaN where it is met at no time, and under "null" the
    zero of lambda_0 of the Gaussian field of the same second moments.
    """

    keys: Sequence[tuple[float, int]]
    zero_time: Sequence[Measured]
    predictions: Mapping[str, NDArray[np.float64]]

    @property
    def measured(self) -> NDArray[np.float64]:
        """The measured critical times."""
        return np.array([one.value for one in self.zero_time])

    def deviation(self, condition: str) -> NDArray[np.float64]:
        """Measured over predicted critical time, less one."""
        return np.asarray(self.measured / self.predictions[condition] - 1.0)


def prior_mass_dependence(
    ensembles: Mapping[tuple[float, int], tuple[Ensemble, "PatchModel"]], *, n_resamples: int = 400, seed: int = 0
) -> PriorMass:
    """The study of ensembles by (uniform prior mass, dictionary), each with the model that made it.

    Raises `InvalidInputError` for none.
    """
    from .. import theory
    from ..models import GaussianModel

    if not ensembles:
        raise InvalidInputError("there are no ensembles; expected one of each prior mass")
    keys = sorted(ensembles)
    measured, predicted = [], []
    for number, key in enumerate(keys):
        ensemble, model = ensembles[key]
        measured.append(ensemble_observables(ensemble, n_resamples=n_resamples, seed=seed + number).zero_time)
        times = theory.critical_times(dictionary=model.dictionary, schedule=model.schedule, conditions=_CONDITIONS)
        null = GaussianModel.from_dictionary(model.dictionary, schedule=model.schedule).critical_time
        predicted.append({**{str(condition): time for condition, time in times.items()}, "null": null})
    predictions = {name: np.array([each[name] for each in predicted]) for name in PREDICTIONS}
    return PriorMass(keys, measured, predictions)
